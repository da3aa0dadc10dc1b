// What CUDA C++ kernels need to run on the host, compiled by g++: one fiber for each thread of a
// block, real barriers, shared memory that is poisoned and guarded.
//
// Blocks run one after another. A thread runs until it comes to a barrier; then the next one of its
// warp runs; and a warp goes on past its own barriers before another one begins, or, in a shuffle,
// at times. So every result is repeatable, and two threads that touch the same memory with no
// barrier between them give another result in another order.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <numeric>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>
#if defined(__linux__) && defined(__x86_64__) && !defined(PORTABLE_SWITCH)
#define QUICK_SWITCH 1
#else
#define QUICK_SWITCH 0
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size)
#define ASAN_UNPOISON_MEMORY_REGION(start, size)
#endif

struct Index {
  unsigned x = 0, y = 0, z = 0;
};
static Index threadIdx, blockIdx;
static Index blockDim{1, 1, 1}, gridDim{1, 1, 1};

constexpr int MOST_SHARED = 29056, GUARD = 256;  // doubles; what nobody may write behind them
alignas(64) double shared[MOST_SHARED + GUARD];
// Variables of shared memory are in a section of their own; g++ puts none of a template there.
extern "C" __attribute__((weak, visibility("hidden"))) char __start_shared_memory, __stop_shared_memory;

