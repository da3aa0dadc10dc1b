// The kernel `solve`: groups of problems, one in each lane, from the caller's arrays and back.
#pragma once
#include "warm_start.hpp"

namespace kktdiff {
namespace {

// Scale a point back in place.
template <class T>
KKTDIFF_APART void to_given(const Problem<T> &q, const Scaling<T> &s, Point<T> &at) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  for (int j : each_entry(n)) at.x[j] = s.cols[j] * at.x[j];
  for (int i : each_entry(k)) at.nu[i] = s.eqs[i] * at.nu[i] / s.cost;
  for (int i : each_entry(q.size.rows())) {
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
  for (int j : each_entry(z.n)) s.solution.x[j] = s.solution.x[j] * c;
  for (int i : each_entry(z.rows())) s.solution.lam[i] = s.solution.lam[i] * c;
  for (int i : each_entry(z.k)) s.solution.nu[i] = s.solution.nu[i] * c;
}

// What derivatives need beside the active set: the weights of the scaling and theta, the point, and
// the multipliers of fixed variables.
template <class T>
void store_kept(const Group<T> &g, const Solver<T> &s) {
  const auto [n, m, k, lower, upper, core, soft] = s.problem.size;
  const int M = s.problem.size.rows();
  const T last[] = {s.scaling.cost, s.unit.weight()};
  int at = 0;
  const auto append = [&](int count, const T *values) {
    double *to = array<double>(g.call, OUT_KEPT, g.first) + at;
    for (int i : each_entry(count)) store(to + i, g.call.strides[OUT_KEPT], values[i], g.count());
    at += count;
  };
  append(n, s.scaling.cols), append(m, s.scaling.rows), append(k, s.scaling.eqs), append(2, last);
  append(n, s.solution.x), append(M, s.solution.s), append(M, s.solution.lam);
  append(k, s.solution.nu), append(n, s.residuals.y);
}

// The active rows: those of polishing, and each fixed variable's equality on the bound of y's sign.
template <class T>
void store_active(const Group<T> &g, Solver<T> &s) {
  const auto [n, m, k, lower, upper, core, soft] = s.problem.size;
  for (int j : each_entry(core, n)) {
    Mask<T> &active = s.active[s.problem.size.given() + j - core];
    active = active | s.problem.fixed[j];
  }
  for (int j : each_entry(lower && upper ? core : 0)) {
    const Mask<T> fixed = s.problem.fixed[j], negative = s.residuals.y[j] < T(0.0);
    s.active[m + j] = s.active[m + j] | (fixed & negative);
    s.active[m + lower + j] = s.active[m + lower + j] | (fixed & !negative);
  }
  for (int l = 0; l < g.count(); l++) {
    auto *to = array<unsigned char>(g.call, OUT_ACTIVE, g.element(l));
    for (int i : each_entry(s.problem.size.rows())) to[i] = lane(s.active[i], l);
  }
}

// The weights lam/s of the rows at a point of the central path, of the scaled problem.
template <class T>
void store_weights(const Group<T> &g, Solver<T> &s) {
  const int M = s.problem.size.rows();
  if (!g.call.arrays[OUT_WEIGHTS]) return;
  T *out = s.newton.weights.w;
  for (int i : each_entry(M))
    out[i] = select(s.problem.present[i], s.solution.lam[i] / s.solution.s[i], T(0.0));
  store_array(g, OUT_WEIGHTS, M, out);
}

// Rows that the records of an element may take: stages and their corrections beside iterations.
inline int trace_rows(int max_iter) { return max_iter + 24; }

// Lanes keep no factors: they are of several problems side by side.
template <class T>
void place_kept(const Group<T> &, int, Factors<T> &) {}
template <>
inline void place_kept(const Group<double> &g, int which, Factors<double> &f) {
  double *memory = array<double>(g.call, which, g.first);
  const SparseEntries sparse(g.call.sizes);
  if (memory) place_factors(memory, sizes_of(g.call.sizes), sparse.get(), f);
}

// Copy the factors to where derivatives look for them, if anywhere: a device has them in fast
// memory.
template <class T>
void store_factors(const Group<T> &g, const Problem<T> &q, const Factors<T> &f) {
  Factors<T> kept = f;
  place_kept(g, OUT_FACTORS, kept);
  if (!kept.kept) return;
  kept.kept[0] = lane(f.pivots.low, 0), kept.kept[1] = lane(f.pivots.high, 0);
  if (q.sparse) {
    for (int i : each_entry(q.sparse->ldl.entries)) kept.L[i] = f.L[i];
    for (int i : each_entry(q.sparse->ldl.size)) kept.D[i] = f.D[i];
    kept.kept[2] = f.proximal;
    return;
  }
  const int n = q.size.core, r = f.border;
  for (int i : each_entry(q.separable ? n : n * n)) kept.L[i] = f.L[i];
  for (int i : each_entry(n * r)) kept.V[i] = f.V[i];
  for (int i : each_entry(r * r)) kept.S[i] = f.S[i];
}

// The fields of the solution: NaN in the lanes that have none.
template <class T>
KKTDIFF_APART void store_solution(const Group<T> &g, const Solver<T> &s, Mask<T> solved,
                                  const T *numbers) {
  const Problem<T> &q = s.problem;
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const T nan = T(__builtin_inf()) - T(__builtin_inf());
  const auto put = [&](int which, int i, T value) {
    double *to = array<double>(g.call, SOLUTION + which, g.first) + i;
    store(to, g.call.strides[SOLUTION + which], select(solved, value, nan), g.count());
  };
  for (int j : each_entry(core)) put(0, j, s.solution.x[j]);
  for (int i : each_entry(m)) {
    const Mask<T> absent = !q.present[i] & (q.idle[i] < T(0.0));
    put(1, i, select(absent, T(__builtin_inf()), s.solution.s[i]));
    put(2, i, s.solution.lam[i]);
  }
  for (int i : each_entry(k)) put(3, i, s.solution.nu[i]);
  for (int j :
       each_entry(core)) {  // a fixed variable's multiplier is that of the bound of its sign
    const T y = s.residuals.y[j];
    const T low = lower ? s.solution.lam[m + j] : T(0.0);
    const T high = upper ? s.solution.lam[m + lower + j] : T(0.0);
    put(4, j, select(q.fixed[j] & (y < T(0.0)), -y, low));
    put(5, j, select(q.fixed[j] & (y > T(0.0)), y, high));
  }
  const int sizes[] = {m, lower, upper, k};
  const T *slack = s.solution.x + core;
  for (int side = 0; side < 4; side++) {
    if (!(soft & 1 << side)) continue;
    for (int i : each_entry(sizes[side]))
      put(6 + side, i, side < 3 ? slack[i] : slack[i] - slack[k + i]);
    slack += sizes[side];
  }
  for (int i = 0; i < 4; i++) put(OUT_NUMBERS - SOLUTION, i, numbers[i]);
}

// Have the best points as the solutions of the lanes `left`, with the active sets that they show.
template <class T>
void take_best(Solver<T> &s, Mask<T> left) {
  const Point<T> &at = s.loop.best;
  assign(s.problem.size, left, at, s.solution);
  for (int i : each_entry(s.problem.size.rows())) {
    const Mask<T> shown = s.problem.present[i] & (at.lam[i] > s.unit.weight() * at.s[i]);
    s.active[i] = (left & shown) | (!left & s.active[i]);
  }
  one_side(s.problem, s.solution.lam, s.active);
}

template <class T>
void solve_group(const Group<T> &g, Solver<T> &s) {
  const std::int64_t *own = g.call.sizes + OWN_SIZES;
  const int stages = int(own[0]), max_iter = int(own[1]);
  Problem<T> &q = s.problem;
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  const int M = q.size.rows();
  q.separable = g.call.sizes[6] == DIAGONAL, q.sparse = g.sparse;
  q.team = s.newton.factors.work.team = g.call.team;
  const Mask<T> sound = load_problem(g, q, own[2] != 0);
  if (!ON_DEVICE) place_kept(g, OUT_FACTORS, s.newton.factors);
  s.tol = g.call.options[0];
  for (int l = 0; l < g.lanes; l++) {  // none for lanes that repeat the last element
    const bool wanted = g.call.arrays[OUT_TRACE] && l < g.count();
    s.trace.row[l] = wanted ? array<double>(g.call, OUT_TRACE, g.element(l)) : nullptr;
    s.trace.left[l] = wanted ? trace_rows(max_iter) : 0;
  }
  s.newton.factors.proximal = SPARSE_PROXIMAL;
  prepare(s);
  const Mask<T> convex = s.lowest.convex;
  s.lowest.convex = convex & sound;
  const double barrier = M ? g.call.options[1] : 0.0;
  if (!M)
    solve_equations(s);
  else if (g.call.arrays[WARM_X])
    try_warm_start(g, s);
  if (barrier > 0.0)
    follow_path(s, barrier, max_iter);
  else
    follow(s, stages, max_iter);
  const Mask<T> left = mask<T>(q.sparse && !(barrier > 0.0)) & s.lowest.convex & !s.done;
  if (any(left)) take_best(s, left);
  T out[4];
  numbers(q, s.scaling, s.solution, s.residuals, out);
  for (int j : each_entry(n))
    s.residuals.y[j] = s.residuals.y[j] / (s.scaling.cost * s.scaling.cols[j]);
  store_weights(g, s);
  to_given(q, s.scaling, s.solution);
  scale_proofs(s);
  store_kept(g, s), store_active(g, s);
  if (ON_DEVICE) {
    store_factors(g, q, s.newton.factors);
  } else if (double *range = s.newton.factors.kept) {
    range[0] = lane(s.newton.factors.pivots.low, 0);
    range[1] = lane(s.newton.factors.pivots.high, 0), range[2] = s.newton.factors.proximal;
  }
  const T status =
      select(sound, select(convex, s.verdict, T(double(NONCONVEX))), T(double(UNSOUND)));
  store_solution(g, s, (status == T(double(SOLVED))) | left, out);
  for (int l = 0; l < g.count(); l++) {
    const std::int64_t element = g.element(l);
    *array<std::int64_t>(g.call, OUT_STATUS, element) = std::int64_t(lane(status, l));
    *array<std::int64_t>(g.call, OUT_ITERATIONS, element) =
        std::int64_t(lane(s.loop.iterations, l));
  }
}

#if !defined(__CUDACC__)
// Solve elements first to last - 1; status -1 where neither a solution nor a proof was found, and
// -2 where the data are not sound.
template <class T>
void solve_all(const Call &call, std::int64_t first, std::int64_t last) {
  Arena arena{reinterpret_cast<char *>(call.scratch)};
  const SparseEntries sparse(call.sizes);
  const Structure structure = structure_of(call, IN_STRUCTURE);
  Solver<T> solver(arena, sizes_of(call.sizes), sparse.get());
  for (; first < last; first += Lanes<T>::count)
    solve_group(Group<T>{call, first, last, sparse.get() ? &structure : nullptr}, solver);
}

// Doubles that a solver takes, and one vector that is read beyond the end.
template <class Work>
std::int64_t doubles_of(const std::int64_t *sizes) {
  Arena counting;
  const SparseEntries sparse(sizes);
  const Work work(counting, sizes_of(sizes), sparse.get());
  return counting.used / 8 + 8;
}

constexpr long long LANES_BYTES = 1 << 20;  // of Q, G, A and H of a group

// Problems go into lanes if the matrices of all of them fit into the cache together.
inline bool in_lanes(const std::int64_t *sizes) {
  const Sizes z = sizes_of(sizes);
  const SparseEntries sparse(sizes);
  if (sparse.there) return sizes[0] > 1 && sparse.own.L + sparse.own.given <= SPARSE_LANES;
  return (2 * z.core + z.m + z.k) * (long long)z.core * LANES * 8 <= LANES_BYTES;
}

void solve(const Call &call, std::int64_t first, std::int64_t last) {
  in_lanes(call.sizes) ? solve_all<Pack>(call, first, last) : solve_all<double>(call, first, last);
}

// Doubles that a thread needs to help with a problem; 0 for problems in lanes, which are too small.
std::int64_t helper_doubles(const std::int64_t *sizes) {
  return in_lanes(sizes) || sizes[6] == SPARSE ? 0 : panel_entries(sizes_of(sizes));
}

std::int64_t solve_doubles(const std::int64_t *sizes) {
  return in_lanes(sizes) ? doubles_of<Solver<Pack>>(sizes) : doubles_of<Solver<double>>(sizes);
}
#endif

}  // namespace
}  // namespace kktdiff
