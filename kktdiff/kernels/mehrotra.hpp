// Mehrotra's predictor-corrector with proximal terms and a guard; see _interior_point/mehrotra.py.
#pragma once
#include "certificates.hpp"

namespace kktdiff {
namespace {

template <class T>
struct Direction {
  T *x, *s, *lam, *nu;

  Direction(Arena &a, Sizes z) {
    x = a.take<T>(z.n), s = a.take<T>(z.rows()), lam = a.take<T>(z.rows()), nu = a.take<T>(z.k);
  }
};

template <class T>
struct Newton {  // one factored system and what solving it takes
  Weights<T> weights;
  Factors<T> factors;
  Rhs<T> rhs, out;
  Direction<T> predictor, trial, found;
  T *target;  // (M): aim of s_i lam_i
  Refinement<T> refinement;

  Newton(Arena &a, Sizes z, const Entries *sparse = nullptr)
      : weights(a, z), factors(a, z, sparse), rhs(a, z), out(a, z), predictor(a, z), trial(a, z),
        found(a, z), target(a.take<T>(z.rows())), refinement(a, z) {}
};

// Find the direction that aims at lam_i s_i = target_i.
template <class T>
KKTDIFF_APART void newton_step(const Problem<T> &q, const Point<T> &at, const Residuals<T> &r,
                               bool careful, Newton<T> &w, Direction<T> &d) {
  const int n = q.size.n, k = q.size.k, M = q.size.rows();
  for (int j : each_entry(n)) w.rhs.x[j] = -r.x[j];
  KKTDIFF_INDEPENDENT for (int i : each_entry(M)) w.rhs.c[i] =
      select(q.present[i], at.s[i] - r.c[i] - w.target[i] / at.lam[i], T(0.0));
  for (int i : each_entry(k)) w.rhs.nu[i] = -r.nu[i];
  if (careful)
    refine(q, w.weights, w.factors, w.rhs, STEP_ACCURACY, w.out, w.refinement);
  else
    solve_once(q, w.weights, w.factors, w.rhs, w.out);
  for (int j : each_entry(n)) d.x[j] = w.out.x[j];
  for (int i : each_entry(k)) d.nu[i] = w.out.nu[i];
  KKTDIFF_INDEPENDENT for (int i : each_entry(M)) {
    d.lam[i] = w.out.c[i];
    const T ds = w.target[i] / at.lam[i] - at.s[i] - at.s[i] / at.lam[i] * d.lam[i];
    d.s[i] = select(q.present[i], ds, T(0.0));
  }
}

template <class T>
struct Steps {
  T primal, dual;
};

template <class T>
KKTDIFF_APART T to_boundary(int count, const T *v, const T *dv, double fraction) {
  const T rate = share_of_max(count, T(fraction), [&](int i) { return -dv[i] / v[i]; });
  return T(fraction) / max_of_all(rate);
}

// Steps of s and lam: `fraction` of the largest that keep them above zero, at most 1; a step of
// its own for each in linear programs only.
template <class T>
Steps<T> step_lengths(const Problem<T> &q, Mask<T> linear, const Point<T> &at,
                      const Direction<T> &d, double fraction) {
  const T primal = to_boundary(q.size.rows(), at.s, d.s, fraction);
  const T dual = to_boundary(q.size.rows(), at.lam, d.lam, fraction);
  const T both = min(primal, dual);
  return {select(linear, primal, both), select(linear, dual, both)};
}

template <class T>
KKTDIFF_APART T mu_after(const Problem<T> &q, const Point<T> &at, const Direction<T> &d,
                         Steps<T> t) {
  const T sum = share_of_sum<T>(q.size.rows(), [&](int i, T sum) {
    return fma(fma(t.primal, d.s[i], at.s[i]), fma(t.dual, d.lam[i], at.lam[i]), sum);
  });
  return sum_of_all(sum) / q.count;
}

template <class T>
void assign(const Sizes &z, Mask<T> where, const Direction<T> &from, Direction<T> &to) {
  assign(z.n, where, from.x, to.x), assign(z.k, where, from.nu, to.nu);
  assign(z.rows(), where, from.s, to.s), assign(z.rows(), where, from.lam, to.lam);
}

// The predictor and the rows it shows as active (Tapia's indicators).
template <class T>
Steps<T> predict(const Problem<T> &q, Mask<T> linear, const Point<T> &at, const Residuals<T> &r,
                 bool careful, T aim, Newton<T> &w, Mask<T> *active) {
  const int M = q.size.rows();
  for (int i : each_entry(M)) w.target[i] = aim;
  newton_step(q, at, r, careful, w, w.predictor);
  for (int i : each_entry(M))
    active[i] = q.present[i] & (w.predictor.s[i] / at.s[i] < w.predictor.lam[i] / at.lam[i]);
  return step_lengths(q, linear, at, w.predictor, 1.0);
}

// No further than mu's lowest point along the direction, a parabola.
template <class T>
void stop_at_lowest(const Problem<T> &q, const Direction<T> &d, T sigma, T mu, T aim, Steps<T> &t) {
  const T rise = mean_product(q, d.s, d.lam);
  const T lowest = (T(1.0) - sigma) * mu / (T(2.0) * select(rise > 0.0, rise, T(1.0)));
  const Mask<T> bounded = (rise > 0.0) & (aim < sigma * mu);
  t.primal = select(bounded, min(t.primal, lowest), t.primal);
  t.dual = select(bounded, min(t.dual, lowest), t.dual);
}

template <class T>
void shorten(T &t) {
  t = select(t < SHORT_STEP, T(STEP_FRACTION_SHORT / STEP_FRACTION) * t, t);
}

// Find a direction that passes the guard: with the whole corrector, a part of it, or none.
template <class T>
Steps<T> find_direction(const Problem<T> &q, Mask<T> linear, const Point<T> &at,
                        const Residuals<T> &r, const Errors<T> &e, bool careful, T aim,
                        Mask<T> todo, Newton<T> &w, Mask<T> *active) {
  const int M = q.size.rows();
  const Steps<T> affine = predict(q, linear, at, r, careful, aim, w, active);
  const T mu = mean_product(q, at.s, at.lam);
  const T ratio =
      min(max(mu_after(q, at, w.predictor, affine) / select(mu > 0.0, mu, T(1.0)), T(0.0)), T(1.0));
  const T sigma = ratio * ratio * ratio, part = min(affine.primal, affine.dual);
  const Mask<T> infeasible = max(e.primal, e.dual) > T(10.0) * e.complementarity;
  Steps<T> taken{T(0.0), T(0.0)};
  for (int round = 0; round < 3 && any(todo); round++) {
    const T centre = round < 2 ? sigma : min(max(sigma, T(CENTRING_LOW)), T(CENTRING_HIGH));
    const T share = round == 0 ? T(1.0) : round == 1 ? part * part : T(0.0), limit = T(2.0) * mu;
    for (int i : each_entry(M)) {
      const T product = w.predictor.s[i] * w.predictor.lam[i];
      w.target[i] = max(centre * mu, aim) - share * min(max(product, -limit), limit);
    }
    newton_step(q, at, r, careful, w, w.trial);
    Steps<T> t = step_lengths(q, linear, at, w.trial, STEP_FRACTION);
    shorten(t.primal), shorten(t.dual);
    const T shorter = min(t.primal, t.dual);
    if (round == 2) stop_at_lowest(q, w.trial, centre, mu, aim, t);
    const T after = mu_after(q, at, w.trial, t);
    const Mask<T> falls = (after < (T(1.0) - T(MIN_STEP) * shorter) * mu) |
                          ((after < T(2.0) * mu) & infeasible) | (after <= T(2.0) * aim);
    assign(q.size, todo, w.trial, w.found);
    taken.primal = select(todo, t.primal, taken.primal),
    taken.dual = select(todo, t.dual, taken.dual);
    todo = todo & !((shorter > T(MIN_STEP)) & falls);
  }
  return taken;
}

// A centred point at x; slacks are at least the worst violation and scale/10, multipliers about
// `price` or the largest force. force: (n), slack: (M), workspace
template <class T>
KKTDIFF_APART void centre(const Problem<T> &q, const T *x, T scale, T price, T *force, T *slack,
                          Point<T> &out) {
  const int n = q.size.n, M = q.size.rows();
  T worst = 0.0;
  rows_of(q, x, slack);
  for (int i : each_entry(M)) {
    slack[i] = select(q.present[i], q.d[i] - slack[i], T(0.0));
    worst = max(-slack[i], worst);
  }
  const T least = max(max_of_all(worst), T(1e-1) * scale);
  times_Q(q, x, force);
  for (int j : each_entry(n)) price = max(abs(force[j] + q.p[j]), price), out.x[j] = x[j];
  price = max_of_all(price);
  for (int i : each_entry(M)) {
    const T s = max(slack[i], least), lam = price * min(least / s, T(1.0));
    out.s[i] = select(q.present[i], s, T(1.0)), out.lam[i] = select(q.present[i], lam, T(0.0));
  }
}

// Raise lam where a product is far below mu: its slack would block all steps (one side of
// equation 16 of Waechter and Biegler 2006). Not in linear programs.
template <class T>
void raise_products(const Problem<T> &q, Mask<T> linear, Point<T> &at) {
  const T least = T(LEAST_PRODUCT) * mean_product(q, at.s, at.lam);
  for (int i : each_entry(q.size.rows())) {
    const Mask<T> raised = q.present[i] & (at.lam[i] * at.s[i] < least) & !linear;
    at.lam[i] = select(raised, least / select(raised, at.s[i], T(1.0)), at.lam[i]);
  }
}

// Weights lam/s, and proximal weights that fall with the error and the size of the gradient's
// terms.
template <class T>
void weigh(const Problem<T> &q, const Units<T> &u, const Residuals<T> &r, const Errors<T> &e,
           const Loop<T> &loop, double least, Weights<T> &w) {
  const Point<T> &at = loop.point;
  const int M = q.size.rows();
  const T terms = max(max(r.size[1], norm_inf(M, at.lam)), norm_inf(q.size.k, at.nu)) / u.price;
  const T reg = min(max(T(1e-6) * e.worst(), T(least)), T(MAX_REGULARISATION)) * loop.boost;
  if (q.sparse) w.large = size_of_multipliers(q, u, at);
  w.theta = u.weight(), w.delta = reg, w.rho = reg * min(max(terms, T(1e-10)), T(1.0));
  KKTDIFF_INDEPENDENT for (int i : each_entry(M)) w.w[i] =
      select(q.present[i], at.lam[i] / at.s[i], T(0.0));
  for (int j : each_entry(q.size.n)) w.held[j] = q.fixed[j];
}

template <class T>
Mask<T> finite(const Sizes &z, const Direction<T> &d) {
  const T sum = share_of_total(z.n, d.x) + share_of_total(z.rows(), d.lam);
  return abs(sum_of_all(sum + share_of_total(z.k, d.nu))) < __builtin_inf();
}

template <class T>
void move(const Problem<T> &q, Mask<T> linear, Mask<T> go, Steps<T> t, const Direction<T> &d,
          Point<T> &trial, Point<T> &at) {
  const Sizes z = q.size;
  for (int j : each_entry(z.n)) trial.x[j] = fma(t.primal, d.x[j], at.x[j]);
  for (int i : each_entry(z.k)) trial.nu[i] = fma(t.dual, d.nu[i], at.nu[i]);
  KKTDIFF_INDEPENDENT for (int i : each_entry(z.rows())) {
    trial.s[i] = fma(t.primal, d.s[i], at.s[i]);
    trial.lam[i] = fma(t.dual, d.lam[i], at.lam[i]);
  }
  raise_products(q, linear, trial);
  assign(z, go, trial, at);
}

// Centre anew where short steps in a row show that mu is too small: for how far x has to go, or,
// where it is almost feasible, for the multipliers, which begin as large as d, (M), takes them.
template <class T>
void restart(const Problem<T> &q, const Units<T> &u, const Errors<T> &e, Mask<T> again, const T *d,
             T *force, T *slack, Point<T> &trial, Loop<T> &loop) {
  const T before = loop.restarts;
  const T times_ten = select(before == T(0.0), T(1.0), select(before == T(1.0), T(10.0), T(100.0)));
  for (int i : each_entry(q.size.k)) trial.nu[i] = loop.point.nu[i];
  const Mask<T> almost = max(e.primal, e.dual) < T(ALMOST_FEASIBLE);
  const T wanted = select(almost, norm_inf(q.size.rows(), d), u.price);
  const T price = min(max(wanted, u.price), T(MOST_PRICE) * u.price);
  centre(q, loop.point.x, norm_inf(q.size.n, loop.point.x) * times_ten, price, force, slack, trial);
  assign(q.size, again, trial, loop.point);
  loop.best_error = select(again, T(BIG), loop.best_error);
  for (int i = 0; i < 4; i++) loop.least[i] = select(again, T(BIG), loop.least[i]);
  loop.progress = select(again, loop.iterations, loop.progress);
  loop.short_steps = select(again, T(0.0), loop.short_steps);
  loop.restarts = select(again, before + T(1.0), before);
}

// Take one guarded step of every running lane.
template <class T>
KKTDIFF_APART void advance(const Problem<T> &q, const Units<T> &u, Mask<T> linear,
                           const Residuals<T> &r, const Errors<T> &e, const Stage &stage,
                           Newton<T> &w, Point<T> &trial, Mask<T> *shown, Loop<T> &loop) {
  const Sizes z = q.size;
  const Mask<T> running = loop.status == T(RUNNING);
  const T iterations = loop.iterations, boost = loop.boost;
  weigh(q, u, r, e, loop, q.sparse ? w.factors.proximal : MIN_REGULARISATION, w.weights);
  factor(q, w.weights, stage.careful, w.factors);
  const Steps<T> t =
      find_direction(q, linear, loop.point, r, e, stage.careful, loop.aim, running, w, shown);
  const Mask<T> good = w.factors.pivots.ok & finite(z, w.found), go = good & running;
  const T length = min(t.primal, t.dual);
  const T count = select(length < SHORT_FOR_RESTART, loop.short_steps + T(1.0), T(0.0));
  const Mask<T> blocked = running & (count >= 3.0), near = loop.best_error <= T(stage.near);
  const Mask<T> again =
      blocked & !near & (e.worst() > T(stage.tol)) & (loop.restarts < T(stage.restarts));
  assign(z, running, loop.point, loop.before);
  move(q, linear, go, t, w.found, trial, loop.point);
  for (int i : each_entry(z.rows())) loop.active[i] = (go & shown[i]) | (!go & loop.active[i]);
  loop.iterations = select(running, iterations + T(1.0), iterations);
  loop.short_steps = count, loop.step = select(go, length, T(0.0));
  loop.expected[0] =
      select(go & !again, (T(1.0) - t.primal / T(2.0)) * norm_inf(z.k, r.nu), T(BIG));
  loop.expected[1] = select(go & !again, (T(1.0) - t.dual / T(2.0)) * r.dual, T(BIG));
  loop.boost = select(good, max(boost / T(10.0), T(1.0)), T(100.0) * boost);
  const T ended = iterations - T(STALL);  // to be polished
  const Mask<T> almost = max(e.primal, e.dual) < T(ALMOST_FEASIBLE);
  loop.progress = select(blocked & !again & (near | almost), ended, loop.progress);
  if (any(again & go)) restart(q, u, e, again & go, w.found.lam, w.rhs.x, w.rhs.c, trial, loop);
}

}  // namespace
}  // namespace kktdiff
