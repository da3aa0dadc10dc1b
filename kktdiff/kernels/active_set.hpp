// From an interior point to the solution: solve for the active set; see
// _interior_point/active_set.py.
#pragma once
#include "mehrotra.hpp"

namespace kktdiff {
namespace {

template <class T>
struct Polish {  // workspace and result
  Point<T> point, trial;
  Residuals<T> r, trial_r;
  Mask<T> *active, *wanted;  // (M)
  Mask<T> clean, is_signed;
  T *sizes;  // (max(n, M, k))

  Polish(Arena &a, Sizes z) : point(a, z), trial(a, z), r(a, z), trial_r(a, z) {
    active = a.take<Mask<T>>(z.rows()), wanted = a.take<Mask<T>>(z.rows());
    sizes = a.take<T>(z.n + z.rows() + z.k);
  }
};

// Keep at most one bound that holds a variable, of the larger multiplier.
template <class T>
KKTDIFF_APART void one_side(const Problem<T> &q, const T *lam, Mask<T> *active) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  for (int j : each_entry(lower && upper ? core : 0)) {
    const int low = m + j, high = m + lower + j;
    const Mask<T> both = holds(q, active, low) & holds(q, active, high),
                  higher = lam[low] <= lam[high];
    active[low] = active[low] & !(both & higher), active[high] = active[high] & !(both & !higher);
  }
}

// Weigh active rows as equalities; a fixed variable's equality stands on the bound of y's sign.
template <class T>
void weigh_active(const Problem<T> &q, const Units<T> &u, const Mask<T> *active, const T *y,
                  Weights<T> &w) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const T infinite = __builtin_inf();
  for (int i : each_entry(q.size.rows())) w.w[i] = select(active[i], infinite, T(0.0));
  for (int j : each_entry(core)) {
    const Mask<T> negative = y[j] < 0.0;
    w.held[j] = q.fixed[j];
    if (lower) {
      w.w[m + j] = select(q.fixed[j], select(negative, infinite, T(0.0)), w.w[m + j]);
      w.held[j] = w.held[j] | holds(q, active, m + j);
    }
    if (upper) {
      T &own = w.w[m + lower + j];
      own = select(q.fixed[j], select(negative, T(0.0), infinite), own);
      w.held[j] = w.held[j] | holds(q, active, m + lower + j);
    }
  }
  for (int j : each_entry(core, n)) w.held[j] = q.fixed[j] | active[q.size.given() + j - core];
  w.theta = u.weight(), w.rho = w.delta = PROXIMAL, w.large = 1.0;
}

// Set the slacks of active rows and the multipliers of the others to 0, and held violations too.
template <class T>
KKTDIFF_APART void onto_active_set(const Problem<T> &q, const Mask<T> *active, Point<T> &at) {
  for (int j : each_entry(q.size.core, q.size.n))
    at.x[j] = select(active[q.size.given() + j - q.size.core], T(0.0), at.x[j]);
  rows_of(q, at.x, at.s);
  for (int i : each_entry(q.size.rows())) {
    at.lam[i] = select(active[i], at.lam[i], T(0.0));
    at.s[i] = select(q.present[i], select(active[i], T(0.0), q.d[i] - at.s[i]), T(1.0));
  }
}

// Sizes of the terms of the three residuals, plus a share of their units.
template <class T>
T error_relative_to(const T *size, const Units<T> &u, const T *norm) {
  const T unit[3] = {u.x, u.price, u.x * u.price};
  T out = 0.0;
  for (int i = 0; i < 3; i++) out = max(norm[i] / (T(TERM_FLOOR) * unit[i] + size[i]), out);
  return out;
}

// Relative error of the active set's equations.
template <class T>
KKTDIFF_APART T equation_error(const Problem<T> &q, const Units<T> &u, const Mask<T> *active,
                               const Residuals<T> &r) {
  T primal = norm_inf(q.size.k, r.nu);
  for (int i : each_share(q.size.rows()))
    primal = max(select(active[i], abs(r.c[i]), T(0.0)), primal);
  primal = max_of_all(primal);
  const T floor = TERM_FLOOR;
  return primal / (floor * u.x + r.size[0]) + r.dual / (floor * u.price + r.size[1]) +
         r.gap / (floor * u.x * u.price + r.size[2]);
}

// The solution of the active set's linear equations, by Newton steps with refinement, to p.point;
// return its relative error.
template <class T>
T solve_active_set(const Problem<T> &q, const Units<T> &u, Mask<T> live, Newton<T> &w,
                   Polish<T> &p) {
  const Sizes z = q.size;
  onto_active_set(q, p.active, p.point);
  evaluate(q, p.point, p.r);
  T left = equation_error(q, u, p.active, p.r);
  Mask<T> going = live & (left < BIG);
  for (int tries = 0; tries < 8 && any(going); tries++) {
    for (int j : each_entry(z.n)) w.rhs.x[j] = -p.r.x[j];
    for (int i : each_entry(z.rows())) w.rhs.c[i] = select(p.active[i], -p.r.c[i], T(0.0));
    for (int i : each_entry(z.k)) w.rhs.nu[i] = -p.r.nu[i];
    solve_once(q, w.weights, w.factors, w.rhs, w.out);
    for (int j : each_entry(z.n)) p.trial.x[j] = p.point.x[j] + w.out.x[j];
    for (int i : each_entry(z.rows())) p.trial.lam[i] = p.point.lam[i] + w.out.c[i];
    for (int i : each_entry(z.k)) p.trial.nu[i] = p.point.nu[i] + w.out.nu[i];
    onto_active_set(q, p.active, p.trial);
    evaluate(q, p.trial, p.trial_r);
    const T trial = equation_error(q, u, p.active, p.trial_r);
    const Mask<T> better = going & (trial < left), much = trial < left / T(2.0);
    assign(z, better, p.trial, p.point);
    assign(z.n, better, p.trial_r.x, p.r.x), assign(z.rows(), better, p.trial_r.c, p.r.c);
    assign(z.k, better, p.trial_r.nu, p.r.nu);
    left = select(better, trial, left);
    going = better & much & (left > T(ROUNDING_TOL / 4096));
  }
  return left;
}

