// Solutions of a factored KKT system, once or refined until they are accurate; see _kkt/solve.py.
#pragma once
#include "factor.hpp"

namespace kktdiff {
namespace {

// out = the values that held variables take, from their bounds' right-hand sides c: (M)
template <class T>
void moves_of_held(const Problem<T> &q, const Weights<T> &w, const Factors<T> &f, const T *c,
                   T *out) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const T infinite = __builtin_inf();
  for (int j : each_entry(core)) out[j] = 0.0;
  for (int s : each_entry(n - core))
    out[core + s] = select(w.w[q.size.given() + s] == infinite, -c[q.size.given() + s], T(0.0));
  for (int j : each_entry(lower)) out[j] = select(f.weight[m + j] == infinite, -c[m + j], out[j]);
  for (int j : each_entry(upper))
    out[j] = select(f.weight[m + lower + j] == infinite, out[j] + c[m + lower + j], out[j]);
}

// Multipliers of the bounds that hold variables: what stationarity leaves for them.
template <class T>
void holding_multipliers(const Problem<T> &q, const Weights<T> &w, const Factors<T> &f,
                         const Rhs<T> &rhs, Rhs<T> &out) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const T infinite = __builtin_inf();
  T *left = f.g;
  times_Q(q, out.x, left);
  for (int j : each_entry(n)) left[j] = left[j] - rhs.x[j];
  add_columns_of(q, out.c, left), add_columns_of_A(q, out.nu, left);
  for (int j : each_entry(lower))
    out.c[m + j] = select(f.weight[m + j] == infinite, left[j], out.c[m + j]);
  for (int j : each_entry(upper))
    out.c[m + lower + j] =
        select(f.weight[m + lower + j] == infinite, -left[j], out.c[m + lower + j]);
  const int first = q.size.given(), singles = q.size.singles();
  for (int s : each_entry(n - core)) {  // of a slack that is held
    const bool second = s >= singles + q.size.pairs();
    const T row = s < singles ? out.c[q.size.row_of(s)] : out.nu[(s - singles) % k];
    const T own = (second ? row : -row) - rhs.x[core + s];
    out.c[first + s] = select(w.w[first + s] == infinite, own, out.c[first + s]);
  }
}

// Bounds' multipliers: by their own row, 0 where they hold a variable.
template <class T>
void bound_multipliers(const Problem<T> &q, const Weights<T> &w, const Factors<T> &f,
                       const Rhs<T> &rhs, Rhs<T> &out) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const T infinite = __builtin_inf();
  for (int i : each_entry(m, q.size.given())) {
    const T own = select(f.weight[i] < infinite, f.weight[i], T(0.0));
    const int j = i < m + lower ? i - m : i - m - lower;
    const bool with_slack = q.size.slack_of(i) >= 0;  // f.c: without the slack, and what is held
    const T x = with_slack ? f.g[j] : out.x[j];
    out.c[i] = own * ((i < m + lower ? -x : x) - (with_slack ? f.c[i] : rhs.c[i]));
  }
  for (int s : each_entry(n - core)) {
    const int i = q.size.given() + s;
    out.c[i] = select(w.w[i] < infinite, w.w[i], T(0.0)) * (-out.x[core + s] - rhs.c[i]);
  }
}

// f.c and f.nu: the right-hand side without what held variables contribute; f.g: that of dx.
template <class T>
void take_out_held(const Problem<T> &q, const Weights<T> &w, const Rhs<T> &rhs, Factors<T> &f) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  for (int j : each_entry(n)) f.moved[j] = 0.0, f.g[j] = rhs.x[j];
  for (int i : each_entry(q.size.rows())) f.c[i] = rhs.c[i];
  for (int i : each_entry(k)) f.nu[i] = rhs.nu[i];
  if (!f.holds) return;
  moves_of_held(q, w, f, rhs.c, f.moved);
  times_Q(q, f.moved, f.shift);
  for (int j : each_entry(n)) f.g[j] = f.g[j] - f.shift[j];
  rows_of(q, f.moved, f.rows);
  for (int i : each_entry(q.size.rows())) f.c[i] = f.c[i] - f.rows[i];
  times_A(q, f.moved, f.right);
  for (int i : each_entry(k)) f.nu[i] = f.nu[i] - f.right[i];
}

// Take the slacks' right-hand sides, f.g beyond the core, into those of their rows, f.c and f.nu;
// f.limit keeps the rows' own. A held slack has none.
template <class T>
void condense_slacks(const Problem<T> &q, const Weights<T> &w, Factors<T> &f) {
  const Sizes &z = q.size;
  const auto own = [&](int s) {
    return select(w.held[z.core + s], T(0.0), f.g[z.core + s] / f.slack_weight[s]);
  };
  for (int s : each_entry(z.singles())) {
    const int i = z.row_of(s);
    f.limit[i] = f.c[i], f.c[i] = f.c[i] + own(s);
  }
  for (int i : each_entry(z.pairs())) {
    f.limit[z.given() + i] = f.nu[i];
    f.nu[i] = f.nu[i] + own(z.singles() + i) - own(z.singles() + z.k + i);
  }
}