namespace shim {

// ------------------------------------------------------------------------------------- fibers

#if QUICK_SWITCH
// swapcontext asks the kernel for the signal mask each time, which takes most of its time.
using Context = void *;
extern "C" __attribute__((visibility("hidden"))) void shim_switch(Context *from, Context to);
asm(".text\n.globl shim_switch\n.hidden shim_switch\nshim_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");
static void change(Context &from, Context &to) { shim_switch(&from, to); }
static void prepare(Context &context, char *stack, size_t size, void (*entry)()) {
  auto top = reinterpret_cast<void **>(stack + size);  // entry begins 8 bytes off a multiple of 16
  top[-2] = reinterpret_cast<void *>(entry);
  context = top - 8;  // six registers below
}
#else
using Context = ucontext_t;
static void change(Context &from, Context &to) { swapcontext(&from, &to); }
static void prepare(Context &context, char *stack, size_t size, void (*entry)()) {
  getcontext(&context);
  context.uc_stack.ss_sp = stack;
  context.uc_stack.ss_size = size;
  makecontext(&context, entry, 0);
}
#endif

enum State { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, RETURNED };
struct Thread {
  Context context;
  State state;
  int line;   // of the barrier that it waits at
  int swaps;  // how many values it has given to its warp
  int votes[2];  // and to `any`
};
constexpr size_t STACK = 128 * 1024, STACK_END = 4096;  // bytes; what must not be touched of them
constexpr unsigned long long SHARED_POISON = 0x7ff8dead5ead0001, STACK_MARK = 0x7ff8dead5ead0002;

static std::vector<Thread> threads;
static std::vector<char *> stacks;
static double given[2][1024];  // in a shuffle; two, so that a fast lane does not overwrite
static Thread *current;
static Context scheduler;
static std::function<void()> body;

static void begin() {
  body();
  current->state = RETURNED;
  change(current->context, scheduler);
  std::abort();
}

static long long waited[2];  // at barriers of the block and of a warp, all threads together

static void wait(State barrier, int line) {
  waited[barrier == AT_WARP_BARRIER]++;
  current->state = barrier;
  current->line = line;
  change(current->context, scheduler);
}

// The places in the program that have a barrier, in the order in which they are first reached; one
// of them may be left out. They are not looked up where `left_out` is NONE.
constexpr int NONE = -1;
static int left_out = NONE;
static std::unordered_map<void *, int> places;
__attribute__((noinline)) static void barrier(State kind, int line) {
  if (left_out != NONE) {
    const auto place = places.emplace(__builtin_return_address(0), int(places.size())).first;
    if (place->second == left_out) return;
  }
  wait(kind, line);
}

template <class T> T shuffle(unsigned mask, T value, int line, int from) {
  static_assert(sizeof(T) <= sizeof(double), "a shuffle moves up to 8 bytes");
  if (mask != 0xffffffffu) wait(AT_WARP_BARRIER, -line);  // never released: reported
  double *slots = given[current->swaps++ % 2];
  std::memcpy(&slots[threadIdx.x], &value, sizeof value);
  wait(AT_WARP_BARRIER, line);
  std::memcpy(&value, &slots[threadIdx.x / 32 * 32 + from], sizeof value);
  return value;
}
static inline int lane() { return threadIdx.x % 32; }

// True if `value` is of any thread that meets at this barrier.
static bool any(State kind, bool value, int line) {
  static bool votes[2][2][1024];  // of the block and of warps, which may vote more often
  const bool block = kind == AT_BLOCK_BARRIER;
  bool *own = votes[block][current->votes[block]++ % 2];
  own[threadIdx.x] = value;
  wait(kind, line);
  const int first = block ? 0 : threadIdx.x / 32 * 32, count = block ? blockDim.x : 32;
  return std::any_of(own + first, own + first + count, [](bool vote) { return vote; });
}

// ---------------------------------------------------------------------------------- scheduling

// Lets threads go on whose barrier all of them have reached; false where there are none.
static bool release(size_t first, size_t count, State barrier) {
  auto begin = threads.begin() + first, end = begin + count;
  int line = begin->line;
  if (line < 0 || !std::all_of(begin, end, [=](const Thread &thread) {
        return thread.state == barrier && thread.line == line;
      }))
    return false;
  std::for_each(begin, end, [](Thread &thread) { thread.state = READY; });
  return true;
}

static std::string describe_stuck() {
  std::string text = "a barrier that not all threads reach:";
  for (size_t i = 0, j; i < threads.size(); i = j) {
    const Thread &thread = threads[i];
    auto same = [&](const Thread &other) {
      return other.state == thread.state && (thread.state == RETURNED || other.line == thread.line);
    };
    for (j = i; j < threads.size() && same(threads[j]);) ++j;
    text += " threads " + std::to_string(i) + ".." + std::to_string(j - 1);
    if (thread.state == RETURNED) text += " have returned;";
    else
      text += std::string(" wait at the ") + (thread.state == AT_BLOCK_BARRIER ? "block" : "warp") +
              "'s of line " + std::to_string(std::abs(thread.line)) +
              (thread.line < 0 ? " with a mask that is not all lanes;" : ";");
  }
  return text;
}

struct Order {
  int kind;  // 0: forward, 1: reverse, else the seed of a shuffle
  std::mt19937 random;
  explicit Order(int kind) : kind(kind), random(kind) {}
  bool stay() { return kind < 2 || random() % 4; }  // with the warp that has passed a barrier
  const std::vector<int> &operator()(std::vector<int> &items) {
    std::iota(items.begin(), items.end(), 0);
    if (kind == 1) std::reverse(items.begin(), items.end());
    if (kind > 1) std::shuffle(items.begin(), items.end(), random);
    return items;
  }
};

static int shared_doubles;  // of this launch

__attribute__((no_sanitize("address"))) static void poison(void *from, void *to) {
  for (char *at = static_cast<char *>(from); at < to; at += sizeof SHARED_POISON)
    std::memcpy(at, &SHARED_POISON, sizeof SHARED_POISON);
}

static void prepare_block() {
  ASAN_UNPOISON_MEMORY_REGION(shared, sizeof shared);
  poison(shared, shared + shared_doubles + GUARD);
  poison(&__start_shared_memory, &__stop_shared_memory);
  ASAN_POISON_MEMORY_REGION(shared + shared_doubles, GUARD * sizeof(double));
  for (size_t i = 0; i < threads.size(); ++i) {
    threads[i].state = READY;
    threads[i].line = threads[i].swaps = threads[i].votes[0] = threads[i].votes[1] = 0;
    auto end = reinterpret_cast<unsigned long long *>(stacks[i]);
    std::fill_n(end, STACK_END / sizeof *end, STACK_MARK);
    prepare(threads[i].context, stacks[i], STACK, begin);
  }
}

static std::string check_block() {
  ASAN_UNPOISON_MEMORY_REGION(shared, sizeof shared);
  for (int i = 0; i < GUARD; ++i)
    if (std::memcmp(shared + shared_doubles + i, &SHARED_POISON, sizeof(double)))
      return "written behind the shared memory: shared[" + std::to_string(shared_doubles + i) + "]";
  for (char *stack : stacks) {
    auto end = reinterpret_cast<unsigned long long *>(stack);
    if (std::any_of(end, end + STACK_END / sizeof *end, [](auto mark) { return mark != STACK_MARK; }))
      return "the stack of a thread is full";
  }
  return "";
}

// Runs a warp to its next barrier; whether it can go on from there.
static bool advance(int warp, Order &order, std::vector<int> &lanes) {
  for (int lane : order(lanes)) {
    current = &threads[32 * warp + lane];
    threadIdx.x = 32 * warp + lane;
    if (current->state == READY) change(scheduler, current->context);
  }
  return release(32 * warp, 32, AT_WARP_BARRIER);
}

static std::string run_block(Order &order) {
  std::vector<int> warps(threads.size() / 32), lanes(32);
  prepare_block();
  do {
    for (bool going = true; going;) {
      going = false;
      for (int warp : order(warps)) {
        bool more;
        do more = advance(warp, order, lanes);
        while (more && order.stay());
        going |= more;
      }
    }
  } while (release(0, threads.size(), AT_BLOCK_BARRIER));
  for (const Thread &thread : threads)
    if (thread.state != RETURNED) return describe_stuck();
  return check_block();
}

static int launch(int blocks, int count, int doubles, int kind, int without, char *message,
                  size_t room) {
  left_out = without, shared_doubles = doubles;
  Order order(kind);
  std::vector<int> grid(blocks);
  threads.resize(count);
  for (int i = 0; i < count; ++i)
    stacks.push_back(static_cast<char *>(std::aligned_alloc(64, STACK)));
  gridDim.x = blocks;
  blockDim.x = count;
  std::string trouble;
  for (int block : order(grid)) {
    blockIdx.x = block;
    trouble = run_block(order);
    if (!trouble.empty()) {
      std::snprintf(message, room, "block %d: %s", block, trouble.c_str());
      break;
    }
  }
  for (char *stack : stacks) std::free(stack);
  stacks.clear();
  return !trouble.empty();
}

}  // namespace shim

