// The number types of a kernel: `Pack`, LANES problems side by side in one vector, and `double`,
// one problem. Kernels are templates over the type T, and every function here is there for both.
//
// Nothing of the standard library, and no include but that of the vector instructions: a CUDA
// device compiles this with T = double.
//
// Nothing here depends on how a product is rounded except fma, which is one operation where the
// instruction set has it, and two elsewhere.
#pragma once

#if defined(__CUDACC__)
#define LANES 1
#define __builtin_inf() __longlong_as_double(0x7FF0000000000000ll)
#define KKTDIFF_INLINE [[maybe_unused]] static __device__ __forceinline__
#define KKTDIFF_MEMBER __device__ __forceinline__
#define KKTDIFF_APART __noinline__  // a function that is called from many places
#define KKTDIFF_UNROLL _Pragma("unroll")
#else
#define KKTDIFF_INLINE static inline __attribute__((always_inline))
#define KKTDIFF_MEMBER inline __attribute__((always_inline))
#define KKTDIFF_APART
#define KKTDIFF_UNROLL _Pragma("GCC unroll 8")
#endif
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__)
#define KKTDIFF_INDEPENDENT _Pragma("GCC ivdep")  // the arrays of a long loop do not overlap
#else
#define KKTDIFF_INDEPENDENT
#endif
#if defined(__CUDACC__) || defined(__FMA__) || defined(__aarch64__)
#define KKTDIFF_FMA 1
#else
#define KKTDIFF_FMA 0
#endif
#if defined(__CUDACC__)
#elif defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace kktdiff {

// The types that go with a number type: of comparisons, and of its bits.
template <class T>
struct Lanes;

template <>
struct Lanes<double> {
  static constexpr int count = 1;
  typedef unsigned char Mask;
  typedef unsigned long long Bits;
};

KKTDIFF_INLINE bool any(bool mask) { return mask; }
KKTDIFF_INLINE bool all(bool mask) { return mask; }

#if defined(__CUDACC__)
KKTDIFF_INLINE double sqrt(double a) { return ::sqrt(a); }
KKTDIFF_INLINE double fma(double a, double b, double c) { return ::fma(a, b, c); }
KKTDIFF_INLINE unsigned long long to_bits(double a) {
  return static_cast<unsigned long long>(__double_as_longlong(a));
}
KKTDIFF_INLINE double from_bits(unsigned long long bits) {
  return __longlong_as_double(static_cast<long long>(bits));
}
#else
KKTDIFF_INLINE double sqrt(double a) { return __builtin_sqrt(a); }
KKTDIFF_INLINE double fma(double a, double b, double c) {
  return KKTDIFF_FMA ? __builtin_fma(a, b, c) : a * b + c;
}
KKTDIFF_INLINE unsigned long long to_bits(double a) {
  unsigned long long bits;
  __builtin_memcpy(&bits, &a, sizeof bits);
  return bits;
}
KKTDIFF_INLINE double from_bits(unsigned long long bits) {
  double a;
  __builtin_memcpy(&a, &bits, sizeof a);
  return a;
}

typedef double Vector __attribute__((vector_size(8 * LANES)));
typedef unsigned long long PackBits __attribute__((vector_size(8 * LANES)));
typedef decltype(Vector{} < Vector{}) PackMask;  // all bits of a lane, or none

struct Pack {
  Vector v;
  Pack() = default;
  KKTDIFF_MEMBER Pack(Vector a) : v(a) {}
  KKTDIFF_MEMBER Pack(double a) : v(a - Vector{}) {}  // the same in each lane
};

template <>
struct Lanes<Pack> {
  static constexpr int count = LANES;
  typedef PackMask Mask;
  typedef PackBits Bits;
};

// One bit for each lane.
KKTDIFF_INLINE int lanes_set(PackMask mask) {
#if defined(__x86_64__) && LANES == 8
  return _mm512_movepi64_mask((__m512i)mask);
#elif defined(__x86_64__) && LANES == 4
  return _mm256_movemask_pd((__m256d)mask);
#elif defined(__x86_64__)
  return _mm_movemask_pd((__m128d)mask);
#else
  int set = 0;
  for (int l = 0; l < LANES; l++) set |= int(mask[l] & 1) << l;
  return set;
#endif
}
KKTDIFF_INLINE bool any(PackMask mask) { return lanes_set(mask) != 0; }
KKTDIFF_INLINE bool all(PackMask mask) { return lanes_set(mask) == (1 << LANES) - 1; }

KKTDIFF_INLINE Pack operator+(Pack a, Pack b) { return a.v + b.v; }
KKTDIFF_INLINE Pack operator-(Pack a, Pack b) { return a.v - b.v; }
KKTDIFF_INLINE Pack operator*(Pack a, Pack b) { return a.v * b.v; }
KKTDIFF_INLINE Pack operator/(Pack a, Pack b) { return a.v / b.v; }
KKTDIFF_INLINE Pack operator-(Pack a) { return -a.v; }
KKTDIFF_INLINE PackMask operator<(Pack a, Pack b) { return a.v < b.v; }
KKTDIFF_INLINE PackMask operator>(Pack a, Pack b) { return a.v > b.v; }
KKTDIFF_INLINE PackMask operator<=(Pack a, Pack b) { return a.v <= b.v; }
KKTDIFF_INLINE PackMask operator>=(Pack a, Pack b) { return a.v >= b.v; }
KKTDIFF_INLINE PackMask operator==(Pack a, Pack b) { return a.v == b.v; }

KKTDIFF_INLINE PackBits to_bits(Pack a) { return (PackBits)a.v; }
KKTDIFF_INLINE Pack from_bits(PackBits bits) { return (Vector)bits; }

