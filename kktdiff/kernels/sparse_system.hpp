// The KKT system of a sparse problem, by one factorization L D L':
//
//     [ H   A'            G'           ]
//     [ A  -(1/w + delta)              ]      H = Q + rho + the weights of the bounds
//     [ G                -(1/w + delta)]
//
// Variables that are held and rows of weight 0 are taken out: 0 but for the diagonal. The proximal
// terms are larger than where H is condensed; refinement takes them out again. What a step leaves
// of a row's residual is delta times the change of its multiplier: delta falls as these grow.
#pragma once
#include "factors.hpp"

namespace kktdiff {
namespace {

// f.K: the triangle, Q times `unit`, without the unknowns that f.out takes out.
template <class T>
void fill_system(const Problem<T> &q, T unit, Factors<T> &f) {
  const Structure &s = *q.sparse;
  const int Q = s.Q.entries, A = s.A.entries;
  for (int e : each_entry(s.ldl.given)) {
    const int from = s.source[e];
    const T own = from < Q ? unit * q.Q[from] : from < Q + A ? q.A[from - Q] : q.G[from - Q - A];
    f.K[e] = select(f.out[s.one[e]] | f.out[s.other[e]], T(0.0), own);
  }
}

// Find the unknowns that are taken out: f.out. f.weight and f.eq_weight are known.
template <class T>
void take_out(const Problem<T> &q, const Weights<T> &w, Factors<T> &f) {
  const int core = q.size.core, k = q.size.k;
  for (int j : each_entry(core)) f.out[j] = w.held[j];
  for (int i : each_entry(k + q.size.m))
    f.out[core + i] = !((i < k ? f.eq_weight[i] : f.weight[i - k]) > T(0.0));
}

// Factor the system; f.out, f.weight, f.eq_weight and f.slack_weight are known.
template <class T>
void factor_sparse(const Problem<T> &q, const Weights<T> &w, Factors<T> &f) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const int *place = q.sparse->ldl.place;
  const T least = f.proximal, rho = max(w.rho, least) * w.theta;
  const T delta = max(w.delta, least) / (w.theta * w.large);
  for (int j : each_entry(core)) {
    T own = q.Q[q.at_diagonal(j)] + rho;
    if (lower) own = own + f.weight[m + j];
    if (upper) own = own + f.weight[m + lower + j];
    f.D[place[j]] = select(f.out[j], T(1.0), own);
  }
  for (int i : each_entry(k + m)) {
    const T weight = i < k ? f.eq_weight[i] : f.weight[i - k];
    f.D[place[core + i]] = select(f.out[core + i], T(-1.0), -(T(1.0) / weight + delta));
  }
  fill_system(q, T(1.0), f);
  factor_ldl(q.sparse->ldl, core, max(rho, T(1.0)), f.K, f.D, f.L, f.unknowns, f.work.panel);
  f.pivots = {mask<T>(true), T(1.0), T(1.0)};
}

// f.g becomes dx, f.right the multipliers of A and G, from the right-hand sides f.g, f.nu and f.c.
template <class T>
void solve_sparse(const Problem<T> &q, Factors<T> &f) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const int *place = q.sparse->ldl.place;
  for (int j : each_entry(core)) f.unknowns[place[j]] = f.g[j];
  for (int i : each_entry(k)) f.unknowns[place[core + i]] = f.nu[i];
  for (int i : each_entry(m)) f.unknowns[place[core + k + i]] = f.c[i];
  solve_ldl(q.sparse->ldl, f.D, f.L, f.work.panel, f.unknowns);
  for (int j : each_entry(core)) f.g[j] = f.unknowns[place[j]];
  for (int i : each_entry(k + m))
    f.right[i] = select(f.out[core + i], T(0.0), f.unknowns[place[core + i]]);
}

// v, (order), in units in which the proximal terms are pure numbers, becomes the solution for it,
// of length one; return how long it was.
template <class T>
T stretch_sparse(const Problem<T> &q, T root, Factors<T> &f, T *v) {
  const int core = q.size.core, order = q.sparse->ldl.size;
  const int *of = q.sparse->ldl.order;
  for (int i : each_entry(order))
    v[i] = select(f.out[of[i]], T(0.0), of[i] < core ? v[i] * root : v[i] / root);
  solve_ldl(q.sparse->ldl, f.D, f.L, f.work.panel, v);
  for (int i : each_entry(order)) v[i] = of[i] < core ? v[i] * root : v[i] / root;
  const T length = sqrt(dot(order, v, v));
  for (int i : each_entry(order)) v[i] = v[i] / length;
  return length;
}

// Where a direction is stretched by about as much as the proximal terms allow: inverse iteration
// from a vector of signs, which is short of no direction but by chance.
template <class T>
Mask<T> is_singular_sparse(const Problem<T> &q, T theta, Factors<T> &f) {
  const int order = q.sparse->ldl.size;
  const T root = sqrt(theta), most = T(1.0 / f.proximal), length = sqrt(T(double(order)));
  for (int i : each_entry(order)) f.unknowns[i] = (unsigned(i) * 2654435761u) >> 31 ? 1.0 : -1.0;
  const T first = stretch_sparse(q, root, f, f.unknowns) / length;
  if (!any(first * length > T(1e-3) * most)) return mask<T>(false);
  stretch_sparse(q, root, f, f.unknowns);
  return !(stretch_sparse(q, root, f, f.unknowns) < T(0.1) * most);
}

// x, (core), becomes (unit Q + shift)^-1 x; return where the matrix is positive definite.
template <class T>
Mask<T> divide_by_sparse(const Problem<T> &q, T unit, T shift, Factors<T> &f, T *x) {
  const int core = q.size.core, rows = q.size.k + q.size.m;
  const int *place = q.sparse->ldl.place;
  for (int j : each_entry(core)) {
    f.out[j] = mask<T>(false);
    f.D[place[j]] = unit * q.Q[q.at_diagonal(j)] + shift;
  }
  for (int i : each_entry(rows)) f.out[core + i] = mask<T>(true), f.D[place[core + i]] = -1.0;
  fill_system(q, unit, f);
  const Mask<T> positive =
      factor_ldl(q.sparse->ldl, core, T(1.0), f.K, f.D, f.L, f.unknowns, f.work.panel);
  for (int j : each_entry(core)) f.unknowns[place[j]] = x[j];
  for (int i : each_entry(rows)) f.unknowns[place[core + i]] = 0.0;
  solve_ldl(q.sparse->ldl, f.D, f.L, f.work.panel, f.unknowns);
  for (int j : each_entry(core)) x[j] = f.unknowns[place[j]];
  return positive;
}

}  // namespace
}  // namespace kktdiff
