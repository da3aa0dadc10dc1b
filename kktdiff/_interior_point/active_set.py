"""From an interior point to the solution itself: solve for the active set.

Near the solution the active constraints are known, and with them the KKT conditions are
linear. Solving them takes x and the multipliers to rounding, and leaves the factors of exactly
the system that every sensitivity needs.
"""

from typing import NamedTuple

from kktdiff import _kkt as kkt
from kktdiff._arrays import (
    is_sparse,
    namespace,
    norm_inf,
    norms_inf,
    pick_all,
    placed,
    placed_all,
    take,
    taken,
)
from kktdiff._interior_point.program import Program
from kktdiff._interior_point.residuals import Residuals, evaluate, with_full_sizes
from kktdiff._interior_point.scaling import Units
from kktdiff._kkt import AnyFactors, Weights
from kktdiff._records import QP, Point, Rhs
from kktdiff._settings import BIG, ROUNDING
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra

PROXIMAL = 1e-11  # weight of the proximal terms, in natural units; refinement takes them out
ROUNDING_TOL = 8 * ROUNDING  # relative to the size of the terms: rounding
_LOOSE = 1e-5  # relative residual above which the sizes of terms are not looked at closer
_REFINEMENTS = 8  # one step solves a linear system; the others take out what rounding left
_FLOOR = 1e-6  # a term counts at least so much of its unit


class PolishResult(NamedTuple):
    """The polished point where it is optimal, else the given one; the active set's factors."""

    point: Point
    factors: AnyFactors
    clean: Array  # (B,) bool: optimal to rounding for this active set
    signed: Array  # (B,) bool: no multiplier is below zero by more than its own rounding
    wanted: Array  # (B, M) bool: the active set that the signs found ask for


def active_weights(program: Program, active: Array, y: Array | None) -> Weights:
    """Weight the rows `active`, (B, M), as equalities; y: multipliers of fixed variables."""
    qp, unit = program.qp, program.units.weight
    xp = namespace(unit)
    w = with_fixed(qp, equalities(qp, active), y)
    if not w.shape[1]:  # without inequalities shared matrices stay shared
        w = w[:1, :] if unit.shape[0] == 1 or w.shape[0] > 1 else w
    held = held_variables(qp, w)
    one = xp.ones_like(unit) if w.shape[1] else xp.ones_like(unit[:1])
    return Weights(w, held, unit if w.shape[1] else one, PROXIMAL * one, PROXIMAL * one)


def equalities(qp: QP, active: Array) -> Array:  # (B, M)
    """Return the weights of active rows as equalities: inf, or 1/compliance."""
    xp = namespace(qp.p)
    hard = xp.inf if qp.compliance is None else 1 / qp.compliance
    return xp.where(active, hard + xp.zeros_like(qp.d), xp.zeros_like(qp.d))


def held_variables(qp: QP, w: Array) -> Array | None:  # (B, n) bool
    """Return True for variables held by a bound of infinite weight; None without bounds."""
    xp = namespace(w)
    held = None
    for side in qp.split(w)[1:]:
        if side.shape[1]:
            held = (side == xp.inf) if held is None else held | (side == xp.inf)
    return held


def with_fixed(qp: QP, w: Array, y: Array | None) -> Array:  # (B, M), (B, n) -> (B, M)
    """Put each fixed variable's equality on the bound that its multiplier's sign selects."""
    if qp.fixed is None or y is None:
        return w
    xp = namespace(w)
    rows, lower, upper = qp.split(w)
    lower = xp.where(qp.fixed, xp.where(y < 0, xp.inf, 0 * y), lower)
    upper = xp.where(qp.fixed, xp.where(y >= 0, xp.inf, 0 * y), upper)
    return xp.concat([rows, lower, upper], axis=1)


def one_side(qp: QP, active: Array, point: Point) -> Array:  # (B, M) bool
    """Keep at most one active bound per variable, of the larger multiplier; all if compliant."""
    if not (qp.bounds[0] and qp.bounds[1]) or qp.compliance is not None:
        return active
    xp = namespace(active)
    (rows, lower, upper), (_, lam_lb, lam_ub) = qp.split(active), qp.split(point.lam)
    both = lower & upper
    return xp.concat(
        [rows, lower & ~(both & (lam_lb <= lam_ub)), upper & ~(both & (lam_lb > lam_ub))], axis=1
    )


