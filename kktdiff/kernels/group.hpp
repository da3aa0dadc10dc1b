// Groups of problems, one in each lane: from the caller's arrays and back.
#pragma once
#include "call.hpp"
#include "driver.hpp"
#include "load.hpp"

namespace kktdiff {
namespace {

// Sizes of a call: elements, n, m, k, rows of lower and of upper bounds, 1 if H is diagonal, the
// soft sides, then what the kernel alone takes.
inline Sizes sizes_of(const std::int64_t *s) {
  return with_slacks(int(s[1]), int(s[2]), int(s[3]), int(s[4]), int(s[5]), int(s[7]));
}

// The elements of one group: the last one again in lanes that have none.
template <class T>
struct Group {
  static constexpr int lanes = Lanes<T>::count;
  const Call &call;
  std::int64_t first, last;

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
KKTDIFF_APART void load_matrix(const Group<T> &g, int which, int rows, int cols, T *out) {
  split(Work<T>{nullptr, g.call.team}, rows, is_large(rows, cols), 1, 1, [&](int i, int last, T *) {
    const double *from = array<const double>(g.call, which, g.first);
    for (int e : each_column(i * cols, last * cols))
      out[e] = from ? load<T>(from + e, g.call.strides[which], g.count()) : T(0.0);
  });
}

// Load (Q + Q')/2, or its diagonal where H is one.
template <class T>
void load_Q(const Group<T> &g, int which, Problem<T> &q) {
  const int core = q.size.core;
  if (!q.separable) {
    load_matrix(g, which, core, core, q.Q);
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
  OUT_FACTORS
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
  load_Q(g, IN_Q, q), load_array(g, IN_P, core, q.p), load_matrix(g, IN_G, m, core, q.G);
  load_prices(g, q);
  load_matrix(g, IN_A, k, core, q.A), load_array(g, IN_B, k, q.b);
  load_array(g, IN_H, m, q.d), load_array(g, IN_LB, lower, q.d + m),
      load_array(g, IN_UB, upper, q.d + m + lower);
  for (int j : each_entry(lower)) q.d[m + j] = -q.d[m + j];
  const Mask<T> sound = find_limits(q) | mask<T>(examined);
  clear(q, !sound);
  return sound;
}

}  // namespace
}  // namespace kktdiff
