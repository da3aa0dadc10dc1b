// Ruiz equilibration, as `kktdiff._scaling` has it: one block for each set of matrices.

struct Ruiz {  // packed by the host: `_table.Ruiz`
  Int n, m, k, passes;
  double low, high;  // row norms within these need no further pass
  Numbers Q, G, A;
  double *x, *rows, *nu, *size;  // out: weights, and the largest entry of Q under them
  double* norms;                 // (n + m + k)
};

// Entry by entry, the largest |matrix| in each row, weighted by column; a warp for each row.
__device__ void row_tops(const double* matrix, int rows, int columns, const double* by_row,
                         const double* by_column, double* out) {
  for (int r = threadIdx.x / 32; r < rows; r += blockDim.x / 32) {
    double most = 0;
    for (int j = threadIdx.x % 32; j < columns; j += 32)
      most = larger(most, fabs(matrix[r * columns + j]) * by_column[j]);
    for (int lane = 16; lane > 0; lane /= 2) most = larger(most, __shfl_xor_sync(ALL, most, lane));
    if (threadIdx.x % 32 == 0) out[r] = most * by_row[r];
  }
}

// The largest |matrix| in column j, weighted by row.
__device__ double column_top(const double* matrix, int rows, int columns, int j,
                             const double* by_row) {
  double most = 0;
  for (int r = 0; r < rows; ++r) most = larger(most, fabs(matrix[r * columns + j]) * by_row[r]);
  return most;
}

// Divide each weight by the root of its row's norm.
__device__ void balance(int count, const double* norms, double* weights) {
  EACH(c, count) if (norms[c] > 0) weights[c] /= sqrt(norms[c]);
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2) equilibrate(const Ruiz* ruiz) {
  const Ruiz& z = *ruiz;
  Int i = blockIdx.x;
  int n = z.n, m = z.m, k = z.k;
  const double *Q = z.Q.at(i), *G = z.G.at(i), *A = z.A.at(i);
  double *D = z.x + i * n, *E = z.rows + i * m, *F = z.nu + i * k;
  double* norms = z.norms + i * (n + m + k);
  EACH(c, n) D[c] = 1;
  EACH(c, m) E[c] = 1;
  EACH(c, k) F[c] = 1;
  __syncthreads();
  for (int pass = 0; pass < z.passes; ++pass) {
    row_tops(G, m, n, E, D, norms + n);
    row_tops(A, k, n, F, D, norms + n + m);
    EACH(j, n) {
      double rows = larger(column_top(G, m, n, j, E), column_top(A, k, n, j, F));
      norms[j] = larger(rows, column_top(Q, n, n, j, D)) * D[j];  // Q is symmetric
    }
    __syncthreads();
    double off = 0;
    EACH(c, n + m + k) if (norms[c] > 0 && (norms[c] < z.low || norms[c] > z.high)) off = 1;
    if (largest(off) == 0) break;
    balance(n, norms, D);
    balance(m, norms + n, E);
    balance(k, norms + n + m, F);
    __syncthreads();
  }
  double size = 0;
  EACH(j, n) size = larger(size, column_top(Q, n, n, j, D) * D[j]);
  size = largest(size);
  if (threadIdx.x == 0) z.size[i] = size;
}
