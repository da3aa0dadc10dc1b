// Proofs that a problem has no solution, on the scaled data; see _interior_point/certificates.py.
#pragma once
#include "kkt.hpp"
#include "termination.hpp"

namespace kktdiff {
namespace {

template <class T>
struct Proof {
  T *x, *lam, *nu;  // (n), (M), (k): scaled to an objective of one unit
  Mask<T> holds;
  T *flat;                          // as Q, of zeros
  T *force, *rough, *Qx, *Cx, *Ax;  // workspace: (n) x 3, (M), (k)
  T *lam_change, *nu_change, *x_change;

  Proof(Arena &a, Sizes z, const Entries *sparse = nullptr) {
    x = a.take<T>(z.n), lam = a.take<T>(z.rows()), nu = a.take<T>(z.k),
    flat = a.take_slow<T>(entries_of(z, sparse).Q);
    force = a.take<T>(z.n), rough = a.take<T>(z.n), Qx = a.take<T>(z.n), Cx = a.take<T>(z.rows());
    Ax = a.take<T>(z.k), lam_change = a.take<T>(z.rows()), nu_change = a.take<T>(z.k);
    x_change = a.take<T>(z.n);
  }
};

// A combination of the constraints that no point meets: p.lam >= 0 with nu.
template <class T>
struct Contradiction {
  T proof, size, left, rounding;  // -(d'lam + b'nu); sum of multipliers; of C'lam + A'nu; of proof
};

// Put what is left of C'lam + A'nu on finite bounds; add to proof and to the size of its terms, of
// which a thread has its share.
template <class T>
T balance_on_bounds(const Problem<T> &q, Proof<T> &p, T &proof, T &terms) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  T left = 0.0;
  for (int s : each_entry(n - core)) {  // the limits of slacks are zero
    const T rest = select(q.fixed[core + s], T(0.0), p.force[core + s]), own = max(rest, T(0.0));
    p.lam[q.size.given() + s] = p.lam[q.size.given() + s] + own;
    left = max(abs(rest - own), left);
  }
  for (int j : each_entry(core)) {
    T rest = p.force[j];
    if (lower) {
      const Mask<T> there = q.present[m + j];
      const T own = select((there | q.fixed[j]) & (rest > 0.0), rest, T(0.0));
      const T term = own * select(there, -q.d[m + j], q.value[j]);
      proof = proof + term, terms = terms + abs(term), rest = rest - own;
      p.lam[m + j] = p.lam[m + j] + own;
    }
    if (upper) {
      const Mask<T> there = q.present[m + lower + j];
      const T own = select((there | q.fixed[j]) & (rest < 0.0), -rest, T(0.0));
      const T term = own * select(there, q.d[m + lower + j], q.value[j]);
      proof = proof - term, terms = terms + abs(term), rest = rest + own;
      p.lam[m + lower + j] = p.lam[m + lower + j] + own;
    }
    left = max(abs(rest), left);
  }
  return max_of_all(left);
}

// Combine the constraints with weights lam and nu, for points of the size of x.
template <class T>
KKTDIFF_APART Contradiction<T> combine(const Problem<T> &q, const Units<T> &u, const T *lam,
                                       const T *nu, const T *x, Proof<T> &p) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  T proof = 0.0, terms = 0.0, limits = norm_inf(k, q.b), size = 0.0;
  for (int j : each_entry(n)) p.force[j] = p.rough[j] = 0.0;
  for (int i : each_entry(q.size.rows())) {
    p.lam[i] = select(q.present[i], max(lam[i], T(0.0)), T(0.0));
    proof = proof - p.lam[i] * q.d[i], terms = terms + abs(p.lam[i] * q.d[i]);
    limits = max(select(p.lam[i] > 0.0, abs(q.d[i]), T(0.0)), limits);
  }
  add_columns_of(q, p.lam, p.force), add_columns_of_A(q, nu, p.force);
  add_transposed_sizes(q.of_G(), p.lam, p.rough), add_transposed_sizes(q.of_A(), nu, p.rough);
  for (int s : each_entry(q.size.singles())) p.rough[core + s] = p.lam[q.size.row_of(s)];
  for (int s : each_entry(2 * q.size.pairs()))
    p.rough[core + q.size.singles() + s] = abs(nu[s % k]);
  for (int i : each_entry(k)) {
    p.nu[i] = nu[i];
    proof = proof - nu[i] * q.b[i], terms = terms + abs(nu[i] * q.b[i]), size = size + abs(nu[i]);
  }
  const T reach = u.x + max(norm_inf(n, x), max_of_all(limits)), rough = norm_inf(n, p.rough);
  const T left = balance_on_bounds(q, p, proof, terms);
  for (int i : each_entry(q.size.rows())) size = size + p.lam[i];
  proof = sum_of_all(proof), terms = sum_of_all(terms), size = sum_of_all(size);
  return {proof, size, left * reach, T(ROUNDING) * (terms + rough * reach)};
}

