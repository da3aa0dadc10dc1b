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
from typing import NamedTuple

from kktdiff._arrays import clip, concat, largest, namespace, norm_inf, pick, pick_all
from kktdiff._interior_point.newton import system, weights_at
from kktdiff._interior_point.program import Program
from kktdiff._interior_point.residuals import Residuals, mean_product
from kktdiff._interior_point.start import centred
from kktdiff._interior_point.termination import RUNNING, Loop, linear
from kktdiff._records import Point
from kktdiff._settings import BIG, MAX_REGULARISATION, MIN_REGULARISATION
from kktdiff._typing import Array
from kktdiff.backends import Backend

STEP_FRACTION = 0.995  # of the step to the boundary,
STEP_FRACTION_SHORT = 0.9  # of a step below SHORT_STEP: closer, and the next one is blocked
SHORT_STEP = 0.8
SHORT_FOR_RESTART = 0.1
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


def advance(
    program: Program, loop: Loop, r: Residuals, error: Array, stage: Stage, backend: Backend
) -> Loop:
    """Take one guarded step of every running element."""
    xp = namespace(r.gap)
    worst = norm_inf(error)
    reg = clip(1e-6 * worst, MIN_REGULARISATION, MAX_REGULARISATION) * loop.boost
    weights = weights_at(program.qp, loop.point, program.units.weight, reg)
    weights = weights._replace(rho=reg * _slope(program, loop.point, r))
    solve, ok = system(
        program.qp, weights, backend, separable=program.separable, careful=stage.careful
    )
    aim = stage.barrier * program.scaling.cost + 0 * worst
    running = loop.status == RUNNING
    (dx, ds, dlam, dnu), steps, active = direction(
        program, loop.point, r, error, solve, aim, running
    )
    finite = ok & xp.isfinite(norm_inf(dx) + norm_inf(dlam) + norm_inf(dnu))
    go = finite & running
    length = xp.min(steps, axis=1)
    short = xp.where(length < SHORT_FOR_RESTART, loop.short + 1, 0 * loop.short)
    again = running & _blocked(error, short, stage.tol) & (loop.restarts < stage.restarts)
    alpha, beta = steps[:, :1], steps[:, 1:]
    x, s, lam, nu = loop.point
    moved = Point(x + alpha * dx, s + alpha * ds, lam + beta * dlam, nu + beta * dnu)
    moved = moved._replace(lam=_near_centre(program, moved))
    if bool(xp.any(again)):
        scale = norm_inf(moved.x) * 10.0 ** xp.astype(loop.restarts, moved.x.dtype)
        moved = pick_all(again, centred(program, moved.x, moved.nu, scale), moved)
    iterations = xp.where(running, loop.iterations + 1, loop.iterations)
    return loop._replace(
        point=pick_all(go, moved, loop.point),
        best_error=xp.where(again, BIG, loop.best_error),
        least=pick(again, BIG + 0 * loop.least, loop.least),
        progress=xp.where(again, iterations, loop.progress),
        short=xp.where(again, 0, short),
        restarts=xp.where(again, loop.restarts + 1, loop.restarts),
        before=loop.point,
        active=pick(go, active, loop.active),
        expected=pick(go & ~again, (1 - steps / 2) * linear(r), BIG + 0 * loop.expected),
        boost=xp.where(finite, xp.maximum(loop.boost / 10, 1 + 0 * worst), 100 * loop.boost),
        step=xp.where(go, length, 0.0),
        iterations=iterations,
    )


def _near_centre(program: Program, point: Point) -> Array:  # (B, M)
    """Return lam, raised where a product falls far below mu: its slack would block all steps.

    One side of equation 16 of Wächter and Biegler 2006. Linear programs, with a step of its own for
    lam, do not need it, and where prices span decades it would spoil the smallest.
    """
    xp, qp, (_, s, lam, _) = namespace(point.lam), program.qp, point
    least = LEAST_PRODUCT * mean_product(qp, s, lam)[:, None]
    raised = qp.present & (lam * s < least) & ~program.linear[:, None]
    return xp.where(raised, least / xp.where(raised, s, 1.0), lam)


def _blocked(error: Array, short: Array, tol: float) -> Array:  # (B,) bool
    """Return True where short steps in a row show that mu is too small for how far x has to go."""
    return (short >= 3) & (norm_inf(error) > tol)


