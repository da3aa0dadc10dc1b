// A start from the solution of a nearby problem.
#pragma once
#include "group.hpp"

namespace kktdiff {
namespace {

// The slacks at x, and the multipliers of their bounds: what the price leaves where a row is met.
// work: (k)
template <class T>
void warm_slacks(const Problem<T> &q, Point<T> &at, T *work) {
  const Sizes &z = q.size;
  for (int j : each_entry(z.core, z.n)) at.x[j] = 0.0;
  rows_of(q, at.x, at.s), times_A(q, at.x, work);
  for (int s : each_entry(z.slacks())) {
    const int j = z.core + s, i = s < z.singles() ? z.row_of(s) : (s - z.singles()) % z.k;
    const double sign = s < z.singles() + z.pairs() ? 1.0 : -1.0;
    const T off = s < z.singles() ? at.s[i] - q.d[i] : T(sign) * (work[i] - q.b[i]);
    const T row = s < z.singles() ? at.lam[i] : T(sign) * at.nu[i];
    at.x[j] = select(q.fixed[j], T(0.0), max(off, T(0.0)));
    const Mask<T> met = q.present[z.given() + s] & !(row >= q.p[j]);
    at.lam[z.given() + s] = select(met, q.p[j] - row, T(0.0));
  }
}

// Polish from the point of a nearby problem, which may show the active set.
template <class T>
KKTDIFF_APART void try_warm_start(const Group<T> &g, Solver<T> &s) {
  const Problem<T> &q = s.problem;
  const Sizes z = q.size;
  Point<T> &at = s.loop.best;
  load_array(g, WARM_X, z.core, at.x), load_array(g, WARM_LAM, z.given(), at.lam),
      load_array(g, WARM_NU, z.k, at.nu);
  T sum = 0.0;
  for (int j : each_entry(z.core)) {
    at.x[j] = select(q.fixed[j], q.value[j], at.x[j] / s.scaling.cols[j]);
    sum = sum + abs(at.x[j]);
  }
  for (int i : each_entry(z.k))
    at.nu[i] = s.scaling.cost * at.nu[i] / s.scaling.eqs[i], sum = sum + abs(at.nu[i]);
  for (int i : each_entry(z.given()))
    at.lam[i] =
        select(q.present[i], s.scaling.cost * at.lam[i] / row_weight(z, s.scaling, i), T(0.0));
  warm_slacks(q, at, s.residuals.nu);
  rows_of(q, at.x, at.s);
  for (int i : each_entry(z.rows())) {
    at.s[i] = select(q.present[i], max(q.d[i] - at.s[i], T(0.0)), T(1.0));
    s.loop.active[i] = q.present[i] & (at.lam[i] > s.unit.weight() * at.s[i]);
    sum = sum + abs(at.lam[i]);
  }
  sum = sum_of_all(sum);
  s.loop.iterations = 0.0;
  polish_and_correct(s, WARM_CORRECTIONS, s.lowest.convex & (sum < T(__builtin_inf())));
}

}  // namespace
}  // namespace kktdiff
