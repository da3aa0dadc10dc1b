// The sizes of a problem; see problem.hpp.
#pragma once
#include "matrix.hpp"

namespace kktdiff {
namespace {

enum Side { SOFT_H = 1, SOFT_LB = 2, SOFT_UB = 4, SOFT_B = 8 };

struct Sizes {
  int n, m, k, lower, upper;  // lower, upper: rows of the bounds, 0 or core each
  int core;                   // variables that matrices have columns for; the others are slacks
  int soft;                   // the sides that have prices, of Side
  int given() const { return m + lower + upper; }  // rows of C without those of the slacks
  int rows() const { return given() + slacks(); }
  int slacks() const { return n - core; }
  int pairs() const { return soft & SOFT_B ? k : 0; }
  int singles() const { return slacks() - 2 * pairs(); }  // slacks of rows of C
  int slack_of_lower() const { return soft & SOFT_H ? m : 0; }
  int slack_of_upper() const { return slack_of_lower() + (soft & SOFT_LB ? lower : 0); }

  // The row of C in which a single slack stands.
  int row_of(int slack) const {
    if (slack < slack_of_lower()) return slack;
    return slack < slack_of_upper() ? m + slack - slack_of_lower()
                                    : m + lower + slack - slack_of_upper();
  }
  // The slack of a row of C, or -1.
  int slack_of(int row) const {
    if (row < m) return soft & SOFT_H ? row : -1;
    if (row < m + lower) return soft & SOFT_LB ? slack_of_lower() + row - m : -1;
    return soft & SOFT_UB ? slack_of_upper() + row - m - lower : -1;
  }
};

// Sizes from n, m, k, rows of lower and of upper bounds, and the soft sides.
inline Sizes with_slacks(int core, int m, int k, int lower, int upper, int soft) {
  const int slacks = (soft & SOFT_H ? m : 0) + (soft & SOFT_LB ? lower : 0) +
                     (soft & SOFT_UB ? upper : 0) + (soft & SOFT_B ? 2 * k : 0);
  return {core + slacks, m, k, lower, upper, core, soft};
}

// Entries of the matrices and of their factor, and the order of the system where that is sparse.
struct Entries {
  long long Q, G, A, L;
  long long given = 0;  // of the system's triangle, without its diagonal
  int order = 0;        // 0: dense
};

// Those that are given, or those of dense matrices.
inline Entries entries_of(Sizes z, const Entries *sparse) {
  const long long core = z.core;
  return sparse ? *sparse : Entries{core * core, z.m * core, z.k * core, core * core};
}

}  // namespace
}  // namespace kktdiff
