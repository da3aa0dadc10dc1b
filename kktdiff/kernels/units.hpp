// The units of a scaled problem: sizes that its unknowns are expected to have; see
// _interior_point/scaling.py, units.
#pragma once
#include "scaling.hpp"
#include "sparse_system.hpp"

namespace kktdiff {
namespace {

// Sizes that the unknowns of a scaled problem are expected to have.
template <class T>
struct Units {
  T x, price, bend, far;
  T weight() const { return price / x; }
};

// The size of a point's multipliers in what is ordinary for them, at least 1.
template <class T>
T size_of_multipliers(const Problem<T> &q, const Units<T> &u, const Point<T> &at) {
  const T size = max(norm_inf(q.size.rows(), at.lam), norm_inf(q.size.k, at.nu));
  return max(size / (T(ORDINARY) * u.price), T(1.0));
}

// The minimiser x, (core), of the objective alone, before scaling; flat where p has a part without
// curvature, convex where Q is so to rounding. f is overwritten.
template <class T>
struct Lowest {
  T *x;
  Mask<T> flat, convex;

  Lowest(Arena &a, Sizes z) { x = a.take<T>(z.core); }
};

// x becomes (unit Q + shift)^-1 x; return where the matrix is positive definite.
template <class T>
Mask<T> divide_by_curvature(const Problem<T> &q, T unit, T shift, Factors<T> &f, T *x) {
  const int n = q.size.core;
  if (q.sparse) return divide_by_sparse(q, unit, shift, f, x);
  Mask<T> positive = mask<T>(true);
  if (q.separable) {
    for (int j : each_entry(n)) {
      const T pivot = unit * q.Q[j] + shift;
      positive = positive & (pivot > 0.0), x[j] = x[j] / pivot;
    }
    return all_of_all(positive);
  }
  T *H = f.L;
  for (int i : each_entry(n * n)) H[i] = unit * q.Q[i];
  for (int j : each_entry(n)) H[j * n + j] = H[j * n + j] + shift;
  positive = cholesky(n, H, f.work).ok;
  forward_one(n, H, x), backward(n, H, x);
  return positive;
}

template <class T>
KKTDIFF_APART void find_lowest(const Problem<T> &q, Factors<T> &f, Lowest<T> &out) {
  const int n = q.size.core;
  const T bend = norm_inf(q.entries_of_Q(), q.Q), unit = T(1.0) / power_of_two(positive(bend));
  const T shift = T(CURVATURE) * (unit * bend), linear = unit * norm_inf(n, q.p);
  for (int j : each_entry(n)) out.x[j] = unit * q.p[j];
  out.convex = divide_by_curvature(q, unit, select(shift > 0.0, shift, T(1.0)), f, out.x);
  out.flat = !(bend > 0.0) | (norm_inf(n, out.x) * unit * bend > T(FLAT_DIRECTION) * linear);
}

template <class T>
T size_of_lowest(int n, const Lowest<T> &low, const T *cols) {
  T out = 0.0;
  for (int j : each_share(n)) out = max(abs(low.x[j] / cols[j]), out);
  return select(low.flat, T(__builtin_inf()), max_of_all(out));
}

// Sizes of x and of the multipliers, from the scaled data; see _interior_point/scaling.py, units.
template <class T>
KKTDIFF_APART Units<T> units(const Problem<T> &q, T free) {
  const T infinite = __builtin_inf();
  free = select(free > 0.0, free, infinite);
  const Mask<T> bounded = free < infinite;
  T sides = max(norm_inf(q.size.k, q.b), norm_inf(q.size.n, q.value)), asked = sides;
  for (int i : each_share(q.size.rows()))
    sides = max(select(q.present[i], abs(q.d[i]), T(0.0)), sides);
  sides = max_of_all(sides);
  const T size = max(sides, select(bounded, free, T(0.0)));
  const T noise = select(size > UNIT_NOISE, T(UNIT_NOISE), T(0.0));
  T limit = infinite;
  for (int i : each_share(q.size.rows())) {
    asked = max(select(q.present[i] & (q.d[i] < -noise), -q.d[i], T(0.0)), asked);
    limit = min(select(q.present[i] & (q.d[i] > noise), q.d[i], infinite), limit);
  }
  asked = max_of_all(asked), limit = min_of_all(limit);
  const T needed = select(asked > noise, asked, T(0.0));
  const T reach = min(min(limit, T(FAR_LIMIT) * needed), min(free, T(FAR) * needed));
  T between = select(free > limit, sqrt(limit) * sqrt(free), free);
  between = select(bounded, between, limit);
  const T x = positive(select(needed > 0.0, max(needed, reach), between));
  const T bend = norm_inf(q.entries_of_Q(), q.Q), linear = norm_inf(q.size.n, q.p);
  T price = max(linear, bend * needed);
  price = positive(select(price > 0.0, price, bend * x));
  return {x, price, bend, max(T(FARTHEST) * x, select(bounded, T(10.0) * free, T(0.0)))};
}

}  // namespace
}  // namespace kktdiff
