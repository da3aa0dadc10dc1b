// Loops over vectors and matrices: by one thread on a processor, by TEAM threads on a CUDA device.
//
//     for (int i : each_entry(n)) c[i] = a[i] * b[i];
//     T sum = share_of_sum<T>(n, [&](int i, T sum) { return sum + c[i]; });
//     return sum_of_all(sum);
//
// On a device the threads of a problem, its team, take the entries in turn, and meet at the end of
// the loop: what one has written there the others see after it. So a pass of a loop may read what
// other passes read, and write what no other pass touches; and a number that all passes change is,
// after the loop, only this thread's share, until `sum_of_all` and the like put the shares
// together. `each_share` is each_entry where such a sum comes next, which is a meeting of its own.
//
// All threads take every branch outside of the loops alike. They have one record of a problem in
// common, where each writes the same numbers: none that one may have changed is read again before
// they have met, and no share is kept there. Loops are not nested, but for each_column in each_row:
// of a matrix, a warp takes a row.
#pragma once
#include "pack.hpp"

namespace kktdiff {
namespace {

#if defined(__CUDACC__)
#include "device_loops.hpp"
#else

struct Range {
  struct At {
    int i;
    KKTDIFF_MEMBER int operator*() const { return i; }
    KKTDIFF_MEMBER bool operator!=(At other) const { return i < other.i; }
    KKTDIFF_MEMBER void operator++() { ++i; }
  };
  int first, last;
  KKTDIFF_MEMBER At begin() const { return {first}; }
  KKTDIFF_MEMBER At end() const { return {last}; }
};

constexpr bool ON_DEVICE = false;

KKTDIFF_INLINE Range each_entry(int first, int last) { return {first, last}; }
KKTDIFF_INLINE Range each_share(int first, int last) { return {first, last}; }
KKTDIFF_INLINE Range each_row(int count) { return {0, count}; }
KKTDIFF_INLINE Range each_column(int first, int last) { return {first, last}; }

// Put the shares of the team's threads together: numbers, or masks of `any_of_all`, `all_of_all`.
template <class T>
KKTDIFF_INLINE T sum_of_all(T share) {
  return share;
}
template <int N, class T>
KKTDIFF_INLINE void sums_of_all(T (&)[N]) {}
template <class T>
KKTDIFF_INLINE T max_of_all(T share) {
  return share;
}
template <class T>
KKTDIFF_INLINE T min_of_all(T share) {
  return share;
}
template <class M>
KKTDIFF_INLINE M any_of_all(M share) {
  return share;
}
template <class M>
KKTDIFF_INLINE M all_of_all(M share) {
  return share;
}

// The same after each_column, among the threads that share the row.
template <class T>
KKTDIFF_INLINE T sum_of_row(T share) {
  return share;
}
template <class T>
KKTDIFF_INLINE T max_of_row(T share) {
  return share;
}
template <class M>
KKTDIFF_INLINE M any_of_row(M share) {
  return share;
}

// True for one of the threads that share a row: who changes what the others have read.
KKTDIFF_INLINE bool leads_row() { return true; }

// Go through n entries in PARTS parts, each with a number of its own: one number alone would have
// each entry wait for the one before. next(i, number): what it becomes with entry i
constexpr int PARTS = 8;
template <class T, class F>
KKTDIFF_INLINE void in_parts(int n, T (&part)[PARTS], F next) {
  int i = 0;
  for (; i <= n - PARTS; i += PARTS) {
  KKTDIFF_UNROLL for (int l = 0; l < PARTS; l++) part[l] = next(i + l, part[l]);
  }
  KKTDIFF_UNROLL for (int l = 0; l < PARTS - 1; l++)
    if (i + l < n) part[l] = next(i + l, part[l]);
}

// This thread's share of a sum over entries: next(i, sum), the sum with that of entry i. A few
// entries take less code, and give the same bits: zeros at the end never change any.
template <class T, class F>
KKTDIFF_INLINE T share_of_sum(int n, F next) {
  T sum = 0.0;
  if (n < PARTS) {
    for (int i = 0; i < n; i++) sum = sum + next(i, T(0.0));
    return sum;
  }
  T part[PARTS] = {};
  in_parts(n, part, next);
  KKTDIFF_UNROLL for (int l = 0; l < PARTS; l++) sum = sum + part[l];
  return sum;
}

// This thread's share of the largest value(i), at least `least`.
template <class T, class F>
KKTDIFF_INLINE T share_of_max(int n, T least, F value) {
  const auto next = [&](int i, T most) { return max(value(i), most); };
  if (n < PARTS) {
    for (int i = 0; i < n; i++) least = next(i, least);
    return least;
  }
  T part[PARTS];
  KKTDIFF_UNROLL for (int l = 0; l < PARTS; l++) part[l] = least;
  in_parts(n, part, next);
  KKTDIFF_UNROLL for (int l = 1; l < PARTS; l++) part[0] = max(part[l], part[0]);
  return part[0];
}

// Do f(first, last) for columns of a matrix: for all of them, or on a device for each by a thread
// of its own. The rows are for f to go through.
template <class F>
KKTDIFF_INLINE void in_columns(int count, F f) {
  f(0, count);
}

#endif

KKTDIFF_INLINE auto each_entry(int count) { return each_entry(0, count); }
KKTDIFF_INLINE auto each_share(int count) { return each_share(0, count); }
KKTDIFF_INLINE auto each_column(int count) { return each_column(0, count); }

}  // namespace
}  // namespace kktdiff
