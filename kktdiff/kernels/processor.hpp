// The instruction sets that this processor, and the operating system on it, can run.
#pragma once
#include "call.hpp"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace kktdiff {

#if defined(__x86_64__)
// Return the level of x86-64 that runs here: 4, 3 or less.
//
// By hand, since __builtin_cpu_supports needs parts of the compiler's library that not every
// compiler links.
inline int x86_level() {
  const auto has = [](unsigned found, unsigned needed) { return (found & needed) == needed; };
  const auto bit = [](int number) { return 1u << number; };
  unsigned a, b, c, d, saved, high;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 1;
  // FMA, MOVBE, OSXSAVE, AVX, F16C
  if (!has(c, bit(12) | bit(22) | bit(27) | bit(28) | bit(29))) return 1;
  __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));  // the registers that the system saves
  if (!has(saved, 0x06)) return 1;                       // of SSE and AVX
  if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !has(c, bit(5))) return 1;  // LZCNT
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 1;
  if (!has(b, bit(3) | bit(5) | bit(8))) return 1;  // BMI1, AVX2, BMI2
  // AVX-512 F, DQ, CD, BW, VL and their registers
  const unsigned wide = bit(16) | bit(17) | bit(28) | bit(30) | bit(31);
  return has(b, wide) && has(saved, 0xE6) ? 4 : 3;
}
#endif

// Fill `tables` with what runs here, the best one last; return how many.
inline int supported(const Table *tables[3]) {
  int count = 0;
  tables[count++] = &table_baseline;
#if defined(__x86_64__)
  const int level = x86_level();
  if (level >= 3) tables[count++] = &table_avx2;
  if (level >= 4) tables[count++] = &table_avx512;
#endif
  return count;
}

}  // namespace kktdiff
