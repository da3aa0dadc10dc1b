// Equilibration by powers of two.
//
// The scaled data are c D Q D, c D p, E G D, E h, F A D, F b (see _interior_point/scaling.py).
#pragma once
#include "constants.hpp"
#include "problem.hpp"

namespace kktdiff {
namespace {

constexpr int EQUILIBRATION_PASSES = 40;
constexpr double FLAT_DIRECTION = 1e8, UNIT_NOISE = 1e-12;
constexpr double FAR = 1e6, FAR_LIMIT = 1e3, FARTHEST = 1e5;

// 1 where v is not positive and finite.
template <class T>
T positive(T v) {
  return select((v > 0.0) & (v < T(__builtin_inf())), v, T(1.0));
}

template <class T>
struct Scaling {
  T *cols, *rows, *eqs;  // D: (n), E: (m), F: (k)
  T cost;

  Scaling(Arena &a, Sizes z) { cols = a.take<T>(z.n), rows = a.take<T>(z.m), eqs = a.take<T>(z.k); }
};

// Weight of row i of C.
template <class T>
T row_weight(const Sizes &z, const Scaling<T> &s, int i) {
  if (i < z.m) return s.rows[i];
  const int first = i < z.m + z.lower ? z.m : i < z.given() ? z.m + z.lower : z.given() - z.core;
  return T(1.0) / s.cols[i - first];
}

template <class T>
void norm_rows_of_Q(const Problem<T> &q, const T *D, T *out) {
  if (!q.separable)
    norm_rows(q.of_Q(), D, out);
  else
    for (int j : each_entry(q.size.core)) out[j] = abs(q.Q[j]) * D[j];
}

template <class T>
void scale_Q(const T *D, Problem<T> &q) {
  if (!q.separable)
    times_rows_and_columns(q.of_Q(), D, D);
  else
    for (int j : each_entry(q.size.core)) q.Q[j] = D[j] * q.Q[j] * D[j];
}

template <class T>
struct Balance {  // workspace of equilibrate: norms of rows, and the weights that rows have first
  T *Q, *G, *A, *ones, *first_G, *first_A;

  Balance(Arena &a, Sizes z) {
    Q = a.take<T>(z.n), G = a.take<T>(z.m), A = a.take<T>(z.k), ones = a.take<T>(z.n);
    first_G = a.take<T>(z.m), first_A = a.take<T>(z.k);
  }
};

template <class T>
Mask<T> out_of_balance(int count, const T *norm, Mask<T> before) {
  for (int i : each_share(count))
    before = before | (((norm[i] < 0.25) | (norm[i] > 4.0)) & (norm[i] > 0.0));
  return any_of_all(before);
}

template <class T>
KKTDIFF_APART void rebalance(int count, Mask<T> off, const T *norm, T *w) {
  for (int i : each_entry(count))
    w[i] = select(off & (norm[i] > 0.0), w[i] / sqrt(select(norm[i] > 0.0, norm[i], T(1.0))), w[i]);
}

// Ruiz's passes (Ruiz 2001): weights that balance rows against columns.
template <class T>
void balance(const Problem<T> &q, Scaling<T> &s, Balance<T> &norm) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  for (int pass = 0; pass < EQUILIBRATION_PASSES; pass++) {
    norm_rows_of_Q(q, s.cols, norm.Q);
    norm_columns(q.of_G(), s.rows, norm.Q);
    norm_columns(q.of_A(), s.eqs, norm.Q);
    norm_rows(q.of_G(), s.cols, norm.G), norm_rows(q.of_A(), s.cols, norm.A);
    for (int j : each_entry(core)) norm.Q[j] = norm.Q[j] * s.cols[j];
    for (int i : each_entry(m)) norm.G[i] = norm.G[i] * s.rows[i];
    for (int i : each_entry(k)) norm.A[i] = norm.A[i] * s.eqs[i];
    Mask<T> off = out_of_balance(core, norm.Q, mask<T>(false));
    off = out_of_balance(k, norm.A, out_of_balance(m, norm.G, off));
    if (!any(off)) break;
    rebalance(core, off, norm.Q, s.cols), rebalance(m, off, norm.G, s.rows);
    rebalance(k, off, norm.A, s.eqs);
  }
  for (int j : each_entry(core)) s.cols[j] = power_of_two(positive(s.cols[j]));
  for (int i : each_entry(m)) s.rows[i] = power_of_two(positive(s.rows[i]));
  for (int i : each_entry(k)) s.eqs[i] = power_of_two(positive(s.eqs[i]));
}

// Normalise each row of A on its own; return its weights.
template <class T>
KKTDIFF_APART void normalise(const Matrix<T> &A, const T *ones, T *weight) {
  norm_rows(A, ones, weight);
  for (int i : each_entry(A.rows)) weight[i] = T(1.0) / power_of_two(positive(weight[i]));
  times_rows_and_columns(A, weight, ones);
}

template <class T>
void scale_sides(Problem<T> &q, const Scaling<T> &s) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  for (int j : each_entry(n)) {
    q.p[j] = s.cost * s.cols[j] * q.p[j];
    q.value[j] = q.value[j] / s.cols[j];
  }
  for (int i : each_entry(m)) q.d[i] = s.rows[i] * q.d[i];
  for (int i : each_entry(k)) q.b[i] = s.eqs[i] * q.b[i];
  for (int j : each_entry(lower)) q.d[m + j] = q.d[m + j] / s.cols[j];
  for (int j : each_entry(upper)) q.d[m + lower + j] = q.d[m + lower + j] / s.cols[j];
}