// Check multipliers as a proof that every point violates some constraint by more than rounding.
template <class T>
Mask<T> is_farkas(const Contradiction<T> &c) {
  return (c.proof > T(CONTRADICTION) * c.size) & (c.left <= T(EXACT) * c.proof) &
         (c.rounding <= T(SURE) * c.proof);
}

// Keep a proof of the lanes `found` for good, scaled to one unit.
template <class T>
KKTDIFF_APART void keep_proof(const Sizes &z, Mask<T> found, const T *x, const T *lam, const T *nu,
                              T unit, Point<T> &out) {
  const T scale = select(found, unit, T(1.0));
  for (int j : each_entry(z.n)) out.x[j] = select(found, x ? x[j] / scale : T(0.0), out.x[j]);
  for (int i : each_entry(z.rows())) {
    out.s[i] = select(found, T(0.0), out.s[i]);
    out.lam[i] = select(found, lam ? lam[i] / scale : T(0.0), out.lam[i]);
  }
  for (int i : each_entry(z.k)) out.nu[i] = select(found, nu ? nu[i] / scale : T(0.0), out.nu[i]);
}

// Move the multipliers onto C'lam + A'nu = 0, in the metric s/lam: p.lam_change and p.nu_change.
template <class T>
void project_multipliers(const Problem<T> &q, const Units<T> &u, const Point<T> &at, Weights<T> &w,
                         Factors<T> &f, Rhs<T> &rhs, Rhs<T> &out, Refinement<T> &work,
                         Proof<T> &p) {
  const Sizes z = q.size;
  Problem<T> flat = q;
  flat.Q = p.flat;
  for (int i : each_entry(q.entries_of_Q())) p.flat[i] = 0.0;
  for (int i : each_entry(z.rows())) {
    w.w[i] = select(q.present[i], at.lam[i] / at.s[i], T(0.0));
    rhs.c[i] = 0.0;
  }
  for (int j : each_entry(z.n)) w.held[j] = q.fixed[j], rhs.x[j] = 0.0;
  for (int i : each_entry(z.k)) rhs.nu[i] = 0.0;
  w.theta = u.weight(), w.rho = w.delta = 1e-12, w.large = 1.0;
  factor(flat, w, false, f);
  add_columns_of(q, at.lam, rhs.x), add_columns_of_A(q, at.nu, rhs.x);
  for (int j : each_entry(z.n)) rhs.x[j] = -rhs.x[j];
  refine(flat, w, f, rhs, 1e-16, out, work);
  for (int i : each_entry(z.rows())) p.lam_change[i] = at.lam[i] + out.c[i];
  for (int i : each_entry(z.k)) p.nu_change[i] = at.nu[i] + out.nu[i];
}

// How far curvature, inequalities and equalities block a direction.
template <class T>
T obstacles(const Problem<T> &q, const Units<T> &u, const T *Qx, const T *Cx, const T *Ax) {
  T out = max(norm_inf(q.size.n, Qx) / u.weight(), norm_inf(q.size.k, Ax));
  for (int i : each_entry(q.size.rows())) out = max(select(q.present[i], Cx[i], T(0.0)), out);
  return max_of_all(out);
}

// Check the direction x as a proof of unboundedness; p.x holds it, 0 for fixed variables.
template <class T>
KKTDIFF_APART Mask<T> is_ray(const Problem<T> &q, const Units<T> &u, const T *x, const Point<T> &at,
                             Proof<T> &p, T &descent) {
  const auto [n, m, k, lower, upper, core, soft] = q.size;
  for (int j : each_entry(n)) p.x[j] = select(q.fixed[j], T(0.0), x[j]);
  times_Q(q, p.x, p.Qx), rows_of(q, p.x, p.Cx), times_A(q, p.x, p.Ax);
  descent = -dot(n, q.p, p.x);
  const T size = norm_inf(n, p.x), off = obstacles(q, u, p.Qx, p.Cx, p.Ax);
  const T reach = u.price + max(norm_inf(q.size.rows(), at.lam), norm_inf(k, at.nu));
  return (descent > T(STEEP) * norm_inf(n, q.p) * size) &
         (norm_inf(n, p.Qx) <= T(EXACT) * u.bend * size) & (off * reach <= T(EXACT) * descent);
}

