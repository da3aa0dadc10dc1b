// The kernels on a CUDA device, from the same source: one launch for the whole of a batch.
//
// A team of TEAM threads works on a problem: a warp, several of which are a block, or a block. It
// takes elements until none is left, so a grid need not be larger than what runs at a time.
#include "derive.hpp"
#include "solve.hpp"
#include "vjp.hpp"

extern __shared__ double shared[];

// What the host passes by value; see call.hpp.
struct DeviceCall {
  std::int64_t sizes[20];
  double options[4];
  unsigned long long arrays[40];  // addresses, 0 where None was given
  std::int64_t strides[40];
  unsigned long long scratch;                // address
  std::int64_t scratch_bytes, shared_bytes;  // of each team
  std::int64_t elements;
};

namespace kktdiff {
namespace {

constexpr int BLOCKS =
    512 / THREADS;          // on a multiprocessor, which has 128 registers for each thread
constexpr int BEYOND = 64;  // bytes that tiles read beyond the last matrix

// Memory of a team, with a place in shared memory for the matrix that is factored.
Arena memory_of_team(const DeviceCall &given, std::int64_t team, long long square_entries) {
  Arena arena{reinterpret_cast<char *>(given.scratch) + team * given.scratch_bytes};
  arena.fast = reinterpret_cast<char *>(shared) + threadIdx.x / TEAM * given.shared_bytes;
  arena.fast_left = given.shared_bytes - BEYOND;
  const long long bytes = Arena::size_of<double>(square_entries);
  if (bytes <= arena.fast_left) arena.square = arena.take<double>(square_entries);
  return arena;
}

// Do f(group, work) for each element that this team takes; structure: the array that sparse
// problems have theirs in.
template <class Work, class F>
void each_element(const DeviceCall &given, int structure, F f) {
  if constexpr (WARPS > 1) place_of_shares() = 0;
  const Call call{given.sizes, given.options, reinterpret_cast<void *const *>(given.arrays),
                  given.strides, nullptr};
  const std::int64_t teams = blockDim.x / TEAM, count = gridDim.x * teams;
  std::int64_t element = blockIdx.x * teams + threadIdx.x / TEAM;
  const Sizes sizes = sizes_of(given.sizes);
  const SparseEntries sparse(given.sizes);
  const long long rows = given.sizes[6] == DIAGONAL ? 1 : sizes.core;
  Arena arena = memory_of_team(given, element, sparse.there ? sparse.own.L : rows * sizes.core);
  // One record for the team: of its own, each thread's would fill the cache.
  Work &work = *new (arena.take<Work>(1)) Work(arena, sizes, sparse.get());
  Structure *patterns = nullptr;
  if (sparse.there)
    patterns = new (arena.take<Structure>(1)) Structure(structure_of(call, structure));
  meet();
  for (; element < given.elements; element += count)
    f(Group<double>{call, element, element + 1, patterns}, work);
}

}  // namespace
}  // namespace kktdiff

extern "C" __global__ void __launch_bounds__(kktdiff::THREADS, kktdiff::BLOCKS)
    solve(const __grid_constant__ DeviceCall call) {
  using namespace kktdiff;
  each_element<Solver<double>>(call, IN_STRUCTURE,
                               [](const auto &g, auto &work) { solve_group(g, work); });
}

extern "C" __global__ void __launch_bounds__(kktdiff::THREADS, kktdiff::BLOCKS)
    derive(const __grid_constant__ DeviceCall call) {
  using namespace kktdiff;
  each_element<Derivation<double>>(call, DERIVE_STRUCTURE,
                                   [](const auto &g, auto &work) { derive_group(g, work); });
}

extern "C" __global__ void __launch_bounds__(kktdiff::THREADS, kktdiff::BLOCKS)
    vjp(const __grid_constant__ DeviceCall call) {
  using namespace kktdiff;
  each_element<Derivation<double>>(call, VJP_STRUCTURE,
                                   [](const auto &g, auto &work) { vjp_group(g, work); });
}