// Solve again where multipliers far beyond their unit make the proximal terms slow to refine away.
// Not at once: where rows depend on each other, smaller terms leave the factors less accurate.
template <class T>
void solve_with_less(const Problem<T> &q, const Units<T> &u, Mask<T> todo, Newton<T> &w,
                     Polish<T> &p) {
  const T large = size_of_multipliers(q, u, p.point);
  todo = todo & (large > 1.0);
  if (!any(todo)) return;
  w.weights.large = select(todo, large, T(1.0));
  factor(q, w.weights, true, w.factors);
  solve_active_set(q, u, todo, w, p);
  w.weights.large = 1.0;
  factor(q, w.weights, true, w.factors);  // those of derivatives
}

// Sum of the sizes of the terms of stationarity in a slack.
template <class T>
T size_of_force(const Problem<T> &q, const Point<T> &at, int slack) {
  const Sizes &z = q.size;
  const T row = slack < z.singles() ? at.lam[z.row_of(slack)] : at.nu[(slack - z.singles()) % z.k];
  const T all = q.p[z.core + slack] + abs(row) + abs(at.lam[z.given() + slack]);
  return select(q.fixed[z.core + slack], T(0.0), all);
}

// Sizes of the terms' own terms, which may be far larger than their sums.
template <class T>
void full_sizes(const Problem<T> &q, const Point<T> &at, const Residuals<T> &r, T *work, T *size) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  T gap = 0.0, dual = 0.0, primal = r.size[0];
  for (int j : each_entry(n)) {
    if (j >= core) {
      work[j] = size_of_force(q, at, j - core);
      continue;
    }
    work[j] = abs(q.p[j]) + abs(r.y[j]);
    if (lower) work[j] = work[j] + abs(at.lam[m + j]);
    if (upper) work[j] = work[j] + abs(at.lam[m + lower + j]);
    if (q.separable)
      work[j] = fma(abs(q.Q[j]), abs(at.x[j]), work[j]);
    else if (q.sparse)
      in_row(q.sparse->Q, j,
             [&](int e, int i) { work[j] = fma(abs(q.Q[e]), abs(at.x[i]), work[j]); });
    else
      for (int i = 0; i < core; i++) work[j] = fma(abs(q.Q[j * core + i]), abs(at.x[i]), work[j]);
  }
  primal = max(max(largest_product(q.of_G(), at.x), largest_product(q.of_A(), at.x)), primal);
  add_transposed_sizes(q.of_G(), at.lam, work), add_transposed_sizes(q.of_A(), at.nu, work);
  for (int j : each_entry(core, n)) primal = max(abs(at.x[j]), primal);
  for (int j : each_entry(n)) gap = gap + abs(at.x[j]) * work[j], dual = max(work[j], dual);
  size[0] = max_of_all(primal), size[1] = max_of_all(dual);
  size[2] = sum_of_all(gap) + r.size[2];
}

// Where the residuals at p.point are at rounding level.
template <class T>
KKTDIFF_APART Mask<T> is_rounding(const Problem<T> &q, const Units<T> &u, Polish<T> &p) {
  evaluate(q, p.point, p.r);
  const T norm[3] = {p.r.primal, p.r.dual, p.r.gap};
  const T error = error_relative_to(p.r.size, u, norm) + T(0.0) * p.r.gap;
  const Mask<T> clean = error <= ROUNDING_TOL, unsure = !clean & (error <= POLISH_LOOSE);
  if (!any(unsure)) return clean;
  T size[3];
  full_sizes(q, p.point, p.r, p.sizes, size);
  return clean | (unsure & (error_relative_to(size, u, norm) <= ROUNDING_TOL));
}

// Solve the optimality conditions near `at` with the rows p.active as equalities.
template <class T>
KKTDIFF_APART void polish(const Problem<T> &q, const Units<T> &u, const Point<T> &at, Mask<T> live,
                          Newton<T> &w, Polish<T> &p) {
  const Sizes z = q.size;
  const Mask<T> all = mask<T>(true);
  assign(z, all, at, p.point);
  stationarity(q, p.point, p.r);
  weigh_active(q, u, p.active, p.r.y, w.weights);
  factor(q, w.weights, true, w.factors);
  const T left = solve_active_set(q, u, live, w, p);
  if (q.sparse) solve_with_less(q, u, live & (left > ROUNDING_TOL), w, p);
  T size = norm_inf(z.k, p.point.nu);
  Mask<T> wrong = mask<T>(false);
  for (int i : each_entry(z.rows())) size = max(abs(p.point.lam[i]), size);
  size = max_of_all(size);
  for (int i : each_entry(z.rows())) {
    p.wanted[i] = q.present[i] &
                  ((p.active[i] & (p.point.lam[i] > 0.0)) | (!p.active[i] & (p.point.s[i] < 0.0)));
    wrong = wrong | (p.active[i] & (p.point.lam[i] < T(-ROUNDING / 16) * size));
    p.point.s[i] = max(p.point.s[i], T(0.0)), p.point.lam[i] = max(p.point.lam[i], T(0.0));
  }
  p.is_signed = !any_of_all(wrong);
  p.clean = w.factors.pivots.ok & is_rounding(q, u, p);
}

}  // namespace
}  // namespace kktdiff
