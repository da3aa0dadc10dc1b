"""Certificates of infeasibility, each checked on the scaled data.

The scaling is by powers of two: what holds of the scaled data holds of the caller's, to the bit.

Farkas: ``Cx <= d, Ax = b`` has no solution if and only if some ``lam >= 0, nu`` has
``C'lam + A'nu = 0`` and ``d'lam + b'nu < 0``. A feasible QP is unbounded below if and only
if some ``r`` has ``Qr = 0, Ar = 0, Cr <= 0`` and ``p'r < 0``.

On an infeasible problem the iterates run off along such a direction, and the difference of two
of them is nearer to it than they are (Banjac et al. 2019, for OSQP).

The residuals of a certificate are measured against the units of x and of the multipliers and the
sizes that points have there, so that neither the units of the data nor points far away make a
solvable problem look infeasible.
"""

from typing import NamedTuple

from kktdiff import _kkt as kkt
from kktdiff._arrays import (
    concat,
    dot,
    largest,
    mv,
    namespace,
    norm_inf,
    norms_inf,
    pick_all,
    placed,
    placed_all,
    take,
)
from kktdiff._interior_point.residuals import Residuals
from kktdiff._interior_point.scaling import Units
from kktdiff._kkt import Weights
from kktdiff._records import QP, Point, Rhs
from kktdiff._settings import CONTRADICTION, ROUNDING
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra

EXACT = 1e-7  # how nearly a certificate's equations must hold, relative to what it proves
_STEEP = 1e-5  # least slope of a ray, relative to the prices
_FEASIBLE = 1e-5  # largest violation, relative to the limits, at which a ray says anything
_WORTH_A_LOOK = 1e-2  # as EXACT, for a point to be looked at
_SURE = 1e-3  # share of what is proven that rounding may amount to
_NEARBY = 1e3  # times the size of x: how far a proof of a least violation has to hold


class Proof(NamedTuple):
    """Proof that elements have no solution, scaled to an objective of one unit."""

    holds: Array  # (B,) bool
    point: Point  # lam and nu, the bounds' and fixed variables' in lam; or x, a ray


def maybe_primal_infeasible(qp: QP, units: Units, point: Point, r: Residuals) -> Array:  # (B,) bool
    """Return True where the multipliers at `point` are near a Farkas proof."""
    force = r.force if qp.fixed is None else namespace(r.force).where(qp.fixed, 0.0, r.force)
    near = norm_inf(force) * units.x <= -_WORTH_A_LOOK * r.offset
    return near & (r.primal > CONTRADICTION)


def maybe_dual_infeasible(qp: QP, units: Units, point: Point, r: Residuals) -> Array:  # (B,) bool
    """Return True where x is near a direction of unbounded descent, and about feasible."""
    off = _obstacles(qp, units, r.Qx, r.Cx, r.r_nu + qp.b)
    limits = norms_inf(qp.d, qp.b)
    descent = -dot(qp.p, point.x)
    return (off * units.price <= _WORTH_A_LOOK * descent) & (
        r.primal <= _FEASIBLE * (units.x + limits)
    )


def primal_infeasible(
    qp: QP, units: Units, now: Point, before: Point, backend: LinearAlgebra
) -> Proof:
    """Check the multipliers of `now`, and their change since `before`, as Farkas proofs.

    Where neither holds, the multipliers are moved onto ``C'lam + A'nu = 0`` first.
    """
    first = farkas(qp, units, now.lam, now.nu, now.x)
    second = farkas(qp, units, now.lam - before.lam, now.nu - before.nu, now.x)
    proof = _either(first, second)
    xp = namespace(now.x)
    rest = xp.nonzero(~proof.holds)[0]
    if not rest.shape[0]:
        return proof
    some, own = qp.take(rest), units.take(rest)
    lam, nu = _balanced(some, own, now.take(rest), backend)
    third = farkas(some, own, lam, nu, take(now.x, rest))
    holds = placed(rest, third.holds, proof.holds)
    return Proof(holds, placed_all(rest, third.point, proof.point))


