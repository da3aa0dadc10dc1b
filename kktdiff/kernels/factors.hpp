// The records of the KKT system: weights, right-hand sides, and factors.
#pragma once
#include "constants.hpp"
#include "problem.hpp"

namespace kktdiff {
namespace {

// The least proximal terms of sparse systems in each stage: small ones bend a well-posed problem
// less, large ones keep the pivots of a degenerate one away from rounding.
constexpr double SPARSE_PROXIMALS[] = {SPARSE_PROXIMAL, 1e-8, 1e-9, 1e-10, 1e-8};

template <class T>
struct Weights {
  T *w;           // (M): lam/s, 0 for a row that takes no part, inf for an equality
  Mask<T> *held;  // (n): variables that an active bound, not violated, or a fixed value holds
  T theta, rho, delta;
  T large;  // multipliers, in their unit, at least 1: lowers the delta of a sparse system

  Weights(Arena &a, Sizes z) { w = a.take<T>(z.rows()), held = a.take<Mask<T>>(z.n); }
};

// Where an active row of C holds, its slack being zero.
template <class T>
Mask<T> holds(const Problem<T> &q, const Mask<T> *active, int i) {
  const int slack = q.size.slack_of(i);
  if (slack < 0) return active[i];
  return active[i] & (q.fixed[q.size.core + slack] | active[q.size.given() + slack]);
}

template <class T>
struct Rhs {
  T *x, *c, *nu;  // (n), (M), (k)

  Rhs(Arena &a, Sizes z) { x = a.take<T>(z.n), c = a.take<T>(z.rows()), nu = a.take<T>(z.k); }
};

// What products take of the memory of each thread.
KKTDIFF_INLINE long long panel_entries(Sizes z) { return panel_entries(z.core + z.m + z.k); }

template <class T>
struct Factors {
  T *L, *S, *V;           // (core, core); (r, r); (core, r): L^-1 B'
  T *weight, *eq_weight;  // (M) without slacks, (k): of the rows, their slacks eliminated
  T *slack_weight;        // (slacks): of the slacks alone; inf where held
  T *eq_theta;            // (k): weights of the rows of A in H
  T *condensed;           // (m): weights of the rows of G in H
  T *stretch;             // (r): 1/(1 - theta/w)
  Mask<T> *stiff;         // (m): the rows of G in the border
  int *place;             // (m, lanes): their places, counted from k
  int border;             // r, the largest of all lanes
  bool holds;             // an active bound holds a variable, in some lane
  Pivots<T> pivots;       // of H; ok: of both
  Pivots<T> border_pivots;
  T places;                // of stiff rows, in each lane
  double *kept = nullptr;  // range of H's pivots, beside factors that are kept
  Work<T> work;            // panel: (n + m + k, PANEL), and a vector more; see factor_ldl
  T *moved, *shift, *g, *right, *c, *rows, *nu;  // workspace of a solve: (n) x 3, (r), (M) x 2, (k)
  T *limit;      // (M) without slacks, (k): the limits of rows with slacks
  T *D, *K;      // of a sparse system: (order), inverse pivots; (given), its triangle
  T *unknowns;   // (order)
  Mask<T> *out;  // (order): unknowns that are taken out
  double proximal = SPARSE_PROXIMAL;  // of a sparse system, at least, rho and delta

  Factors(Arena &a, Sizes z, const Entries *sparse = nullptr) {
    const long long r = z.k + z.m, border = sparse ? 0 : r;
    const Entries e = entries_of(z, sparse);
    L = a.take_square<T>(e.L);
    S = a.take_slow<T>(border * border), V = a.take_slow<T>(border * z.core);
    D = a.take_slow<T>(e.order), K = a.take_slow<T>(e.given);
    unknowns = a.take_slow<T>(e.order), out = a.take_slow<Mask<T>>(e.order);
    weight = a.take<T>(z.given()), slack_weight = a.take<T>(z.slacks());
    eq_weight = a.take<T>(z.k), eq_theta = a.take<T>(z.k), limit = a.take<T>(z.given() + z.k);
    condensed = a.take<T>(z.m), stretch = a.take<T>(r), stiff = a.take<Mask<T>>(z.m);
    place = a.take<int>((long long)z.m * Lanes<T>::count),
    work = {a.take<T>(panel_entries(z) + (sparse ? LDL_COLUMNS * PANEL : 0))};
    moved = a.take<T>(z.n), shift = a.take<T>(z.n), g = a.take<T>(z.n), right = a.take<T>(r),
    c = a.take<T>(z.rows());
    rows = a.take<T>(z.rows()), nu = a.take<T>(z.k);
  }
};

}  // namespace
}  // namespace kktdiff
