// The loops of loops.hpp on a CUDA device: included there, in its namespace.
//
// TEAM threads work on a problem: a warp, or some of them that are a block.
#ifndef TEAM
#define TEAM 128
#endif

constexpr int WARP = 32, WARPS = TEAM / WARP;
constexpr int THREADS = TEAM > WARP ? TEAM : 4 * WARP;  // of a block, at most
static_assert(TEAM % WARP == 0, "a team is of whole warps");

KKTDIFF_INLINE int rank() { return int(threadIdx.x) % TEAM; }  // in the team
KKTDIFF_INLINE int warp_of_team() { return rank() / WARP; }
KKTDIFF_INLINE int lane_of_warp() { return int(threadIdx.x) % WARP; }

// Wait for the team.
KKTDIFF_INLINE void meet() {
  if constexpr (WARPS == 1)
    __syncwarp();
  else
    __syncthreads();
}

struct Range {
  struct At {
    int i, step;
    KKTDIFF_MEMBER int operator*() const { return i; }
    KKTDIFF_MEMBER bool operator!=(At other) const { return i < other.i; }
    KKTDIFF_MEMBER void operator++() { i += step; }
  };
  int first, last, step;
  KKTDIFF_MEMBER At begin() const { return {first, step}; }
  KKTDIFF_MEMBER At end() const { return {last, step}; }
};

// The team meets where the loop ends. A pass is not unrolled: most threads have one or two.
struct MeetingRange : Range {
  struct At : Range::At {
    KKTDIFF_MEMBER void operator++() {
      i += step;
      asm("" : "+r"(i));
    }
  };
  KKTDIFF_MEMBER MeetingRange(int first, int last, int step) : Range{first, last, step} {}
  KKTDIFF_MEMBER ~MeetingRange() { meet(); }
  KKTDIFF_MEMBER At begin() const { return {{first, step}}; }
  KKTDIFF_MEMBER At end() const { return {{last, step}}; }
};

constexpr bool ON_DEVICE = true;

KKTDIFF_INLINE MeetingRange each_entry(int first, int last) { return {first + rank(), last, TEAM}; }
KKTDIFF_INLINE MeetingRange each_row(int count) { return {warp_of_team(), count, WARPS}; }
KKTDIFF_INLINE Range each_column(int first, int last) {
  return {first + lane_of_warp(), last, WARP};
}

template <class F>
KKTDIFF_INLINE void in_columns(int count, F f) {
  for (int j : each_entry(0, count)) f(j, j + 1);
}

// Combine the values of a warp's threads: the same order, and so the same bits, in each of them.
template <class F>
KKTDIFF_INLINE double in_warp(double value, F f) {
  KKTDIFF_UNROLL
  for (int bits = WARP / 2; bits > 0; bits /= 2)
    value = f(value, __shfl_xor_sync(0xffffffffu, value, bits));
  return value;
}

template <class F>
KKTDIFF_INLINE double in_team(double value, F f) {
  value = in_warp(value, f);
  if constexpr (WARPS > 1) {
    __shared__ double parts[WARPS];
    if (lane_of_warp() == 0) parts[warp_of_team()] = value;
    meet();
    value = parts[0];
    for (int w = 1; w < WARPS; w++) value = f(value, parts[w]);
    meet();  // before anyone writes the next parts
  }
  return value;
}

KKTDIFF_APART double sum_of_all(double share) {
  return in_team(share, [](double a, double b) { return a + b; });
}
KKTDIFF_APART double max_of_all(double share) {
  return in_team(share, [](double a, double b) { return max(a, b); });
}
KKTDIFF_APART double min_of_all(double share) {
  return in_team(share, [](double a, double b) { return min(a, b); });
}
KKTDIFF_INLINE bool any_of_all(bool share) { return max_of_all(share ? 1.0 : 0.0) > 0.0; }
KKTDIFF_INLINE bool all_of_all(bool share) { return min_of_all(share ? 1.0 : 0.0) > 0.0; }
KKTDIFF_INLINE double sum_of_row(double share) {
  return in_warp(share, [](double a, double b) { return a + b; });
}
KKTDIFF_INLINE double max_of_row(double share) {
  return in_warp(share, [](double a, double b) { return max(a, b); });
}
KKTDIFF_INLINE bool any_of_row(bool share) { return max_of_row(share ? 1.0 : 0.0) > 0.0; }
