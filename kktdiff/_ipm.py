"""Mehrotra's predictor-corrector with proximal regularisation, for a batch.

Mehrotra 1992; the regularisation is that of proximal interior-point methods (Schwan et
al. 2023, arXiv 2304.00290). Each element has its own step, centring, regularisation and
stop. Elements that are finished are frozen, and left out once enough are.
"""

from typing import NamedTuple

from kktdiff._arrays import dot, largest, namespace, norm_inf, pick, take
from kktdiff._certificates import dual_infeasible, primal_infeasible
from kktdiff._problem import QP
from kktdiff._reports import record
from kktdiff._residuals import ROUNDING, Point, Residuals, evaluate
from kktdiff._scaling import Scaling
from kktdiff._settings import REGULARISATION, STALL, TROUBLE, Settings
from kktdiff._status import Status
from kktdiff._typing import Array, Solve, System

BIG = 1e300  # larger than any merit
_KEEP_OFF = 0.995  # share of the step to the boundary that is taken
_KEEP_WELL_OFF = 0.9  # the same for a short step: closer, and Mehrotra's method can cycle
_SHORT = 0.8
_POOR = 0.1  # a step shorter than this is tried again without the corrector,
_PLAIN = 0.5  # aimed at this share of mu


class Loop(NamedTuple):
    """What the loop carries for each element that is still in it."""

    index: Array  # (B,): the element's place in the chunk
    point: Point
    best: Point
    best_merit: Array  # (B,)
    least: Array  # (B, 7): smallest residuals, relative residuals, and mu, so far
    progress: Array  # (B,): iteration at which one of them last halved
    reg: Array  # (B,)
    status: Array  # (B,): a Status, or -1 while running
    iterations: Array  # (B,)
    step: Array  # (B,): length of the last step
    promised: Array  # (B, 2): most that it may leave of the linear residuals, `_linear`

    def take(self, index: Array) -> "Loop":
        """The elements `index`."""
        return Loop(*(v.take(index) if isinstance(v, Point) else take(v, index) for v in self))


class Ended(NamedTuple):
    """How a run ended, each (B, ...)."""

    best: Point  # of the smallest residuals
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


def recentre(qp: QP, scaling: Scaling, point: Point, least: float) -> Point:
    """`point` with s and lam at least `least` in the scaled metric: off the boundary again."""
    xp = namespace(point.x)
    unit = least / scaling.rows
    s = xp.maximum(point.s, unit + 0 * point.s)
    lam = xp.maximum(point.lam, least * scaling.rows / scaling.cost[:, None] + 0 * s)
    return point._replace(s=xp.where(qp.present, s, 1.0), lam=xp.where(qp.present, lam, 0.0))


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
    xp = namespace(point.x)
    batch, device = point.x.shape[0], point.x.device
    full = xp.full((batch,), BIG, dtype=point.x.dtype, device=device)
    index = xp.arange(batch, device=device)
    least = xp.stack([full] * 7, axis=-1)
    loop = Loop(
        index,
        point,
        point,
        full,
        least,
        spent,
        0 * full + REGULARISATION,
        0 * spent - 1,
        spent,
        0 * full,
        xp.stack([full] * 2, axis=-1),
    )
    finished: list[Loop] = []
    while True:
        residuals = evaluate(qp, loop.point)
        loop = judge(qp, loop, residuals, settings)
        if settings.report is not None:
            mu = _mean_product(qp, loop.point.s, loop.point.lam)
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


def judge(qp: QP, loop: Loop, r: Residuals, settings: Settings) -> Loop:
    """Keep each element's best point; end those that are solved, hopeless or stuck."""
    xp = namespace(r.gap)
    solved, merit = r.within(settings.tol), r.merit
    if settings.barrier:
        merit = _distance_from_path(qp, loop.point, r, settings.barrier)
        solved = merit <= settings.tol
    running = loop.status < 0
    better = running & (solved | (merit < loop.best_merit))
    best = Point(*(pick(better, new, old) for new, old in zip(loop.point, loop.best, strict=True)))
    mu = _mean_product(qp, loop.point.s, loop.point.lam)
    mu = xp.maximum(mu, ROUNDING * r.sizes[:, 2] / max(1, qp.d.shape[1]))  # less is no progress
    now = xp.concat([r.norms, r.relative, mu[:, None]], axis=-1)
    halved = now < loop.least / 2
    progress = xp.where(xp.any(halved, axis=-1), loop.iterations, loop.progress)
    stuck = loop.iterations - progress >= STALL
    if settings.exacting:
        stuck = stuck | _broken(loop, r, settings.tol)
    status = xp.where(stuck, int(Status.NUMERICAL_ERROR), 0 * loop.status - 1)
    status = xp.where(loop.iterations < settings.max_iter, status, int(Status.MAX_ITER))
    hopeless = dual_infeasible(qp, loop.point, r)
    status = xp.where(hopeless, int(Status.DUAL_INFEASIBLE), status)
    hopeless = primal_infeasible(loop.point, r)
    status = xp.where(hopeless, int(Status.PRIMAL_INFEASIBLE), status)
    status = xp.where(solved, int(Status.SOLVED), status)
    return loop._replace(
        best=best,
        best_merit=xp.where(better, merit, loop.best_merit),
        least=xp.where(halved, now, loop.least),
        progress=progress,
        status=xp.where(running, status, loop.status),
    )