def _balanced(qp: QP, units: Units, point: Point, backend: LinearAlgebra) -> tuple[Array, Array]:
    """Project the multipliers onto ``C'lam + A'nu = 0``, in the metric s/lam."""
    xp = namespace(point.x)
    theta = units.weight
    flat = qp._replace(Q=qp.Q * xp.zeros_like(theta)[:1, None, None])
    reg = 1e-12 + 0 * theta
    held = None if qp.fixed is None else xp.broadcast_to(qp.fixed, point.x.shape)
    w = xp.where(qp.present, point.lam / point.s, 0.0)
    f = kkt.factor(flat, Weights(w, held, theta, reg, reg), backend)
    force = qp.Ct(point.lam[..., None]) + qp.A.mT @ point.nu[..., None]
    rhs = Rhs(-force, 0 * point.lam[..., None], 0 * point.nu[..., None])
    step, _ = kkt.refine(flat, f, rhs, backend)
    return point.lam + step.c[..., 0], point.nu + step.nu[..., 0]


def dual_infeasible(
    qp: QP, units: Units, now: Point, before: Point, backend: LinearAlgebra
) -> Proof:
    """Check x of `now`, and its change since `before`, as rays."""
    first, second = (ray(qp, units, x, now.lam, now.nu) for x in (now.x, now.x - before.x))
    return _either(first, second)


def _either(first: Proof, second: Proof) -> Proof:
    return Proof(first.holds | second.holds, pick_all(first.holds, first.point, second.point))


def farkas(qp: QP, units: Units, lam: Array, nu: Array, x: Array) -> Proof:
    """Check multipliers as a proof that every point violates some constraint by more than rounding.

    It must hold for all points up to 1/EXACT times the size of `x` and of the limits.
    """
    found = _contradiction(qp, units, lam, nu, x)
    holds = (found.proof > CONTRADICTION * found.size) & (found.left <= EXACT * found.proof)
    holds = holds & (found.rounding <= _SURE * found.proof)
    scale = namespace(lam).where(holds, found.proof, 1.0)[:, None]
    return Proof(holds, Point(0 * x, 0 * found.lam, found.lam / scale, nu / scale))


def least_violated(qp: QP, units: Units, now: Point, before: Point, r: Residuals) -> Array:
    """Return True where no point near x violates the constraints by much less than x, (B,) bool.

    The proof is the change of the multipliers; the violation is about one that rounding may cause.
    """
    found = _contradiction(qp, units, now.lam - before.lam, now.nu - before.nu, now.x)
    holds = (found.proof > 0) & (_NEARBY * found.left <= found.proof)
    holds = holds & (found.rounding <= _SURE * found.proof)
    holds = holds & (found.proof <= 2 * CONTRADICTION * found.size)
    return holds & (r.primal * found.size <= 2 * found.proof)


class _Contradiction(NamedTuple):
    """A combination of the constraints that no point meets, each (B, ...)."""

    lam: Array  # at least 0, with bounds that balance the force of the others
    proof: Array  # -(d'lam + b'nu)
    size: Array  # sum of all multipliers: each point violates a row by proof/size
    left: Array  # of ``C'lam + A'nu``, times the size of points
    rounding: Array


def _contradiction(qp: QP, units: Units, lam: Array, nu: Array, x: Array) -> _Contradiction:
    """Combine the constraints; what is left of ``C'lam + A'nu`` goes to finite bounds first."""
    xp = namespace(lam)
    lam = xp.where(qp.present & (lam > 0), lam, 0.0)
    e = qp.Ct(lam[..., None])[..., 0] + mv(qp.A.mT, nu)
    low, has_low, high, has_high = _limits(qp)
    to_low = xp.where(has_low & (e > 0), e, 0.0)
    to_high = xp.where(has_high & (e < 0), -e, 0.0)
    terms = [to_low * low, -to_high * high, -lam * qp.d, -nu * qp.b]
    proof = sum(xp.sum(term, axis=-1) for term in terms)
    terms_size = sum(xp.sum(xp.abs(term), axis=-1) for term in terms)
    e_size = mv(abs(qp.G).mT, qp.split(lam)[0]) + mv(abs(qp.A).mT, xp.abs(nu))
    sizes = norm_inf(x), norm_inf(xp.where(lam > 0, qp.d, 0.0)), norm_inf(qp.b)
    reach = units.x + largest(*sizes)
    left, rough = (norm_inf(v) * reach for v in (e - to_low + to_high, e_size))
    rows, lower, upper = qp.split(lam)
    sides = [v + w for v, w in ((lower, to_low), (upper, to_high)) if v.shape[1]]
    lam = concat([rows, *sides], axis=1)
    size = xp.sum(lam, axis=-1) + xp.sum(xp.abs(nu), axis=-1)
    return _Contradiction(lam, proof, size, left, ROUNDING * (terms_size + rough))


