"""The linear algebra of a team of threads, each function of `device_dense.hpp` as a kernel."""

from functools import cache

from kktdiff.kernels import device
from tests.backends.cuda.emulator import Emulator

KERNELS = r"""
extern __shared__ double shared[];
using namespace kktdiff;

// A barrier that is not among those that can be left out.
inline void wait_here() {
  shim::wait(WARPS == 1 ? shim::AT_WARP_BARRIER : shim::AT_BLOCK_BARRIER, 0);
}
inline void copy(long long n, const double *from, double *to) {
  for (long long i = rank(); i < n; i += TEAM) to[i] = from[i];
  wait_here();
}
// A matrix in shared memory, if `fast`, or where it is.
inline double *placed(double *A, long long entries, long long fast, long long before = 0) {
  if (!fast) return A;
  double *own = shared + before + threadIdx.x / TEAM * entries;
  copy(entries, A, own);
  return own;
}
inline long long element() { return blockIdx.x * (blockDim.x / TEAM) + threadIdx.x / TEAM; }

// Other threads than those that wrote them read the results, at once.
inline void turn_round(long long n, const double *from, double *to) {
  for (long long i = rank(); i < n; i += TEAM) to[i] = from[n - 1 - i];
  wait_here();
}

extern "C" __global__ void run_times(const double *A, const double *x, double *out, double *turned,
                                     long long m, long long n) {
  const long long e = element();
  times(nullptr, int(m), int(n), A + e * m * n, x + e * n, out + e * m);
  turn_round(m, out + e * m, turned + e * m);
}
extern "C" __global__ void run_add_transposed(const double *A, const double *z, double *out,
                                              double *turned, long long m, long long n) {
  const long long e = element();
  for (int time = 0; time < 2; time++)
    add_transposed(nullptr, int(m), int(n), A + e * m * n, z + e * m, out + e * n);
  turn_round(n, out + e * n, turned + e * n);
}
extern "C" __global__ void run_gram(double *G, const double *w, double *H, double *turned,
                                    long long m, long long n, long long weighted, long long fast) {
  const long long e = element();
  double *own = placed(G + e * m * n, m * n + 8, fast);
  for (int time = 0; time < 2; time++)
    add_gram(int(m), int(n), own, weighted ? w + e * m : nullptr, {nullptr}, H + e * n * n);
  turn_round(n * n, H + e * n * n, turned + e * n * n);
}
// The pivots of each thread, and the factor.
extern "C" __global__ void run_cholesky(double *H, double *pivots, double *turned, long long n,
                                        long long fast) {
  const long long e = element();
  double *own = placed(H + e * n * n, n * n + 8, fast);
  const Pivots<double> found = cholesky(int(n), own, {nullptr});
  turn_round(n * n, own, turned + e * n * n);
  if (fast) copy(n * n, own, H + e * n * n);
  double *to = pivots + (e * TEAM + rank()) * 3;
  to[0] = found.ok, to[1] = found.low, to[2] = found.high;
}
extern "C" __global__ void run_forward(const double *L, double *B, double *turned, long long n,
                                       long long count, long long fast) {
  const long long e = element();
  double *own = placed(const_cast<double *>(L) + e * n * n, n * n + 8, fast);
  double *right = placed(B + e * n * count, n * count + 8, fast, blockDim.x / TEAM * (n * n + 8));
  forward(int(n), own, int(count), right, {nullptr});
  turn_round(n * count, right, turned + e * n * count);
  if (fast) copy(n * count, right, B + e * n * count);
}
extern "C" __global__ void run_solve(const double *L, double *v, double *half, double *turned,
                                     long long n) {
  const long long e = element();
  forward_one(int(n), L + e * n * n, v + e * n);
  turn_round(n, v + e * n, half + e * n);
  backward(int(n), L + e * n * n, v + e * n);
  turn_round(n, v + e * n, turned + e * n);
}
// What each thread gets of the sum, maximum, minimum, "some", "all" of values, then of their
// largest size; twice.
extern "C" __global__ void run_shares(const double *a, double *out, double *seen) {
  place_of_shares() = 0;
  const double own = a[threadIdx.x];
  const int last = TEAM - 1 - rank();
  double *to = out + 16 * threadIdx.x;
  for (int time = 0; time < 2; time++, to += 8) {
    double both[] = {own, 2.0 * own}, share = 0.0;
    for (int i : each_share(TEAM)) share = own, seen[i] = own + time;
    to[0] = sum_of_all(share), seen[3 * TEAM + rank()] = seen[last];
    for (int i : each_share(TEAM)) seen[TEAM + i] = own + time + 1.0;
    to[0] += max_of_all(0.0), seen[4 * TEAM + rank()] = seen[TEAM + last];
    for (int i : each_share(TEAM)) seen[2 * TEAM + i] = own + time + 2.0;
    sums_of_all(both), seen[5 * TEAM + rank()] = seen[2 * TEAM + last];
    wait_here();
    to[1] = max_of_all(own), to[2] = min_of_all(own);
    to[3] = any_of_all(own > 0.0), to[4] = all_of_all(own > 0.0);
    to[5] = norm_inf(TEAM, a + threadIdx.x / TEAM * TEAM);
    to[6] = both[0], to[7] = both[1];
  }
}
"""


@cache
def emulated(team, sanitize=False):
    """The compiled kernels for a team of so many threads."""
    source = device.source("device_dense.hpp") + KERNELS
    return Emulator(source, options=(f"-DTEAM={team}",), sanitize=sanitize)
