// Gradients of matrices: a b' + c d' for each problem; a thread for each entry.

// The products are rounded before they are added, so that for c = b and d = a the result is
// symmetric to the bit.
extern "C" __global__ void outer(const double* a, const double* b, const double* c, const double* d,
                                 double* out, Int rows, Int columns, Int total) {
  Int step = (Int)blockDim.x * gridDim.x;
  for (Int at = (Int)blockIdx.x * blockDim.x + threadIdx.x; at < total; at += step) {
    Int row = at / columns, column = row / rows * columns + at % columns;
    out[at] = __dadd_rn(__dmul_rn(a[row], b[column]), __dmul_rn(c[row], d[column]));
  }
}
