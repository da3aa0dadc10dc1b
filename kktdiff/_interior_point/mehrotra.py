"""Mehrotra's predictor-corrector with proximal terms and a guard, for a batch of scaled QPs.

Mehrotra 1992; the proximal terms are those of proximal interior-point methods (Schwan et al. 2023,
arXiv 2304.00290), and fall with the error. Each element has its own step, centring, proximal
weights and stop. Elements that are finished are frozen, and left out once enough are.

A step aims at

    s_i lam_i = sigma mu - omega ds_i dlam_i                                               (1)

with the predictor's ds and dlam. The corrector, omega = 1, can raise mu and even circle. So a step
counts only if mu falls with it, or at least does not double while feasibility is still far off;
otherwise the corrector is taken in part, and if that does not help, not at all (the idea of
Salahi, Peng and Terlaky 2007, and of Colombo and Gondzio 2008). With curvature no product is left
far below mu; where steps stay short all the same, the element is centred anew.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from kktdiff._arrays import (
    clip,
    is_sparse,
    largest,
    namespace,
    norm_inf,
    norms_inf,
    pick,
    pick_all,
    top,
)
from kktdiff._interior_point.newton import system, weights_at
from kktdiff._interior_point.program import Program
from kktdiff._interior_point.residuals import Residuals
from kktdiff._interior_point.start import centred
from kktdiff._interior_point.termination import RUNNING, Loop, linear
from kktdiff._kkt import Weights
from kktdiff._records import Point
from kktdiff._settings import BIG, MAX_REGULARISATION, MIN_REGULARISATION, SPARSE_PROXIMAL, STALL
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra

STEP_FRACTION = 0.995  # of the step to the boundary,
STEP_FRACTION_SHORT = 0.9  # of a step below SHORT_STEP: closer, and the next one is blocked
SHORT_STEP = 0.8
SHORT_FOR_RESTART = 0.1
ALMOST_FEASIBLE = 1e-2  # errors below which a restart raises multipliers,
MOST_PRICE = 1e6  # to this at most, in their unit
LEAST_PRODUCT = 1e-2  # of lam_i s_i, relative to their mean
CENTRING = 0.3, 0.7  # sigma of a step without corrector
MIN_STEP = 0.05  # a shorter one is tried again with less of the corrector

Direction = tuple[Array, Array, Array, Array]  # dx, ds, dlam, dnu


class Stage(NamedTuple):
    """Tolerance and safeguards of a run."""

    tol: float  # relative error
    careful: bool  # see `kktdiff._interior_point.newton.system`
    barrier: float = 0.0  # > 0: stop on the central path at this parameter
    restarts: int = 0  # at most, per element
    near: float = 0.0  # error of the best point up to which a restart would lose it


def advance(
    program: Program, loop: Loop, r: Residuals, error: Array, stage: Stage, backend: LinearAlgebra
) -> Loop:
    """Take one guarded step of every running element."""
    xp = namespace(r.gap)
    worst = norm_inf(error)
    weights = _weights(program, loop, r, worst)
    solve, ok = system(
        program.qp, weights, backend, separable=program.separable, careful=stage.careful
    )
    aim = stage.barrier * program.scaling.cost + 0 * worst
    running = loop.status == RUNNING
    (dx, ds, dlam, dnu), steps, active = direction(
        program, loop.point, r, error, solve, aim, running
    )
    finite = ok & xp.isfinite(norms_inf(dx, dlam, dnu))
    go = finite & running
    length = xp.min(steps, axis=1)
    alpha, beta = steps[:, :1], steps[:, 1:]
    x, s, lam, nu = loop.point
    moved = Point(x + alpha * dx, s + alpha * ds, lam + beta * dlam, nu + beta * dnu)
    moved = moved._replace(lam=_near_centre(program, moved))
    short = xp.where(length < SHORT_FOR_RESTART, loop.short + 1, 0)
    loop = loop._replace(
        point=pick_all(go, moved, loop.point),
        short=short,
        before=loop.point,
        active=pick(go, active, loop.active),
        expected=pick(go, (1 - steps / 2) * linear(r), BIG + 0 * loop.expected),
        boost=xp.where(finite, xp.maximum(loop.boost / 10, 1 + 0 * worst), 100 * loop.boost),
        step=xp.where(go, length, 0.0),
        iterations=xp.where(running, loop.iterations + 1, loop.iterations),
    )
    blocked, near = running & (short >= 3), loop.best_error <= stage.near
    again = blocked & ~near & (worst > stage.tol) & (loop.restarts < stage.restarts)
    almost = largest(error[:, 0], error[:, 1]) < ALMOST_FEASIBLE
    ended = blocked & ~again & (near | almost)  # to be polished
    progress = xp.where(ended, loop.iterations - STALL, loop.progress)
    loop = loop._replace(progress=progress)
    if not bool(xp.any(again & go)):
        return loop
    return _restarted(program, loop, again & go, xp.where(almost, norm_inf(dlam), 0.0))


def _weights(program: Program, loop: Loop, r: Residuals, worst: Array) -> Weights:
    """Weights ``lam/s``, and proximal weights that fall with the error, (B,)."""
    least = SPARSE_PROXIMAL if is_sparse(program.qp.Q) else MIN_REGULARISATION
    reg = clip(1e-6 * worst, least, MAX_REGULARISATION) * loop.boost
    large = program.units.size_of_multipliers(r.multiplier)
    weights = weights_at(program.qp, loop.point, program.units.weight, reg)
    return weights._replace(rho=reg * _slope(program, r), large=large)


def _restarted(program: Program, loop: Loop, again: Array, wanted: Array) -> Loop:
    """Centre the elements `again`, (B,), anew, at x; what they had reached counts no more.

    Short steps in a row show that mu is too small: for how far x has to go, or, where it is almost
    feasible, for the multipliers, which begin as large as the last direction takes them: `wanted`.
    """
    xp, (x, _, _, nu) = namespace(loop.step), loop.point
    scale = norm_inf(x) * 10.0 ** xp.astype(loop.restarts, x.dtype)
    unit = program.units.price
    price = xp.minimum(xp.maximum(wanted, unit), MOST_PRICE * unit)
    return loop._replace(
        point=pick_all(again, centred(program, x, nu, scale, price), loop.point),
        best_error=xp.where(again, BIG, loop.best_error),
        least=pick(again, BIG + 0 * loop.least, loop.least),
        expected=pick(again, BIG + 0 * loop.expected, loop.expected),
        progress=xp.where(again, loop.iterations, loop.progress),
        short=xp.where(again, 0, loop.short),
        restarts=xp.where(again, loop.restarts + 1, loop.restarts),
    )


def _near_centre(program: Program, point: Point) -> Array:  # (B, M)
    """Return lam, raised where a product falls far below mu: its slack would block all steps.

    One side of equation 16 of Wächter and Biegler 2006. Linear programs, with a step of its own for
    lam, do not need it, and where prices span decades it would spoil the smallest.
    """
    xp, qp, (_, s, lam, _) = namespace(point.lam), program.qp, point
    least = LEAST_PRODUCT * program.mean_product(s, lam)[:, None]
    raised = qp.present & (lam * s < least) & ~program.linear[:, None]
    return xp.where(raised, least / xp.where(raised, s, 1.0), lam)


def _slope(program: Program, r: Residuals) -> Array:  # (B,)
    """Return the size of the gradient's terms at a point, relative to its unit, at most 1.

    Curvature far above the prices must not set the proximal weight of x.
    """
    terms = namespace(r.gap).maximum(r.sizes[:, 1], r.multiplier)
    return clip(terms / program.units.price, 1e-10, 1.0)


def direction(
    program: Program,
    point: Point,
    r: Residuals,
    error: Array,  # (B, 3)
    solve: Callable[[Array, Array, Array], tuple[Array, Array, Array]],
    barrier: Array,  # (B,)
    running: Array,  # (B,) bool
) -> tuple[Direction, Array, Array]:
    """Find a direction that passes the guard, its steps of s and lam, (B, 2), and activity.

    A row is active if the predictor takes its slack to zero and not its multiplier (the indicators
    of Tapia; El-Bakry, Tapia and Zhang 1994), whatever their units.
    """
    xp, linear = namespace(r.gap), program.linear
    _, s, lam, _ = point
    mu = program.mean_product(s, lam)
    newton = partial(_newton_step, program, point, r, solve)
    predictor = newton(barrier[:, None] + 0 * s)
    steps = _lengths(linear, s, lam, predictor, 1.0)
    active = program.qp.present & (predictor[1] / s < predictor[2] / lam)
    ratio = _mu_after(program, point, predictor, steps) / xp.where(mu > 0, mu, 1.0)
    sigma = clip(ratio, 0.0, 1.0) ** 3
    limit = 2 * mu[:, None] + 0 * s
    product = clip(predictor[1] * predictor[2], -limit, limit)
    infeasible = largest(error[:, 0], error[:, 1]) > 10 * error[:, 2]
    todo = running
    part = xp.min(steps, axis=1)
    first = 1 + 0 * part
    for share in (first, part**2, None):
        centre = sigma if share is not None else clip(sigma, *CENTRING)
        aim = xp.maximum(centre * mu, barrier)[:, None] + 0 * s
        trial = newton(aim if share is None else aim - share[:, None] * product)
        t = _lengths(linear, s, lam, trial, STEP_FRACTION)
        t = xp.where(t < SHORT_STEP, STEP_FRACTION_SHORT / STEP_FRACTION * t, t)
        shorter = xp.min(t, axis=1)
        if share is None:
            t = _stop_at_lowest(program, trial, centre, mu, barrier, t)
        after = _mu_after(program, point, trial, t)
        falls = (after < (1 - MIN_STEP * shorter) * mu) | ((after < 2 * mu) & infeasible)
        falls = falls | (after <= 2 * barrier)
        if share is first:
            found, taken = trial, t
        else:
            found = tuple(pick(todo, a, b) for a, b in zip(trial, found, strict=True))
            taken = pick(todo, t, taken)
        todo = todo & ~((shorter > MIN_STEP) & falls)
        if not bool(xp.any(todo)):
            break
    return found, taken, active


def _newton_step(
    program: Program,
    point: Point,
    r: Residuals,
    solve: Callable[[Array, Array, Array], tuple[Array, Array, Array]],
    target: Array,  # (B, M)
) -> Direction:
    """Return the direction that aims at lam_i s_i = target_i."""
    present, (_, s, lam, _) = program.qp.present, point
    where = namespace(s).where
    r_c = where(present, s - r.r_c - target / lam, 0.0)
    dx, dlam, dnu = solve(-r.r_x, r_c, -r.r_nu)
    ds = target / lam - s - (s / lam) * dlam
    return dx, where(present, ds, 0.0), dlam, dnu


def _mu_after(program: Program, point: Point, d: Direction, steps: Array) -> Array:  # (B,)
    s, lam = point.s + steps[:, :1] * d[1], point.lam + steps[:, 1:] * d[2]
    return program.mean_product(s, lam)


def _stop_at_lowest(
    program: Program, d: Direction, centre: Array, mu: Array, barrier: Array, steps: Array
) -> Array:  # (B, 2)
    """Shorten steps that go beyond mu's lowest point along the direction, a parabola."""
    xp, rise = namespace(mu), program.mean_product(d[1], d[2])
    lowest = (1 - centre) * mu / (2 * xp.where(rise > 0, rise, 1.0))
    bounded = (rise > 0) & (barrier < centre * mu)
    return xp.where(bounded[:, None], xp.minimum(steps, lowest[:, None]), steps)


def _lengths(linear: Array, s: Array, lam: Array, d: Direction, fraction: float) -> Array:
    """Steps of s and lam, (B, 2): `fraction` of the largest that keep them above zero, at most 1.

    A step of its own for each is for linear programs, in which neither spoils the other's
    residual: with curvature dual feasibility takes the same for both.
    """
    xp = namespace(s)
    v, dv = xp.stack([s, lam], axis=1), xp.stack([d[1], d[2]], axis=1)
    rate = top(xp.where(dv < 0, -dv / v, 0.0))
    rate = xp.where(linear[:, None], rate, xp.max(rate, axis=1, keepdims=True))
    return fraction / xp.where(rate > fraction, rate, fraction)
