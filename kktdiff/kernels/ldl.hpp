// L D L' of a symmetric matrix whose pivots have known signs, on a pattern found before.
//
// Such a matrix, quasi-definite, has this factorization in any order (Vanderbei 1995): the order
// is chosen for the sake of few entries, once for a pattern.
#pragma once
#include "loops.hpp"
#include "pack.hpp"

namespace kktdiff {
namespace {

struct LdlPattern {
  int size, given, entries;     // rows; entries of the upper triangle, of L, without diagonals
  const int *order, *place;     // (size): rows in the order of elimination, and their places
  const int *top, *row;         // (size + 1), (given): the upper triangle by columns, permuted
  const int *start, *below;     // (size + 1), (entries): L by columns
  const int *left, *from, *at;  // (size + 1), (entries) x 2: L by rows; where they stand in columns
};

// Factor row by row; return where each pivot has its sign, + for the first `positive` rows: where
// it has not, it becomes `least` of that sign. K: (given); pivot: (size), the diagonal, becomes
// 1/D; L: (entries); work: (size)
template <class T>
Mask<T> factor_ldl(const LdlPattern &s, int positive, T least, const T *K, T *pivot, T *L,
                   T *work) {
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

// v, (size), in the order of elimination, becomes (L D L')^-1 v.
template <class T>
void solve_ldl(const LdlPattern &s, const T *pivot, const T *L, T *v) {
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
