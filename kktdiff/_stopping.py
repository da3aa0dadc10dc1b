"""When an element is done: solved, proven to have no solution, out of iterations, or stuck."""

from typing import NamedTuple

from kktdiff._arrays import largest, namespace, norm_inf, pick_all, take
from kktdiff._certificates import dual_infeasible, primal_infeasible
from kktdiff._problem import QP
from kktdiff._residuals import Point, Residuals, mean_product
from kktdiff._scaling import Scaling, decided
from kktdiff._settings import ROUNDING, STALL, TROUBLE, Settings
from kktdiff._status import Status
from kktdiff._typing import Array

_PROOFS = (
    (Status.DUAL_INFEASIBLE, dual_infeasible),
    (Status.PRIMAL_INFEASIBLE, primal_infeasible),
)


class Loop(NamedTuple):
    """What the loop carries for each element that is still in it."""

    index: Array  # (B,): the element's place in the chunk
    linear: Array  # (B,) bool: Q = 0
    point: Point
    before: Point  # one iteration ago
    best: Point
    best_merit: Array  # (B,)
    least: Array  # (B, 7): smallest residuals, relative residuals, and mu, so far
    progress: Array  # (B,): iteration at which one of them last halved
    reg: Array  # (B,)
    status: Array  # (B,): a Status, or -1 while running
    iterations: Array  # (B,)
    step: Array  # (B,): length of the last step
    promised: Array  # (B, 2): most that it may leave of the linear residuals, `linear`
    spare: Array  # (B,): iterations for which it may go on once it is solved

    def take(self, index: Array) -> "Loop":
        """The elements `index`."""
        return Loop(*(v.take(index) if isinstance(v, Point) else take(v, index) for v in self))


def judge(qp: QP, scaling: Scaling, loop: Loop, r: Residuals, settings: Settings) -> Loop:
    """Keep each element's best point; end those that are solved, hopeless or stuck."""
    xp = namespace(r.gap)
    solved, merit = r.within(settings.tol), r.merit
    if settings.barrier:
        merit = _distance_from_path(qp, loop.point, r, settings.barrier)
        solved = merit <= settings.tol
    running = loop.status < 0
    once = loop.spare < settings.linger  # solved before; it goes on for the sake of its active set
    better = running & ~once & (solved | (merit < loop.best_merit))
    best = pick_all(better, loop.point, loop.best)
    loop = _progress(qp, loop, r)._replace(spare=xp.where(solved, loop.spare - 1, loop.spare))
    stuck = loop.iterations - loop.progress >= STALL
    if settings.exacting:
        stuck = stuck | _broken(loop, r, settings.tol)
    status = xp.where(stuck, int(Status.NUMERICAL_ERROR), 0 * loop.status - 1)
    status = xp.where(loop.iterations < settings.max_iter, status, int(Status.MAX_ITER))
    for verdict, test in _PROOFS if qp.soft is None else []:  # soft rows can always be met
        proof = test(qp, scaling, loop.point, r, loop.before)
        status = xp.where(proof.holds, int(verdict), status)
        best = pick_all(running & ~solved & proof.holds, proof.point, best)
    ends = (status >= 0) | ~solved | (loop.spare < 0)
    if settings.linger:
        ends = ends | decided(qp, scaling, loop.point.s, loop.point.lam)
    status = xp.where((solved | once) & ends, int(Status.SOLVED), status)
    return loop._replace(
        best=best,
        best_merit=xp.where(better, merit, loop.best_merit),
        status=xp.where(running, status, loop.status),
    )


def _progress(qp: QP, loop: Loop, r: Residuals) -> Loop:
    """Note when a residual or mu has halved."""
    xp = namespace(r.gap)
    mu = mean_product(qp, loop.point.s, loop.point.lam)
    mu = xp.maximum(mu, ROUNDING * r.sizes[:, 2] / max(1, qp.d.shape[1]))  # less is no progress
    now = xp.concat([r.norms, r.relative, mu[:, None]], axis=-1)
    halved = now < loop.least / 2
    return loop._replace(
        least=xp.where(halved, now, loop.least),
        progress=xp.where(xp.any(halved, axis=-1), loop.iterations, loop.progress),
    )


def linear(r: Residuals) -> Array:  # (B, 2)
    """The residuals of the linear conditions, in which a step of length alpha leaves 1 - alpha."""
    return namespace(r.gap).stack([norm_inf(r.r_nu), r.dual], axis=-1)


def _broken(loop: Loop, r: Residuals, tol: float) -> Array:  # (B,) bool
    """Whether the last step did not do half of what it had to, or could hardly be found."""
    xp, left = namespace(r.gap), linear(r)
    short = (left > loop.promised) & (left > tol * xp.sqrt(1 + r.sizes[:, :2]))
    return xp.any(short, axis=-1) | (loop.reg > TROUBLE)


def _distance_from_path(qp: QP, point: Point, r: Residuals, barrier: float) -> Array:
    """Largest relative residual of the central path's equations."""
    xp = namespace(r.gap)
    off = xp.where(qp.present, point.lam * point.s / barrier - 1, 0.0)
    feasible = largest(norm_inf(r.r_c), norm_inf(r.r_nu)) / (1 + r.sizes[:, 0])
    return largest(norm_inf(off), feasible, r.dual / (1 + r.sizes[:, 1]))
