"""The linear algebra of a team of threads, each function of `device_dense.hpp` as a kernel."""

from functools import cache

from kktdiff.kernels import device
from tests.backends.cuda.emulator import Emulator

KERNELS = r"""
extern __shared__ double shared[];
using namespace kktdiff;

// Of each kernel: a matrix in shared memory, if `fast`, or where it is.
inline double *placed(double *A, long long entries, long long fast) {
  if (!fast) return A;
  double *own = shared + threadIdx.x / TEAM * entries;
  for (int i : each_entry(int(entries))) own[i] = A[i];
  return own;
}
inline void put_back(const double *own, double *A, long long entries) {
  if (own != A)
    for (int i : each_entry(int(entries))) A[i] = own[i];
}
inline long long element() { return blockIdx.x * (blockDim.x / TEAM) + threadIdx.x / TEAM; }

extern "C" __global__ void run_times(const double *A, const double *x, double *out, long long m,
                                     long long n) {
  const long long e = element();
  times(nullptr, int(m), int(n), A + e * m * n, x + e * n, out + e * m);
}
extern "C" __global__ void run_add_transposed(const double *A, const double *z, double *out,
                                              long long m, long long n) {
  const long long e = element();
  add_transposed(nullptr, int(m), int(n), A + e * m * n, z + e * m, out + e * n);
}
extern "C" __global__ void run_norm(const double *v, double *out, long long n) {
  const long long e = element();
  const double norm = norm_inf(int(n), v + e * n);
  out[e * TEAM + rank()] = norm;
}
extern "C" __global__ void run_gram(double *G, const double *w, double *H, long long m, long long n,
                                    long long weighted, long long fast) {
  const long long e = element();
  double *own = placed(G + e * m * n, m * n + 8, fast);
  add_gram(int(m), int(n), own, weighted ? w + e * m : nullptr, {nullptr}, H + e * n * n);
}
// The pivots of each thread, and the factor.
extern "C" __global__ void run_cholesky(double *H, double *pivots, long long n, long long fast) {
  const long long e = element();
  double *own = placed(H + e * n * n, n * n + 8, fast);
  const Pivots<double> found = cholesky(int(n), own, {nullptr});
  put_back(own, H + e * n * n, n * n);
  double *to = pivots + (e * TEAM + rank()) * 3;
  to[0] = found.ok, to[1] = found.low, to[2] = found.high;
}
extern "C" __global__ void run_forward(const double *L, double *B, long long n, long long count,
                                       long long fast) {
  const long long e = element();
  double *own = placed(const_cast<double *>(L) + e * n * n, n * n + 8, fast);
  double *right = B + e * n * count;
  if (fast) {
    double *place = shared + blockDim.x / TEAM * (n * n + 8) + threadIdx.x / TEAM * (n * count + 8);
    for (int i : each_entry(int(n * count))) place[i] = right[i];
    right = place;
  }
  forward(int(n), own, int(count), right, {nullptr});
  put_back(right, B + e * n * count, n * count);
}
extern "C" __global__ void run_solve(const double *L, double *v, double *half, long long n) {
  const long long e = element();
  forward_one(int(n), L + e * n * n, v + e * n);
  for (int i : each_entry(int(n))) half[e * n + i] = v[e * n + i];
  backward(int(n), L + e * n * n, v + e * n);
}
extern "C" __global__ void run_shares(const double *a, double *out) {
  const double own = a[threadIdx.x];
  const double found[] = {sum_of_all(own), max_of_all(own), min_of_all(own)};
  const bool some = any_of_all(own > 0.0), all = all_of_all(own > 0.0);
  for (int i = 0; i < 3; i++) out[5 * threadIdx.x + i] = found[i];
  out[5 * threadIdx.x + 3] = some, out[5 * threadIdx.x + 4] = all;
}
"""


@cache
def emulated(team, sanitize=False):
    """The compiled kernels for a team of so many threads."""
    source = device.source("device_dense.hpp") + KERNELS
    return Emulator(source, options=(f"-DTEAM={team}",), sanitize=sanitize)
