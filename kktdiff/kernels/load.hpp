// The caller's data: which rows are present, which variables fixed, and what is sound.
//
// The rules are those of _problem.py, which looks again at problems that are not sound here.
#pragma once
#include "problem.hpp"

namespace kktdiff {
namespace {

// Replace Q by (Q + Q')/2, and leave what is symmetric alone; by blocks, for the sake of the cache.
template <class T>
KKTDIFF_APART void symmetrize(int n, Team *team, T *Q) {
  constexpr int SQUARE = ON_DEVICE ? 1 : 8;
  split(Work<T>{nullptr, team}, n, is_large(n, n), SQUARE, 4, [=](int top, int last, T *) {
    for (; top < last; top += SQUARE)
      for (int square : each_column(top / SQUARE + 1)) {
        const int left = square * SQUARE;
        for (int i = top; i < n && i < top + SQUARE; i++)
          for (int j = left; j < i && j < left + SQUARE; j++) {
            const T a = Q[i * n + j], b = Q[j * n + i];
            Q[i * n + j] = Q[j * n + i] = select(a == b, a, (a + b) / T(2.0));
          }
      }
  });
}

// Return where all entries are numbers below a limit in size.
template <class T>
KKTDIFF_APART Mask<T> is_below(int count, const T *values, double limit) {
  Mask<T> out = mask<T>(true);
  for (int i : each_share(count)) out = out & (abs(values[i]) < T(limit));
  return all_of_all(out);
}

// Find the slacks that are fixed: those of hard rows. p: the prices of the slacks
template <class T>
void find_hard_rows(Problem<T> &q) {
  for (int j : each_entry(q.size.core, q.size.n)) {
    q.fixed[j] = q.p[j] >= T(INFINITE), q.value[j] = 0.0;
    q.p[j] = select(q.fixed[j], T(0.0), q.p[j]);
  }
}

// Where row i of C may not be violated.
template <class T>
Mask<T> is_hard(const Problem<T> &q, int i) {
  const int slack = q.size.slack_of(i);
  return slack < 0 ? mask<T>(true) : q.fixed[q.size.core + slack];
}

// The bounds of the slacks; those of absent rows are fixed.
template <class T>
void bound_slacks(Problem<T> &q) {
  const Sizes &z = q.size;
  for (int s : each_entry(z.slacks())) {
    Mask<T> &fixed = q.fixed[z.core + s];
    if (s < z.singles()) fixed = fixed | !q.present[z.row_of(s)];
    q.p[z.core + s] = select(fixed, T(0.0), q.p[z.core + s]);
    q.present[z.given() + s] = !fixed, q.d[z.given() + s] = 0.0;
  }
}

// Find the variables whose bounds meet up to rounding, or cross by as little as constraints may;
// return where no bounds cross. d: (h, -lb, ub)
template <class T>
Mask<T> find_fixed(Problem<T> &q) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  Mask<T> uncrossed = mask<T>(true);
  for (int j : each_share(core)) {
    q.fixed[j] = mask<T>(false), q.value[j] = 0.0;
    if (!lower || !upper) continue;
    const T lb = -q.d[m + j], ub = q.d[m + lower + j];
    const Mask<T> hard = is_hard(q, m + j) & is_hard(q, m + lower + j);
    const Mask<T> finite = hard & (abs(lb) < T(INFINITE)) & (abs(ub) < T(INFINITE));
    const T size = max(abs(lb), abs(ub)), gap = lb - ub;
    q.fixed[j] = finite & (gap >= -T(ROUNDING) * size) & (gap <= T(CONTRADICTION) * (size + 1.0));
    q.value[j] = select(q.fixed[j], select(gap == T(0.0), lb, lb / T(2.0) + ub / T(2.0)), T(0.0));
    uncrossed = uncrossed & ((lb <= ub) | !hard);
  }
  return all_of_all(uncrossed);
}

// Prepare the problems whose data stand in `q`, with (h, -lb, ub) in d and the prices of the slacks
// in p; return those that are sound.
template <class T>
KKTDIFF_APART Mask<T> find_limits(Problem<T> &q) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  find_hard_rows(q);
  Mask<T> sound = is_below(q.entries_of_Q(), q.Q, __builtin_inf()) &
                  is_below(n, q.p, __builtin_inf()) &
                  is_below(q.of_G().entries(), q.G, __builtin_inf()) &
                  is_below(q.of_A().entries(), q.A, __builtin_inf()) & is_below(k, q.b, INFINITE);
  sound = sound & find_fixed(q);
  for (int i : each_entry(q.size.given())) {
    sound = sound & (q.d[i] > -T(INFINITE));
    q.present[i] = q.d[i] < T(INFINITE);
  }
  sound = all_of_all(sound);
  for (int j : each_entry(lower && upper ? core : 0)) {
    q.present[m + j] = q.present[m + j] & !q.fixed[j];
    q.present[m + lower + j] = q.present[m + lower + j] & !q.fixed[j];
  }
  for (int i : each_entry(q.size.given())) q.d[i] = select(q.present[i], q.d[i], T(0.0));
  bound_slacks(q);
  return sound;
}

template <class T>
KKTDIFF_APART void clear(int count, Mask<T> where, T *values) {
  for (int i : each_entry(count)) values[i] = select(where, T(0.0), values[i]);
}

// Put a problem without data in the place of those `where` something is wrong.
template <class T>
KKTDIFF_APART void clear(Problem<T> &q, Mask<T> where) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  if (!any(where)) return;
  clear(q.entries_of_Q(), where, q.Q), clear(n, where, q.p), clear(q.of_G().entries(), where, q.G);
  clear(q.of_A().entries(), where, q.A), clear(k, where, q.b), clear(q.size.rows(), where, q.d);
  clear(n, where, q.value);
  for (int i : each_entry(q.size.rows())) q.present[i] = q.present[i] & !where;
  for (int j : each_entry(core)) q.fixed[j] = q.fixed[j] & !where;
  for (int j : each_entry(core, n)) q.fixed[j] = q.fixed[j] | where;
}

}  // namespace
}  // namespace kktdiff
