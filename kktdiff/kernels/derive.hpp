// The kernel `derive`: solve the KKT systems of active sets, for several right-hand sides.
//
// Right-hand sides and solutions are in the caller's units, and (n, columns), (M, columns) and
// (k, columns); see _sensitivity/first_order.py.
#pragma once
#include "solve.hpp"

namespace kktdiff {
namespace {

enum DeriveArray {
  OF_Q,
  OF_G,
  OF_A,
  OF_KEPT,
  OF_ACTIVE,
  OF_WEIGHTS,
  OF_FACTORS,
  RHS_X,
  RHS_C,
  RHS_NU,
  SOLUTION_X,
  SOLUTION_C,
  SOLUTION_NU,
  RELATIVE_RESIDUAL,
  SINGULAR_ELEMENT,
  DERIVE_STRUCTURE
};

template <class T>
struct Derivation {
  Problem<T> problem;
  Scaling<T> scaling;
  Newton<T> newton;
  Mask<T> *active;  // (M)
  T *weights;       // (n + m + k + 2): as kept by `solve`

  Derivation(Arena &a, Sizes z, const Entries *sparse = nullptr)
      : problem(a, z, sparse), scaling(a, z), newton(a, z, sparse) {
    active = a.take<Mask<T>>(z.rows()), weights = a.take<T>(z.n + z.m + z.k + 2);
  }
};

// Take the factors that `solve` has kept, or factor.
template <class T>
void factor_or_take(const Group<T> &g, const Problem<T> &q, Newton<T> &w) {
  Factors<T> &f = w.factors;
  place_kept(g, OF_FACTORS, f);
  if (!f.kept) return factor(q, w.weights, true, f);
  if (q.sparse) f.proximal = f.kept[2];
  choose_border(q, w.weights, true, f);
  f.pivots = {mask<T>(true), T(f.kept[0]), T(f.kept[1])};
}

// Load matrices and scaling, and factor the system of the active set.
template <class T>
KKTDIFF_APART void prepare(const Group<T> &g, Derivation<T> &d) {
  Problem<T> &q = d.problem;
  Weights<T> &w = d.newton.weights;
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  q.separable = g.call.sizes[6] == DIAGONAL, q.sparse = g.sparse;
  q.team = d.newton.factors.work.team = g.call.team;
  load_Q(g, OF_Q, q), load_matrix(g, OF_G, q.of_G()), load_matrix(g, OF_A, q.of_A());
  load_array(g, OF_KEPT, n + m + k + 2, d.weights);
  load_mask(g, OF_ACTIVE, q.size.rows(), d.active);
  for (int j : each_entry(n)) d.scaling.cols[j] = d.weights[j];
  for (int i : each_entry(m)) d.scaling.rows[i] = d.weights[n + i];
  for (int i : each_entry(k)) d.scaling.eqs[i] = d.weights[n + m + i];
  d.scaling.cost = d.weights[n + m + k], w.theta = d.weights[n + m + k + 1];
  w.rho = w.delta = q.sparse ? d.newton.factors.proximal : PROXIMAL, w.large = 1.0;
  scale_Q(d.scaling.cols, q);
  for (int i : each_entry(q.entries_of_Q())) q.Q[i] = d.scaling.cost * q.Q[i];
  times_rows_and_columns(q.of_G(), d.scaling.rows, d.scaling.cols);
  times_rows_and_columns(q.of_A(), d.scaling.eqs, d.scaling.cols);
  load_array(g, OF_WEIGHTS, q.size.rows(), w.w);
  for (int i : each_entry(q.size.rows())) w.w[i] = select(d.active[i], T(__builtin_inf()), w.w[i]);
  for (int j : each_entry(core, n)) {
    q.fixed[j] = mask<T>(false);  // their bounds are active
    w.held[j] = d.active[q.size.given() + j - core];
  }
  for (int j : each_entry(core)) {
    w.held[j] = mask<T>(false);
    if (lower) w.held[j] = w.held[j] | holds(q, d.active, m + j);
    if (upper) w.held[j] = w.held[j] | holds(q, d.active, m + lower + j);
  }
  if (!g.call.arrays[OF_FACTORS]) square_equalities(q, d.newton.factors.work);
  factor_or_take(g, q, d.newton);
}

// Entry `i` of column `column`.
template <class T>
T entry(const Group<T> &g, int which, int i, int column, int columns) {
  const double *from = array<const double>(g.call, which, g.first) + i * columns + column;
  return load<T>(from, g.call.strides[which], g.count());
}

template <class T>
void put(const Group<T> &g, int which, int i, int column, int columns, T value) {
  double *to = array<double>(g.call, which, g.first) + i * columns + column;
  store(to, g.call.strides[which], value, g.count());
}

// Solve for one column; return the relative residual.
template <class T>
T derive_column(const Group<T> &g, int column, int columns, double target, Derivation<T> &d) {
  const Sizes z = d.problem.size;
  const Scaling<T> &s = d.scaling;
  Newton<T> &w = d.newton;
  for (int j : each_entry(z.n))
    w.rhs.x[j] = s.cost * s.cols[j] * entry<T>(g, RHS_X, j, column, columns);
  for (int i : each_entry(z.rows()))
    w.rhs.c[i] = row_weight(z, s, i) * entry<T>(g, RHS_C, i, column, columns);
  for (int i : each_entry(z.k)) w.rhs.nu[i] = s.eqs[i] * entry<T>(g, RHS_NU, i, column, columns);
  const T error = refine(d.problem, w.weights, w.factors, w.rhs, target, w.out, w.refinement);
  for (int j : each_entry(z.n)) put(g, SOLUTION_X, j, column, columns, s.cols[j] * w.out.x[j]);
  for (int i : each_entry(z.rows()))
    put(g, SOLUTION_C, i, column, columns, row_weight(z, s, i) * w.out.c[i] / s.cost);
  for (int i : each_entry(z.k))
    put(g, SOLUTION_NU, i, column, columns, s.eqs[i] * w.out.nu[i] / s.cost);
  return error;
}

template <class T>
void derive_group(const Group<T> &g, Derivation<T> &d) {
  const int columns = int(g.call.sizes[OWN_SIZES]);
  d.newton.factors.proximal = g.call.options[1];
  prepare(g, d);
  T error = 0.0;
  for (int column = 0; column < columns; column++) {
    const T own = derive_column(g, column, columns, g.call.options[0], d);
    error = max(own, error) + T(0.0) * own;  // NaN stays
  }
  store_array(g, RELATIVE_RESIDUAL, 1, &error);
  const Mask<T> bad = is_singular(d.problem, d.newton.weights.theta, d.newton.factors) |
                      !d.newton.factors.pivots.ok;
  for (int l = 0; l < g.count(); l++)
    *array<unsigned char>(g.call, SINGULAR_ELEMENT, g.element(l)) = lane(bad, l);
}

#if !defined(__CUDACC__)
template <class T>
void derive_all(const Call &call, std::int64_t first, std::int64_t last) {
  Arena arena{reinterpret_cast<char *>(call.scratch)};
  const SparseEntries sparse(call.sizes);
  const Structure structure = structure_of(call, DERIVE_STRUCTURE);
  Derivation<T> d(arena, sizes_of(call.sizes), sparse.get());
  for (; first < last; first += Lanes<T>::count)
    derive_group(Group<T>{call, first, last, sparse.get() ? &structure : nullptr}, d);
}

void derive(const Call &call, std::int64_t first, std::int64_t last) {
  in_lanes(call.sizes) ? derive_all<Pack>(call, first, last)
                       : derive_all<double>(call, first, last);
}

std::int64_t derive_doubles(const std::int64_t *sizes) {
  return in_lanes(sizes) ? doubles_of<Derivation<Pack>>(sizes)
                         : doubles_of<Derivation<double>>(sizes);
}
#endif

}  // namespace
}  // namespace kktdiff
