// The symmetric KKT system by two Cholesky factorizations; see _kkt/system.py.
//
//     H = Q + rho + C'wC + theta B'B,      S = B H^-1 B' + 1/(w - theta) + delta,     H = L L'
//
// B: A, then the rows of G of weight above STIFF. The places of these rows differ from lane to
// lane; empty ones are rows of zeros, which change no bit of the others.
#pragma once
#include "sparse_system.hpp"

namespace kktdiff {
namespace {

// Diagonal of the proximal term and of the bounds' weights; 1 for held variables.
template <class T>
T diagonal_of_H(const Problem<T> &q, const Weights<T> &w, const Factors<T> &f, int j, T curvature) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  T own = curvature + w.rho * w.theta;
  if (lower) own = own + f.weight[m + j];
  if (upper) own = own + f.weight[m + lower + j];
  return select(w.held[j], T(1.0), own);
}

// Factor H where it is diagonal: L is, and f.L holds the inverses of its entries.
template <class T>
void factor_diagonal_H(const Problem<T> &q, const Weights<T> &w, Factors<T> &f) {
  const int n = q.size.core;
  Pivots<T> pivots{mask<T>(true), T(__builtin_inf()), T(0.0)};
  for (int j : each_share(n)) {
    const T pivot = diagonal_of_H(q, w, f, j, q.Q[j]);
    pivots.ok = pivots.ok & (pivot > 0.0);
    pivots.low = min(pivot, pivots.low), pivots.high = max(pivot, pivots.high);
    f.L[j] = T(1.0) / sqrt(pivot);
  }
  f.pivots.ok = all_of_all(pivots.ok);
  f.pivots.low = min_of_all(pivots.low), f.pivots.high = max_of_all(pivots.high);
}

// f.L = Q + theta A'A, without A where its rows have weights of their own; where the upper triangle
// is used, without what is below its tiles.
template <class T>
void fill_H(const Problem<T> &q, const Weights<T> &w, Factors<T> &f) {
  const int core = q.size.core;
  const bool upper = UPPER && Lanes<T>::count == 1;
  const bool same = q.size.k && !(q.size.soft & SOFT_B);
  split(f.work, core, is_large(core, core), PANEL, 2, [&](int i, int last, T *) {
    for (; i < last; i++)
      for (int j : each_column(upper ? i / PANEL * PANEL : 0, core)) {
        const int at = i * core + j;
        f.L[at] = same ? fma(w.theta, q.AA[at], q.Q[at]) : q.Q[at];
      }
  });
}

// f.L += G' diag(f.condensed) G. Of one problem, rows without a weight are left out where they are
// many, as at an active set: the others gather in f.V, which is filled later.
template <class T>
void add_rows_of_G(const Problem<T> &q, Factors<T> &f) {
  const int m = q.size.m, core = q.size.core;
  if constexpr (UPPER && Lanes<T>::count == 1) {
    int count = 0;
    for (int i = 0; i < m; i++) count += f.condensed[i] != T(0.0);
    if (is_large(m, core) && count < m / 4 * 3) {
      T *rows = f.V, *weights = f.rows;
      for (int i = 0; i < m; i++) {
        if (f.condensed[i] == T(0.0)) continue;
        *weights++ = f.condensed[i];
        for (int j = 0; j < core; j++) *rows++ = q.G[i * core + j];
      }
      return add_gram(count, core, f.V, f.rows, f.work, f.L);
    }
  }
  add_gram(m, core, q.G, f.condensed, f.work, f.L);
}

// Assemble and factor H.
template <class T>
void factor_H(const Problem<T> &q, const Weights<T> &w, Factors<T> &f) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  fill_H(q, w, f);
  if (soft & SOFT_B) add_gram(k, core, q.A, f.eq_theta, f.work, f.L);
  add_rows_of_G(q, f);
  Mask<T> some = mask<T>(false);
  for (int j : each_entry(core)) {
    f.L[j * core + j] = diagonal_of_H(q, w, f, j, f.L[j * core + j]);
    some = some | w.held[j];
  }
  if (any(any_of_all(some)))
    for (int i : each_row(core))
      for (int j : each_column(core))
        if (j != i) f.L[i * core + j] = select(w.held[i] | w.held[j], T(0.0), f.L[i * core + j]);
  f.pivots = cholesky(core, f.L, f.work);
}

