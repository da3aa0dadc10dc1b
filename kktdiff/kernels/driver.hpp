// The method for the problems of one group of lanes; see _interior_point/driver.py.
#pragma once
#include "active_set.hpp"

namespace kktdiff {
namespace {

constexpr Stage STAGES[] = {{1e-6, false, 2, 1e-4, false},
                            {1e-9, true, 0, 0, false},
                            {1e-9, true, 2, 0, false},
                            {1e-15, true, 2, 1e-9, false}};
constexpr Stage PATH_STAGES[] = {{1e-9, false, 0, 0, true}, {1e-9, true, 0, 0, true}};
constexpr int CORRECTIONS = 2, WARM_CORRECTIONS = 4, ACTIVE_SET_CHANGE_DIVISOR = 4;

// Records of what each lane went through, where the caller wants them: rows of phase, iteration,
// running, primal, dual, gap, mu, step.
struct Trace {
  double *row[LANES] = {};  // the next one of each lane, or null
  int left[LANES] = {};
};

template <class T>
struct Solver {
  Problem<T> problem;  // first what is used most, see Arena
  Newton<T> newton;
  Residuals<T> residuals;
  Loop<T> loop;
  Scaling<T> scaling;
  Balance<T> balance;
  Lowest<T> lowest;
  Units<T> unit;
  Mask<T> linear;
  double tol;
  Polish<T> polished;
  Point<T> start, solution;
  Mask<T> *shown;   // (M)
  Mask<T> *active;  // (M): of the solution
  Proof<T> proof;
  Mask<T> done;  // solved to rounding, or proven to have no solution
  T verdict;     // Status of those
  Trace trace;

