// Groups of problems, one in each lane: from the caller's arrays and back.
#pragma once
#include "call.hpp"
#include "driver.hpp"
#include "load.hpp"

namespace kktdiff {
namespace {

enum { DENSE, DIAGONAL, SPARSE };  // forms

// Sizes of a call: elements, n, m, k, rows of lower and of upper bounds, the form, the soft sides,
// of a sparse problem entries of Q, G and A, of Q with both triangles, of L, of the system's
// triangle, and of the structure, then what the kernel alone takes.
inline Sizes sizes_of(const std::int64_t *s) {
  return with_slacks(int(s[1]), int(s[2]), int(s[3]), int(s[4]), int(s[5]), int(s[7]));
}

// The structure of a sparse call, array `which`.
inline Structure structure_of(const Call &call, int which) {
  return call.sizes[6] == SPARSE ? structure_of(array<const int>(call, which, 0)) : Structure{};
}

#if !defined(__CUDACC__)
constexpr long long SPARSE_LANES = 1 << 16;  // entries of L and of the system's triangle
#endif
constexpr int OWN_SIZES = 15;  // the first of those that the kernel alone takes

// Entries of a sparse call.
struct SparseEntries {
  Entries own;
  bool there;
  explicit SparseEntries(const std::int64_t *s)
      : own{s[11], s[9], s[10], s[12], s[13], int(s[1] + s[2] + s[3])}, there(s[6] == SPARSE) {}
  const Entries *get() const { return there ? &own : nullptr; }
};

// The elements of one group: the last one again in lanes that have none.
template <class T>
struct Group {
  static constexpr int lanes = Lanes<T>::count;
  const Call &call;
  std::int64_t first, last;
  const Structure *sparse = nullptr;

  std::int64_t element(int lane) const { return first + lane < last ? first + lane : last - 1; }
  int count() const { return last - first < lanes ? int(last - first) : lanes; }
};

template <class T>
KKTDIFF_APART void load_array(const Group<T> &g, int which, int count, T *out) {
  const double *from = array<const double>(g.call, which, g.first);
  for (int i : each_entry(count))
    out[i] = from ? load<T>(from + i, g.call.strides[which], g.count()) : T(0.0);
}

// Load a matrix.
template <class T>
KKTDIFF_APART void load_matrix(const Group<T> &g, int which, const Matrix<T> &A) {
  const int rows = A.rows, cols = A.cols;
  if (A.pattern) return load_array(g, which, A.entries(), A.at);
  split(Work<T>{nullptr, g.call.team}, rows, is_large(rows, cols), 1, 1, [&](int i, int last, T *) {
    const double *from = array<const double>(g.call, which, g.first);
    for (int e : each_column(i * cols, last * cols))
      A.at[e] = from ? load<T>(from + e, g.call.strides[which], g.count()) : T(0.0);
  });
}

// Load (Q + Q')/2 of a sparse problem.
template <class T>
void load_sparse_Q(const Group<T> &g, int which, Problem<T> &q) {
  const double *from = array<const double>(g.call, which, g.first);
  const auto value = [&](int e) {
    return e < 0 ? T(0.0) : load<T>(from + e, g.call.strides[which], g.count());
  };
  for (int e : each_entry(q.sparse->Q.entries)) {
    const T a = value(q.sparse->first[e]), b = value(q.sparse->second[e]);
    q.Q[e] = select(a == b, a, (a + b) / T(2.0));
  }
}

// Load (Q + Q')/2, or its diagonal where H is one.
template <class T>
void load_Q(const Group<T> &g, int which, Problem<T> &q) {
  const int core = q.size.core;
  if (q.sparse) return load_sparse_Q(g, which, q);
  if (!q.separable) {
    load_matrix(g, which, q.of_Q());
    return symmetrize(core, g.call.team, q.Q);
  }
  const double *from = array<const double>(g.call, which, g.first);
  for (int j : each_entry(core))
    q.Q[j] = load<T>(from + (long long)j * (core + 1), g.call.strides[which], g.count());
}

template <class T>
KKTDIFF_APART void load_mask(const Group<T> &g, int which, int count, Mask<T> *out) {
  for (int l = 0; l < g.lanes; l++) {
    const unsigned char *from = array<const unsigned char>(g.call, which, g.element(l));
    for (int i : each_entry(count)) set_lane(out[i], l, from && from[i]);
  }
}

template <class T>
KKTDIFF_APART void store_array(const Group<T> &g, int which, int count, const T *values) {
  double *to = array<double>(g.call, which, g.first);
  for (int i : each_entry(count)) store(to + i, g.call.strides[which], values[i], g.count());
}

enum SolveArray {
  IN_Q,
  IN_P,
  IN_G,
  IN_H,
  IN_A,
  IN_B,
  IN_LB,
  IN_UB,
  PRICES,  // of the rows of G, of lower and of upper bounds, and of equalities
  WARM_X = PRICES + 4,
  WARM_LAM,
  WARM_NU,
  OUT_KEPT,
  OUT_ACTIVE,
  OUT_WEIGHTS,
  SOLUTION,  // x, s, lam, nu, lam_lb, lam_ub, violations in the order of PRICES
  OUT_NUMBERS = SOLUTION + 10,
  OUT_STATUS,
  OUT_ITERATIONS,
  OUT_TRACE,
  OUT_FACTORS,
  IN_STRUCTURE
};

// The prices, of an equality for either slack.
template <class T>
void load_prices(const Group<T> &g, Problem<T> &q) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const int sizes[] = {m, lower, upper, k};
  T *to = q.p + core;
  for (int side = 0; side < 4; side++)
    if (soft & 1 << side) load_array(g, PRICES + side, sizes[side], to), to += sizes[side];
  if (soft & SOFT_B) load_array(g, PRICES + 3, k, to);
}

// Load the problems; return those that are sound, or all if the caller has looked at them.
template <class T>
KKTDIFF_APART Mask<T> load_problem(const Group<T> &g, Problem<T> &q, bool examined) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  load_Q(g, IN_Q, q), load_array(g, IN_P, core, q.p), load_matrix(g, IN_G, q.of_G());
  load_prices(g, q);
  load_matrix(g, IN_A, q.of_A()), load_array(g, IN_B, k, q.b);
  load_array(g, IN_H, m, q.d), load_array(g, IN_LB, lower, q.d + m),
      load_array(g, IN_UB, upper, q.d + m + lower);
  for (int j : each_entry(lower)) q.d[m + j] = -q.d[m + j];
  const Mask<T> sound = find_limits(q) | mask<T>(examined);
  clear(q, !sound);
  return sound;
}

}  // namespace
}  // namespace kktdiff