// v, (core), becomes L^-1 v.
template <class T>
void half_solve(const Problem<T> &q, const Factors<T> &f, T *v) {
  if (!q.separable) return forward_one(q.size.core, f.L, v);
  for (int j : each_entry(q.size.core)) v[j] = f.L[j] * v[j];
}

// v, (core), becomes L'^-1 v.
template <class T>
void other_half_solve(const Problem<T> &q, const Factors<T> &f, T *v) {
  if (!q.separable) return backward(q.size.core, f.L, v);
  for (int j : each_entry(q.size.core)) v[j] = f.L[j] * v[j];
}

// Give each stiff row its place in the border, from k on; the places of a lane follow each other.
template <class T>
void place_stiff_rows(const Problem<T> &q, bool some, Factors<T> &f) {
  constexpr int lanes = Lanes<T>::count;
  int count[lanes] = {}, most = 0;
  for (int i = 0; some && i < q.size.m; i++) {  // each thread of a team counts for itself
    if (!any(f.stiff[i])) continue;
    for (int l = 0; l < lanes; l++)
      if (lane(f.stiff[i], l)) f.place[i * lanes + l] = q.size.k + count[l]++;
  }
  for (int l = 0; l < lanes; l++) {
    set_lane(f.places, l, count[l]);
    most = count[l] > most ? count[l] : most;
  }
  f.border = q.size.k + most;
}

// Weights of the rows with their slacks eliminated: a row of weight w and its slack, of weight v,
// give way one after the other, 1/w + 1/v.
template <class T>
void eliminate_slacks(const Problem<T> &q, const Weights<T> &w, Factors<T> &f) {
  const Sizes &z = q.size;
  const T infinite = __builtin_inf();
  for (int i : each_entry(z.given())) f.weight[i] = w.w[i];
  for (int s : each_entry(z.slacks()))
    f.slack_weight[s] = select(w.held[z.core + s], infinite, w.rho * w.theta + w.w[z.given() + s]);
  for (int s : each_entry(z.singles())) {
    T &row = f.weight[z.row_of(s)];
    const T both = T(1.0) / (T(1.0) / row + T(1.0) / f.slack_weight[s]);
    row = select(w.held[z.core + s], row, both);
  }
  const T *t = f.slack_weight + z.singles(), *u = t + z.pairs();
  for (int i : each_entry(z.k)) {
    f.eq_weight[i] = z.pairs() ? T(1.0) / (T(1.0) / t[i] + T(1.0) / u[i]) : infinite;
    f.eq_theta[i] = min(w.theta, f.eq_weight[i] / T(2.0));
  }
}

// f.stretch, and f.right: the diagonal of S; empty places have 1.
template <class T>
void weigh_border(const Problem<T> &q, const Weights<T> &w, Factors<T> &f) {
  const int k = q.size.k, r = f.border;
  for (int i : each_entry(r)) f.stretch[i] = f.right[i] = 1.0;
  for (int i : each_entry(k)) {
    const T theta = q.separable ? T(0.0) : f.eq_theta[i];  // what H has of A'A
    f.stretch[i] = T(1.0) / (T(1.0) - theta / f.eq_weight[i]);
    f.right[i] = w.delta / w.theta + T(1.0) / (f.eq_weight[i] - theta);
  }
  for (int i : each_entry(r > k ? q.size.m : 0)) {
    if (!any(f.stiff[i])) continue;
    const T stretch = T(1.0) / (T(1.0) - w.theta / f.weight[i]);
    const T diagonal = w.delta / w.theta + T(1.0) / (f.weight[i] - w.theta);
    for (int l = 0; l < Lanes<T>::count; l++) {
      if (!lane(f.stiff[i], l)) continue;
      const int place = f.place[i * Lanes<T>::count + l];
      set_lane(f.stretch[place], l, lane(stretch, l)),
          set_lane(f.right[place], l, lane(diagonal, l));
    }
  }
}