template <class T>
KKTDIFF_APART void changes(const Sizes &z, const Point<T> &now, const Point<T> &before,
                           Proof<T> &p) {
  for (int j : each_entry(z.n)) p.x_change[j] = now.x[j] - before.x[j];
  for (int i : each_entry(z.rows())) p.lam_change[i] = now.lam[i] - before.lam[i];
  for (int i : each_entry(z.k)) p.nu_change[i] = now.nu[i] - before.nu[i];
}

// Lanes of which x or its change is a ray; their proofs go to `out`.
template <class T>
Mask<T> unbounded(const Problem<T> &q, const Units<T> &u, const Residuals<T> &r,
                  const Loop<T> &loop, Mask<T> look, Proof<T> &p, Point<T> &out) {
  const Sizes z = q.size;
  for (int i : each_entry(z.k)) p.Ax[i] = r.nu[i] + q.b[i];
  T descent = -dot(z.n, q.p, loop.point.x);
  const T limits = max(norm_inf(z.rows(), q.d), norm_inf(z.k, q.b));
  look = look & (obstacles(q, u, r.Qx, r.Cx, p.Ax) * u.price <= T(WORTH_A_LOOK) * descent) &
         (r.primal <= T(FEASIBLE) * (u.x + limits));
  Mask<T> found = mask<T>(false);
  if (!any(look)) return found;
  changes(z, loop.point, loop.before, p);
  const T *directions[2] = {loop.point.x, p.x_change};
  for (const T *x : directions) {
    const Mask<T> own = look & !found & is_ray(q, u, x, loop.point, p, descent);
    keep_proof<T>(z, own, p.x, nullptr, nullptr, descent, out);
    found = found | own;
  }
  return found;
}

// Lanes whose multipliers, their change, or both balanced are a Farkas proof.
template <class T>
KKTDIFF_APART Mask<T> infeasible(const Problem<T> &q, const Units<T> &u, const Residuals<T> &r,
                                 const Loop<T> &loop, Mask<T> look, Weights<T> &w, Factors<T> &f,
                                 Rhs<T> &rhs, Rhs<T> &step, Refinement<T> &work, Proof<T> &p,
                                 Point<T> &out) {
  const Sizes z = q.size;
  const Point<T> &at = loop.point;
  T force = 0.0;
  for (int j : each_share(z.n)) force = max(select(q.fixed[j], T(0.0), abs(r.force[j])), force);
  force = max_of_all(force);
  const T offset = dot(z.rows(), at.lam, q.d) + dot(z.k, at.nu, q.b);
  look = look & (force * u.x <= T(-WORTH_A_LOOK) * offset) & (r.primal > T(CONTRADICTION));
  Mask<T> found = mask<T>(false);
  changes(z, at, loop.before, p);
  for (int i = 0; i < 3 && any(look & !found); i++) {
    if (i == 2) project_multipliers(q, u, at, w, f, rhs, step, work, p);
    const Contradiction<T> c =
        combine(q, u, i ? p.lam_change : at.lam, i ? p.nu_change : at.nu, at.x, p);
    const Mask<T> own = look & !found & is_farkas(c);
    keep_proof<T>(z, own, nullptr, p.lam, p.nu, c.proof, out);
    found = found | own;
  }
  return found;
}

// Lanes in which no point near x violates the constraints by much less than x, which does so by
// `violation`, above tol, in the caller's units: by about as much as rounding may.
template <class T>
Mask<T> least_violated(const Problem<T> &q, const Units<T> &u, const Residuals<T> &r,
                       const Loop<T> &loop, Mask<T> look, T violation, double tol, Proof<T> &p) {
  look = look & (violation > tol) & (r.primal <= T(4 * CONTRADICTION));
  if (!any(look)) return look;
  changes(q.size, loop.point, loop.before, p);
  const Contradiction<T> c = combine(q, u, p.lam_change, p.nu_change, loop.point.x, p);
  return look & (c.proof > 0.0) & (T(NEARBY) * c.left <= c.proof) &
         (c.rounding <= T(SURE) * c.proof) & (c.proof <= T(2 * CONTRADICTION) * c.size) &
         (r.primal * c.size <= T(2.0) * c.proof);
}

}  // namespace
}  // namespace kktdiff
