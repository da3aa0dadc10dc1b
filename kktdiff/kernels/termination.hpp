// Errors of an iterate, and when to stop; see _interior_point/termination.py.
#pragma once
#include "units.hpp"

namespace kktdiff {
namespace {

enum Status {
  UNSOUND = -2,
  RUNNING = -1,
  SOLVED = 0,
  PRIMAL_INFEASIBLE = 2,
  DUAL_INFEASIBLE = 3,
  MAX_ITER = 4,
  NUMERICAL_ERROR = 5,
  NONCONVEX = 6
};

template <class T>
struct Errors {
  T primal, dual, complementarity;
  T worst() const {
    return max(max(primal, dual), complementarity) + T(0.0) * primal;
  }  // NaN stays
};

template <class T>
T within(T size, T unit, T ceiling) {
  return min(max(size, T(TERM_FLOOR) * unit), ceiling);
}

// Primal, dual and complementarity errors, relative to their terms; the first row by row.
template <class T>
KKTDIFF_APART Errors<T> errors(const Problem<T> &q, const Units<T> &u, const Point<T> &at,
                               const Residuals<T> &r) {
  const int n = q.size.n, k = q.size.k, M = q.size.rows();
  const T size = norm_inf(n, at.x), reach = within(size, u.x, u.far);
  T row = share_of_max(M, T(0.0), [&](int i) { return abs(r.c[i]) / (reach + abs(q.d[i])); });
  row = share_of_max(k, row, [&](int i) { return abs(r.nu[i]) / (reach + abs(q.b[i])); });
  row = max_of_all(row);
  const T products = sum_of_all(share_of_sum<T>(
      M, [&](int i, T sum) { return sum + select(q.present[i], at.s[i] * at.lam[i], T(0.0)); }));
  const T multipliers = max(norm_inf(M, at.lam), norm_inf(k, at.nu));
  const T terms = within(max(r.size[1], multipliers), u.price, T(CEILING) * u.price);
  const T rounding = T(ROUNDING) * (u.bend * size + multipliers);
  const T dual = select(r.dual > rounding, r.dual, T(0.0));
  const T gap = products / max(r.value, terms * reach * T(1e-3));
  return {row + T(0.0) * r.gap, dual / terms, gap};
}

// The duality gap relative to the objective and its unit.
template <class T>
T relative_gap(const Units<T> &u, const Residuals<T> &r) {
  const T gap = r.gap - T(ROUNDING) * r.size[2];
  return select(gap > 0.0, gap, T(0.0)) / (r.value + u.price * u.x);
}

// The largest |s_i lam_i / aim - 1|, in the place of complementarity.
template <class T>
T off_path(const Problem<T> &q, const Point<T> &at, T aim) {
  T off = 0.0;
  for (int i : each_share(q.size.rows()))
    off = max(select(q.present[i], abs(at.s[i] * at.lam[i] / aim - T(1.0)), T(0.0)), off);
  return max_of_all(off);
}

// State of the loop, a number of each lane.
template <class T>
struct Loop {
  Point<T> point, before, best;  // before: one iteration ago
  T best_error, least[4], progress, boost, status, iterations, short_steps, restarts, step,
      expected[2], aim;  // s_i lam_i of the wanted point: 0 at a solution
  Mask<T> *active;       // (M): the rows that the last predictor shows as active

  Loop(Arena &a, Sizes z) : point(a, z), before(a, z), best(a, z) {
    active = a.take<Mask<T>>(z.rows());
  }
};

struct Stage {
  double tol;
  bool careful;
  int restarts;
  double near;   // error of the best point up to which a restart would lose it
  bool on_path;  // a point of the central path is wanted, which has a gap
};

template <class T>
void note_progress(const Problem<T> &q, const Units<T> &u, const Errors<T> &e, Loop<T> &loop) {
  const T mu = max(mean_product(q, loop.point.s, loop.point.lam), T(LEAST_MU) * u.x * u.price);
  const T tiny = 1e-14,
          now[4] = {max(e.primal, tiny), max(e.dual, tiny), max(e.complementarity, tiny), mu};
  for (int i = 0; i < 4; i++) {
    const Mask<T> halved = now[i] < loop.least[i] / T(2.0);
    loop.least[i] = select(halved, now[i], loop.least[i]);
    loop.progress = select(halved, loop.iterations, loop.progress);
  }
}

// Keep each lane's best point; end those that are accurate, proven to have no solution, out of
// iterations or stuck, as those are that are `hopeless`.
template <class T>
KKTDIFF_APART void check_termination(const Problem<T> &q, const Units<T> &u, const Residuals<T> &r,
                                     const Errors<T> &e, const Stage &stage, int max_iter,
                                     Mask<T> hopeless, Mask<T> no_bound, Mask<T> no_point,
                                     Loop<T> &loop) {
  const T worst = e.worst();
  const T quality = stage.on_path ? worst : max(relative_gap(u, r), worst);  // NaN stays
  const Mask<T> running = loop.status == T(RUNNING), better = running & (quality < loop.best_error);
  assign(q.size, better, loop.point, loop.best);
  loop.best_error = select(better, quality, loop.best_error);
  note_progress(q, u, e, loop);
  Mask<T> stuck = hopeless | (loop.iterations - loop.progress >= T(STALL));
  if (!stage.careful) {
    const T linear[2] = {norm_inf(q.size.k, r.nu), r.dual}, unit[2] = {u.x, u.price};
    for (int i = 0; i < 2; i++)
      stuck = stuck | ((linear[i] > loop.expected[i]) & (linear[i] > T(0.1 * stage.tol) * unit[i]));
    stuck = stuck | (loop.boost > 1e3);
  }
  T status = select(stuck, T(NUMERICAL_ERROR), T(RUNNING));
  status = select(loop.iterations < T(max_iter), status, T(MAX_ITER));
  status = select(no_bound, T(DUAL_INFEASIBLE), status);
  status = select(no_point, T(PRIMAL_INFEASIBLE), status);
  status = select(worst <= T(stage.tol), T(SOLVED), status);
  loop.status = select(running, status, loop.status);
}

}  // namespace
}  // namespace kktdiff
