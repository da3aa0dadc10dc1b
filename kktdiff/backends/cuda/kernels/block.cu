// What the threads of one block do together. One block works on one problem.
//
// Vectors lie in the device's memory, where __syncthreads() makes them visible to the block too.
// Entry i belongs to the thread that EACH gives it to: only where another one reads it is there a
// barrier.

typedef long long Int;  // what the host passes; indices within one problem are ints

extern __shared__ double shared[];  // SHARED bytes

// A thread has few entries: to unroll the loop would only take registers.
#define EACH(i, count) \
  _Pragma("unroll 1") for (int i = threadIdx.x; i < (count); i += blockDim.x)
// Rows by warps, columns by the threads of a warp: neighbours read neighbouring entries.
#define EACH_ENTRY(r, c, rows, columns)                                    \
  for (int r = threadIdx.x / 32; r < (rows); r += blockDim.x / 32)         \
    for (int c = threadIdx.x % 32; c < (columns); c += 32)
#define ALL 0xffffffffu
#define FOUND 126  // where in `shared` sweeps keep two numbers, behind all that is reduced at once

// The larger of two, NaN if one of them is: fmax would lose it.
__device__ double larger(double a, double b) { return a >= b || a != a ? a : b; }

// Reduce several values over the block: the first `sums` are added, the others' largest is taken.
// All threads get the same bits.
template <int COUNT>
__device__ void over_block(double (&v)[COUNT], int sums) {
  int warp = threadIdx.x / 32, warps = blockDim.x / 32;
#pragma unroll
  for (int c = 0; c < COUNT; ++c)
    for (int lane = 16; lane > 0; lane /= 2) {
      double other = __shfl_xor_sync(ALL, v[c], lane);
      v[c] = c < sums ? v[c] + other : larger(v[c], other);
    }
  __syncthreads();  // nobody still reads what was there
  if (threadIdx.x % 32 == 0)
#pragma unroll
    for (int c = 0; c < COUNT; ++c) shared[c * warps + warp] = v[c];
  __syncthreads();
#pragma unroll
  for (int c = 0; c < COUNT; ++c) {
    v[c] = shared[c * warps];
    for (int w = 1; w < warps; ++w) {
      double other = shared[c * warps + w];
      v[c] = c < sums ? v[c] + other : larger(v[c], other);
    }
  }
}

__device__ double largest(double v) {
  double all[1] = {v};
  over_block(all, 0);
  return all[0];
}

// out = matrix v: a warp for each row, so that it reads neighbouring entries.
__device__ void times(const double* matrix, int rows, int columns, const double* v, double* out) {
  for (int r = threadIdx.x / 32; r < rows; r += blockDim.x / 32) {
    double sum = 0;
    for (int j = threadIdx.x % 32; j < columns; j += 32) sum += matrix[r * columns + j] * v[j];
    for (int lane = 16; lane > 0; lane /= 2) sum += __shfl_xor_sync(ALL, sum, lane);
    if (threadIdx.x % 32 == 0) out[r] = sum;
  }
}

// Entry j of matrix' v: a thread for each column, for the same reason.
__device__ double column_times(const double* matrix, int rows, int columns, int j,
                               const double* v) {
  double sum = 0;
  for (int r = 0; r < rows; ++r) sum += matrix[r * columns + j] * v[r];
  return sum;
}

// Make a factor as cuSOLVER leaves it, L by columns, ready for both sweeps: the other triangle
// gets L by rows, the diagonal its reciprocals. To be followed by a barrier.
__device__ void prepare(double* L, int n) {
  EACH_ENTRY(r, c, n, n) {
    if (c < r) L[r * n + c] = L[c * n + r];
    if (c == r) L[r * n + c] = 1 / L[r * n + c];
  }
}

// What a sweep does with the entries on the diagonal.
enum Diagonal { ONES, RECIPROCALS, DIVIDE };

__device__ double scaled(double v, double entry, Diagonal diagonal) {
  return diagonal == ONES ? v : diagonal == DIVIDE ? v / entry : v * entry;
}

// Substitution with a triangle, column after column: from the first to the last with the entries
// below the diagonal, or `up`, with those above it. Column j begins at M[j n]. v may be used up.
//
// Where there is a thread for each row, it has the row's number in a register, and reads the entry
// of the next column before it waits: a column takes a barrier and no time of the memory's.
__device__ void sweep(const double* M, int n, bool up, Diagonal diagonal, double* v, double* out) {
  int first = up ? n - 1 : 0, step = up ? -1 : 1, row = threadIdx.x;
  if (n > blockDim.x) {
    __syncthreads();  // v is read by all
    for (int j = first; j >= 0 && j < n; j += step) {
      double found = scaled(v[j], M[j * n + j], diagonal);
      EACH(i, up ? j : n - 1 - j) {
        int other = up ? i : j + 1 + i;
        v[other] -= M[j * n + other] * found;
      }
      if (threadIdx.x == 0) out[j] = found;
      __syncthreads();
    }
    return;
  }
  double own = row < n ? v[row] : 0, next = row < n ? M[first * n + row] : 0;
  for (int j = first; j >= 0 && j < n; j += step) {
    double entry = next, *found = shared + FOUND + j % 2;
    int after = j + step;
    if (row < n && after >= 0 && after < n) next = M[after * n + row];
    if (row == j) *found = own = scaled(own, entry, diagonal);
    __syncthreads();
    if (up ? row < j : row > j) own -= entry * *found;
  }
  if (row < n) out[row] = own;
  __syncthreads();
}
