// The kernels `solve`, `derive` and `vjp` with a number type of the caller's choice, whatever the
// sizes, and with threads that share each problem.
#include <cstdlib>
#include <cstring>

#include "team.hpp"
#include "vjp.hpp"

using namespace kktdiff;

// Memory for so many doubles and no more, with `fill` in each byte.
struct Memory {
  double *at;
  Memory(std::int64_t doubles, int fill) {
    const std::size_t bytes = (doubles + 7) / 8 * 64;
    at = static_cast<double *>(std::aligned_alloc(64, bytes));
    std::memset(at, fill, bytes);
  }
  ~Memory() { std::free(at); }
};

template <template <class> class Kind, class Run>
static void call(bool packed, int fill, int threads, Call given, Run run) {
  const std::int64_t doubles =
      packed ? doubles_of<Kind<Pack>>(given.sizes) : doubles_of<Kind<double>>(given.sizes);
  const std::int64_t more = (panel_entries(sizes_of(given.sizes)) + 7) / 8 * 8;
  const Memory scratch(doubles, fill), panels(more * (threads - 1), fill);
  Helpers team(threads - 1, panels.at, more);
  given.scratch = scratch.at;
  if (threads > 1 && !packed) given.team = &team;
  run(given, 0, given.sizes[0]);
}

// Run a kernel in scratch memory that holds `fill` in each byte.
extern "C" __attribute__((visibility("default"))) void run(int kernel, int packed, int fill,
                                                           int threads, const std::int64_t *sizes,
                                                           const double *options,
                                                           void *const *arrays,
                                                           const std::int64_t *strides) {
  const Call given{sizes, options, arrays, strides, nullptr};
  if (kernel == 0)
    call<Solver>(packed, fill, threads, given, packed ? solve_all<Pack> : solve_all<double>);
  else if (kernel == 1)
    call<Derivation>(packed, fill, threads, given, packed ? derive_all<Pack> : derive_all<double>);
  else
    call<Derivation>(packed, fill, threads, given, packed ? vjp_all<Pack> : vjp_all<double>);
}