// The slacks, f.g beyond the core: each divides the distance of its row between itself and the row,
// or the other slack of an equality. Gx: (m)
template <class T>
void expand_slacks(const Problem<T> &q, const Weights<T> &w, const T *Gx, Factors<T> &f) {
  const Sizes &z = q.size;
  const T infinite = __builtin_inf();
  for (int s : each_entry(z.singles())) {
    const int i = z.row_of(s), j = z.core + s;
    const T Cx = i < z.m ? Gx[i] : i < z.m + z.lower ? -f.g[i - z.m] : f.g[i - z.m - z.lower];
    const T excess = Cx - f.limit[i], row = w.w[i], own = f.slack_weight[s];
    const Mask<T> hard = row == infinite;
    const T both = (select(hard, T(0.0), row) * excess + f.g[j]) / select(hard, T(1.0), row + own);
    f.g[j] = select(w.held[j], T(0.0), select(hard, excess, both));
  }
  if (!z.pairs()) return;
  times(q.of_A(), f.g, f.nu);
  for (int i : each_entry(z.k)) {
    const int t = z.core + z.singles() + i, u = t + z.k;
    const T v = f.slack_weight[t - z.core], other = f.slack_weight[u - z.core];
    const T excess = f.nu[i] - f.limit[z.given() + i], sum = f.g[t] + f.g[u];
    const T both = T(1.0) / (v + other);
    f.g[t] = select(w.held[t], T(0.0), select(w.held[u], excess, (sum + other * excess) * both));
    f.g[u] = select(w.held[u], T(0.0), select(w.held[t], -excess, (sum - v * excess) * both));
  }
}

// Condense the right-hand side to f.g.
template <class T>
void condense(const Problem<T> &q, const Weights<T> &w, const Rhs<T> &rhs, Factors<T> &f) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const T infinite = __builtin_inf();
  take_out_held(q, w, rhs, f);
  for (int i : each_entry(q.size.given(), q.size.rows())) {
    T &slack = f.g[core + i - q.size.given()];
    slack = slack - select(w.w[i] < infinite, w.w[i], T(0.0)) * f.c[i];
  }
  condense_slacks(q, w, f);
  for (int i : each_entry(m, q.size.given()))
    f.rows[i] = select(f.weight[i] < infinite, f.weight[i], T(0.0)) * f.c[i];
  add_from_bounds(q, f.rows, f.g);
  for (int i : each_entry(m)) f.rows[i] = f.condensed[i] * f.c[i];
  if (!q.sparse) add_transposed(q.of_G(), f.rows, f.g);
  for (int i : each_entry(k)) f.right[i] = f.eq_theta[i] * f.nu[i];
  if (!q.separable && !q.sparse) add_transposed(q.of_A(), f.right, f.g);
  for (int j : each_entry(core)) f.g[j] = select(w.held[j], T(0.0), f.g[j]);
}

// f.g becomes dx, f.right the multipliers of the border.
template <class T>
void solve_blocks(const Problem<T> &q, Factors<T> &f) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const int r = f.border;
  if (q.sparse) return solve_sparse(q, f);
  half_solve(q, f, f.g);
  for (int i : each_entry(r)) f.right[i] = 0.0;
  add_transposed(q.team, core, r, f.V, f.g, f.right);
  for (int i : each_entry(k)) f.right[i] = f.right[i] - f.nu[i];
  for (int i : each_entry(r > k ? m : 0))
    if (any(f.stiff[i]))
      for (int l = 0; l < Lanes<T>::count; l++)
        if (lane(f.stiff[i], l)) {
          T &own = f.right[f.place[i * Lanes<T>::count + l]];
          set_lane(own, l, lane(own, l) - lane(f.c[i], l));
        }
  forward_one(r, f.S, f.right), backward(r, f.S, f.right);
  times(q.team, core, r, f.V, f.right, f.shift);
  for (int j : each_entry(core)) f.g[j] = f.g[j] - f.shift[j];
  other_half_solve(q, f, f.g);
  for (int i : each_entry(r)) f.right[i] = f.stretch[i] * f.right[i];
}

