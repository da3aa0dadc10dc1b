// The operations of pack.hpp over arrays, for T = Pack and for T = double.
#include "pack.hpp"

using namespace kktdiff;

template <class T>
static void apply(int operation, long count, const double *a, const double *b, const double *c,
                  double *out) {
  const int lanes = Lanes<T>::count;
  for (long i = 0; i < count; i += lanes) {
    const int some = count - i < lanes ? int(count - i) : lanes;
    const T x = load<T>(a + i, 1, some), y = load<T>(b + i, 1, some), z = load<T>(c + i, 1, some);
    const T yes = T(1.0), no = T(0.0);
    const T results[] = {x + y,
                         x - y,
                         x * y,
                         x / y,
                         fma(x, y, z),
                         sqrt(x),
                         kktdiff::abs(x),
                         min(x, y),
                         max(x, y),
                         round(x),
                         power_of_two(x),
                         select(x < y, y, z),
                         any(x < y) ? yes : no,
                         all(x < y) ? yes : no,
                         T(-0.0)};
    store(out + i, 1, results[operation], some);
  }
}

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED void packed(int operation, long count, const double *a, const double *b, const double *c,
                     double *out) {
  apply<Pack>(operation, count, a, b, c, out);
}
EXPORTED void scalar(int operation, long count, const double *a, const double *b, const double *c,
                     double *out) {
  apply<double>(operation, count, a, b, c, out);
}
// Transpose (lanes, n) to (n, lanes) and back.
EXPORTED void transposed(int n, const double *in, double *middle, double *out) {
  for (int i = 0; i < n; i++) {
    const Pack column = load<Pack>(in + i, n);
    store(middle + i * LANES, 1, column);
    store(out + i, n, load<Pack>(middle + i * LANES, 1));
  }
}
EXPORTED int has_fma() { return KKTDIFF_FMA; }
EXPORTED int lanes() { return LANES; }
