// One problem of each lane, its points and its residuals.
//
//     minimise 1/2 x'Qx + p'x   subject to   C x <= d,   A x = b,   C = (G, -I, I)
//
// The rows of -I (lower bounds) and I (upper bounds) are there or not as a whole; they are never
// formed. Absent rows have d = 0, s = 1 and lam = 0. A fixed variable is an equality of its own.
//
// A row with a price w may be violated by t >= 0 at the cost w t: Cx - t <= d, and for an equality
// Ax - t + u = b. These slacks are the last variables: of the soft sides of C in the order of its
// rows, then t of the equalities, then u. A slack has no column in a matrix, and is fixed at zero
// where its row is hard or absent. Their bounds are the last rows of C.
#pragma once
#include "call.hpp"
#include "loops.hpp"
#include "matrix.hpp"
#include "memory.hpp"
#include "sizes.hpp"

namespace kktdiff {
namespace {

template <class T>
struct Problem {
  Sizes size;
  T *Q, *p, *G, *A, *b, *d;  // (core, core) or its diagonal, (n), (m, core), (k, core), (k), (M)
  T *value;                  // (n): of each fixed variable, 0 elsewhere
  T *idle;                   // (m): slack of a row of G that nothing can move, else -1
  Mask<T> *present, *fixed;  // (M), (n)
  T count;                   // of present rows, at least 1
  T *AA;                     // (core, core): A'A, the triangle that is factored
  bool separable;            // H is diagonal, and Q its own diagonal, clearly positive; no G
  Team *team = nullptr;      // threads that share products with its matrices
  const Structure *sparse = nullptr;  // Q, G and A are entries of its patterns

  Matrix<T> of_Q() const { return {size.core, size.core, Q, sparse ? &sparse->Q : nullptr, team}; }
  Matrix<T> of_G() const { return {size.m, size.core, G, sparse ? &sparse->G : nullptr, team}; }
  Matrix<T> of_A() const { return {size.k, size.core, A, sparse ? &sparse->A : nullptr, team}; }
  int at_diagonal(int j) const {  // the place of Q_jj
    return separable ? j : sparse ? sparse->diagonal[j] : j * (size.core + 1);
  }
  int entries_of_Q() const { return separable ? size.core : of_Q().entries(); }

  Problem(Arena &a, Sizes z, const Entries *sparse_entries = nullptr) : size(z) {
    const Entries e = entries_of(z, sparse_entries);
    Q = a.take_slow<T>(e.Q), p = a.take<T>(z.n), G = a.take_slow<T>(e.G);
    A = a.take_slow<T>(e.A), b = a.take<T>(z.k), d = a.take<T>(z.rows());
    value = a.take<T>(z.n), idle = a.take_slow<T>(z.m);
    AA = a.take_slow<T>(z.k && !e.order ? e.Q : 0);
    present = a.take<Mask<T>>(z.rows()), fixed = a.take<Mask<T>>(z.n);
  }
};

// Form A'A, which each factorization adds to H.
template <class T>
void square_equalities(Problem<T> &q, Work<T> work) {
  const int core = q.size.core;
  if (!q.size.k || q.separable || q.sparse) return;
  for (int i : each_entry(core * core)) q.AA[i] = 0.0;
  add_gram(q.size.k, core, q.A, static_cast<T *>(nullptr), work, q.AA);
}

// out = Q x
template <class T>
KKTDIFF_APART void times_Q(const Problem<T> &q, const T *x, T *out) {
  const int core = q.size.core;
  for (int j : each_entry(core, q.size.n)) out[j] = 0.0;
  if (!q.separable) return times(q.of_Q(), x, out);
  for (int j : each_entry(core)) out[j] = q.Q[j] * x[j];
}

// out = A x
template <class T>
KKTDIFF_APART void times_A(const Problem<T> &q, const T *x, T *out) {
  times(q.of_A(), x, out);
  const T *t = x + q.size.core + q.size.singles(), *u = t + q.size.pairs();
  for (int i : each_entry(q.size.pairs())) out[i] = out[i] - t[i] + u[i];
}

// out += A' nu
template <class T>
KKTDIFF_APART void add_columns_of_A(const Problem<T> &q, const T *nu, T *out) {
  add_transposed(q.of_A(), nu, out);
  T *t = out + q.size.core + q.size.singles(), *u = t + q.size.pairs();
  for (int i : each_entry(q.size.pairs())) t[i] = t[i] - nu[i], u[i] = u[i] + nu[i];
}

// out = C x
template <class T>
KKTDIFF_APART void rows_of(const Problem<T> &q, const T *x, T *out) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  times(q.of_G(), x, out);
  for (int j : each_entry(lower)) out[m + j] = -x[j];
  for (int j : each_entry(upper)) out[m + lower + j] = x[j];
  for (int s : each_entry(q.size.singles())) {
    T &own = out[q.size.row_of(s)];
    own = own - x[core + s];
  }
  for (int s : each_entry(n - core)) out[q.size.given() + s] = -x[core + s];
}

// out += the part of C' z that the bounds of x have; z: (M)
template <class T>
KKTDIFF_APART void add_from_bounds(const Problem<T> &q, const T *z, T *out) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  for (int j : each_entry(lower)) out[j] = out[j] - z[m + j];
  for (int j : each_entry(upper)) out[j] = out[j] + z[m + lower + j];
}

