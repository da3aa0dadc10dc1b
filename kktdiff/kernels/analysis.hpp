// Which entries a sparse L D L' factorization fills, in an order that keeps them few.
#pragma once
#include <cstdint>
#include <vector>

namespace kktdiff {

// The pattern of a factor L of the permuted matrix, without its unit diagonal.
struct Analysis {
  std::vector<std::int32_t> order;         // (size): row order[i] is eliminated as the i-th
  std::vector<std::int32_t> start, below;  // (size + 1), (entries): rows of each column's entries
  std::vector<std::int32_t> left, from;    // (size + 1), (entries): columns of each row's entries
  std::vector<std::int32_t> at;            // (entries): where these stand among the columns'
};

// Order rows and columns by approximate minimum degree. start, (size + 1), and index: the columns
// of a symmetric pattern, both triangles, without the diagonal.
std::vector<std::int32_t> minimum_degree(int size, const std::int32_t *start,
                                         const std::int32_t *index);

// Order a symmetric pattern, and find the pattern of its factor.
Analysis analyse(int size, const std::int32_t *start, const std::int32_t *index);

}  // namespace kktdiff
