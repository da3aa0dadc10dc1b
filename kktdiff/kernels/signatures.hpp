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
  std::int64_t (*scratch)(const std::int64_t *sizes, int lanes);  // doubles a thread needs, or NULL
};

const Signature signatures[] = {
    {"outer", &Table::outer, 3, 0, 5,  // sizes: count, rows, cols
     {{"a", Type::float64, Use::input, [](const std::int64_t *s) { return s[1]; }},
      {"b", Type::float64, Use::input, [](const std::int64_t *s) { return s[2]; }},
      {"c", Type::float64, Use::input, [](const std::int64_t *s) { return s[1]; }},
      {"d", Type::float64, Use::input, [](const std::int64_t *s) { return s[2]; }},
      {"out", Type::float64, Use::output, [](const std::int64_t *s) { return s[1] * s[2]; }}},
     nullptr},
};

}  // namespace kktdiff
