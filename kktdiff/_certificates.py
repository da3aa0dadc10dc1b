"""Certificates of infeasibility, each checked on the caller's own data.

Farkas: ``Cx <= d, Ax = b`` has no solution if and only if some ``lam >= 0, nu`` has
``C'lam + A'nu = 0`` and ``d'lam + b'nu < 0``. A feasible QP is unbounded below if and only
if some ``r`` has ``Qr = 0, Ar = 0, Cr <= 0`` and ``p'r < 0``.

On an infeasible problem the iterates run off along such a direction, and the difference of two
of them is nearer to it than they are (Banjac et al. 2019, for OSQP).

What a certificate leaves of its equations is measured in the equilibrated metric, against the
sizes that points have there, so that neither the units of the data nor points far away make a
solvable problem look infeasible.
"""

from collections.abc import Callable
from typing import NamedTuple

from kktdiff._arrays import (
    concat,
    dot,
    largest,
    mv,
    namespace,
    norm_inf,
    pick_all,
    placed,
    placed_all,
    top,
)
from kktdiff._problem import QP
from kktdiff._residuals import Point, Residuals
from kktdiff._scaling import Scaling
from kktdiff._settings import ROUNDING
from kktdiff._typing import Array

CLEARLY = 2e-6  # a violation that is no rounding, of constraints with entries of about one
_STEEP = 1e-5  # least slope of a ray, scaled
_FEASIBLE = 1e-5  # largest violation, relative to the limits, at which a ray says anything
EXACT = 1e-7  # how nearly a certificate's equations must hold, relative to what it proves
_WORTH_A_LOOK = 1e-2  # as EXACT, for a point to be looked at
_SURE = 1e-3  # share of what is proven that rounding may amount to


class Proof(NamedTuple):
    """What proves that elements have no solution, scaled so that it proves one unit."""

    holds: Array  # (B,) bool
    point: Point  # lam and nu, the bounds' and fixed variables' in lam; or x, a ray


def primal_infeasible(qp: QP, scaling: Scaling, point: Point, r: Residuals, before: Point) -> Proof:
    """Whether the multipliers at `point`, or their change since `before`, are a Farkas proof."""
    xp = namespace(point.x)
    e, offset = r.rows - r.y, r.offset
    if qp.fixed is not None:
        e, offset = xp.where(qp.fixed, 0.0, e), offset - dot(r.y, qp.value)
    look = norm_inf(scaling.x * e) <= -_WORTH_A_LOOK * offset
    look = look & (_violation(qp, scaling, r) > CLEARLY)  # as at every point, if there is a proof

    def proven(part: QP, weights: Scaling, now: Point, then: Point) -> list[Proof]:
        change = now.lam - then.lam, now.nu - then.nu
        return [farkas(part, weights, v, w, now.x) for v, w in ((now.lam, now.nu), change)]

    return _first(qp, scaling, point, before, look, proven)


def dual_infeasible(qp: QP, scaling: Scaling, point: Point, r: Residuals, before: Point) -> Proof:
    """Whether x, or its change since `before`, is a way down without end for a feasible point."""
    off = _way_off(qp, scaling, r.Qx, r.Cx, r.r_nu + qp.b)
    descent = -scaling.cost * dot(qp.p, point.x)
    limits = largest(norm_inf(qp.d), norm_inf(qp.b))
    look = (off <= _WORTH_A_LOOK * descent) & (r.primal <= _FEASIBLE * (1 + limits))

    def proven(part: QP, weights: Scaling, now: Point, then: Point) -> list[Proof]:
        return [ray(part, weights, x, now.lam, now.nu) for x in (now.x, now.x - then.x)]

    return _first(qp, scaling, point, before, look, proven)


def _first(
    qp: QP,
    scaling: Scaling,
    point: Point,
    before: Point,
    look: Array,
    proven: Callable[[QP, Scaling, Point, Point], list[Proof]],
) -> Proof:
    """The first proof that holds, for the elements worth a look."""
    index = namespace(look).nonzero(look)[0]
    if not index.shape[0]:
        return Proof(look, point)
    records = qp.take(index), scaling.take(index), point.take(index), before.take(index)
    first, second = proven(*records)
    best = pick_all(first.holds, first.point, second.point)
    holds = placed(index, first.holds | second.holds, look & False)
    return Proof(holds, placed_all(index, best, point))


