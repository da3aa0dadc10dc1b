"""From an interior point to the solution itself: solve for the active set.

Near the solution the active constraints are known, and with them the KKT conditions are
linear. Solving them by LU takes x and the multipliers to rounding, and leaves the
factors of exactly the system that every sensitivity needs.
"""

from typing import NamedTuple

from kktdiff import _kkt as kkt
from kktdiff._arrays import largest, namespace, norm_inf, pick_all, placed, placed_all, take
from kktdiff._problem import QP
from kktdiff._residuals import Point, Residuals, evaluate, with_full_sizes
from kktdiff._scaling import Scaling, activity
from kktdiff._settings import BIG, CLEAN, FINE, LOOSE, MUCH, ROUNDING, STEPS
from kktdiff._typing import Array
from kktdiff.backends import Backend


class Polished(NamedTuple):
    """The polished point where it is optimal, else the given one; the active set's factors."""

    point: Point
    factors: kkt.Factors
    clean: Array  # (B,) bool: optimal to rounding for this active set
    wanted: Array  # (B, M) bool: the active set that the signs found ask for
    tried: Point  # the polished point in any case


def polish(qp: QP, scaling: Scaling, point: Point, active: Array, backend: Backend) -> Polished:
    """Solve the KKT conditions near `point` with the rows `active`, (B, M), as equalities.

    Where rounding leaves much, because the data or the multipliers are large, it is solved for from
    zero multipliers too, and the better of the two is kept.
    """
    xp = namespace(point.x)
    given = evaluate(qp, point)
    a = xp.where(active, activity(qp, scaling, 0.0, xp.ones_like(point.lam)), 0.0)
    factors = kkt.factor(qp, scaling, kkt.with_fixed(qp, a, given.y), backend)
    new = _solution(qp, factors, point, active, backend)
    best, worst, rounding = _judged(qp, new)
    clean = factors.lu.ok & rounding
    index = xp.nonzero(clean & (worst > MUCH))[0]
    if index.shape[0]:
        some, start = qp.take(index), point.take(index)
        start = start._replace(lam=0 * start.lam, nu=0 * start.nu)
        least = _solution(some, factors.take(index, backend), start, take(active, index), backend)
        other, other_worst, good = _judged(some, least)
        better = placed(index, good & (other_worst < take(worst, index)), clean & False)
        best = pick_all(better, placed_all(index, other, best), best)
    wanted = xp.where(active, new.lam > 0, new.s < 0) & qp.present
    return Polished(pick_all(clean, best, point), factors, clean, wanted, best)


def _judged(qp: QP, point: Point) -> tuple[Point, Array, Array]:
    """`point` with the right signs; what it leaves, or rounding may; whether that is rounding."""
    xp = namespace(point.x)
    s, lam = (xp.where(v > 0, v, 0.0) for v in (point.s, point.lam))
    clipped = point._replace(s=s, lam=lam)
    r = evaluate(qp, clipped)
    worst = largest(r.worst, ROUNDING / 8 * r.sizes[:, 1])
    return clipped, worst, is_rounding(qp, clipped, r)


def _solution(qp: QP, factors: kkt.Factors, point: Point, active: Array, backend: Backend) -> Point:
    """Newton's method on the equations for the active set, which are linear: steps refine."""
    xp = namespace(point.x)
    point = _on_active_set(qp, point, active)
    r = evaluate(qp, point)
    left = _left(active, r)
    going = left < BIG
    for _ in range(STEPS):
        rows = xp.where(active, -r.r_c, 0.0)
        rhs = kkt.Rhs(-r.r_x[..., None], rows[..., None], -r.r_nu[..., None])
        step = kkt.solve_once(qp, factors, rhs, backend)
        lam = xp.where(active, point.lam + step.c[..., 0], 0.0)
        trial = Point(point.x + step.x[..., 0], point.s, lam, point.nu + step.nu[..., 0])
        trial = _on_active_set(qp, trial, active)
        trial_r = evaluate(qp, trial)
        trial_left = _left(active, trial_r)
        better = going & (trial_left < left)
        much = trial_left < left / 2
        point, r = pick_all(better, trial, point), pick_all(better, trial_r, r)
        left = xp.where(better, trial_left, left)
        rest = largest(norm_inf(r.r_nu), r.dual, r.gap)
        going = better & ((much & ((left > CLEAN / 4) | (rest > FINE))) | (rest > MUCH))
        if not bool(xp.any(going)):
            break
    return point


def _left(active: Array, r: Residuals) -> Array:  # (B,)
    """What is left of the equations: whether the other rows are met is not asked yet."""
    rows = namespace(r.gap).where(active, r.r_c, 0.0)
    size = 1 + r.sizes
    primal = largest(norm_inf(rows), norm_inf(r.r_nu)) / size[:, 0]
    return primal + r.dual / size[:, 1] + r.gap / size[:, 2]


def is_rounding(qp: QP, point: Point, r: Residuals) -> Array:  # (B,) bool
    """Whether the residuals are small, and no more than rounding has to leave."""
    xp = namespace(r.gap)
    clean = r.merit <= CLEAN
    unsure = xp.nonzero(~clean & (r.merit <= LOOSE))[0]
    if not unsure.shape[0]:
        return clean
    full = with_full_sizes(qp.take(unsure), point.take(unsure), r.take(unsure))
    return placed(unsure, full.merit <= CLEAN, clean)


def _on_active_set(qp: QP, point: Point, active: Array) -> Point:
    """`point` with slack 0 on the active rows and multiplier 0 on the others."""
    xp = namespace(point.x)
    lam = xp.where(active, point.lam, 0.0)
    slack = qp.d - qp.C(point.x[..., None])[..., 0]
    s = xp.where(qp.present, xp.where(active, 0.0, slack), 1.0)
    return Point(point.x, s, lam, point.nu)