def crossed_bounds(qp: QP) -> Point:
    """Return the proof for crossed bounds; NaN where a limit is infinite the wrong way."""
    xp = namespace(qp.p)
    low, has_low, high, has_high = _limits(qp)
    gap = xp.where(has_low & has_high, low - high, 0.0)
    largest_gap = xp.max(gap, axis=1, keepdims=True)
    found = (largest_gap > 0) & (largest_gap < xp.inf)
    first = xp.argmax(gap, axis=1, keepdims=True) == xp.arange(gap.shape[1], device=gap.device)
    one = xp.where(found, xp.where(first, 1 / xp.where(found, largest_gap, 1.0), 0.0), xp.nan)
    nothing = xp.where(found, xp.zeros_like(largest_gap), xp.nan)
    sides = [one for rows in qp.bounds if rows]
    lam = concat([nothing + 0 * qp.split(qp.d)[0], *sides], axis=1)
    return Point(nothing + 0 * gap, 0 * lam, lam, nothing + 0 * qp.b)


def _limits(qp: QP) -> tuple[Array, Array, Array, Array]:
    """Return the finite lower bounds and their mask, then the upper ones; each (B, n)."""
    xp = namespace(qp.p)
    nothing = xp.zeros_like(qp.p)
    fixed, value = (nothing > 0, nothing) if qp.fixed is None else (qp.fixed, qp.value)
    out: list[Array] = []
    sides = zip(qp.split(qp.d)[1:], qp.split(qp.present)[1:], (-1.0, 1.0), strict=True)
    for limit, present, sign in sides:
        given = present.shape[1] > 0
        out.append(xp.where(present, sign * limit, value) if given else nothing)
        out.append((present | fixed) if given else nothing > 0)
    return out[0], out[1], out[2], out[3]


def ray(qp: QP, units: Units, x: Array, lam: Array, nu: Array) -> Proof:
    """Check a direction as a proof of unboundedness.

    It must prove that no multipliers up to 1/EXACT times the size of `lam` and `nu` are optimal.
    """
    xp = namespace(x)
    x = x if qp.fixed is None else xp.where(qp.fixed, 0.0, x)
    Cx = qp.C(x[..., None])[..., 0]
    off = _obstacles(qp, units, mv(qp.Q, x), Cx, mv(qp.A, x))
    descent = -dot(qp.p, x)
    reach = units.price + norms_inf(lam, nu)
    steep = descent > _STEEP * norm_inf(qp.p) * norm_inf(x)
    steep = steep & (norm_inf(mv(qp.Q, x)) <= EXACT * units.bend * norm_inf(x))
    holds = steep & (off * reach <= EXACT * descent)
    x = x / xp.where(holds, descent, 1.0)[:, None]
    nothing = 0 * Cx
    return Proof(holds, Point(x, nothing, nothing, 0 * mv(qp.A, x)))


def _obstacles(qp: QP, units: Units, Qx: Array, Cx: Array, Ax: Array) -> Array:  # (B,)
    """Measure how far curvature, inequalities and equalities block a direction."""
    rising = namespace(Cx).where(qp.present & (Cx > 0), Cx, 0.0)
    return norms_inf(Qx / units.weight[:, None], rising, Ax)
