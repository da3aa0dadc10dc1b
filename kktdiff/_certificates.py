"""Certificates of infeasibility, each checked on the caller's own data.

Farkas: ``Cx <= d, Ax = b`` has no solution if and only if some ``lam >= 0, nu`` has
``C'lam + A'nu = 0`` and ``d'lam + b'nu < 0``. A feasible QP is unbounded below if and only
if some ``r`` has ``Qr = 0, Ar = 0, Cr <= 0`` and ``p'r < 0``.

On an infeasible problem the iterates run off along such a direction, and the difference of two
of them is nearer to it than they are (Banjac et al. 2019, for OSQP).
"""

from collections.abc import Callable
from typing import NamedTuple

from kktdiff._arrays import concat, dot, largest, mv, namespace, norm_inf, pick, placed
from kktdiff._problem import QP
from kktdiff._residuals import ROUNDING, Point, Residuals
from kktdiff._typing import Array

CLEARLY = 1e-5  # contradictions smaller than this, relative to the multipliers, may be rounding
EXACT = 1e-9  # how nearly a certificate's equations must hold, relative to what it proves
_WORTH_A_LOOK = 1e-2  # the same for a point to be looked at
_SURE = 1e-3  # share of what is proven that rounding may amount to


class Proof(NamedTuple):
    """What proves that elements have no solution, scaled so that it proves one unit."""

    holds: Array  # (B,) bool
    point: Point  # lam and nu, the bounds' and fixed variables' in lam; or x, a ray


def primal_infeasible(qp: QP, point: Point, r: Residuals, before: Point) -> Proof:
    """Whether the multipliers at `point`, or their change since `before`, are a Farkas proof."""
    xp = namespace(point.x)
    e = r.rows - r.y
    e = e if qp.fixed is None else xp.where(qp.fixed, 0.0, e)
    proof = -(r.offset - (0.0 if qp.fixed is None else dot(r.y, qp.value)))
    size = largest(norm_inf(point.lam), norm_inf(point.nu))
    look = (proof > CLEARLY * size) & (norm_inf(e) <= _WORTH_A_LOOK * proof)

    def proven(part: QP, now: Point, then: Point) -> list[Proof]:
        reach = 1 + norm_inf(now.x)
        change = now.lam - then.lam, now.nu - then.nu
        return [farkas(part, lam, nu, reach) for lam, nu in ((now.lam, now.nu), change)]

    return _first(qp, point, before, look, proven)


def dual_infeasible(qp: QP, point: Point, r: Residuals, before: Point) -> Proof:
    """Whether x, or its change since `before`, is a way down without end for a feasible point."""
    xp = namespace(point.x)
    rising = xp.where(qp.present & (r.Cx > 0), r.Cx, 0.0)
    descent = -dot(qp.p, point.x)
    off = largest(norm_inf(r.Qx), norm_inf(rising), norm_inf(r.r_nu + qp.b))
    limits = largest(norm_inf(qp.d), norm_inf(qp.b))
    look = (off <= _WORTH_A_LOOK * descent) & (r.primal <= CLEARLY * (1 + limits))

    def proven(part: QP, now: Point, then: Point) -> list[Proof]:
        reach = 1 + largest(norm_inf(now.lam), norm_inf(now.nu))
        return [ray(part, x, reach) for x in (now.x, now.x - then.x)]

    return _first(qp, point, before, look, proven)


def _first(
    qp: QP,
    point: Point,
    before: Point,
    look: Array,
    proven: Callable[[QP, Point, Point], list[Proof]],
) -> Proof:
    """The first proof that holds, for the elements worth a look."""
    xp = namespace(look)
    index = xp.nonzero(look)[0]
    if not index.shape[0]:
        return Proof(look, point)
    first, second = proven(qp.take(index), point.take(index), before.take(index))
    holds = first.holds | second.holds
    best = (pick(first.holds, a, b) for a, b in zip(first.point, second.point, strict=True))
    spots = (placed(index, new, old) for new, old in zip(best, point, strict=True))
    return Proof(placed(index, holds, look & False), Point(*spots))


def farkas(qp: QP, lam: Array, nu: Array, reach: Array) -> Proof:
    """Check multipliers; what they leave of ``C'lam + A'nu = 0`` goes to finite bounds first.

    Parameters
    ----------
    reach : (B,)
        Size of x. The proof must hold for all x up to 1/EXACT times as large.
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
    entries = qp._replace(G=xp.abs(qp.G), A=xp.abs(qp.A))
    e_size = mv(entries.G.mT, qp.split(lam)[0]) + mv(entries.A.mT, xp.abs(nu))
    holds = proof > CLEARLY * largest(norm_inf(lam), norm_inf(nu))
    holds = holds & (norm_inf(e - to_low + to_high) * reach <= EXACT * proof)
    holds = holds & (ROUNDING * (terms_size + norm_inf(e_size) * reach) <= _SURE * proof)
    rows, lower, upper = qp.split(lam)
    sides = [v + w for v, w in ((lower, to_low), (upper, to_high)) if v.shape[1]]
    scale = xp.where(holds, proof, 1.0)[:, None]
    lam = concat([rows, *sides], axis=1) / scale
    return Proof(holds, Point(0 * e, 0 * lam, lam, nu / scale))


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


def ray(qp: QP, x: Array, reach: Array) -> Proof:
    """Check a direction.

    Parameters
    ----------
    reach : (B,)
        Size of the multipliers. No multipliers up to 1/EXACT times as large can be optimal.
    """
    xp = namespace(x)
    x = x if qp.fixed is None else xp.where(qp.fixed, 0.0, x)
    Cx = qp.C(x[..., None])[..., 0]
    rising = xp.where(qp.present & (Cx > 0), Cx, 0.0)
    descent = -dot(qp.p, x)
    off = largest(norm_inf(mv(qp.Q, x)), norm_inf(rising), norm_inf(mv(qp.A, x)))
    holds = (descent > CLEARLY * norm_inf(qp.p) * norm_inf(x)) & (off * reach <= EXACT * descent)
    x = x / xp.where(holds, descent, 1.0)[:, None]
    nothing = 0 * Cx
    return Proof(holds, Point(x, nothing, nothing, 0 * mv(qp.A, x)))