// --------------------------------------------------------------------------- CUDA's own names

#define __CUDACC__ 1
#define __global__
#define __device__
#define __host__
#define __shared__ static __attribute__((section("shared_memory")))
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __syncthreads() shim::barrier(shim::AT_BLOCK_BARRIER, __LINE__)
#define __syncwarp() shim::barrier(shim::AT_WARP_BARRIER, __LINE__)
#define __syncthreads_or(value) shim::any(shim::AT_BLOCK_BARRIER, value, __LINE__)
#define __any_sync(mask, value) shim::any(shim::AT_WARP_BARRIER, value, __LINE__)
#define __shfl_sync(mask, value, from) shim::shuffle(mask, value, __LINE__, (from) & 31)
#define __shfl_xor_sync(mask, value, bits) \
  shim::shuffle(mask, value, __LINE__, (shim::lane() ^ (bits)) & 31)

static inline bool __isShared(const void *a) {
  return (a >= shared && a < shared + shim::shared_doubles) ||
         (a >= &__start_shared_memory && a < &__stop_shared_memory);
}
static inline double rsqrt(double a) { return 1.0 / std::sqrt(a); }
static inline double __longlong_as_double(long long bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
static inline long long __double_as_longlong(double value) {
  long long bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
#undef INFINITY  // none of these is known to CUDA's compiler without a header
#undef NAN
#undef HUGE_VAL
