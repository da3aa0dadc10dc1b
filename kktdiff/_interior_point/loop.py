"""The interior-point loop: check, step, and leave out the elements that are finished."""

from collections.abc import Callable
from typing import Any, NamedTuple

from kktdiff._arrays import namespace, norm_inf
from kktdiff._interior_point.mehrotra import Stage, advance
from kktdiff._interior_point.program import Program
from kktdiff._interior_point.reports import record
from kktdiff._interior_point.residuals import evaluate
from kktdiff._interior_point.scaling import to_given
from kktdiff._interior_point.termination import RUNNING, Loop, check_termination, errors
from kktdiff._records import Point
from kktdiff._settings import BIG, Settings
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra


class Ended(NamedTuple):
    """The result of a run, each (B, ...)."""

    best: Point  # of the smallest error; for an infeasible element its proof
    active: Array  # (B, M) bool: rows whose slack goes to zero faster than their multiplier
    status: Array
    iterations: Array
    hopeless: Array  # (B,) bool: infeasible, by no more than rounding may be


def run(
    program: Program,
    point: Point,
    settings: Settings,
    stage: Stage,
    backend: LinearAlgebra,
    spent: Array,  # (B,): iterations that each element has had before
) -> Ended:
    """Iterate from `point` until each element is accurate, hopeless or stuck."""
    loop, some = _begin(point, spent), program
    finished: list[Loop] = []
    xp = namespace(point.x)
    while True:
        residuals = evaluate(some.qp, loop.point)
        error = errors(some.qp, some.units, loop.point, residuals)
        if stage.barrier:
            error = _off_path(some, loop.point, error, stage.barrier)
        loop = check_termination(
            some,
            loop,
            residuals,
            error,
            stage.tol,
            settings,
            backend,
            careful=stage.careful,
            on_path=stage.barrier > 0,
        )
        if settings.report is not None:
            _report(some, loop, settings.report)
        running = loop.status == RUNNING
        live = int(xp.sum(xp.astype(running, xp.int64)))
        if not live:
            break
        if live < 0.75 * running.shape[0]:
            finished.append(loop.take(xp.nonzero(~running)[0]))
            keep = xp.nonzero(running)[0]
            loop, some = loop.take(keep), some.take(keep)
            residuals, error = residuals.take(keep), xp.take(error, keep, axis=0)
        loop = advance(some, loop, residuals, error, stage, backend)
    return _gather([*finished, loop])


def _report(some: Program, loop: Loop, report: Callable[[dict[str, Any]], None]) -> None:
    """Report the residuals and mu of the iterates, in the caller's units."""
    given = some.given
    point = to_given(given, some.scaling, loop.point)
    mu = some.mean_product(point.s, point.lam)
    running = loop.status == RUNNING
    report(record("iterate", evaluate(given, point), loop.iterations, running, mu, loop.step))


def _off_path(program: Program, point: Point, error: Array, barrier: float) -> Array:
    """Errors with the distance from the central path in the place of complementarity."""
    xp, cost = namespace(error), program.scaling.cost
    aim = (barrier * cost)[:, None]
    off = norm_inf(xp.where(program.qp.present, point.lam * point.s / aim - 1, 0.0))
    return xp.stack([error[:, 0], error[:, 1], off], axis=-1)


def _begin(point: Point, spent: Array) -> Loop:
    xp = namespace(point.x)
    batch, device = point.x.shape[0], point.x.device
    full = xp.full((batch,), BIG, dtype=point.x.dtype, device=device)
    return Loop(
        index=xp.arange(batch, device=device),
        point=point,
        before=point,
        best=point,
        best_error=full,
        least=xp.stack([full] * 4, axis=-1),
        progress=spent,
        boost=0 * full + 1,
        status=0 * spent + RUNNING,
        iterations=spent,
        step=0 * full,
        expected=xp.stack([full] * 2, axis=-1),
        short=0 * spent,
        restarts=0 * spent,
        active=point.lam > point.s,
        hopeless=spent < 0,
    )


def _gather(parts: list[Loop]) -> Ended:
    """Join the finished parts in the chunk's own order."""
    xp = namespace(parts[0].index)
    order = xp.argsort(xp.concat([part.index for part in parts]))

    def join(*arrays: Array) -> Array:
        return xp.take(xp.concat(arrays), order, axis=0)

    def joined(points: list[Point]) -> Point:
        return Point(*(join(*arrays) for arrays in zip(*points, strict=True)))

    best = joined([p.best for p in parts])
    return Ended(
        best,
        join(*(p.active for p in parts)),
        join(*(p.status for p in parts)),
        join(*(p.iterations for p in parts)),
        join(*(p.hopeless for p in parts)),
    )
