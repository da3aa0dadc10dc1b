"""Small kernels, one for each thing that the emulator does."""

# Two sums, so that the second barrier is needed too: without it the first sum's parts are
# overwritten while some threads still read them.
SUMS = r"""
static __device__ __forceinline__ double block_sum(double value) {
  for (int bits = 16; bits; bits /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, bits);
  __shared__ double parts[32];
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0.0;
  for (int warp = 0; warp < blockDim.x / 32; ++warp) sum += parts[warp];
  __syncthreads();
  return sum;
}

extern "C" __global__ void __launch_bounds__(128)
    sums(const double *__restrict__ a, double *__restrict__ out, long long n) {  // (B, n), (B, 2)
  double sum = 0.0, squares = 0.0;
  for (long long i = threadIdx.x; i < n; i += blockDim.x) {
    double value = a[blockIdx.x * n + i];
    sum += value;
    squares = fma(value, value, squares);
  }
  sum = block_sum(sum);
  squares = block_sum(squares);  // inlined: places of its own for its barriers
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
  __shared__ double own[4];
  a[2 * blockIdx.x] = shared[3];
  a[2 * blockIdx.x + 1] = own[3];
  __syncthreads();
  shared[3] = own[3] = 1.0;
}

extern "C" __global__ void is_shared(const double *a, long long *out) {
  __shared__ double own[4];
  double local = 0.0;
  const void *places[] = {shared, shared + 9, shared + 10, own, own + 4, a, &local};
  for (int i = 0; i < 7; ++i) out[i] = __isShared(places[i]);
}

extern "C" __global__ void shuffles(double *a, int *b) {  // (3, 32), (3, 32)
  int i = threadIdx.x;
  double x = 100.0 + i;
  a[i] = __shfl_xor_sync(0xffffffffu, x, 5);
  a[32 + i] = __shfl_sync(0xffffffffu, x, 7);
  for (int k = 0; k < 5; ++k) x = __shfl_sync(0xffffffffu, x, (i + 1) % 32);
  a[64 + i] = x;
  b[i] = __shfl_xor_sync(0xffffffffu, i, 5);
  b[32 + i] = __shfl_sync(0xffffffffu, i, 7);
  b[64 + i] = __shfl_sync(0xffffffffu, i, i + 33);
}

// warps vote as often as their number says before the block does
extern "C" __global__ void votes(long long *out) {  // (threads, 3)
  int i = threadIdx.x;
  bool some = true, more = true;
  for (int k = 0; k < i / 32; ++k) some = some && __any_sync(0xffffffffu, i % 32 == k);
  for (int k = 0; k < 2; ++k) more = more && __syncthreads_or(i == 40 + k);
  out[3 * i] = some;
  out[3 * i + 1] = more;
  out[3 * i + 2] = __syncthreads_or(i > 1000) || __any_sync(0xffffffffu, i > 1000);
}

extern "C" __global__ void last_block(int *last) {
  *last = blockIdx.x * blockDim.x + threadIdx.x;
}

extern "C" __global__ void sizes(long long *out) {
  out[0] = gridDim.x;
  out[1] = blockDim.x;
}

struct Record {
  long long count[3];
  double factor;
  unsigned long long address;
};

extern "C" __global__ void by_value(const __grid_constant__ Record record) {
  double *to = reinterpret_cast<double *>(record.address);
  for (int i = threadIdx.x; i < 3; i += blockDim.x) to[i] = record.factor * record.count[i];
}

// as a function does whose local arrays are too many
extern "C" __global__ void far_down(long long bytes) {
  volatile char local[8];
  volatile char *place = local;
  place[-bytes] = 1;
}

extern "C" __global__ void arithmetic(const double *a, double *out) {
  out[0] = fma(a[0], a[1], a[2]);
  out[1] = a[0] * a[3] + a[2];
  out[2] = rsqrt(4.0);
}

extern "C" __global__ void takes_int(int n) {}
"""

OUTSIDE = r"""
extern "C" __global__ void fill(double *a, long long n) {
  for (long long i = threadIdx.x; i < n; i += blockDim.x) a[i] = 1.0;
}
"""
