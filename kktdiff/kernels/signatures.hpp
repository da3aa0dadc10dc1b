// Which sizes, options and arrays each kernel takes.
#pragma once
#include "call.hpp"

namespace kktdiff {

enum class Type { float64, int64, int32, boolean };
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
  Array array[36];
  Size Table::*scratch;  // or NULL
};

typedef const std::int64_t *SizeArray;
inline std::int64_t one(SizeArray) { return 1; }
// Sizes of `solve`, `derive` and `vjp`: count, n, m, k, rows of lower and of upper bounds, the form
// (0, 1 if H is diagonal, 2 if matrices are sparse), the soft sides (1: G, 2: lower bounds, 4:
// upper bounds, 8: equalities), then of sparse matrices the entries of Q, G and A as given, of Q
// with both triangles, of L, of the system's triangle, and of the structure; then more.
inline std::int64_t n(SizeArray s) { return s[1]; }
inline std::int64_t m(SizeArray s) { return s[2]; }
inline std::int64_t k(SizeArray s) { return s[3]; }
inline std::int64_t soft_h(SizeArray s) { return s[7] & 1 ? s[2] : 0; }
inline std::int64_t soft_lb(SizeArray s) { return s[7] & 2 ? s[4] : 0; }
inline std::int64_t soft_ub(SizeArray s) { return s[7] & 4 ? s[5] : 0; }
inline std::int64_t soft_b(SizeArray s) { return s[7] & 8 ? s[3] : 0; }
inline std::int64_t slacks(SizeArray s) {
  return soft_h(s) + soft_lb(s) + soft_ub(s) + 2 * soft_b(s);
}
inline std::int64_t given(SizeArray s) { return s[2] + s[4] + s[5]; }  // rows of C
inline std::int64_t N(SizeArray s) { return n(s) + slacks(s); }
inline std::int64_t M(SizeArray s) { return given(s) + slacks(s); }
inline bool sparse(SizeArray s) { return s[6] == 2; }
inline std::int64_t nn(SizeArray s) { return sparse(s) ? s[8] : n(s) * n(s); }
inline std::int64_t mn(SizeArray s) { return sparse(s) ? s[9] : m(s) * n(s); }
inline std::int64_t kn(SizeArray s) { return sparse(s) ? s[10] : k(s) * n(s); }
inline std::int64_t structure(SizeArray s) { return s[14]; }
inline std::int64_t trace(SizeArray s) { return (s[16] + 24) * 8; }
inline std::int64_t four(SizeArray) { return 4; }
// The scaling, then x, s, lam, nu and y.
inline std::int64_t kept(SizeArray s) { return 3 * N(s) + m(s) + 2 * M(s) + 2 * k(s) + 2; }
// L, V and S of factor.hpp or L and D, the range of pivots, and a vector beyond.
inline std::int64_t factors(SizeArray s) {
  if (sparse(s)) return s[12] + s[1] + s[2] + s[3] + 8;
  return nn(s) + (s[2] + s[3]) * (s[1] + s[2] + s[3]) + 8;
}
inline std::int64_t n_columns(SizeArray s) { return N(s) * s[15]; }
inline std::int64_t M_columns(SizeArray s) { return M(s) * s[15]; }
inline std::int64_t k_columns(SizeArray s) { return k(s) * s[15]; }

