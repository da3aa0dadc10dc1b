"""Mehrotra's predictor-corrector with proximal regularisation, for a batch.

Mehrotra 1992; the regularisation is that of proximal interior-point methods (Schwan et
al. 2023, arXiv 2304.00290). Each element has its own step, centring, regularisation and
stop. Elements that are finished are frozen, and left out once enough are.
"""

from typing import NamedTuple

from kktdiff._arrays import namespace, norm_inf, pick, pick_all
from kktdiff._problem import QP
from kktdiff._reports import record
from kktdiff._residuals import Point, Residuals, evaluate, mean_product
from kktdiff._scaling import Scaling
from kktdiff._settings import (
    BIG,
    KEEP_OFF,
    KEEP_WELL_OFF,
    PLAIN,
    POOR,
    REGULARISATION,
    SHORT,
    Settings,
)
from kktdiff._stopping import Loop, judge, linear
from kktdiff._typing import Array, Solve, System


class Ended(NamedTuple):
    """How a run ended, each (B, ...)."""

    best: Point  # of the smallest residuals; for an infeasible element what proves it
    last: Point  # the best centred one
    status: Array
    iterations: Array


def origin(qp: QP) -> Point:
    """All zero but the fixed variables."""
    n, _, k = qp.sizes
    x, s, lam, nu = (
        namespace(qp.p).zeros((qp.length, size), dtype=qp.p.dtype, device=qp.p.device)
        for size in (n, qp.d.shape[1], qp.d.shape[1], k)
    )
    return Point(x if qp.fixed is None else x + qp.value, s, lam, nu)


def start(qp: QP, scaling: Scaling, system: System) -> Point:
    """The minimiser of 1/2 x'Qx + p'x + 1/2 |s|^2 on s = d - Cx, made positive.

    Vandenberghe 2010, "The CVXOPT linear and quadratic cone program solvers", section 5.3.
    """
    xp = namespace(qp.p)
    zero = origin(qp)
    x, nu = zero.x, zero.nu
    unit = xp.where(qp.present, scaling.unit_rows, 1.0) + zero.s
    lam = xp.astype(qp.present, unit.dtype) + zero.lam
    solve, _ = system(qp, scaling, Point(x, unit, lam, nu), 0 * x[:, 0] + REGULARISATION)
    r = evaluate(qp, zero)
    dx, lam, nu, _ = solve(-r.r_x, -r.r_c, -r.r_nu)
    scale = scaling.rows / scaling.cost[:, None]
    s = _made_positive(qp, -lam * unit * scaling.rows) / scaling.rows
    lam = _made_positive(qp, lam / scale) * scale
    return Point(x + dx, xp.where(qp.present, s, 1.0), xp.where(qp.present, lam, 0.0), nu)


def _made_positive(qp: QP, v: Array) -> Array:  # (B, M)
    """`v`, shifted to at least one where any present entry is not clearly positive."""
    xp = namespace(v)
    if not v.shape[-1]:
        return v
    low = xp.min(xp.where(qp.present, v, xp.inf), axis=-1, keepdims=True)
    size = xp.max(xp.where(qp.present, xp.abs(v), 0.0), axis=-1, keepdims=True)
    return xp.where(low > 1e-8 * xp.where(size > 1, size, 1.0), v, v + (1 - low))


def run(
    qp: QP,
    scaling: Scaling,
    point: Point,
    settings: Settings,
    system: System,
    spent: Array,  # (B,): iterations that each element has had before
) -> Ended:
    """Iterate from `point` until each element is solved, hopeless or stuck."""
    loop = _begin(qp, point, settings, spent)
    finished: list[Loop] = []
    xp = namespace(point.x)
    while True:
        residuals = evaluate(qp, loop.point)
        loop = judge(qp, scaling, loop, residuals, settings)
        if settings.report is not None:
            mu = mean_product(qp, loop.point.s, loop.point.lam)
            settings.report(
                record("iterate", residuals, loop.iterations, loop.status < 0, mu, loop.step)
            )
        running = loop.status < 0
        live = int(xp.sum(xp.astype(running, xp.int64)))
        if not live:
            break
        if live < 0.75 * running.shape[0]:
            finished.append(loop.take(xp.nonzero(~running)[0]))
            keep = xp.nonzero(running)[0]
            loop, qp, scaling = loop.take(keep), qp.take(keep), scaling.take(keep)
            residuals = residuals.take(keep)
        loop = advance(qp, scaling, loop, residuals, settings, system)
    return _gather([*finished, loop])


def _begin(qp: QP, point: Point, settings: Settings, spent: Array) -> Loop:
    xp = namespace(point.x)
    batch, device = point.x.shape[0], point.x.device
    full = xp.full((batch,), BIG, dtype=point.x.dtype, device=device)
    flat = xp.all(qp.Q == 0, axis=(1, 2)) & (qp.soft is None)
    return Loop(
        index=xp.arange(batch, device=device),
        linear=xp.broadcast_to(flat, (batch,)),
        point=point,
        before=point,
        best=point,
        best_merit=full,
        least=xp.stack([full] * 7, axis=-1),
        progress=spent,
        reg=0 * full + REGULARISATION,
        status=0 * spent - 1,
        iterations=spent,
        step=0 * full,
        promised=xp.stack([full] * 2, axis=-1),
        spare=0 * spent + settings.linger,
    )


