// Which sizes, options and arrays each kernel takes.
#pragma once
#include "call.hpp"

namespace kktdiff {

enum class Type { float64, int64, boolean };
enum class Use { input, optional_input, output, optional_output };

struct Array {
  const char *name;
  Type type;
  Use use;
  std::int64_t (*entries)(const std::int64_t *sizes);  // of each element
};

struct Signature {
  const char *name;
  Kernel Table::*kernel;
  int sizes, options, arrays;
  Array array[32];
  Size Table::*scratch;  // or NULL
};

typedef const std::int64_t *SizeArray;
inline std::int64_t one(SizeArray) { return 1; }
// Sizes of `solve` and `derive`: count, n, m, k, rows of lower and of upper bounds, 1 if H is
// diagonal, slacks, then more. Matrices have no columns for slacks.
inline std::int64_t n(SizeArray s) { return s[1]; }
inline std::int64_t k(SizeArray s) { return s[3]; }
inline std::int64_t M(SizeArray s) { return s[2] + s[4] + s[5]; }
inline std::int64_t slacks(SizeArray s) { return s[7]; }
inline std::int64_t core(SizeArray s) { return s[1] - s[7]; }
inline std::int64_t nn(SizeArray s) { return core(s) * core(s); }
inline std::int64_t mn(SizeArray s) { return s[2] * core(s); }
inline std::int64_t kn(SizeArray s) { return s[3] * core(s); }
inline std::int64_t trace(SizeArray s) { return (s[9] + 24) * 8; }
inline std::int64_t four(SizeArray) { return 4; }
inline std::int64_t scaling(SizeArray s) { return s[1] + s[2] + s[3] + 2; }
// L, V and S of factor.hpp, the range of pivots, and a vector beyond.
inline std::int64_t factors(SizeArray s) {
  return nn(s) + (s[2] + s[3]) * (core(s) + s[2] + s[3]) + 8;
}
inline std::int64_t n_columns(SizeArray s) { return n(s) * s[8]; }
inline std::int64_t M_columns(SizeArray s) { return M(s) * s[8]; }
inline std::int64_t k_columns(SizeArray s) { return k(s) * s[8]; }

const Signature signatures[] = {
    // sizes: ..., stages, iterations at most; options: tol
    {"solve",
     &Table::solve,
     10,
     1,
     25,
     {{"Q", Type::float64, Use::input, nn},
      {"p", Type::float64, Use::input, n},
      {"G", Type::float64, Use::input, mn},
      {"A", Type::float64, Use::input, kn},
      {"b", Type::float64, Use::input, k},
      {"d", Type::float64, Use::input, M},
      {"present", Type::boolean, Use::input, M},
      {"fixed", Type::boolean, Use::optional_input, n},
      {"value", Type::float64, Use::optional_input, n},
      {"slack_rows", Type::int64, Use::optional_input, slacks},
      {"warm.x", Type::float64, Use::optional_input, n},
      {"warm.lam", Type::float64, Use::optional_input, M},
      {"warm.nu", Type::float64, Use::optional_input, k},
      {"x", Type::float64, Use::output, n},
      {"s", Type::float64, Use::output, M},
      {"lam", Type::float64, Use::output, M},
      {"nu", Type::float64, Use::output, k},
      {"y", Type::float64, Use::output, n},
      {"numbers", Type::float64, Use::output, four},
      {"scaling", Type::float64, Use::output, scaling},
      {"active", Type::boolean, Use::output, M},
      {"status", Type::int64, Use::output, one},
      {"iterations", Type::int64, Use::output, one},
      {"trace", Type::float64, Use::optional_output, trace},
      {"factors", Type::float64, Use::optional_output, factors}},
     &Table::solve_scratch},
    // sizes: ..., columns; options: relative residual aimed at
    {"derive",
     &Table::derive,
     9,
     1,
     15,
     {{"Q", Type::float64, Use::input, nn},
      {"G", Type::float64, Use::input, mn},
      {"A", Type::float64, Use::input, kn},
      {"scaling", Type::float64, Use::input, scaling},
      {"active", Type::boolean, Use::input, M},
      {"slack_rows", Type::int64, Use::optional_input, slacks},
      {"factors", Type::float64, Use::optional_input, factors},
      {"rhs.x", Type::float64, Use::input, n_columns},
      {"rhs.c", Type::float64, Use::input, M_columns},
      {"rhs.nu", Type::float64, Use::input, k_columns},
      {"x", Type::float64, Use::output, n_columns},
      {"c", Type::float64, Use::output, M_columns},
      {"nu", Type::float64, Use::output, k_columns},
      {"error", Type::float64, Use::output, one},
      {"singular", Type::boolean, Use::output, one}},
     &Table::derive_scratch},
    // sizes: count, rows, cols
    {"outer",
     &Table::outer,
     3,
     0,
     5,
     {{"a", Type::float64, Use::input, [](const std::int64_t *s) { return s[1]; }},
      {"b", Type::float64, Use::input, [](const std::int64_t *s) { return s[2]; }},
      {"c", Type::float64, Use::input, [](const std::int64_t *s) { return s[1]; }},
      {"d", Type::float64, Use::input, [](const std::int64_t *s) { return s[2]; }},
      {"out", Type::float64, Use::output, [](const std::int64_t *s) { return s[1] * s[2]; }}},
     nullptr},
};

}  // namespace kktdiff
