"""From an interior point to the solution itself: solve for the active set.

Near the solution the active constraints are known, and with them the KKT conditions are
linear. Solving them by LU takes x and the multipliers to rounding, and leaves the
factors of exactly the system that every sensitivity needs.
"""

from typing import NamedTuple

from kktdiff import _kkt as kkt
from kktdiff._arrays import namespace, pick_all, placed
from kktdiff._problem import QP
from kktdiff._residuals import ROUNDING, Point, Residuals, evaluate, with_full_sizes
from kktdiff._scaling import Scaling
from kktdiff._settings import LOOSE
from kktdiff._typing import Array
from kktdiff.backends import Backend

_STEPS = 8  # one solves a linear system; the others take out what rounding left
_FINE = 1e-12  # absolute residual below which there is nothing to gain
_CLEAN = 8 * ROUNDING  # relative to 1 + the size of the terms: rounding


class Polished(NamedTuple):
    """The polished point where it is optimal, else the given one; the active set's factors."""

    point: Point
    factors: kkt.Factors
    clean: Array  # (B,) bool: optimal to rounding for this active set
    wanted: Array  # (B, M) bool: the active set that the signs found ask for


def polish(qp: QP, scaling: Scaling, point: Point, active: Array, backend: Backend) -> Polished:
    """Solve the KKT conditions near `point` with the rows `active`, (B, M), as equalities."""
    xp = namespace(point.x)
    y = evaluate(qp, point).y if qp.fixed is not None else point.x
    a = xp.where(active, kkt.activity(qp, scaling, 0.0, xp.ones_like(point.lam)), 0.0)
    a = kkt.with_fixed(qp, a, y)
    factors = kkt.factor(qp, scaling, a, backend)
    new = _on_active_set(qp, point, active)
    r = evaluate(qp, new)
    going = r.worst > _FINE
    for _ in range(_STEPS):
        rows = xp.where(active, -r.r_c, 0.0)
        rhs = kkt.Rhs(-r.r_x[..., None], rows[..., None], -r.r_nu[..., None])
        step = kkt.solve_once(qp, factors, rhs, backend)
        lam = xp.where(active, new.lam + step.c[..., 0], 0.0)
        trial = Point(new.x + step.x[..., 0], new.s, lam, new.nu + step.nu[..., 0])
        trial = _on_active_set(qp, trial, active)
        trial_r = evaluate(qp, trial)
        better = going & (trial_r.merit < r.merit)
        new = pick_all(better, trial, new)
        r = pick_all(better, trial_r, r)
        going = better & (r.worst > _FINE)
        if not bool(xp.any(going)):
            break
    s = xp.where(new.s > 0, new.s, 0.0)
    clipped = new._replace(s=s, lam=xp.where(new.lam > 0, new.lam, 0.0))
    r = evaluate(qp, clipped)
    clean = factors.lu.ok & _is_rounding(qp, clipped, r)
    better = pick_all(clean, clipped, point)
    wanted = xp.where(active, new.lam > 0, new.s < 0) & qp.present
    return Polished(better, factors, clean, wanted)


def _is_rounding(qp: QP, point: Point, r: Residuals) -> Array:  # (B,) bool
    """Whether the residuals are small, and no more than rounding has to leave."""
    xp = namespace(r.gap)
    clean = r.merit <= _CLEAN
    unsure = xp.nonzero(~clean & (r.merit <= LOOSE))[0]
    if not unsure.shape[0]:
        return clean
    full = with_full_sizes(qp.take(unsure), point.take(unsure), r.take(unsure))
    return placed(unsure, full.merit <= _CLEAN, clean)


def _on_active_set(qp: QP, point: Point, active: Array) -> Point:
    """`point` with slack 0 on the active rows and multiplier 0 on the others."""
    xp = namespace(point.x)
    lam = xp.where(active, point.lam, 0.0)
    slack = qp.d - qp.C(point.x[..., None])[..., 0]
    s = xp.where(qp.present, xp.where(active, 0.0, slack), 1.0)
    return Point(point.x, s, lam, point.nu)