def _linear(r: Residuals) -> Array:  # (B, 2)
    """The residuals of the linear conditions, in which a step of length alpha leaves 1 - alpha."""
    return namespace(r.gap).stack([norm_inf(r.r_nu), r.dual], axis=-1)


def _broken(loop: Loop, r: Residuals, tol: float) -> Array:  # (B,) bool
    """Whether the last step did not do half of what it had to, or could hardly be found."""
    left = _linear(r)
    short = (left > loop.promised) & (left > tol + ROUNDING * r.sizes[:, :2])
    return namespace(left).any(short, axis=-1) | (loop.reg > TROUBLE)


def _distance_from_path(qp: QP, point: Point, r: Residuals, barrier: float) -> Array:
    """Largest relative residual of the central path's equations."""
    xp = namespace(r.gap)
    off = xp.where(qp.present, point.lam * point.s / barrier - 1, 0.0)
    feasible = largest(norm_inf(r.r_c), norm_inf(r.r_nu)) / (1 + r.sizes[:, 0])
    return largest(norm_inf(off), feasible, r.dual / (1 + r.sizes[:, 1]))


def advance(
    qp: QP, scaling: Scaling, loop: Loop, r: Residuals, settings: Settings, system: System
) -> Loop:
    """One predictor-corrector step of every element that runs."""
    xp = namespace(r.gap)
    x, s, lam, nu = loop.point
    running = loop.status < 0
    solve, ok = system(qp, scaling, loop.point, loop.reg)
    dx, ds, dlam, dnu = _direction(qp, loop.point, r, solve, settings.barrier, running)
    alpha = _length(s, ds, lam, dlam)
    share = xp.where(alpha < _SHORT, _KEEP_WELL_OFF, _KEEP_OFF + 0 * alpha)
    alpha = xp.minimum(share * alpha, xp.ones_like(alpha))[:, None]
    moved = Point(x + alpha * dx, s + alpha * ds, lam + alpha * dlam, nu + alpha * dnu)
    finite = ok & xp.isfinite(norm_inf(dx) + norm_inf(dlam) + norm_inf(dnu))
    go = finite & running
    easier = xp.where(loop.reg > REGULARISATION, loop.reg / 10, loop.reg)
    point = Point(*(pick(go, new, old) for new, old in zip(moved, loop.point, strict=True)))
    due = pick(go & (alpha[:, 0] > _POOR), (1 - alpha / 2) * _linear(r), BIG + 0 * loop.promised)
    return loop._replace(
        point=point,
        promised=due,
        reg=xp.where(finite, easier, 100 * loop.reg),
        step=xp.where(go, alpha[:, 0], 0.0),
        iterations=xp.where(running, loop.iterations + 1, loop.iterations),
    )


def _direction(
    qp: QP, point: Point, r: Residuals, solve: Solve, barrier: float, running: Array
) -> tuple[Array, ...]:
    """Mehrotra's direction: (dx, ds, dlam, dnu)."""
    xp = namespace(r.gap)
    _, s, lam, _ = point
    mu = _mean_product(qp, s, lam)

    def newton(target: Array) -> tuple[Array, ...]:  # aims at lam_i s_i = target_i
        r_c = xp.where(qp.present, s - r.r_c - target / lam, 0.0)
        dx, dlam, dnu, _ = solve(-r.r_x, r_c, -r.r_nu)
        ds = target / lam - s - (s / lam) * dlam
        return dx, xp.where(qp.present, ds, 0.0), dlam, dnu

    def centre(share: Array) -> Array:
        return xp.where(share * mu > barrier, share * mu, barrier)[:, None]

    _, ds, dlam, _ = newton(barrier + 0 * s)
    alpha = _length(s, ds, lam, dlam)[:, None]
    mu_affine = _mean_product(qp, s + alpha * ds, lam + alpha * dlam)
    sigma = (mu_affine / xp.where(mu > 0, mu, 1.0)) ** 3
    step = newton(centre(sigma) - ds * dlam)
    poor = running & (_length(s, step[1], lam, step[2]) < _POOR)
    if bool(xp.any(poor)):  # the corrector has gone astray, as near the boundary it can
        plain = newton(centre(0 * mu + _PLAIN) + 0 * s)
        step = tuple(pick(poor, new, old) for new, old in zip(plain, step, strict=True))
    return step


def _mean_product(qp: QP, s: Array, lam: Array) -> Array:  # (B,)
    """mu, over the rows that are present."""
    xp = namespace(s)
    count = xp.sum(xp.astype(qp.present, s.dtype), axis=-1)
    return dot(s, lam) / xp.where(count > 0, count, 1.0)


def _length(s: Array, ds: Array, lam: Array, dlam: Array) -> Array:  # (B,)
    """Largest common step that keeps s and lam from below zero."""
    return namespace(s).minimum(_to_boundary(s, ds), _to_boundary(lam, dlam))


def _to_boundary(v: Array, dv: Array) -> Array:  # (B,)
    """Largest step, up to a little over one, that keeps v + step dv from below zero."""
    xp = namespace(v)
    full = xp.full((v.shape[0], 1), 1 / _KEEP_OFF, dtype=v.dtype, device=v.device)
    ratio = xp.where(dv < 0, -v / xp.where(dv < 0, dv, -1.0), xp.inf)
    return xp.min(xp.concat([full, ratio], axis=-1), axis=-1)
