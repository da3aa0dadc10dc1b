"""Small kernels, one for each thing that the emulator does."""

# Two sums, so that the second barrier is needed too: without it the first sum's parts are
# overwritten while some threads still read them.
SUMS = r"""
extern __shared__ double shared[];

__device__ __forceinline__ double block_sum(double value) {
  for (int bits = 16; bits; bits /= 2)
    value = __dadd_rn(value, __shfl_xor_sync(0xffffffffu, value, bits));
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0.0;
  for (int warp = 0; warp < blockDim.x / 32; ++warp) sum = __dadd_rn(sum, shared[warp]);
  __syncthreads();
  return sum;
}

extern "C" __global__ void __launch_bounds__(128)
    sums(const double *__restrict__ a, double *__restrict__ out, long long n) {  // (B, n), (B, 2)
  double sum = 0.0, squares = 0.0;
  for (long long i = threadIdx.x; i < n; i += blockDim.x) {
    double value = a[blockIdx.x * n + i];
    sum = __dadd_rn(sum, value);
    squares = __fma_rn(value, value, squares);
  }
  sum = block_sum(sum);
  squares = block_sum(squares);
  // the last to read, so that what came too late is in both
  if (threadIdx.x == blockDim.x - 1) out[2 * blockIdx.x] = sum;
  if (threadIdx.x == 0) out[2 * blockIdx.x + 1] = squares;
}
"""

WARPS = r"""
extern __shared__ double shared[];

// neighbours pass a value on, with a barrier of the warp between the writing and the reading
extern "C" __global__ void rotate(double *a) {
  shared[threadIdx.x] = a[threadIdx.x];
  __syncwarp();
  double next = shared[threadIdx.x / 32 * 32 + (threadIdx.x + 1) % 32];
  __syncwarp();
  shared[threadIdx.x] = next;
  a[threadIdx.x] = next;
}
"""

TOYS = r"""
extern __shared__ double shared[];

extern "C" __global__ void returns_early(double *a) {
  if (threadIdx.x >= 32) return;
  __syncthreads();
  a[0] = 1.0;
}

extern "C" __global__ void two_barriers(double *a) {
  if (threadIdx.x < 40)
    __syncthreads();
  else
    __syncthreads();
  a[0] = 1.0;
}

extern "C" __global__ void half_warp(double *a) {
  if (threadIdx.x < 16) __syncwarp();
  a[0] = 1.0;
}

extern "C" __global__ void half_mask(double *a) { a[0] = __shfl_xor_sync(0xffffu, a[0], 1); }

extern "C" __global__ void write_shared(long long i) { shared[i] = 1.0; }

extern "C" __global__ void before_written(double *a) {
  a[blockIdx.x] = shared[3];
  __syncthreads();
  shared[3] = 1.0;
}

extern "C" __global__ void shuffles(double *a, int *b) {  // (4, 32), (4, 32)
  int i = threadIdx.x;
  double x = 100.0 + i;
  a[i] = __shfl_xor_sync(0xffffffffu, x, 5);
  a[32 + i] = __shfl_down_sync(0xffffffffu, x, 3);
  a[64 + i] = __shfl_sync(0xffffffffu, x, 7);
  for (int k = 0; k < 5; ++k) x = __shfl_sync(0xffffffffu, x, (i + 1) % 32);
  a[96 + i] = x;
  b[i] = __shfl_xor_sync(0xffffffffu, i, 5);
  b[32 + i] = __shfl_down_sync(0xffffffffu, i, 3);
  b[64 + i] = __shfl_sync(0xffffffffu, i, 7);
  b[96 + i] = __shfl_sync(0xffffffffu, i, i + 33);
}

extern "C" __global__ void count(int *counter, int *last) {
  atomicAdd(counter, 2);
  *last = blockIdx.x * blockDim.x + threadIdx.x;
}

extern "C" __global__ void sizes(long long *out) {
  out[0] = gridDim.x;
  out[1] = blockDim.x;
  out[2] = warpSize;
}

// as a function does whose local arrays are too many
extern "C" __global__ void far_down(long long bytes) {
  volatile char local[8];
  volatile char *place = local;
  place[-bytes] = 1;
}

extern "C" __global__ void arithmetic(const double *a, double *out) {
  out[0] = __dadd_rn(a[0], a[1]);
  out[1] = __dmul_rn(a[0], a[1]);
  out[2] = __fma_rn(a[0], a[1], a[2]);
  out[3] = __ddiv_rn(a[0], a[1]);
  out[4] = __dsqrt_rn(a[0]);
  out[5] = a[0] * a[3] + a[2];
  out[6] = isfinite(__longlong_as_double(0x7ff0000000000000LL)) + isnan(shared[0]);
}

extern "C" __global__ void takes_int(int n) {}
"""

OUTSIDE = r"""
extern "C" __global__ void fill(double *a, long long n) {
  for (long long i = threadIdx.x; i < n; i += blockDim.x) a[i] = 1.0;
}
"""