// out += the part of C' z that the slacks have; z: (M)
template <class T>
KKTDIFF_APART void add_from_slacks(const Problem<T> &q, const T *z, T *out) {
  const Sizes &size = q.size;
  T *slack = out + size.core;
  for (int s : each_entry(size.singles())) slack[s] = slack[s] - z[size.row_of(s)];
  for (int s : each_entry(size.slacks())) slack[s] = slack[s] - z[size.given() + s];
}

// out += C' z
template <class T>
KKTDIFF_APART void add_columns_of(const Problem<T> &q, const T *z, T *out) {
  add_transposed(q.of_G(), z, out);
  add_from_bounds(q, z, out);
  add_from_slacks(q, z, out);
}

template <class T>
struct Point {
  T *x, *s, *lam, *nu;  // (n), (M), (M), (k)

  Point() = default;
  Point(Arena &a, Sizes z) {
    x = a.take<T>(z.n), s = a.take<T>(z.rows()), lam = a.take<T>(z.rows()), nu = a.take<T>(z.k);
  }
};

template <class T>
KKTDIFF_APART void assign(int count, Mask<T> where, const T *from, T *to) {
  for (int i : each_entry(count)) to[i] = select(where, from[i], to[i]);
}

template <class T>
KKTDIFF_APART void assign(Sizes z, Mask<T> where, const Point<T> &from, const Point<T> &to) {
  assign(z.n, where, from.x, to.x), assign(z.k, where, from.nu, to.nu);
  assign(z.rows(), where, from.s, to.s), assign(z.rows(), where, from.lam, to.lam);
}

// A thread's share of a'b, of the sum of v, and of the sum of |a_i b_i|.
template <class T>
T share_of_dot(int n, const T *a, const T *b) {
  return share_of_sum<T>(n, [&](int i, T sum) { return fma(a[i], b[i], sum); });
}

template <class T>
T share_of_total(int n, const T *v) {
  return share_of_sum<T>(n, [&](int i, T sum) { return sum + v[i]; });
}

template <class T>
T share_of_sizes(int n, const T *a, const T *b) {
  return share_of_sum<T>(n, [&](int i, T sum) { return sum + abs(a[i] * b[i]); });
}

template <class T>
KKTDIFF_APART T dot(int n, const T *a, const T *b) {
  return sum_of_all(share_of_dot(n, a, b));
}

// Residuals of the optimality conditions, and the sizes of their terms.
template <class T>
struct Residuals {
  T *x, *c, *nu;        // Qx + p + C'lam + A'nu, 0 for fixed variables; Cx + s - d; Ax - b
  T *y;                 // (n): multiplier of each fixed variable's equality, 0 elsewhere
  T *Qx, *Cx, *force;   // (n), (M), (n): C'lam + A'nu
  T primal, dual, gap;  // largest violation of a constraint, largest entry of x, duality gap
  T size[3];            // of the terms whose difference each of the three is
  T value;              // |x'Qx| + |p'x|
  T *scratch;           // (n)