template <class T>
T inverse(T v) {  // 0 where v is not positive
  return select(v > 0.0, T(1.0) / select(v > 0.0, v, T(1.0)), T(0.0));
}

// Sizes that bounds give to variables far below the unit of x, (core), 0 for the others, scaled by
// D; return the unit. Matrices and s.cost are those of normalised rows, p, d and b as given.
template <class T>
T box_sizes(const Problem<T> &q, const Scaling<T> &s, const Balance<T> &first, T *boxes) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  T unit = 0.0;
  for (int pass = 0; pass < 2; pass++) {  // the unit, then the sizes
    for (int j : each_entry(core)) {
      const Mask<T> low = lower ? q.present[m + j] : mask<T>(false),
                    high = upper ? q.present[m + lower + j] : mask<T>(false);
      const T below = lower ? abs(q.d[m + j]) : T(0.0),  // 0 where absent
          above = upper ? abs(q.d[m + lower + j]) : T(0.0);
      const T box = select(low & high, max(below, above), T(0.0)),
              bend = abs(q.Q[q.at_diagonal(j)]);
      T near = bend * inverse(abs(s.cost * q.p[j])), held = bend;
      if (!q.separable) in_column(q.of_Q(), j, [&](int, T own) { held = max(abs(own), held); });
      in_column(q.of_G(), j, [&](int i, T own) {
        held = max(abs(own), held);
        near = max(abs(own) * inverse(first.first_G[i] * abs(q.d[i])), near);
      });
      in_column(q.of_A(), j, [&](int i, T own) {
        held = max(abs(own), held);
        near = max(abs(own) * inverse(first.first_A[i] * abs(q.b[i])), near);
      });
      if (pass == 0) {
        const T nearest = max(near, max(inverse(below), inverse(above)));
        unit = max(inverse(select(near > 0.0, nearest, T(0.0))) / s.cols[j], unit);
        continue;
      }
      const T end = select(q.p[j] > 0.0, below, select(q.p[j] < 0.0, above, T(0.0)));
      const T inside = select(box < unit * s.cols[j], box, T(0.0));
      boxes[j] = select(held > 0.0, inside, end) / s.cols[j];
    }
    unit = max_of_all(unit);
  }
  return select(unit > 0.0, unit, T(1.0));
}

// Divide the weights of rows that are small now by their norms.
template <class T>
KKTDIFF_APART void lift_rows(const Matrix<T> &A, const T *D, Mask<T> where, T *norm, T *weight) {
  norm_rows(A, D, norm);
  for (int i : each_entry(A.rows)) {
    const T own = weight[i] * norm[i];
    weight[i] = select(where & (own < 0.25), weight[i] / power_of_two(positive(own)), weight[i]);
  }
}

// Put variables that their bounds keep far within their rows in units of their bounds.
template <class T>
void use_box_units(const Problem<T> &q, Scaling<T> &s, Balance<T> &work) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  T *boxes = work.Q;
  Mask<T> some = mask<T>(false);
  const T unit = box_sizes(q, s, work, boxes);
  for (int j : each_entry(core)) {
    some = some | (boxes[j] > 0.0);
    s.cols[j] = s.cols[j] * power_of_two(positive(boxes[j] / unit));
  }
  some = any_of_all(some);
  if (!any(some)) return;
  lift_rows(q.of_G(), s.cols, some, work.G, s.rows);
  lift_rows(q.of_A(), s.cols, some, work.A, s.eqs);
}