def polish(
    program: Program, point: Point, active: Array, border: int, backend: LinearAlgebra
) -> PolishResult:
    """Solve the KKT conditions near `point` with the rows `active`, (B, M), as equalities."""
    qp = program.qp
    xp = namespace(point.x)
    y = None if qp.fixed is None else evaluate(qp, point).y
    weights = active_weights(program, active, y)
    separable = program.separable
    factors = kkt.factor(qp, weights, backend, separable=separable, border=border)
    new, left = _solution(program, factors, point, active, backend)
    if is_sparse(qp.Q):
        new = _with_less(program, factors.weights, new, active, left, backend)
    s, lam = (xp.where(v > 0, v, 0.0) for v in (new.s, new.lam))
    best = new._replace(s=s, lam=lam)
    clean = factors.ok & is_rounding(program, best, evaluate(qp, best))
    wanted = xp.where(active, new.lam > 0, new.s < 0) & qp.present
    scale = norms_inf(new.lam, new.nu)[:, None]
    signed = ~xp.any(active & (new.lam < -ROUNDING / 16 * scale), axis=1)
    return PolishResult(pick_all(clean, best, point), factors, clean, signed, wanted)


def _with_less(
    program: Program,
    weights: Weights,
    point: Point,
    active: Array,
    left: Array,
    backend: LinearAlgebra,
) -> Point:
    """Solve again where large multipliers make the proximal terms slow to refine away.

    Not at once: where rows depend on each other, smaller terms leave factors less accurate.
    """
    xp = namespace(left)
    large = program.units.size_of_multipliers(norms_inf(point.lam, point.nu))
    again = xp.nonzero((left > ROUNDING_TOL) & (large > 1))[0]
    if not again.shape[0]:
        return point
    own = Weights(*taken(weights._replace(large=large), again, shared=True))
    some, near = program.take(again), point.take(again)
    factors = kkt.factor(some.qp, own, backend)
    better, _ = _solution(some, factors, near, take(active, again), backend)
    return placed_all(again, better, point)


def _solution(
    program: Program, factors: AnyFactors, point: Point, active: Array, backend: LinearAlgebra
) -> tuple[Point, Array]:
    """Solve the linear equations of the active set by Newton steps; return their error, too."""
    qp, units = program.qp, program.units
    xp = namespace(point.x)
    point = _on_active_set(qp, point, active)
    r = evaluate(qp, point)
    left = _left(units, active, r)
    going = left < BIG
    for _ in range(_REFINEMENTS):
        rows = xp.where(active, -r.r_c, 0.0)
        rhs = Rhs(-r.r_x[..., None], rows[..., None], -r.r_nu[..., None])
        step = kkt.solve_once(qp, factors, rhs, backend)
        lam = xp.where(active, point.lam + step.c[..., 0], 0.0)
        trial = Point(point.x + step.x[..., 0], point.s, lam, point.nu + step.nu[..., 0])
        trial = _on_active_set(qp, trial, active)
        trial_r = evaluate(qp, trial)
        trial_left = _left(units, active, trial_r)
        better = going & (trial_left < left)
        much = trial_left < left / 2
        point, r = pick_all(better, trial, point), pick_all(better, trial_r, r)
        left = xp.where(better, trial_left, left)
        going = better & much & (left > ROUNDING_TOL / 4096)
        if not bool(xp.any(going)):
            break
    return point, left


def _left(units: Units, active: Array, r: Residuals) -> Array:  # (B,)
    """Return the relative error of the active set's equations; inactive rows do not count."""
    rows = namespace(r.gap).where(active, r.r_c, 0.0)
    primal = norms_inf(rows, r.r_nu)
    size = sizes(units, r)
    return primal / size[:, 0] + r.dual / size[:, 1] + r.gap / size[:, 2]


def sizes(units: Units, r: Residuals) -> Array:  # (B, 3)
    """Return the sizes of the terms of the three residuals, plus a share of their units."""
    xp = namespace(r.gap)
    own = xp.stack([units.x, units.price, units.x * units.price], axis=-1)
    return _FLOOR * own + r.sizes


def is_rounding(program: Program, point: Point, r: Residuals) -> Array:  # (B,) bool
    """Return True where the residuals are at rounding level."""
    xp, units = namespace(r.gap), program.units
    error = norm_inf(r.norms / sizes(units, r))
    clean = error <= ROUNDING_TOL
    unsure = xp.nonzero(~clean & (error <= _LOOSE))[0]
    if not unsure.shape[0]:
        return clean
    full = with_full_sizes(program.qp.take(unsure), point.take(unsure), r.take(unsure))
    error = norm_inf(full.norms / sizes(units.take(unsure), full))
    return placed(unsure, error <= ROUNDING_TOL, clean)


def _on_active_set(qp: QP, point: Point, active: Array) -> Point:
    """Set the slacks of active rows and the multipliers of the others to 0."""
    xp = namespace(point.x)
    lam = xp.where(active, point.lam, 0.0)
    slack = qp.d - qp.C(point.x[..., None])[..., 0]
    s = xp.where(qp.present, xp.where(active, 0.0, slack), 1.0)
    return Point(point.x, s, lam, point.nu)
