// What CUDA C++ kernels need to run on the host, compiled by g++: one fiber for each thread of a
// block, real barriers, shared memory that is poisoned and guarded.
//
// Blocks run one after another. A thread runs until it comes to a barrier; then the next one
// runs, in an order that the caller chooses. So every result is repeatable, and two threads that
// touch the same memory with no barrier between them give another result in another order.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <string>
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
static const int warpSize = 32;

constexpr int GUARD = 256;  // doubles behind the shared memory that nobody may write
alignas(64) double shared[SHARED_DOUBLES + GUARD];

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
};
constexpr size_t STACK = 128 * 1024;
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

static void wait(State barrier, int line) {
  current->state = barrier;
  current->line = line;
  change(current->context, scheduler);
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
static int lane() { return threadIdx.x % 32; }

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
  const std::vector<int> &operator()(std::vector<int> &items) {
    std::iota(items.begin(), items.end(), 0);
    if (kind == 1) std::reverse(items.begin(), items.end());
    if (kind > 1) std::shuffle(items.begin(), items.end(), random);
    return items;
  }
};

static void prepare_block() {
  unsigned long long poison = SHARED_POISON;
  ASAN_UNPOISON_MEMORY_REGION(shared, sizeof shared);
  for (double &value : shared) std::memcpy(&value, &poison, sizeof value);
  ASAN_POISON_MEMORY_REGION(shared + SHARED_DOUBLES, GUARD * sizeof(double));
  for (size_t i = 0; i < threads.size(); ++i) {
    threads[i].state = READY;
    threads[i].line = threads[i].swaps = 0;
    std::memcpy(stacks[i], &STACK_MARK, sizeof STACK_MARK);
    prepare(threads[i].context, stacks[i], STACK, begin);
  }
}

static std::string check_block() {
  ASAN_UNPOISON_MEMORY_REGION(shared, sizeof shared);
  for (int i = 0; i < GUARD; ++i)
    if (std::memcmp(shared + SHARED_DOUBLES + i, &SHARED_POISON, sizeof(double)))
      return "written behind the shared memory: shared[" + std::to_string(SHARED_DOUBLES + i) + "]";
  for (char *stack : stacks)
    if (std::memcmp(stack, &STACK_MARK, sizeof STACK_MARK)) return "the stack of a thread is full";
  return "";
}

static std::string run_block(Order &order, std::vector<int> &sequence) {
  prepare_block();
  for (bool going = true; going;) {
    for (int i : order(sequence)) {
      if (threads[i].state != READY) continue;
      current = &threads[i];
      threadIdx.x = i;
      change(scheduler, current->context);
    }
    going = release(0, threads.size(), AT_BLOCK_BARRIER);
    for (size_t warp = 0; warp < threads.size(); warp += 32)
      going |= threads[warp].state == AT_WARP_BARRIER && release(warp, 32, AT_WARP_BARRIER);
  }
  for (const Thread &thread : threads)
    if (thread.state != RETURNED) return describe_stuck();
  return check_block();
}

static int launch(int blocks, int count, int kind, char *message, size_t room) {
  Order order(kind);
  std::vector<int> sequence(count), grid(blocks);
  threads.resize(count);
  for (int i = 0; i < count; ++i)
    stacks.push_back(static_cast<char *>(std::aligned_alloc(64, STACK)));
  gridDim.x = blocks;
  blockDim.x = count;
  std::string trouble;
  for (int block : order(grid)) {
    blockIdx.x = block;
    trouble = run_block(order, sequence);
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

#define __global__
#define __device__
#define __host__
#define __shared__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)

#define __syncthreads() shim::wait(shim::AT_BLOCK_BARRIER, __LINE__)
#define __syncwarp() shim::wait(shim::AT_WARP_BARRIER, __LINE__)
#define __shfl_sync(mask, value, from) shim::shuffle(mask, value, __LINE__, (from) & 31)
#define __shfl_xor_sync(mask, value, bits) \
  shim::shuffle(mask, value, __LINE__, (shim::lane() ^ (bits)) & 31)
#define __shfl_down_sync(mask, value, by) \
  shim::shuffle(mask, value, __LINE__, shim::lane() + (by) < 32 ? shim::lane() + (by) : shim::lane())

static inline int atomicAdd(int *place, int value) {
  int before = *place;
  *place += value;
  return before;
}

static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __dsqrt_rn(double a) { return std::sqrt(a); }
static inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
using std::isfinite;
using std::isinf;
using std::isnan;
using std::max;
using std::min;
