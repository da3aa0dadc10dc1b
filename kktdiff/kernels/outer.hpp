// a b' + c d' for each element: what the gradients of Q, G and A are made of.
#pragma once
#include "call.hpp"

namespace kktdiff {
namespace {

// Rounded product by product, so that the result is symmetric to the bit if c is b and d is a.
void outer(const Call &call, std::int64_t first, std::int64_t last) {
  const std::int64_t rows = call.sizes[1], cols = call.sizes[2];
  for (std::int64_t element = first; element < last; element++) {
    const double *a = array<const double>(call, 0, element);
    const double *b = array<const double>(call, 1, element);
    const double *c = array<const double>(call, 2, element);
    const double *d = array<const double>(call, 3, element);
    double *__restrict out = array<double>(call, 4, element);
    for (std::int64_t i = 0; i < rows; i++, out += cols)
      for (std::int64_t j = 0; j < cols; j++) out[j] = a[i] * b[j] + c[i] * d[j];
  }
}

}  // namespace
}  // namespace kktdiff
