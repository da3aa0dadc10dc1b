// The kernel `solve`: groups of problems, one in each lane, from the caller's arrays and back.
#pragma once
#include "call.hpp"
#include "driver.hpp"

namespace kktdiff {
namespace {

constexpr long long LANES_BYTES = 1 << 20;  // of Q, G, A and H of a group

// Sizes of a call: elements, n, m, k, rows of lower and of upper bounds, 1 if H is diagonal,
// slacks, then what the kernel alone takes.
inline Sizes sizes_of(const std::int64_t *s) {
  return {int(s[1]), int(s[2]), int(s[3]), int(s[4]), int(s[5]), int(s[1] - s[7])};
}

// The elements of one group: the last one again in lanes that have none.
template <class T>
struct Group {
  static constexpr int lanes = Lanes<T>::count;
  const Call &call;
  std::int64_t first, last;

  std::int64_t element(int lane) const { return first + lane < last ? first + lane : last - 1; }
  int count() const { return last - first < lanes ? int(last - first) : lanes; }
};

template <class T>
void load_array(const Group<T> &g, int which, int count, T *out) {
  const double *from = array<const double>(g.call, which, g.first);
  for (int i = 0; i < count; i++)
    out[i] = from ? load<T>(from + i, g.call.strides[which], g.count()) : T(0.0);
}

// Load Q, or its diagonal where H is one.
template <class T>
void load_Q(const Group<T> &g, int which, Problem<T> &q) {
  const int core = q.size.core, step = q.separable ? core + 1 : 1;
  const double *from = array<const double>(g.call, which, g.first);
  for (int i = 0; i < q.entries_of_Q(); i++)
    q.Q[i] = load<T>(from + (long long)i * step, g.call.strides[which], g.count());
}

template <class T>
void load_mask(const Group<T> &g, int which, int count, Mask<T> *out) {
  for (int l = 0; l < g.lanes; l++) {
    const unsigned char *from = array<const unsigned char>(g.call, which, g.element(l));
    for (int i = 0; i < count; i++) set_lane(out[i], l, from && from[i]);
  }
}

template <class T>
void store_array(const Group<T> &g, int which, int count, const T *values) {
  double *to = array<double>(g.call, which, g.first);
  for (int i = 0; i < count; i++) store(to + i, g.call.strides[which], values[i], g.count());
}

enum SolveArray {
  IN_Q,
  IN_P,
  IN_G,
  IN_A,
  IN_B,
  IN_D,
  IN_PRESENT,
  IN_FIXED,
  IN_VALUE,
  IN_SLACK_ROWS,
  WARM_X,
  WARM_LAM,
  WARM_NU,
  OUT_X,
  OUT_S,
  OUT_LAM,
  OUT_NU,
  OUT_Y,
  OUT_NUMBERS,
  OUT_SCALING,
  OUT_ACTIVE,
  OUT_STATUS,
  OUT_ITERATIONS,
  OUT_TRACE,
  OUT_FACTORS
};

template <class T>
void load_problem(const Group<T> &g, Problem<T> &q) {
  const auto [n, m, k, lower, upper, core] = q.size;
  q.slack_rows = array<const std::int64_t>(g.call, IN_SLACK_ROWS, 0);
  load_Q(g, IN_Q, q), load_array(g, IN_P, n, q.p), load_array(g, IN_G, m * core, q.G);
  load_array(g, IN_A, k * core, q.A), load_array(g, IN_B, k, q.b),
      load_array(g, IN_D, q.size.rows(), q.d);
  load_array(g, IN_VALUE, n, q.value);
  load_mask(g, IN_PRESENT, q.size.rows(), q.present), load_mask(g, IN_FIXED, n, q.fixed);
}

// Polish from the point of a nearby problem, which may show the active set.
template <class T>
void try_warm_start(const Group<T> &g, Solver<T> &s) {
  const Problem<T> &q = s.problem;
  const Sizes z = q.size;
  Point<T> &at = s.loop.best;
  load_array(g, WARM_X, z.n, at.x), load_array(g, WARM_LAM, z.rows(), at.lam),
      load_array(g, WARM_NU, z.k, at.nu);
  T sum = 0.0;
  for (int j = 0; j < z.n; j++) at.x[j] = at.x[j] / s.scaling.cols[j], sum = sum + abs(at.x[j]);
  for (int i = 0; i < z.k; i++)
    at.nu[i] = s.scaling.cost * at.nu[i] / s.scaling.eqs[i], sum = sum + abs(at.nu[i]);
  rows_of(q, at.x, at.s);
  for (int i = 0; i < z.rows(); i++) {
    at.s[i] = select(q.present[i], max(q.d[i] - at.s[i], T(0.0)), T(1.0));
    at.lam[i] =
        select(q.present[i], s.scaling.cost * at.lam[i] / row_weight(z, s.scaling, i), T(0.0));
    s.loop.active[i] = q.present[i] & (at.lam[i] > s.unit.weight() * at.s[i]);
    sum = sum + abs(at.lam[i]);
  }
  s.loop.iterations = 0.0;
  polish_and_correct(s, WARM_CORRECTIONS, s.lowest.convex & (sum < T(__builtin_inf())));
}

// Scale a point back in place.
template <class T>
void to_given(const Problem<T> &q, const Scaling<T> &s, Point<T> &at) {
  const auto [n, m, k, lower, upper, core] = q.size;
  for (int j = 0; j < n; j++) at.x[j] = s.cols[j] * at.x[j];
  for (int i = 0; i < k; i++) at.nu[i] = s.eqs[i] * at.nu[i] / s.cost;
  for (int i = 0; i < q.size.rows(); i++) {
    const T weight = row_weight(q.size, s, i);
    at.s[i] = select(q.present[i], at.s[i] / weight, at.s[i]);
    if (i < m) at.s[i] = select(q.idle[i] < 0.0, at.s[i], q.idle[i] / weight);
    at.lam[i] = weight * at.lam[i] / s.cost;
  }
}

// Proofs are of one unit of the scaled problem's objective, which is c times the given one.
template <class T>
void scale_proofs(Solver<T> &s) {
  const Sizes z = s.problem.size;
  const T c = select(s.verdict > T(SOLVED), s.scaling.cost, T(1.0));
  for (int j = 0; j < z.n; j++) s.solution.x[j] = s.solution.x[j] * c;
  for (int i = 0; i < z.rows(); i++) s.solution.lam[i] = s.solution.lam[i] * c;
  for (int i = 0; i < z.k; i++) s.solution.nu[i] = s.solution.nu[i] * c;
}

// The weights of the scaling, and theta: what `derive` needs beside the active set.
template <class T>
void store_scaling(const Group<T> &g, const Solver<T> &s) {
  const auto [n, m, k, lower, upper, core] = s.problem.size;
  for (int l = 0; l < g.count(); l++) {
    double *to = array<double>(g.call, OUT_SCALING, g.element(l));
    for (int j = 0; j < n; j++) *to++ = lane(s.scaling.cols[j], l);
    for (int i = 0; i < m; i++) *to++ = lane(s.scaling.rows[i], l);
    for (int i = 0; i < k; i++) *to++ = lane(s.scaling.eqs[i], l);
    *to++ = lane(s.scaling.cost, l), *to = lane(s.unit.weight(), l);
  }
}

// The active rows: those of polishing, and each fixed variable's equality on the bound of y's sign.
template <class T>
void store_active(const Group<T> &g, Solver<T> &s) {
  const auto [n, m, k, lower, upper, core] = s.problem.size;
  for (int j = 0; j < n && lower && upper; j++) {
    const Mask<T> fixed = s.problem.fixed[j], negative = s.residuals.y[j] < T(0.0);
    s.active[m + j] = s.active[m + j] | (fixed & negative);
    s.active[m + lower + j] = s.active[m + lower + j] | (fixed & !negative);
  }
  for (int l = 0; l < g.count(); l++) {
    auto *to = array<unsigned char>(g.call, OUT_ACTIVE, g.element(l));
    for (int i = 0; i < s.problem.size.rows(); i++) to[i] = lane(s.active[i], l);
  }
}

// Rows that the records of an element may take: stages and their corrections beside iterations.
inline int trace_rows(int max_iter) { return max_iter + 24; }

// Lanes keep no factors: they are of several problems side by side.
template <class T>
void place_kept(const Group<T> &, int, Factors<T> &) {}
template <>
inline void place_kept(const Group<double> &g, int which, Factors<double> &f) {
  double *memory = array<double>(g.call, which, g.first);
  if (memory) place_factors(memory, sizes_of(g.call.sizes), f);
}

template <class T>
void solve_group(const Group<T> &g, Solver<T> &s, int stages, int max_iter) {
  Problem<T> &q = s.problem;
  const auto [n, m, k, lower, upper, core] = q.size;
  const int M = q.size.rows();
  q.separable = g.call.sizes[6] != 0;
  load_problem(g, q);
  place_kept(g, OUT_FACTORS, s.newton.factors);
  s.tol = g.call.options[0];
  for (int l = 0; l < g.lanes; l++) {  // none for lanes that repeat the last element
    const bool wanted = g.call.arrays[OUT_TRACE] && l < g.count();
    s.trace.row[l] = wanted ? array<double>(g.call, OUT_TRACE, g.element(l)) : nullptr;
    s.trace.left[l] = wanted ? trace_rows(max_iter) : 0;
  }
  prepare(s);
  if (!M)
    solve_equations(s);
  else if (g.call.arrays[WARM_X])
    try_warm_start(g, s);
  follow(s, stages, max_iter);
  T out[4];
  numbers(q, s.scaling, s.solution, s.residuals, out);
  for (int j = 0; j < n; j++)
    s.residuals.y[j] = s.residuals.y[j] / (s.scaling.cost * s.scaling.cols[j]);
  to_given(q, s.scaling, s.solution);
  scale_proofs(s);
  store_array(g, OUT_X, n, s.solution.x), store_array(g, OUT_S, M, s.solution.s),
      store_array(g, OUT_LAM, M, s.solution.lam);
  store_array(g, OUT_NU, k, s.solution.nu), store_array(g, OUT_Y, n, s.residuals.y),
      store_array(g, OUT_NUMBERS, 4, out);
  store_scaling(g, s), store_active(g, s);
  if (double *range = s.newton.factors.kept)
    range[0] = lane(s.newton.factors.pivots.low, 0),
    range[1] = lane(s.newton.factors.pivots.high, 0);
  for (int l = 0; l < g.count(); l++) {
    const std::int64_t element = g.element(l);
    *array<std::int64_t>(g.call, OUT_STATUS, element) =
        lane(s.lowest.convex, l) ? std::int64_t(lane(s.verdict, l)) : std::int64_t(NONCONVEX);
    *array<std::int64_t>(g.call, OUT_ITERATIONS, element) =
        std::int64_t(lane(s.loop.iterations, l));
  }
}

// Solve elements first to last - 1; status -1 where neither a solution nor a proof was found.
template <class T>
void solve_all(const Call &call, std::int64_t first, std::int64_t last) {
  Arena arena{reinterpret_cast<char *>(call.scratch)};
  Solver<T> solver(arena, sizes_of(call.sizes));
  for (; first < last; first += Lanes<T>::count)
    solve_group(Group<T>{call, first, last}, solver, int(call.sizes[8]), int(call.sizes[9]));
}

// Doubles that a solver takes, and one vector that is read beyond the end.
template <class Work>
std::int64_t doubles_of(const std::int64_t *sizes) {
  Arena counting;
  const Work work(counting, sizes_of(sizes));
  return counting.used / 8 + 8;
}

// Problems go into lanes if the matrices of all of them fit into the cache together.
inline bool in_lanes(const std::int64_t *sizes) {
  const Sizes z = sizes_of(sizes);
  return (2 * z.core + z.m + z.k) * (long long)z.core * LANES * 8 <= LANES_BYTES;
}

#if !defined(__CUDACC__)
void solve(const Call &call, std::int64_t first, std::int64_t last) {
  in_lanes(call.sizes) ? solve_all<Pack>(call, first, last) : solve_all<double>(call, first, last);
}

std::int64_t solve_doubles(const std::int64_t *sizes) {
  return in_lanes(sizes) ? doubles_of<Solver<Pack>>(sizes) : doubles_of<Solver<double>>(sizes);
}
#endif

}  // namespace
}  // namespace kktdiff
