// The kernel `vjp`: gradients from cotangents, by one solve of the KKT system of the active set.
//
// The formulas are those of _sensitivity/first_order.py.
#pragma once
#include "derive.hpp"

namespace kktdiff {
namespace {

enum VjpArray {  // the first ones are those of `derive`
  LIMITS = OF_FACTORS + 1,
  OF_X,  // cotangents
  OF_S,
  OF_LAM,
  OF_NU,
  OF_LAM_LB,
  OF_LAM_UB,
  OF_OBJECTIVE,
  OF_VIOLATIONS,  // in the order of PRICES
  ADJOINT_X = OF_VIOLATIONS + 4,
  ADJOINT_C,
  ADJOINT_NU,
  INACCURATE,
  GRAD_Q,
  GRAD_P,
  GRAD_G,
  GRAD_H,
  GRAD_A,
  GRAD_B,
  GRAD_LB,
  GRAD_UB,
  GRAD_PRICES,
  VJP_STRUCTURE = GRAD_PRICES + 4
};

// Cotangent `which` of row i, 0 where none was given.
template <class T>
T cotangent(const Group<T> &g, int which, int i) {
  return g.call.arrays[which] ? entry<T>(g, which, i, 0, 1) : T(0.0);
}

// The cotangent of the slack of row i of G: an active row's slack stays zero, and so does an absent
// one's derivative.
template <class T>
T of_slack(const Group<T> &g, const Derivation<T> &d, int i) {
  const Mask<T> absent = !(entry<T>(g, LIMITS, i, 0, 1) < T(INFINITE));
  return select(d.active[i] | absent, T(0.0), cotangent(g, OF_S, i));
}

// w.rhs.x of the slacks, from the cotangents of violations; t - u of an equality.
template <class T>
void cotangents_of_slacks(const Group<T> &g, Derivation<T> &d) {
  const Sizes z = d.problem.size;
  const int sizes[] = {z.m, z.lower, z.upper, z.k};
  T *to = d.newton.rhs.x + z.core;
  const T *cols = d.scaling.cols + z.core;
  for (int side = 0; side < 4; side++) {
    if (!(z.soft & 1 << side)) continue;
    for (int i : each_entry(sizes[side])) {
      const T own = d.scaling.cost * -cotangent(g, OF_VIOLATIONS + side, i);
      to[i] = cols[i] * own;
      if (side == 3) to[z.k + i] = cols[z.k + i] * -own;
    }
    to += sizes[side], cols += sizes[side];
  }
}

// Store the solution of K u = -(g_x - G'g_s, g_lam, g_nu), less g_s in the rows of G; return its
// relative residual.
template <class T>
KKTDIFF_APART T solve_adjoint(const Group<T> &g, double target, Derivation<T> &d) {
  const Sizes z = d.problem.size;
  const Scaling<T> &s = d.scaling;
  Newton<T> &w = d.newton;
  for (int j : each_entry(z.core)) w.rhs.x[j] = s.cost * s.cols[j] * -cotangent(g, OF_X, j);
  cotangents_of_slacks(g, d);
  for (int i : each_entry(z.rows())) w.rhs.c[i] = 0.0;
  if (g.call.arrays[OF_S]) {
    for (int i : each_entry(z.m)) w.rhs.c[i] = s.cost * (of_slack(g, d, i) / s.rows[i]);
    add_columns_of(d.problem, w.rhs.c, w.rhs.x);
  }
  const auto put = [&](int i, T value) {
    w.rhs.c[i] = select(w.weights.w[i] > T(0.0), row_weight(z, s, i) * -value, T(0.0));
  };
  for (int i : each_entry(z.m)) put(i, cotangent(g, OF_LAM, i));
  for (int j : each_entry(z.lower)) put(z.m + j, cotangent(g, OF_LAM_LB, j));
  for (int j : each_entry(z.upper)) put(z.m + z.lower + j, cotangent(g, OF_LAM_UB, j));
  for (int i : each_entry(z.k)) w.rhs.nu[i] = s.eqs[i] * -cotangent(g, OF_NU, i);
  const T error = refine(d.problem, w.weights, w.factors, w.rhs, target, w.out, w.refinement);
  for (int j : each_entry(z.n)) kktdiff::put(g, ADJOINT_X, j, 0, 1, s.cols[j] * w.out.x[j]);
  for (int i : each_entry(z.rows())) {
    const T c = row_weight(z, s, i) * w.out.c[i] / s.cost;
    const bool moves = i < z.m && g.call.arrays[OF_S];
    kktdiff::put(g, ADJOINT_C, i, 0, 1, moves ? c - of_slack(g, d, i) : c);
  }
  for (int i : each_entry(z.k))
    kktdiff::put(g, ADJOINT_NU, i, 0, 1, s.eqs[i] * w.out.nu[i] / s.cost);
  return error;
}

// One element's vectors at the solution and of the adjoint.
struct Element {
  const Call &call;
  std::int64_t at;
  Sizes size;
  const Structure *sparse;
  const double *value = array<const double>(call, OF_OBJECTIVE, at);
  const double *x = array<const double>(call, OF_KEPT, at) + size.n + size.m + size.k + 2;
  const double *lam = x + size.n + size.rows(), *nu = lam + size.rows(), *y = nu + size.k;