// Solve the regularised system.
template <class T>
KKTDIFF_APART void solve_once(const Problem<T> &q, const Weights<T> &w, Factors<T> &f,
                              const Rhs<T> &rhs, Rhs<T> &out) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  condense(q, w, rhs, f);
  solve_blocks(q, f);
  if (!q.sparse || n > core) times(q.of_G(), f.g, out.c);
  expand_slacks(q, w, out.c, f);
  for (int i : each_entry(q.sparse ? m : 0)) out.c[i] = f.right[k + i];
  for (int i : each_entry(q.sparse ? 0 : m)) {
    out.c[i] = f.condensed[i] * (out.c[i] - f.c[i]);
    if (f.border > k && any(f.stiff[i]))
      for (int l = 0; l < Lanes<T>::count; l++)
        if (lane(f.stiff[i], l))
          set_lane(out.c[i], l, lane(f.right[f.place[i * Lanes<T>::count + l]], l));
  }
  for (int i : each_entry(k)) out.nu[i] = f.right[i];
  for (int j : each_entry(n)) out.x[j] = f.g[j] + f.moved[j];
  bound_multipliers(q, w, f, rhs, out);
  if (f.holds) holding_multipliers(q, w, f, rhs, out);
}

// left = the residual of `out` in the system without proximal terms
template <class T>
KKTDIFF_APART void residual(const Problem<T> &q, const Weights<T> &w, const Factors<T> &f,
                            const Rhs<T> &rhs, const Rhs<T> &out, Rhs<T> &left) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const T infinite = __builtin_inf();
  times_Q(q, out.x, left.x);
  add_columns_of(q, out.c, left.x), add_columns_of_A(q, out.nu, left.x);
  for (int j : each_entry(n)) {
    Mask<T> bound = mask<T>(false);
    if (j >= core) bound = w.w[q.size.given() + j - core] == infinite;
    if (lower && j < core) bound = bound | (f.weight[m + j] == infinite);
    if (upper && j < core) bound = bound | (f.weight[m + lower + j] == infinite);
    left.x[j] = select(w.held[j] & !bound, T(0.0), rhs.x[j] - left.x[j]);
  }
  rows_of(q, out.x, left.c);
  for (int i : each_entry(q.size.rows())) {
    const Mask<T> in = w.w[i] > 0.0;
    const T inverse = T(1.0) / select(in, w.w[i], infinite);
    left.c[i] = select(in, rhs.c[i] - left.c[i] + inverse * out.c[i], T(0.0));
  }
  times_A(q, out.x, left.nu);
  for (int i : each_entry(k)) left.nu[i] = rhs.nu[i] - left.nu[i];
}

// Infinity norm in the units of the first row; NaN stays.
template <class T>
KKTDIFF_APART T size_of(const Sizes &z, const Weights<T> &w, const Rhs<T> &r) {
  T rows = 0.0, poison = 0.0;
  for (int i : each_share(z.rows())) {
    const T own = select(w.w[i] > 0.0, r.c[i], T(0.0));
    rows = max(min(w.w[i] / w.theta, T(1.0)) * abs(own), rows);
    poison = fma(own, T(0.0), poison);
  }
  for (int j : each_share(z.n)) poison = fma(r.x[j], T(0.0), poison);
  for (int i : each_share(z.k)) poison = fma(r.nu[i], T(0.0), poison);
  rows = max_of_all(rows), poison = sum_of_all(poison);
  return max(norm_inf(z.n, r.x), w.theta * max(rows, norm_inf(z.k, r.nu))) + poison;
}

template <class T>
void assign(const Sizes &z, Mask<T> where, const Rhs<T> &from, Rhs<T> &to) {
  assign(z.n, where, from.x, to.x), assign(z.rows(), where, from.c, to.c);
  assign(z.k, where, from.nu, to.nu);
}

template <class T>
struct Refinement {  // workspace of refine
  Rhs<T> left, step, trial_left;

  Refinement(Arena &a, Sizes z) : left(a, z), step(a, z), trial_left(a, z) {}
};

// Solve without proximal terms; return the relative residual.
template <class T>
KKTDIFF_APART T refine(const Problem<T> &q, const Weights<T> &w, Factors<T> &f, const Rhs<T> &rhs,
                       double target, Rhs<T> &out, Refinement<T> &work) {
  const Sizes z = q.size;
  solve_once(q, w, f, rhs, out);
  residual(q, w, f, rhs, out, work.left);
  const T size = size_of(z, w, rhs);
  T error = size_of(z, w, work.left);
  Mask<T> going = error > T(target) * size;
  for (int tries = 0; tries < 10 && any(going); tries++) {
    solve_once(q, w, f, work.left, work.step);
    for (int j : each_entry(z.n)) work.step.x[j] = out.x[j] + work.step.x[j];
    for (int i : each_entry(z.rows())) work.step.c[i] = out.c[i] + work.step.c[i];
    for (int i : each_entry(z.k)) work.step.nu[i] = out.nu[i] + work.step.nu[i];
    residual(q, w, f, rhs, work.step, work.trial_left);
    const T trial = size_of(z, w, work.trial_left);
    const Mask<T> better = going & (trial < error);
    going = better & (trial < T(0.5) * error) & (trial > T(target) * size);
    assign(z, better, work.step, out), assign(z, better, work.trial_left, work.left);
    error = select(better, trial, error);
  }
  return select(size > 0.0, error / select(size > 0.0, size, T(1.0)), error);
}

}  // namespace
}  // namespace kktdiff
