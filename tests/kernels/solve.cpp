// The kernels `solve`, `derive` and `vjp` with a number type of the caller's choice, whatever the
// sizes.
#include <cstdlib>
#include <cstring>

#include "vjp.hpp"

using namespace kktdiff;

template <template <class> class Work, class Run>
static void call(bool packed, int fill, Call given, Run run) {
  const std::int64_t doubles =
      packed ? doubles_of<Work<Pack>>(given.sizes) : doubles_of<Work<double>>(given.sizes);
  void *scratch = std::aligned_alloc(64, doubles * sizeof(double));
  std::memset(scratch, fill, doubles * sizeof(double));
  given.scratch = static_cast<double *>(scratch);
  run(given, 0, given.sizes[0]);
  std::free(scratch);
}

// Run a kernel in scratch memory that holds `fill` in each byte.
extern "C" __attribute__((visibility("default"))) void run(int kernel, int packed, int fill,
                                                           const std::int64_t *sizes,
                                                           const double *options,
                                                           void *const *arrays,
                                                           const std::int64_t *strides) {
  const Call given{sizes, options, arrays, strides, nullptr};
  if (kernel == 0)
    call<Solver>(packed, fill, given, packed ? solve_all<Pack> : solve_all<double>);
  else if (kernel == 1)
    call<Derivation>(packed, fill, given, packed ? derive_all<Pack> : derive_all<double>);
  else
    call<Derivation>(packed, fill, given, packed ? vjp_all<Pack> : vjp_all<double>);
}