  const double *vector(int which) const { return array<const double>(call, which, at); }
  double *gradient(int which) const { return array<double>(call, which, at); }

  // The adjoint with what the cotangent of the objective adds to it.
  double with_value(double u, double at_solution, double share = 1.0) const {
    return value ? u + share * *value * at_solution : u;
  }
  double row(int i) const { return with_value(vector(ADJOINT_C)[i], multiplier(i)); }
  double equality(int i) const { return with_value(vector(ADJOINT_NU)[i], nu[i]); }

  // That of a fixed variable is counted to the bound of its sign.
  double multiplier(int i) const {
    if (i < size.m) return lam[i];
    const bool low = i < size.m + size.lower;
    const double fixed = low ? -y[i - size.m] : y[i - size.m - size.lower];
    return fixed > 0 ? fixed : lam[i];
  }
};

// out = a u_x' + c x' for one row of a matrix.
inline void gradient_row(const Element &e, double a, double c, double *__restrict out) {
  const double *__restrict u = e.vector(ADJOINT_X), *__restrict x = e.x;
  for (int j : each_column(e.size.core)) out[j] = a * u[j] + c * x[j];
}

// That of a matrix, on its pattern if it has one; a and c give the numbers of each row.
template <class A, class C>
void gradient_of_matrix(const Element &e, int rows, const Pattern *pattern, A a, C c, double *out) {
  const double *u = e.vector(ADJOINT_X), *x = e.x;
  if (!pattern) {
    for (int i : each_row(rows)) gradient_row(e, a(i), c(i), out + i * e.size.core);
    return;
  }
  for (int i : each_entry(rows)) {
    const double left = a(i), right = c(i);
    in_row(*pattern, i, [&](int at, int j) { out[at] = left * u[j] + right * x[j]; });
  }
}

// The gradient of Q, symmetric to the bit: half x' + x half', half of u + x/2 where the objective
// has a cotangent.
inline void gradient_of_Q(const Element &e, double *__restrict out) {
  const double *__restrict u = e.vector(ADJOINT_X), *__restrict x = e.x;
  const int n = e.size.core;
  if (e.sparse) {
    const auto half = [&](int i) { return e.with_value(u[i], x[i], 0.5) / 2; };
    for (int i : each_entry(n)) {
      const double own = half(i);
      in_row(e.sparse->given_Q, i, [&](int at, int j) { out[at] = own * x[j] + x[i] * half(j); });
    }
    return;
  }
  for (int i : each_row(n)) {
    const double half = e.with_value(u[i], x[i], 0.5) / 2, own = x[i];
    double *row = out + i * n;
    if (e.value)
      for (int j : each_column(n))
        row[j] = half * x[j] + own * ((u[j] + 0.5 * *e.value * x[j]) / 2);
    else
      for (int j : each_column(n)) row[j] = half * x[j] + own * (u[j] / 2);
  }
}

// Those of the prices that are wanted: as of the linear terms of slacks, of both of an equality.
inline KKTDIFF_APART void store_gradients_of_prices(const Element &e) {
  const Sizes &z = e.size;
  const int sizes[] = {z.m, z.lower, z.upper, z.k};
  int j = z.core;
  for (int side = 0; side < 4; side++) {
    if (!(z.soft & 1 << side)) continue;
    const double *u = e.vector(ADJOINT_X) + j, *x = e.x + j;
    double *to = e.gradient(GRAD_PRICES + side);
    for (int i : each_entry(to ? sizes[side] : 0)) {
      to[i] = e.with_value(u[i], x[i]);
      if (side == 3) to[i] += e.with_value(u[z.k + i], x[z.k + i]);
    }
    j += sizes[side];
  }
}

// Those gradients that are wanted.
inline void store_gradients(const Element &e) {
  const auto [n, m, k, lower, upper, core, soft] = e.size;
  const double *u = e.vector(ADJOINT_X), *x = e.x;
  if (double *to = e.gradient(GRAD_Q)) gradient_of_Q(e, to);
  if (double *to = e.gradient(GRAD_P))
    for (int j : each_entry(core)) to[j] = e.with_value(u[j], x[j]);
  if (double *to = e.gradient(GRAD_G))
    gradient_of_matrix(
        e, m, e.sparse ? &e.sparse->G : nullptr, [&](int i) { return e.multiplier(i); },
        [&](int i) { return e.row(i); }, to);
  if (double *to = e.gradient(GRAD_H))
    for (int i : each_entry(m)) to[i] = -e.row(i);
  if (double *to = e.gradient(GRAD_A))
    gradient_of_matrix(
        e, k, e.sparse ? &e.sparse->A : nullptr, [&](int i) { return e.nu[i]; },
        [&](int i) { return e.equality(i); }, to);
  if (double *to = e.gradient(GRAD_B))
    for (int i : each_entry(k)) to[i] = -e.equality(i);
  if (double *to = e.gradient(GRAD_LB))
    for (int j : each_entry(lower)) to[j] = e.row(m + j);
  if (double *to = e.gradient(GRAD_UB))
    for (int j : each_entry(upper)) to[j] = -e.row(m + lower + j);
  store_gradients_of_prices(e);
}

template <class T>
void vjp_group(const Group<T> &g, Derivation<T> &d) {
  prepare(g, d);
  const T error = solve_adjoint(g, g.call.options[0], d);
  const Mask<T> bad = is_singular(d.problem, d.newton.weights.theta, d.newton.factors) |
                      !d.newton.factors.pivots.ok | !(error <= T(g.call.options[1]));
  for (int l = 0; l < g.count(); l++) {
    *array<unsigned char>(g.call, INACCURATE, g.element(l)) = lane(bad, l);
    store_gradients({g.call, g.element(l), d.problem.size, d.problem.sparse});
  }
}

#if !defined(__CUDACC__)
template <class T>
void vjp_all(const Call &call, std::int64_t first, std::int64_t last) {
  Arena arena{reinterpret_cast<char *>(call.scratch)};
  const SparseEntries sparse(call.sizes);
  const Structure structure = structure_of(call, VJP_STRUCTURE);
  Derivation<T> d(arena, sizes_of(call.sizes), sparse.get());
  for (; first < last; first += Lanes<T>::count)
    vjp_group(Group<T>{call, first, last, sparse.get() ? &structure : nullptr}, d);
}

void vjp(const Call &call, std::int64_t first, std::int64_t last) {
  in_lanes(call.sizes) ? vjp_all<Pack>(call, first, last) : vjp_all<double>(call, first, last);
}
#endif

}  // namespace
}  // namespace kktdiff