  Residuals(Arena &a, Sizes z) {
    x = a.take<T>(z.n), c = a.take<T>(z.rows()), nu = a.take<T>(z.k), y = a.take<T>(z.n);
    Qx = a.take<T>(z.n), Cx = a.take<T>(z.rows()), scratch = a.take<T>(z.n);
    force = a.take<T>(z.n);
  }
};

template <class T>
void stationarity(const Problem<T> &q, const Point<T> &at, Residuals<T> &r) {
  const int n = q.size.n;
  T *forces = r.scratch;
  times_Q(q, at.x, r.Qx);
  for (int j : each_entry(n)) forces[j] = 0.0;
  add_columns_of(q, at.lam, forces);
  for (int j : each_entry(n)) {
    r.x[j] = r.Qx[j] + q.p[j] + forces[j];
    r.force[j] = forces[j], forces[j] = 0.0;
  }
  const T terms = share_of_max(
      n, T(0.0), [&](int j) { return max(max(abs(r.Qx[j]), abs(q.p[j])), abs(r.force[j])); });
  add_columns_of_A(q, at.nu, forces);
  for (int j : each_entry(n)) {
    const T all = r.x[j] + forces[j];
    r.force[j] = r.force[j] + forces[j];
    r.y[j] = select(q.fixed[j], -all, T(0.0));
    r.x[j] = select(q.fixed[j], T(0.0), all);
  }
  r.size[1] = max_of_all(share_of_max(n, terms, [&](int j) { return abs(forces[j]); }));
  r.dual = norm_inf(n, r.x);
}

template <class T>
void feasibility(const Problem<T> &q, const Point<T> &at, Residuals<T> &r) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  rows_of(q, at.x, r.Cx);
  for (int i : each_entry(q.size.rows())) {
    const T own = select(q.present[i], r.Cx[i], T(0.0));
    r.c[i] = select(q.present[i], own - q.d[i] + at.s[i], T(0.0));
    r.Cx[i] = own;
  }
  T biggest =
      share_of_max(q.size.rows(), T(0.0), [&](int i) { return max(abs(r.Cx[i]), abs(q.d[i])); });
  T worst = share_of_max(q.size.rows(), T(0.0), [&](int i) { return r.Cx[i] - q.d[i]; });
  times_A(q, at.x, r.nu);
  for (int i : each_share(k)) {
    biggest = max(max(abs(r.nu[i]), abs(q.b[i])), biggest);
    r.nu[i] = r.nu[i] - q.b[i];
    worst = max(abs(r.nu[i]), worst);
  }
  worst = share_of_max(
      n, worst, [&](int j) { return select(q.fixed[j], abs(at.x[j] - q.value[j]), T(0.0)); });
  r.primal = max_of_all(worst), r.size[0] = max_of_all(biggest);
}

// Evaluate the residuals of the optimality conditions; NaN anywhere makes the gap NaN.
template <class T>
KKTDIFF_APART void evaluate(const Problem<T> &q, const Point<T> &at, Residuals<T> &r) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const int M = q.size.rows();
  stationarity(q, at, r);
  feasibility(q, at, r);
  const int count[] = {n, n, M, k, n};  // of x'Qx, x'p, lam'd, nu'b and y'value
  const T *left[] = {at.x, at.x, at.lam, at.nu, r.y}, *right[] = {r.Qx, q.p, q.d, q.b, q.value};
  T sum[11];
  for (int i = 0; i < 5; i++) {
    sum[i] = share_of_dot(count[i], left[i], right[i]);
    sum[5 + i] = share_of_sizes(count[i], left[i], right[i]);
  }
  sum[10] = share_of_total(n, r.x) + share_of_total(M, r.c) + share_of_total(k, r.nu);
  sums_of_all(sum);
  r.value = abs(sum[0]) + abs(sum[1]);
  r.gap = abs(sum[0] + sum[1] + sum[2] + sum[3] + sum[4]) + T(0.0) * sum[10];
  r.size[2] = sum[5] + sum[6] + sum[7] + sum[8] + sum[9];
}

// mu, the mean of s_i lam_i over the rows that are present
template <class T>
T mean_product(const Problem<T> &q, const T *s, const T *lam) {
  return dot(q.size.rows(), s, lam) / q.count;
}

}  // namespace
}  // namespace kktdiff
