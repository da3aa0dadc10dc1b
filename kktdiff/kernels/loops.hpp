// Loops over vectors and matrices: by one thread on a processor, by TEAM threads on a CUDA device.
//
//     T sum = 0.0;
//     for (int i : each_entry(n)) sum = fma(a[i], b[i], sum);
//     return sum_of_all(sum);
//
// On a device the threads of a problem, its team, take the entries in turn, and meet at the end of
// the loop: what one has written there the others see after it. So a pass of a loop may read what
// other passes read, and write what no other pass touches; and a number that all passes change is,
// after the loop, only this thread's share, until `sum_of_all` and the like put the shares
// together. All threads take every branch outside of the loops alike. Loops are not nested, but for
// each_column in each_row: of a matrix, a warp takes a row.
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
  int count;
  KKTDIFF_MEMBER At begin() const { return {0}; }
  KKTDIFF_MEMBER At end() const { return {count}; }
};

KKTDIFF_INLINE Range each_entry(int count) { return {count}; }
KKTDIFF_INLINE Range each_row(int count) { return {count}; }
KKTDIFF_INLINE Range each_column(int count) { return {count}; }

// Put the shares of the team's threads together: numbers, or masks of `any_of_all`, `all_of_all`.
template <class T>
KKTDIFF_INLINE T sum_of_all(T share) {
  return share;
}
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

#endif

}  // namespace
}  // namespace kktdiff