def _gather(parts: list[Loop]) -> Ended:
    """The finished parts in the chunk's own order."""
    xp = namespace(parts[0].index)
    order = xp.argsort(xp.concat([part.index for part in parts]))

    def join(*arrays: Array) -> Array:
        return xp.take(xp.concat(arrays), order, axis=0)

    def joined(points: list[Point]) -> Point:
        return Point(*(join(*arrays) for arrays in zip(*points, strict=True)))

    points = joined([p.best for p in parts]), joined([p.point for p in parts])
    return Ended(*points, join(*(p.status for p in parts)), join(*(p.iterations for p in parts)))


def advance(
    qp: QP, scaling: Scaling, loop: Loop, r: Residuals, settings: Settings, system: System
) -> Loop:
    """One predictor-corrector step of every element that runs."""
    xp = namespace(r.gap)
    x, s, lam, nu = loop.point
    running = loop.status < 0
    solve, ok = system(qp, scaling, loop.point, loop.reg)
    dx, ds, dlam, dnu = _direction(qp, loop, r, solve, settings.barrier)
    steps = _lengths(loop.linear, s, ds, lam, dlam)
    share = xp.where(steps < SHORT, KEEP_WELL_OFF, KEEP_OFF + 0 * steps)
    steps = xp.minimum(share * steps, xp.ones_like(steps))
    alpha, beta = steps[:, :1], steps[:, 1:]
    moved = Point(x + alpha * dx, s + alpha * ds, lam + beta * dlam, nu + beta * dnu)
    finite = ok & xp.isfinite(norm_inf(dx) + norm_inf(dlam) + norm_inf(dnu))
    go = finite & running
    easier = xp.where(loop.reg > REGULARISATION, loop.reg / 10, loop.reg)
    point = pick_all(go, moved, loop.point)
    shortest = xp.min(steps, axis=1)
    due = pick(go & (shortest > POOR), (1 - steps / 2) * linear(r), BIG + 0 * loop.promised)
    return loop._replace(
        point=point,
        before=loop.point,
        promised=due,
        reg=xp.where(finite, easier, 100 * loop.reg),
        step=xp.where(go, shortest, 0.0),
        iterations=xp.where(running, loop.iterations + 1, loop.iterations),
    )


def _direction(qp: QP, loop: Loop, r: Residuals, solve: Solve, barrier: float) -> tuple[Array, ...]:
    """Mehrotra's direction: (dx, ds, dlam, dnu)."""
    xp = namespace(r.gap)
    _, s, lam, _ = loop.point
    mu = mean_product(qp, s, lam)

    def newton(target: Array) -> tuple[Array, ...]:  # aims at lam_i s_i = target_i
        r_c = xp.where(qp.present, s - r.r_c - target / lam, 0.0)
        dx, dlam, dnu, _ = solve(-r.r_x, r_c, -r.r_nu)
        ds = target / lam - s - (s / lam) * dlam
        return dx, xp.where(qp.present, ds, 0.0), dlam, dnu

    def centre(share: Array) -> Array:
        return xp.where(share * mu > barrier, share * mu, barrier)[:, None]

    _, ds, dlam, _ = newton(barrier + 0 * s)
    steps = _lengths(loop.linear, s, ds, lam, dlam)
    mu_affine = mean_product(qp, s + steps[:, :1] * ds, lam + steps[:, 1:] * dlam)
    sigma = (mu_affine / xp.where(mu > 0, mu, 1.0)) ** 3
    step = newton(centre(sigma) - ds * dlam)
    reach = xp.min(_lengths(loop.linear, s, step[1], lam, step[2]), axis=1)
    poor = (loop.status < 0) & (reach < POOR)
    if bool(xp.any(poor)):  # the corrector has gone astray, as near the boundary it can
        plain = newton(centre(0 * mu + PLAIN) + 0 * s)
        step = tuple(pick(poor, new, old) for new, old in zip(plain, step, strict=True))
    return step


def _lengths(linear: Array, s: Array, ds: Array, lam: Array, dlam: Array) -> Array:  # (B, 2)
    """Largest steps that keep s, and lam, from below zero.

    A step of its own for each is for linear programs, in which neither spoils the other's
    residual: with curvature dual feasibility takes the same for both.
    """
    xp = namespace(s)
    steps = xp.stack([_to_boundary(s, ds), _to_boundary(lam, dlam)], axis=1)
    return xp.where(linear[:, None], steps, xp.min(steps, axis=1, keepdims=True))


def _to_boundary(v: Array, dv: Array) -> Array:  # (B,)
    """Largest step, up to a little over one, that keeps v + step dv from below zero."""
    xp = namespace(v)
    full = xp.full((v.shape[0], 1), 1 / KEEP_OFF, dtype=v.dtype, device=v.device)
    ratio = xp.where(dv < 0, -v / xp.where(dv < 0, dv, -1.0), xp.inf)
    return xp.min(xp.concat([full, ratio], axis=-1), axis=-1)
