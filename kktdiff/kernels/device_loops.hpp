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

struct ShareRange : Range {  // not unrolled: most threads have one pass or two
  struct At : Range::At {
    KKTDIFF_MEMBER void operator++() {
      i += step;
      asm("" : "+r"(i));
    }
  };
  KKTDIFF_MEMBER ShareRange(int first, int last, int step) : Range{first, last, step} {}
  KKTDIFF_MEMBER At begin() const { return {{first, step}}; }
  KKTDIFF_MEMBER At end() const { return {{last, step}}; }
};

struct MeetingRange : ShareRange {  // the team meets where the loop ends, if it has any pass
  bool some;
  KKTDIFF_MEMBER MeetingRange(bool some, int first, int last, int step)
      : ShareRange(first, last, step), some(some) {}
  KKTDIFF_MEMBER ~MeetingRange() {
    if (some) meet();
  }
};

constexpr bool ON_DEVICE = true;

KKTDIFF_INLINE MeetingRange each_entry(int first, int last) {
  return {first < last, first + rank(), last, TEAM};
}
KKTDIFF_INLINE ShareRange each_share(int first, int last) { return {first + rank(), last, TEAM}; }
KKTDIFF_INLINE MeetingRange each_row(int count) {
  return {0 < count, warp_of_team(), count, WARPS};
}
KKTDIFF_INLINE ShareRange each_share_of_rows(int count) { return {warp_of_team(), count, WARPS}; }
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

// The larger one, and the other where one is NaN: the same in both of two threads that compare.
KKTDIFF_INLINE double larger(double a, double b) { return a > b || b != b ? a : b; }

// A thread's own mark of which of two places the team's next shares go to: with two, one meeting
// is enough. All begin with the same.
KKTDIFF_INLINE unsigned char &place_of_shares() {
  __shared__ unsigned char places[THREADS];
  return places[threadIdx.x];
}

constexpr int MOST_SHARES = 11;  // values that are put together at once

// Two places for the shares of each warp. No template has shared memory of its own: it would have
// it once for each of its instances.
KKTDIFF_INLINE double *shares_of_warps(int place) {
  __shared__ double shares[2 * MOST_SHARES * WARPS];
  return shares + place * (MOST_SHARES * WARPS);
}

// Combine N values of each of the team's threads. The meeting ends the loop that they come from,
// too: see each_share.
template <int N, class F>
KKTDIFF_INLINE void in_team(double (&values)[N], F f) {
  KKTDIFF_UNROLL for (int i = 0; i < N; i++) values[i] = in_warp(values[i], f);
  if constexpr (WARPS == 1) {
    __syncwarp();
  } else {
    static_assert(N <= MOST_SHARES, "there is a place for each");
    unsigned char &mark = place_of_shares();
    double *own = shares_of_warps(mark);
    mark = !mark;
    if (lane_of_warp() == 0)
      KKTDIFF_UNROLL for (int i = 0; i < N; i++) own[i * WARPS + warp_of_team()] = values[i];
    meet();
    KKTDIFF_UNROLL for (int i = 0; i < N; i++) {
      values[i] = own[i * WARPS];
      for (int w = 1; w < WARPS; w++) values[i] = f(values[i], own[i * WARPS + w]);
    }
  }
}

template <int N>
KKTDIFF_APART void sums_of_all(double (&shares)[N]) {
  in_team(shares, [](double a, double b) { return a + b; });
}
KKTDIFF_APART double sum_of_all(double share) {
  double shares[] = {share};
  in_team(shares, [](double a, double b) { return a + b; });
  return shares[0];
}
KKTDIFF_APART double max_of_all(double share) {
  double shares[] = {share};
  in_team(shares, larger);
  return shares[0];
}
KKTDIFF_INLINE double min_of_all(double share) { return -max_of_all(-share); }
KKTDIFF_INLINE bool any_of_all(bool share) {
  return WARPS == 1 ? __any_sync(0xffffffffu, share) != 0 : __syncthreads_or(share) != 0;
}
KKTDIFF_INLINE bool all_of_all(bool share) { return !any_of_all(!share); }
KKTDIFF_INLINE bool leads_row() { return lane_of_warp() == 0; }
template <class T, class F>
KKTDIFF_INLINE T share_of_sum(int n, F next) {
  T own = 0.0;
  for (int i : each_share(0, n)) own = next(i, own);
  return own;
}
template <class T, class F>
KKTDIFF_INLINE T share_of_max(int n, T least, F value) {
  for (int i : each_share(0, n)) least = max(value(i), least);
  return least;
}
KKTDIFF_INLINE double sum_of_row(double share) {
  return in_warp(share, [](double a, double b) { return a + b; });
}
KKTDIFF_INLINE double max_of_row(double share) {
  return in_warp(share, larger);
}
KKTDIFF_INLINE bool any_of_row(bool share) { return __any_sync(0xffffffffu, share) != 0; }