// Weights of the slacks: each in the unit of its row.
template <class T>
void scale_slacks(const Sizes &z, Scaling<T> &s) {
  for (int i : each_entry(z.singles())) s.cols[z.core + i] = T(1.0) / row_weight(z, s, z.row_of(i));
  for (int i : each_entry(2 * z.pairs()))
    s.cols[z.core + z.singles() + i] = T(1.0) / s.eqs[i % z.k];
}

// Scale q in place. A slack has the unit of its row, so that its coefficient stays -1. The
// objective and each row are normalised first, so that a power of two in either changes nothing but
// exponents.
template <class T>
KKTDIFF_APART void equilibrate(Problem<T> &q, Scaling<T> &s, Balance<T> &work) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  for (int j : each_entry(n)) work.ones[j] = s.cols[j] = 1.0;
  s.cost = T(1.0) / power_of_two(positive(norm_inf(q.entries_of_Q(), q.Q)));
  for (int i : each_entry(q.entries_of_Q())) q.Q[i] = s.cost * q.Q[i];
  normalise(q.of_G(), work.ones, work.first_G), normalise(q.of_A(), work.ones, work.first_A);
  for (int i : each_entry(m)) s.rows[i] = 1.0;
  for (int i : each_entry(k)) s.eqs[i] = 1.0;
  balance(q, s, work);
  if (lower || upper) use_box_units(q, s, work);
  scale_Q(s.cols, q);
  times_rows_and_columns(q.of_G(), s.rows, s.cols);
  times_rows_and_columns(q.of_A(), s.eqs, s.cols);
  for (int i : each_entry(m)) s.rows[i] = s.rows[i] * work.first_G[i];
  for (int i : each_entry(k)) s.eqs[i] = s.eqs[i] * work.first_A[i];
  scale_slacks(q.size, s);
  const T cost = s.cost;
  T size = norm_inf(q.entries_of_Q(), q.Q), linear = 0.0;
  for (int j : each_entry(n)) linear = max(abs(q.p[j] * s.cols[j]), linear);
  const T last = power_of_two(positive(select(size > 0.0, size, max_of_all(linear))));
  for (int i : each_entry(q.entries_of_Q())) q.Q[i] = q.Q[i] / last;
  s.cost = cost / last;
  scale_sides(q, s);
}

// Drop row i of G if it touches fixed variables only, as it does not where `touches`, and is met;
// sum: its product with their values.
template <class T>
void drop_if_idle(Problem<T> &q, int i, Mask<T> touches, T sum) {
  if (q.size.soft & SOFT_H) touches = touches | !q.fixed[q.size.core + i];
  const T slack = q.d[i] - sum;
  const Mask<T> drop = q.present[i] & !touches & (slack >= T(-ROUNDING) * (abs(q.d[i]) + abs(sum)));
  q.idle[i] = select(drop, max(slack, T(0.0)), T(-1.0));
  q.d[i] = select(drop, T(0.0), q.d[i]);
  q.present[i] = q.present[i] & !drop;
}

// Drop the rows that touch fixed variables only and are met; q.idle keeps their slack, a constant.
template <class T>
void drop_idle_rows(Problem<T> &q) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  Mask<T> some = mask<T>(false);
  for (int j : each_entry(core)) some = some | q.fixed[j];
  some = any_of_all(some);
  for (int i : each_entry(m)) q.idle[i] = T(-1.0);
  if (!any(some)) return;
  Mask<T> touches;
  T sum;
  const auto add = [&](T own, int j) {
    touches = touches | (!q.fixed[j] & ((own < 0.0) | (own > 0.0)));
    sum = fma(own, q.value[j], sum);
  };
  if (q.sparse)
    for (int i : each_entry(m)) {
      touches = !some, sum = 0.0;
      in_row(q.sparse->G, i, [&](int e, int j) { add(q.G[e], j); });
      drop_if_idle(q, i, touches, sum);
    }
  else
    for (int i : each_row(m)) {
      touches = !some, sum = 0.0;
      for (int j : each_column(core)) add(q.G[i * core + j], j);
      touches = any_of_row(touches), sum = sum_of_row(sum);
      if (leads_row()) drop_if_idle(q, i, touches, sum);
    }
}

template <class T>
void count_rows(Problem<T> &q) {
  T count = 0.0;
  for (int i : each_share(q.size.rows())) count = count + select(q.present[i], T(1.0), T(0.0));
  q.count = max(sum_of_all(count), T(1.0));
}

}  // namespace
}  // namespace kktdiff