// Decide which rows of G are condensed into H, with which weights, and which form the border: if
// `careful`, those of weight above STIFF.
template <class T>
KKTDIFF_APART void choose_border(const Problem<T> &q, const Weights<T> &w, bool careful,
                                 Factors<T> &f) {
  eliminate_slacks(q, w, f);
  if (q.sparse) take_out(q, w, f);
  Mask<T> stiff = mask<T>(false), some = mask<T>(false);
  for (int i : each_entry(q.size.m)) {
    f.stiff[i] = (f.weight[i] > T(STIFF) * w.theta) & mask<T>(careful && !q.sparse);
    stiff = stiff | f.stiff[i];
    f.condensed[i] = select(f.stiff[i], w.theta, f.weight[i]);
  }
  for (int i : each_entry(q.size.m, q.size.rows())) some = some | (w.w[i] == T(__builtin_inf()));
  f.holds = any(any_of_all(some));
  place_stiff_rows(q, any(any_of_all(stiff)), f);
  weigh_border(q, w, f);
}

// f.V = B'; empty places are zero.
template <class T>
void fill_border(const Problem<T> &q, const Weights<T> &w, Factors<T> &f) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const int r = f.border;
  for (int j : each_row(core)) {
    for (int i : each_column(k)) f.V[j * r + i] = q.A[i * core + j];
    for (int i : each_column(k, r)) f.V[j * r + i] = 0.0;
  }
  for (int i : each_row(r > k ? m : 0))
    if (any(f.stiff[i]))
      for (int l = 0; l < Lanes<T>::count; l++)
        if (lane(f.stiff[i], l)) {
          const int place = f.place[i * Lanes<T>::count + l];
          for (int j : each_column(core))
            set_lane(f.V[j * r + place], l, lane(q.G[i * core + j], l));
        }
  for (int j : each_row(core))
    if (any(w.held[j]))
      for (int i : each_column(r)) f.V[j * r + i] = select(w.held[j], T(0.0), f.V[j * r + i]);
}

// Factor the system.
template <class T>
KKTDIFF_APART void factor(const Problem<T> &q, const Weights<T> &w, bool careful, Factors<T> &f) {
  const int n = q.size.core;
  choose_border(q, w, careful, f);
  if (q.sparse) return factor_sparse(q, w, f);
  q.separable ? factor_diagonal_H(q, w, f) : factor_H(q, w, f);
  fill_border(q, w, f);
  const int r = f.border;
  for (int i : each_entry(r * r)) f.S[i] = 0.0;
  for (int i : each_entry(r)) f.S[i * r + i] = f.right[i];
  if (q.separable)
    for (int j : each_row(n))
      for (int i : each_column(r)) f.V[j * r + i] = f.L[j] * f.V[j * r + i];
  else
    forward(n, f.L, r, f.V, f.work);
  add_gram(n, r, f.V, static_cast<T *>(nullptr), f.work, f.S);
  f.border_pivots = cholesky(r, f.S, f.work);
  f.pivots.ok = f.pivots.ok & f.border_pivots.ok;
}

// Have the factors of one problem in the memory of `derive`: L, V, S or L, D of a sparse one, then
// the range of H's pivots.
inline void place_factors(double *memory, Sizes z, const Entries *sparse, Factors<double> &f) {
  const long long n = z.core, r = z.k + z.m;
  f.L = memory;
  if (sparse) {
    f.D = memory + sparse->L, f.kept = f.D + sparse->order;  // and the proximal terms
    return;
  }
  f.V = f.L + n * n, f.S = f.V + n * r, f.kept = f.S + r * r;
}

template <class T>
Mask<T> small_pivots(T low, T high) {
  return low <= T(SINGULAR) * high;
}

// Where a pivot is no larger than what the proximal terms leave.
template <class T>
Mask<T> is_singular(const Problem<T> &q, T theta, Factors<T> &f) {
  const int k = q.size.k, r = f.border;
  if (q.sparse) return is_singular_sparse(q, theta, f);
  T low = __builtin_inf(), high = 0.0;
  for (int i : each_share(r)) {
    const T pivot = T(1.0) / (f.S[i * r + i] * f.S[i * r + i]);
    const Mask<T> met = i < k ? f.eq_weight[i] == T(__builtin_inf()) : mask<T>(true);
    const Mask<T> used = met & (T(double(i - k)) < f.places);
    low = select(used, min(pivot, low), low), high = select(used, max(pivot, high), high);
  }
  low = min_of_all(low), high = max_of_all(high);
  return small_pivots(f.pivots.low, f.pivots.high) | (small_pivots(low, high) & (high > 0.0));
}

}  // namespace
}  // namespace kktdiff