const Signature signatures[] = {
    // sizes: ..., stages, iterations at most, 1 if the data are known to be sound; options:
    // tol, and s_i lam_i of the wanted point of the central path, or 0
    {"solve",
     &Table::solve,
     18,
     2,
     34,
     {{"Q", Type::float64, Use::input, nn},
      {"p", Type::float64, Use::input, n},
      {"G", Type::float64, Use::optional_input, mn},
      {"h", Type::float64, Use::optional_input, m},
      {"A", Type::float64, Use::optional_input, kn},
      {"b", Type::float64, Use::optional_input, k},
      {"lb", Type::float64, Use::optional_input, n},
      {"ub", Type::float64, Use::optional_input, n},
      {"soft_h", Type::float64, Use::optional_input, soft_h},
      {"soft_lb", Type::float64, Use::optional_input, soft_lb},
      {"soft_ub", Type::float64, Use::optional_input, soft_ub},
      {"soft_b", Type::float64, Use::optional_input, soft_b},
      {"warm.x", Type::float64, Use::optional_input, n},
      {"warm.lam", Type::float64, Use::optional_input, given},
      {"warm.nu", Type::float64, Use::optional_input, k},
      {"kept", Type::float64, Use::output, kept},
      {"active", Type::boolean, Use::output, M},
      {"weights", Type::float64, Use::optional_output, M},
      {"solution.x", Type::float64, Use::output, n},
      {"solution.s", Type::float64, Use::output, m},
      {"solution.lam", Type::float64, Use::output, m},
      {"solution.nu", Type::float64, Use::output, k},
      {"solution.lam_lb", Type::float64, Use::output, n},
      {"solution.lam_ub", Type::float64, Use::output, n},
      {"solution.violation_h", Type::float64, Use::optional_output, soft_h},
      {"solution.violation_lb", Type::float64, Use::optional_output, soft_lb},
      {"solution.violation_ub", Type::float64, Use::optional_output, soft_ub},
      {"solution.violation_b", Type::float64, Use::optional_output, soft_b},
      {"solution.numbers", Type::float64, Use::output, four},
      {"status", Type::int64, Use::output, one},
      {"iterations", Type::int64, Use::output, one},
      {"trace", Type::float64, Use::optional_output, trace},
      {"factors", Type::float64, Use::optional_output, factors},
      {"structure", Type::int32, Use::optional_input, structure}},
     &Table::solve_scratch},
    // sizes: ..., columns; options: relative residual aimed at, least proximal terms if sparse
    {"derive",
     &Table::derive,
     16,
     2,
     16,
     {{"Q", Type::float64, Use::input, nn},
      {"G", Type::float64, Use::optional_input, mn},
      {"A", Type::float64, Use::optional_input, kn},
      {"kept", Type::float64, Use::input, kept},
      {"active", Type::boolean, Use::input, M},
      {"weights", Type::float64, Use::optional_input, M},
      {"factors", Type::float64, Use::optional_input, factors},
      {"rhs.x", Type::float64, Use::input, n_columns},
      {"rhs.c", Type::float64, Use::input, M_columns},
      {"rhs.nu", Type::float64, Use::input, k_columns},
      {"x", Type::float64, Use::output, n_columns},
      {"c", Type::float64, Use::output, M_columns},
      {"nu", Type::float64, Use::output, k_columns},
      {"error", Type::float64, Use::output, one},
      {"singular", Type::boolean, Use::output, one},
      {"structure", Type::int32, Use::optional_input, structure}},
     &Table::derive_scratch},
    // options: relative residual aimed at, and accepted
    {"vjp",
     &Table::vjp,
     15,
     2,
     36,
     {{"Q", Type::float64, Use::input, nn},
      {"G", Type::float64, Use::optional_input, mn},
      {"A", Type::float64, Use::optional_input, kn},
      {"kept", Type::float64, Use::input, kept},
      {"active", Type::boolean, Use::input, M},
      {"weights", Type::float64, Use::optional_input, M},
      {"factors", Type::float64, Use::optional_input, factors},
      {"h", Type::float64, Use::optional_input, m},
      {"cotangent.x", Type::float64, Use::optional_input, n},
      {"cotangent.s", Type::float64, Use::optional_input, m},
      {"cotangent.lam", Type::float64, Use::optional_input, m},
      {"cotangent.nu", Type::float64, Use::optional_input, k},
      {"cotangent.lam_lb", Type::float64, Use::optional_input, n},
      {"cotangent.lam_ub", Type::float64, Use::optional_input, n},
      {"cotangent.objective", Type::float64, Use::optional_input, one},
      {"cotangent.violation_h", Type::float64, Use::optional_input, soft_h},
      {"cotangent.violation_lb", Type::float64, Use::optional_input, soft_lb},
      {"cotangent.violation_ub", Type::float64, Use::optional_input, soft_ub},
      {"cotangent.violation_b", Type::float64, Use::optional_input, soft_b},
      {"adjoint.x", Type::float64, Use::output, N},
      {"adjoint.c", Type::float64, Use::output, M},
      {"adjoint.nu", Type::float64, Use::output, k},
      {"inaccurate", Type::boolean, Use::output, one},
      {"gradient.Q", Type::float64, Use::optional_output, nn},
      {"gradient.p", Type::float64, Use::optional_output, n},
      {"gradient.G", Type::float64, Use::optional_output, mn},
      {"gradient.h", Type::float64, Use::optional_output, m},
      {"gradient.A", Type::float64, Use::optional_output, kn},
      {"gradient.b", Type::float64, Use::optional_output, k},
      {"gradient.lb", Type::float64, Use::optional_output, n},
      {"gradient.ub", Type::float64, Use::optional_output, n},
      {"gradient.soft_h", Type::float64, Use::optional_output, soft_h},
      {"gradient.soft_lb", Type::float64, Use::optional_output, soft_lb},
      {"gradient.soft_ub", Type::float64, Use::optional_output, soft_ub},
      {"gradient.soft_b", Type::float64, Use::optional_output, soft_b},
      {"structure", Type::int32, Use::optional_input, structure}},
     &Table::derive_scratch},
    // True where H is diagonal; without rows of G
    {"forms",
     &Table::forms,
     15,
     0,
     9,
     {{"Q", Type::float64, Use::input, nn},
      {"p", Type::float64, Use::input, n},
      {"G", Type::float64, Use::optional_input, mn},
      {"h", Type::float64, Use::optional_input, m},
      {"A", Type::float64, Use::optional_input, kn},
      {"b", Type::float64, Use::optional_input, k},
      {"lb", Type::float64, Use::optional_input, n},
      {"ub", Type::float64, Use::optional_input, n},
      {"form", Type::boolean, Use::output, one}},
     &Table::forms_scratch},
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
