// The factorization L D L' of ldl.hpp by a team of a CUDA device, level by level.
//
// Columns of one level of the elimination tree need those of the levels before, and follow each
// other in the order of elimination. Each entry of a level is a sum over pairs of entries left of
// it, done by one thread, or by a warp where sums are long; no other touches it before the level's
// end.
#pragma once
#include "loops.hpp"

namespace kktdiff {
namespace {

struct LdlPattern {
  int size, given, entries;       // rows; entries of the triangle, and of L, without diagonals
  int levels;                     // of the elimination tree
  const int *order, *place;       // (size): rows in the order of elimination, and their places
  const int *level;               // (levels + 1): the columns of each level
  const int *start, *below;       // (size + 1), (entries): L by columns
  const int *column, *source;     // (entries): column, and the entry of the triangle, or -1
  const int *left, *at;           // (size + 1), (entries): L by rows; where they stand in columns
  const int *pair, *one, *other;  // (entries + 1), (pairs) x 2: whose products are taken from each
};

constexpr int LDL_COUNTS = 2;  // that `read_factor` takes

// Read the pattern of a factor; its size, given and entries are known. See _sparse/levels.py.
inline void read_factor(const int *counts, const int *from, LdlPattern &s) {
  const int pairs = counts[1];
  const auto take = [&](int count) { return from += count, from - count; };
  s.levels = counts[0];
  s.order = take(s.size), s.place = take(s.size), s.level = take(s.levels + 1);
  s.start = take(s.size + 1), s.below = take(s.entries), s.column = take(s.entries);
  s.source = take(s.entries), s.left = take(s.size + 1), s.at = take(s.entries);
  s.pair = take(s.entries + 1), s.one = take(pairs), s.other = take(pairs);
}

constexpr int LDL_COLUMNS = 0;  // of a panel: there are none
constexpr int LONG_SUM = 8;     // terms, on average, from which on a warp shares a sum

// Do put(i, sum of the terms starts[i] to starts[i + 1] - 1) for each i, before the team meets;
// term: a term added to a sum
template <class Term, class Put>
KKTDIFF_INLINE void each_sum(int first, int last, const int *starts, Term term, Put put) {
  if (starts[last] - starts[first] <= LONG_SUM * (last - first)) {
    for (int i : each_share(first, last)) {
      double sum = 0.0;
      for (int t = starts[i]; t < starts[i + 1]; t++) sum = term(t, sum);
      put(i, sum);
    }
    return;
  }
  for (int row : each_share_of_rows(last - first)) {
    const int i = first + row;
    double sum = 0.0;
    for (int t : each_column(starts[i], starts[i + 1])) sum = term(t, sum);
    sum = sum_of_row(sum);
    if (leads_row()) put(i, sum);
  }
}

// Factor; return if each pivot has its sign, + for the first `positive` rows: where it has not, it
// becomes `least` of that sign. K: (given); pivot: (size), the diagonal, becomes 1/D; L: (entries),
// L D until the end
KKTDIFF_APART bool factor_ldl(const LdlPattern &s, int positive, double least, const double *K,
                              double *pivot, double *L, double *, double *) {
  bool ok = true;
  for (int l = 0; l < s.levels; l++) {
    const int first = s.level[l], last = s.level[l + 1];
    each_sum(
        s.start[first], s.start[last], s.pair,
        [&](int t, double sum) {
          const int one = s.one[t];
          return fma(L[one] * pivot[s.column[one]], L[s.other[t]], sum);
        },
        [&](int e, double sum) { L[e] = (s.source[e] < 0 ? 0.0 : K[s.source[e]]) - sum; });
    each_sum(
        first, last, s.left,
        [&](int t, double sum) {
          const double own = L[s.at[t]];
          return fma(own * pivot[s.column[s.at[t]]], own, sum);
        },
        [&](int k, double sum) {
          const double sign = s.order[k] < positive ? 1.0 : -1.0, own = pivot[k] - sum;
          const bool good = sign * own > 0.0;
          ok = ok & good;
          pivot[k] = 1.0 / (good ? own : sign * least);
        });
    meet();
  }
  for (int e : each_share(s.entries)) L[e] = L[e] * pivot[s.column[e]];
  return all_of_all(ok);
}

// v, (size), in the order of elimination, becomes (L D L')^-1 v.
KKTDIFF_APART void solve_ldl(const LdlPattern &s, const double *pivot, const double *L, double *,
                             double *v) {
  for (int l = 1; l < s.levels; l++) {
    each_sum(
        s.level[l], s.level[l + 1], s.left,
        [&](int t, double sum) { return fma(L[s.at[t]], v[s.column[s.at[t]]], sum); },
        [&](int i, double sum) { v[i] = v[i] - sum; });
    meet();
  }
  for (int l = s.levels - 1; l >= 0; l--) {
    each_sum(
        s.level[l], s.level[l + 1], s.start,
        [&](int e, double sum) { return fma(L[e], v[s.below[e]], sum); },
        [&](int i, double sum) { v[i] = fma(v[i], pivot[i], -sum); });
    meet();
  }
}

}  // namespace
}  // namespace kktdiff