def _slope(program: Program, point: Point, r: Residuals) -> Array:  # (B,)
    """Return the size of the gradient's terms at a point, relative to its unit, at most 1.

    Curvature far above the prices must not set the proximal weight of x.
    """
    units = program.units
    terms = largest(r.sizes[:, 1], norm_inf(point.lam), norm_inf(point.nu)) / units.price
    return clip(terms, 1e-10, 1.0)


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
    xp, qp, linear = namespace(r.gap), program.qp, program.linear
    _, s, lam, _ = point
    mu = mean_product(qp, s, lam)

    def newton(target: Array) -> Direction:  # aims at lam_i s_i = target_i
        r_c = xp.where(qp.present, s - r.r_c - target / lam, 0.0)
        dx, dlam, dnu = solve(-r.r_x, r_c, -r.r_nu)
        ds = target / lam - s - (s / lam) * dlam
        return dx, xp.where(qp.present, ds, 0.0), dlam, dnu

    def mu_after(d: Direction, steps: Array) -> Array:
        return mean_product(qp, s + steps[:, :1] * d[1], lam + steps[:, 1:] * d[2])

    predictor = newton(barrier[:, None] + 0 * s)
    steps = _lengths(linear, s, lam, predictor, 1.0)
    active = qp.present & (predictor[1] / s < predictor[2] / lam)
    ratio = mu_after(predictor, steps) / xp.where(mu > 0, mu, 1.0)
    sigma = clip(ratio, 0.0, 1.0) ** 3
    limit = 2 * mu[:, None] + 0 * s
    product = clip(predictor[1] * predictor[2], -limit, limit)
    infeasible = largest(error[:, 0], error[:, 1]) > 10 * error[:, 2]
    found, taken, todo = predictor, 0 * steps, running
    part = xp.min(steps, axis=1)
    for share in (1 + 0 * part, part**2, None):
        centre = sigma if share is not None else clip(sigma, *CENTRING)
        aim = xp.maximum(centre * mu, barrier)[:, None] + 0 * s
        trial = newton(aim if share is None else aim - share[:, None] * product)
        t = _lengths(linear, s, lam, trial, STEP_FRACTION)
        t = xp.where(t < SHORT_STEP, STEP_FRACTION_SHORT / STEP_FRACTION * t, t)
        shorter = xp.min(t, axis=1)
        if share is None:  # mu is a parabola along the step: no further than its lowest point
            rise = mean_product(qp, trial[1], trial[2])
            lowest = (1 - centre) * mu / (2 * xp.where(rise > 0, rise, 1.0))
            bounded = (rise > 0) & (barrier < centre * mu)
            t = xp.where(bounded[:, None], xp.minimum(t, lowest[:, None]), t)
        after = mu_after(trial, t)
        falls = (after < (1 - MIN_STEP * shorter) * mu) | ((after < 2 * mu) & infeasible)
        falls = falls | (after <= 2 * barrier)
        found = tuple(pick(todo, a, b) for a, b in zip(trial, found, strict=True))
        taken = pick(todo, t, taken)
        todo = todo & ~((shorter > MIN_STEP) & falls)
        if not bool(xp.any(todo)):
            break
    return found, taken, active


def _lengths(linear: Array, s: Array, lam: Array, d: Direction, fraction: float) -> Array:
    """Steps of s and lam, (B, 2): `fraction` of the largest that keep them above zero, at most 1.

    A step of its own for each is for linear programs, in which neither spoils the other's
    residual: with curvature dual feasibility takes the same for both.
    """
    xp = namespace(s)
    steps = xp.stack([_to_boundary(v, dv, fraction) for v, dv in ((s, d[1]), (lam, d[2]))], axis=1)
    return xp.where(linear[:, None], steps, xp.min(steps, axis=1, keepdims=True))


def _to_boundary(v: Array, dv: Array, fraction: float) -> Array:  # (B,)
    xp = namespace(v)
    one = xp.ones((v.shape[0], 1), dtype=v.dtype, device=v.device) / fraction
    ratio = xp.where(dv < 0, -v / xp.where(dv < 0, dv, -1.0), xp.inf)
    return fraction * xp.min(concat([one, ratio], axis=1), axis=1)
