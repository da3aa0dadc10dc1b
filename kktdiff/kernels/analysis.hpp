// Which entries a sparse L D L' factorization fills, in an order that keeps its entries few.
#pragma once
#include <cstdint>
#include <vector>

namespace kktdiff {

// The pattern of a factor L of the permuted matrix. Where it fills up, columns next to each other
// whose entries below them stand in the same rows, or nearly so, are panels: else each column is
// one of its own, and `first` and `entry` are empty.
struct Analysis {
  std::vector<std::int32_t> order;         // (size): row order[i] is eliminated as the i-th
  std::vector<std::int32_t> first, entry;  // (panels + 1) x 2: columns of each panel, entries in L
  std::vector<std::int32_t> start, below;  // (panels + 1), (rows): the rows below each one
  std::vector<std::int32_t> left;          // (panels + 1): panels with rows among its columns
  std::vector<std::int32_t> from, at;  // (pairs) x 2: these, and their first such row in `below`
};

// Order rows and columns by approximate minimum degree. start, (size + 1), and index: the columns
// of a symmetric pattern, both triangles, without the diagonal.
std::vector<std::int32_t> minimum_degree(int size, const std::int32_t *start,
                                         const std::int32_t *index);

// Order a symmetric pattern, and find that of its factor, in panels if that is faster and `panels`
// is true; throw std::bad_alloc where it has 2^31 entries or more.
Analysis analyse(int size, const std::int32_t *start, const std::int32_t *index, bool panels);

}  // namespace kktdiff