  Solver(Arena &a, Sizes z, const Entries *sparse = nullptr)
      : problem(a, z, sparse), newton(a, z, sparse), residuals(a, z), loop(a, z), scaling(a, z),
        balance(a, z), lowest(a, z), polished(a, z), start(a, z), solution(a, z),
        proof(a, z, sparse) {
    shown = a.take<Mask<T>>(z.rows()), active = a.take<Mask<T>>(z.rows());
  }
};

// Scale the problems in place, find their units, and drop those that are not convex.
template <class T>
void prepare(Solver<T> &s) {
  Problem<T> &q = s.problem;
  find_lowest(q, s.newton.factors, s.lowest);
  equilibrate(q, s.scaling, s.balance);
  drop_idle_rows(q);
  square_equalities(q, s.newton.factors.work);
  count_rows(q);
  Units<T> unit = units(q, size_of_lowest(q.size.core, s.lowest, s.scaling.cols));
  if (!q.size.rows()) unit.x = unit.price = 1.0;  // nothing is natural but Q itself
  s.unit = unit;
  s.linear = s.unit.bend == T(0.0);
  s.done = mask<T>(false), s.verdict = RUNNING;
  for (int i : each_entry(q.size.rows())) s.active[i] = mask<T>(false);
}

// A point near the origin with s and lam positive and about centred; see start.py.
template <class T>
KKTDIFF_APART void find_start(Solver<T> &s) {
  const Problem<T> &q = s.problem;
  const Sizes z = q.size;
  Newton<T> &w = s.newton;
  for (int j : each_entry(z.n)) s.start.x[j] = q.value[j], w.weights.held[j] = q.fixed[j];
  for (int i : each_entry(z.rows())) {
    s.start.s[i] = s.start.lam[i] = 0.0;
    w.weights.w[i] = select(q.present[i], s.unit.weight(), T(0.0));
  }
  for (int i : each_entry(z.k)) s.start.nu[i] = 0.0;
  w.weights.theta = s.unit.weight(), w.weights.rho = w.weights.delta = MAX_REGULARISATION;
  w.weights.large = 1.0;
  factor(q, w.weights, false, w.factors);
  evaluate(q, s.start, s.residuals);
  for (int j : each_entry(z.n)) w.rhs.x[j] = -s.residuals.x[j];
  for (int i : each_entry(z.rows()))
    w.rhs.c[i] = select(q.present[i], min(-s.residuals.c[i], T(0.0)), T(0.0));
  for (int i : each_entry(z.k)) w.rhs.nu[i] = -s.residuals.nu[i];
  solve_once(q, w.weights, w.factors, w.rhs, w.out);
  for (int j : each_entry(z.n)) w.predictor.x[j] = s.start.x[j] + w.out.x[j];
  for (int i : each_entry(z.k)) s.start.nu[i] = w.out.nu[i];
  centre(q, w.predictor.x, s.unit.x, s.unit.price, w.rhs.x, w.rhs.c, s.start);
}

template <class T>
KKTDIFF_APART void begin(const Sizes &z, const Point<T> &from, Loop<T> &loop) {
  const Mask<T> all = mask<T>(true);
  assign(z, all, from, loop.point), assign(z, all, from, loop.before),
      assign(z, all, from, loop.best);
  loop.best_error = BIG, loop.progress = loop.iterations, loop.boost = 1.0;
  loop.short_steps = loop.restarts = loop.step = 0.0;
  for (int i = 0; i < 4; i++) loop.least[i] = BIG;
  loop.expected[0] = loop.expected[1] = BIG;
  for (int i : each_entry(z.rows())) loop.active[i] = from.lam[i] > from.s[i];
}

// Largest violation of a constraint in the caller's units.
template <class T>
T given_violation(const Problem<T> &q, const Scaling<T> &s, const Point<T> &at,
                  const Residuals<T> &r) {
  T out = 0.0;
  for (int i : each_share(q.size.rows()))
    out = max((r.Cx[i] - q.d[i]) / row_weight(q.size, s, i), out);
  for (int i : each_share(q.size.k)) out = max(abs(r.nu[i]) / s.eqs[i], out);
  for (int j : each_share(q.size.n))
    out = max(select(q.fixed[j], abs(at.x[j] - q.value[j]) * s.cols[j], T(0.0)), out);
  return max_of_all(out);
}

// Objective and residuals in the caller's units, in which the powers of two change no digit.
template <class T>
KKTDIFF_APART void numbers(const Problem<T> &q, const Scaling<T> &s, const Point<T> &at,
                           Residuals<T> &r, T *out) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  evaluate(q, at, r);
  out[0] = (dot(n, at.x, r.Qx) / T(2.0) + dot(n, at.x, q.p)) / s.cost;
  T dual = 0.0;
  for (int j : each_entry(n)) dual = max(abs(r.x[j]) / (s.cost * s.cols[j]), dual);
  dual = max_of_all(dual);
  out[1] = given_violation(q, s, at, r), out[2] = dual, out[3] = r.gap / s.cost;
}

// Record the lanes `some` at a point; `running` of them go on.
template <class T>
KKTDIFF_APART void record(Solver<T> &s, double phase, const Point<T> &at, Mask<T> some,
                          Mask<T> running, T mu, T step) {
  if (!s.trace.row[0]) return;
  const Trace before = s.trace;
  T out[4];
  numbers(s.problem, s.scaling, at, s.polished.trial_r, out);
  const T scaled_mu = mu / s.scaling.cost;
  for (int l = 0; l < Lanes<T>::count; l++) {
    if (!lane(some, l) || before.left[l] <= 0) continue;
    double *to = before.row[l];
    *to++ = phase, *to++ = lane(s.loop.iterations, l), *to++ = lane(running, l);
    for (int i = 1; i < 4; i++) *to++ = lane(out[i], l);
    *to++ = lane(scaled_mu, l), *to++ = lane(step, l);
    s.trace.row[l] = to, s.trace.left[l] = before.left[l] - 1;
  }
}

// Check the running lanes; return those that are infeasible by about as much as rounding may be.
template <class T>
KKTDIFF_APART Mask<T> check(Solver<T> &s, const Errors<T> &e, const Stage &stage, int max_iter) {
  const Problem<T> &q = s.problem;
  Newton<T> &w = s.newton;
  Loop<T> &loop = s.loop;
  const Mask<T> running = loop.status == T(RUNNING),
                slow = running & (e.primal > loop.least[0] / T(2.0));
  const T violation = given_violation(q, s.scaling, loop.point, s.residuals);
  const Mask<T> hopeless =
      least_violated(q, s.unit, s.residuals, loop, slow, violation, s.tol, s.proof);
  const Mask<T> no_bound = unbounded(q, s.unit, s.residuals, loop, running, s.proof, s.solution);
  const Mask<T> no_point = infeasible(q, s.unit, s.residuals, loop, running, w.weights, w.factors,
                                      w.rhs, w.out, w.refinement, s.proof, s.solution);
  check_termination(q, s.unit, s.residuals, e, stage, max_iter, hopeless, no_bound, no_point, loop);
  return hopeless;
}

// Iterate the lanes `todo` until each is accurate, proven to have no solution, out of iterations or
// stuck; return the lanes for which no other stage is of use.
template <class T>
KKTDIFF_APART Mask<T> run(Solver<T> &s, const Stage &stage, int max_iter, Mask<T> todo) {
  const Problem<T> &q = s.problem;
  Mask<T> hopeless = mask<T>(false);
  s.loop.status = select(todo, T(RUNNING), T(SOLVED));
  for (;;) {
    evaluate(q, s.loop.point, s.residuals);
    Errors<T> e = errors(q, s.unit, s.loop.point, s.residuals);
    if (stage.on_path) e.complementarity = off_path(q, s.loop.point, s.loop.aim);
    const Mask<T> before = s.loop.status == T(RUNNING);
    hopeless = hopeless | check(s, e, stage, max_iter);
    const Mask<T> running = s.loop.status == T(RUNNING);
    record(s, 0, s.loop.point, before, running, mean_product(q, s.loop.point.s, s.loop.point.lam),
           s.loop.step);
    if (!any(running)) return hopeless & mask<T>(stage.careful);
    advance(q, s.unit, s.linear, s.residuals, e, stage, s.newton, s.polished.trial, s.shown,
            s.loop);
  }
}

// Polish the lanes `todo` from their best points; correct active sets whose signs are wrong.
template <class T>
KKTDIFF_APART void polish_and_correct(Solver<T> &s, int corrections, Mask<T> todo) {
  const Sizes z = s.problem.size;
  Polish<T> &p = s.polished;
  const Point<T> &at = s.loop.best;
  T most = 4 + z.rows() / ACTIVE_SET_CHANGE_DIVISOR;
  for (int i : each_entry(z.rows())) p.active[i] = s.loop.active[i];
  one_side(s.problem, at.lam, p.active);
  for (int left = corrections; left >= 0 && any(todo); left--) {
    polish(s.problem, s.unit, at, todo, s.newton, p);
    record(s, 1, p.point, todo, !p.clean, T(0.0), T(1.0));
    T wrong = 0.0;
    for (int i : each_entry(z.rows()))
      wrong = wrong + select(p.wanted[i] ^ p.active[i], T(1.0), T(0.0));
    wrong = sum_of_all(wrong);
    Mask<T> off = !(p.clean & p.is_signed) & (wrong > 0.0) & (wrong < most);
    if (left == 0) off = mask<T>(false);
    const Mask<T> good = todo & p.clean & !off;
    assign(z, good, p.point, s.solution);
    s.done = s.done | good, s.verdict = select(good, T(SOLVED), s.verdict);
    todo = todo & off;
    for (int i : each_entry(z.rows())) {
      s.active[i] = (good & p.active[i]) | (!good & s.active[i]);
      p.active[i] = (todo & p.wanted[i]) | (!todo & p.active[i]);
    }
    most = wrong;
    one_side(s.problem, at.lam, p.active);
  }
}

// Without inequalities the active set is known: polish from the origin.
template <class T>
void solve_equations(Solver<T> &s) {
  const Sizes z = s.problem.size;
  s.loop.iterations = 0.0;
  for (int j : each_entry(z.n)) s.loop.best.x[j] = 0.0;
  for (int i : each_entry(z.k)) s.loop.best.nu[i] = 0.0;
  polish_and_correct(s, 0, s.lowest.convex);
}

// Where polishing is worth a try: the best point's error is small.
template <class T>
Mask<T> near_solution(Solver<T> &s) {
  evaluate(s.problem, s.loop.best, s.residuals);
  return errors(s.problem, s.unit, s.loop.best, s.residuals).worst() <= POLISH_TRY;
}

// Follow the first stages from a cold start; s.done says which lanes are solved or proven.
template <class T>
KKTDIFF_APART void follow(Solver<T> &s, int stages, int max_iter) {
  const int last = int(sizeof STAGES / sizeof *STAGES) - 1;  // again where there are more
  Mask<T> todo = s.lowest.convex & !s.done;
  s.loop.iterations = s.loop.aim = 0.0;
  if (any(todo)) find_start(s);
  for (int i = 0; i < stages && any(todo); i++) {
    s.newton.factors.proximal = SPARSE_PROXIMALS[i];
    begin(s.problem.size, i ? s.loop.best : s.start, s.loop);
    const Mask<T> hopeless = run(s, STAGES[i < last ? i : last], max_iter, todo);
    const T status = s.loop.status;
    const Mask<T> proven =
        todo & ((status == T(PRIMAL_INFEASIBLE)) | (status == T(DUAL_INFEASIBLE)));
    s.verdict = select(proven, status, s.verdict), s.done = s.done | proven;
    polish_and_correct(s, CORRECTIONS, todo & !proven & near_solution(s));
    todo = todo & !s.done & !hopeless;
  }
}

// Go to the point of the central path with s_i lam_i = barrier; see _sensitivity/central_path.py.
template <class T>
KKTDIFF_APART void follow_path(Solver<T> &s, double barrier, int max_iter) {
  Mask<T> todo = s.lowest.convex;
  s.loop.iterations = 0.0, s.loop.aim = T(barrier) * s.scaling.cost;
  find_start(s);
  for (int i = 0; i < 2 && any(todo); i++) {
    begin(s.problem.size, i ? s.loop.best : s.start, s.loop);
    run(s, PATH_STAGES[i], max_iter, todo);
    const Mask<T> found = todo & (s.loop.status == T(SOLVED));
    assign(s.problem.size, found, s.loop.best, s.solution);
    s.done = s.done | found, s.verdict = select(found, T(SOLVED), s.verdict);
    todo = todo & !found;
  }
}

}  // namespace
}  // namespace kktdiff