KKTDIFF_INLINE Pack fma(Pack a, Pack b, Pack c) {
#if defined(__FMA__) && LANES == 8
  return Vector(_mm512_fmadd_pd(a.v, b.v, c.v));
#elif defined(__FMA__) && LANES == 4
  return Vector(_mm256_fmadd_pd(a.v, b.v, c.v));
#elif defined(__aarch64__)
  return Vector(vfmaq_f64((float64x2_t)c.v, (float64x2_t)a.v, (float64x2_t)b.v));
#else
  return a.v * b.v + c.v;
#endif
}
KKTDIFF_INLINE Pack sqrt(Pack a) {  // lane by lane, which compilers turn into one instruction
  Vector out = a.v;
  KKTDIFF_UNROLL
  for (int l = 0; l < LANES; l++) out[l] = __builtin_sqrt(a.v[l]);
  return out;
}
KKTDIFF_INLINE Pack select(PackMask mask, Pack a, Pack b) { return mask ? a.v : b.v; }
KKTDIFF_INLINE Pack min(Pack a, Pack b) { return a.v < b.v ? a.v : b.v; }
KKTDIFF_INLINE Pack max(Pack a, Pack b) { return a.v > b.v ? a.v : b.v; }
KKTDIFF_INLINE double lane(const Pack &a, int l) { return a.v[l]; }
KKTDIFF_INLINE bool lane(const PackMask &a, int l) { return a[l] != 0; }
KKTDIFF_INLINE void set_lane(Pack &a, int l, double value) { a.v[l] = value; }
KKTDIFF_INLINE void set_lane(PackMask &a, int l, bool value) { a[l] = value ? -1 : 0; }
#endif

// `a` where the mask is set, `b` elsewhere; of min and max, `b` where one of them is NaN.
KKTDIFF_INLINE double select(bool mask, double a, double b) { return mask ? a : b; }
KKTDIFF_INLINE double min(double a, double b) { return a < b ? a : b; }
KKTDIFF_INLINE double max(double a, double b) { return a > b ? a : b; }
KKTDIFF_INLINE double lane(double a, int) { return a; }
KKTDIFF_INLINE bool lane(unsigned char a, int) { return a; }
KKTDIFF_INLINE void set_lane(double &a, int, double value) { a = value; }
KKTDIFF_INLINE void set_lane(unsigned char &a, int, bool value) { a = value; }

template <class T>
using Mask = typename Lanes<T>::Mask;

// The same answer in each lane.
template <class T>
KKTDIFF_INLINE Mask<T> mask(bool value) {
  return T(value ? 1.0 : 0.0) > T(0.0);
}

template <class T>
KKTDIFF_INLINE T abs(T a) {
  return from_bits(to_bits(a) & 0x7FFFFFFFFFFFFFFFull);
}
#if !defined(__CUDACC__)
KKTDIFF_INLINE double abs(double a) { return __builtin_fabs(a); }  // its bits would go elsewhere
#endif

// The nearest integer, an even one where two are as near.
template <class T>
KKTDIFF_INLINE T round(T a) {
  const double shift = 0x1p52;  // from here on there are integers alone
  const T near = (abs(a) + shift) - shift;
  const T rounded = from_bits(to_bits(near) | (to_bits(a) & 0x8000000000000000ull));
  return select(abs(a) < T(shift), rounded, a);
}

// 2 to the power of round(log2(v)), for positive finite v, as correctly rounded operations give it.
//
// log2(v) = e + log2(m) is compared with e + 1/2. It rounds to just that where m is nearer to
// sqrt(2) than half a unit in the last place of e + 1/2, times the derivative sqrt(2) log(2); then
// the even one of e and e + 1 is taken.
template <class T>
KKTDIFF_INLINE T power_of_two(T v) {
  typedef typename Lanes<T>::Bits Bits;
  const unsigned long long one = 0x3FF0000000000000ull, integer = 0x4330000000000000ull;
  const auto subnormal = v < T(0x1p-1022);
  const Bits bits = to_bits(select(subnormal, v * 0x1p64, v));
  const Bits biased = bits >> 52;
  const T m = from_bits((bits & 0xFFFFFFFFFFFFFull) | one);
  const T shift = select(subnormal, T(1023 + 64), T(1023));
  const T e = (from_bits(biased | integer) - 0x1p52) - shift;
  const T parity = from_bits((biased & 1ull) | integer) - 0x1p52;     // 1 where e is even
  const T above = (m - 0x1.6A09E667F3BCCp0) - 0x1.21165F626CDD5p-53;  // m - sqrt(2)
  const T size = from_bits(to_bits(e + 0.5) & 0x7FF0000000000000ull);
  const T tie = size * (0.98025814346854723 * 0x1p-53);
  const auto up = (above > tie) | ((above >= -tie) & (parity < T(0.5)));
  const T power = select(up, from_bits((biased + 1ull) << 52), from_bits(biased << 52));
  return select(subnormal, power * 0x1p-64, power);
}

// Lane l at base[l * stride]; beyond `count` lanes, the last of them again.
template <class T>
KKTDIFF_INLINE T load(const double *base, long long stride, int count = Lanes<T>::count) {
  T out;
  KKTDIFF_UNROLL
  for (int l = 0; l < Lanes<T>::count; l++) set_lane(out, l, base[(l < count ? l : count - 1) * stride]);
  return out;
}

// The first `count` lanes only.
template <class T>
KKTDIFF_INLINE void store(double *base, long long stride, T value, int count = Lanes<T>::count) {
  KKTDIFF_UNROLL
  for (int l = 0; l < Lanes<T>::count; l++)
    if (l < count) base[l * stride] = lane(value, l);
}

}  // namespace kktdiff