def farkas(
    qp: QP, scaling: Scaling, lam: Array, nu: Array, x: Array, violated: float = CLEARLY
) -> Proof:
    """Check multipliers; what they leave of ``C'lam + A'nu = 0`` goes to finite bounds first.

    The proof must hold for all points up to 1/EXACT times the size of `x` and of the limits, and
    show that each of them violates some constraint by more than `violated`, scaled.
    """
    xp = namespace(lam)
    lam = xp.where(qp.present & (lam > 0), lam, 0.0)
    e = qp.Ct(lam[..., None])[..., 0] + mv(qp.A.mT, nu)
    low, has_low, high, has_high = _limits(qp)
    to_low = xp.where(has_low & (e > 0), e, 0.0)
    to_high = xp.where(has_high & (e < 0), -e, 0.0)
    terms = [to_low * low, -to_high * high, -lam * qp.d, -nu * qp.b]
    proof = sum(xp.sum(term, axis=-1) for term in terms)
    terms_size = sum(xp.sum(xp.abs(term), axis=-1) for term in terms)
    e_size = mv(xp.abs(qp.G).mT, qp.split(lam)[0]) + mv(xp.abs(qp.A).mT, xp.abs(nu))
    sizes = norm_inf(x / scaling.x), norm_inf(scaling.rows * qp.d), norm_inf(scaling.nu * qp.b)
    reach = 1 + largest(*sizes)
    left, rough = (norm_inf(scaling.x * v) * reach for v in (e - to_low + to_high, e_size))
    rows, lower, upper = qp.split(lam)
    sides = [v + w for v, w in ((lower, to_low), (upper, to_high)) if v.shape[1]]
    lam = concat([rows, *sides], axis=1)
    size = xp.sum(lam / scaling.rows, axis=-1) + xp.sum(xp.abs(nu) / scaling.nu, axis=-1)
    holds = (proof > violated * size) & (left <= EXACT * proof)
    holds = holds & (ROUNDING * (terms_size + rough) <= _SURE * proof)
    scale = xp.where(holds, proof, 1.0)[:, None]
    return Proof(holds, Point(0 * e, 0 * lam, lam / scale, nu / scale))


def _violation(qp: QP, scaling: Scaling, r: Residuals) -> Array:  # (B,)
    """The largest violation of a row, scaled."""
    excess = namespace(r.Cx).where(qp.present, scaling.rows * (r.Cx - qp.d), 0.0)
    return largest(top(excess), norm_inf(scaling.nu * r.r_nu))


def crossed_bounds(qp: QP) -> Point:
    """The proof for elements whose bounds cross; NaN where a limit is infinite the wrong way."""
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
    """Finite lower bounds and where they are; the same for the upper; each (B, n)."""
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


def ray(qp: QP, scaling: Scaling, x: Array, lam: Array, nu: Array) -> Proof:
    """Check a direction.

    It must prove that no multipliers up to 1/EXACT times the size of `lam` and `nu` are optimal.
    """
    xp = namespace(x)
    x = x if qp.fixed is None else xp.where(qp.fixed, 0.0, x)
    Cx = qp.C(x[..., None])[..., 0]
    off = _way_off(qp, scaling, mv(qp.Q, x), Cx, mv(qp.A, x))
    descent = -dot(qp.p, x)
    sizes = largest(norm_inf(lam / scaling.rows), norm_inf(nu / scaling.nu))
    reach = 1 + scaling.cost * sizes
    steep = scaling.cost * descent
    holds = (steep > _STEEP * norm_inf(x / scaling.x)) & (off * reach <= EXACT * steep)
    x = x / xp.where(holds, descent, 1.0)[:, None]
    nothing = 0 * Cx
    return Proof(holds, Point(x, nothing, nothing, 0 * mv(qp.A, x)))


def _way_off(qp: QP, scaling: Scaling, Qx: Array, Cx: Array, Ax: Array) -> Array:  # (B,)
    """How far a direction is from one that nothing stops."""
    rising = namespace(Cx).where(qp.present & (Cx > 0), scaling.rows * Cx, 0.0)
    flat = scaling.cost[:, None] * scaling.x * Qx
    return largest(norm_inf(flat), norm_inf(rising), norm_inf(scaling.nu * Ax))
