// A call of a kernel: what it gets, and the table that each instruction set fills.
//
// Plain types, and functions in an anonymous namespace: of other inline functions, compiled with
// every instruction set, the linker would keep any one copy for all.
#pragma once
#if defined(__CUDACC_RTC__)  // without the standard library
namespace std {
typedef long long int64_t;
}
#else
#include <cstdint>
#endif

namespace kktdiff {

// The threads that share the work within one problem.
struct Team {
  typedef void (*Task)(void *data, int index, double *own);
  // Do task(data, i, own) for each i below `count`, in any order, by any of the threads: `own` is
  // memory of the thread that does it, of the caller what is given here.
  void (*each)(Team *, Task task, void *data, int count, double *own);
  int threads;
};

struct Call {
  const std::int64_t *sizes;  // sizes[0] is the number of elements in the batch
  const double *options;
  void *const *arrays;          // NULL where None was given
  const std::int64_t *strides;  // entries from one element to the next; 0 where all share one
  double *scratch;              // this thread's own, aligned to 64 bytes; see Signature::scratch
  Team *team = nullptr;         // threads that help with each element
};

// Work on elements first to last - 1 of the batch; any such pieces, in any order, by any threads.
typedef void (*Kernel)(const Call &call, std::int64_t first, std::int64_t last);

// Doubles of scratch memory that each thread of a kernel needs.
typedef std::int64_t (*Size)(const std::int64_t *sizes);

struct Table {
  const char *name;  // of the instruction set
  int lanes;         // elements that work side by side in one vector
  Kernel outer, solve, derive, vjp, forms;
  Size solve_scratch, derive_scratch, forms_scratch;
  Size helper_scratch;  // of a thread that helps; 0 where none is of use
};

#if !defined(__CUDACC__)
extern const Table table_baseline, table_avx2, table_avx512;
#endif

namespace {

// Return array `i` at an element, or NULL where None was given.
template <class T>
inline T *array(const Call &call, int i, std::int64_t element) {
  return call.arrays[i] ? static_cast<T *>(call.arrays[i]) + element * call.strides[i] : nullptr;
}

}  // namespace
}  // namespace kktdiff
