// L D L' of a symmetric matrix whose pivots have known signs, on a pattern found before.
//
// Such a matrix, quasi-definite, has this factorization in any order (Vanderbei 1995): the order
// is chosen for the sake of few entries, once for a pattern. Where the factor fills up all the
// same, it is computed by panels of columns. On a device see device_ldl.hpp.
#pragma once
#include "dense.hpp"
#include "loops.hpp"

namespace kktdiff {
namespace {

constexpr int LDL_COLUMNS = 96;  // of a panel, at most: see analysis.cpp

struct LdlPattern {
  int size, given, entries;  // rows; entries of the upper triangle, without the diagonal; of L
  int panels;                // 0: each column is one of its own, and `first` and `entry` are null
  const int *order, *place;  // (size): rows in the order of elimination, and their places
  const int *top, *row;      // (size + 1), (given): the upper triangle by columns, permuted; or
                             // (panels + 1), (given): the triangle by panels, and its places in L
  // (panels + 1): the columns of each panel; its entries in L
  const int *first, *entry;
  // (size or panels + 1), (rows): the rows below each column or panel
  const int *start, *below;
  // (size or panels + 1): the columns or panels with rows among those of each one
  const int *left;
  const int *from, *at;  // (pairs) x 2: these, and their first such row in `below`
};

constexpr int LDL_COUNTS = 3;  // that `read_factor` takes

// Read the pattern of a factor; its size, given and entries are known. See _sparse/structure.py.
inline void read_factor(const int *counts, const int *from, LdlPattern &s) {
  const int rows = counts[1], pairs = counts[2], parts = counts[0] ? counts[0] : s.size;
  const auto take = [&](int count) { return from += count, from - count; };
  s.panels = counts[0], s.top = take(parts + 1), s.row = take(s.given);
  s.place = take(s.size), s.order = take(s.size);
  if (s.panels) s.first = take(s.panels + 1), s.entry = take(s.panels + 1);
  s.start = take(parts + 1), s.below = take(rows), s.left = take(parts + 1);
  s.from = take(pairs), s.at = take(pairs);
}

}  // namespace
}  // namespace kktdiff

#include "ldl_panels.hpp"

namespace kktdiff {
namespace {

// Factor row by row; return where each pivot has its sign, + for the first `positive` rows: where
// it has not, it becomes `least` of that sign. K: (given); pivot: (size), the diagonal, becomes
// 1/D; L: (entries); work: (size); panel: (size + LDL_COLUMNS, PANEL), and a vector more
template <class T>
Mask<T> factor_ldl(const LdlPattern &s, int positive, T least, const T *K, T *pivot, T *L, T *work,
                   T *panel) {
  if (s.panels) return factor_panels(s, positive, least, K, pivot, L, work, panel);
  for (int i : each_entry(s.size)) work[i] = 0.0;
  Mask<T> ok = mask<T>(true);
  for (int k = 0; k < s.size; k++) {
    for (int e = s.top[k]; e < s.top[k + 1]; e++) work[s.row[e]] = K[e];
    T own = pivot[k];
    for (int q = s.left[k]; q < s.left[k + 1]; q++) {
      const int i = s.from[q], first = s.start[i], last = s.at[q];
      const T value = work[i];
      for (int t : each_entry(last - first)) {
        T &other = work[s.below[first + t]];
        other = fma(-L[first + t], value, other);
      }
      const T entry = value * pivot[i];
      work[i] = 0.0, L[last] = entry;
      own = fma(-entry, value, own);
    }
    const T sign = s.order[k] < positive ? 1.0 : -1.0;
    const Mask<T> good = sign * own > T(0.0);
    ok = ok & good;
    pivot[k] = T(1.0) / select(good, own, sign * least);
  }
  return ok;
}

// v, (size), in the order of elimination, becomes (L D L')^-1 v. panel: as in factor_ldl
template <class T>
void solve_ldl(const LdlPattern &s, const T *pivot, const T *L, T *panel, T *v) {
  if (s.panels) return solve_panels(s, pivot, L, panel, v);
  for (int i = 0; i < s.size; i++) {
    const T own = v[i];
    const int first = s.start[i];
    for (int t : each_entry(s.start[i + 1] - first)) {
      T &other = v[s.below[first + t]];
      other = fma(-L[first + t], own, other);
    }
  }
  for (int i = s.size - 1; i >= 0; i--) {
    T sum = 0.0;
    const int first = s.start[i];
    for (int t : each_entry(s.start[i + 1] - first))
      sum = fma(L[first + t], v[s.below[first + t]], sum);
    v[i] = fma(v[i], pivot[i], -sum_of_all(sum));
  }
}

}  // namespace
}  // namespace kktdiff
