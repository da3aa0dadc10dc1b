"""Termination: accurate, proven to have no solution, out of iterations, or stuck."""

from collections.abc import Iterator
from typing import NamedTuple

from kktdiff._arrays import (
    dot,
    largest,
    namespace,
    norm_inf,
    norms_inf,
    pick_all,
    placed,
    placed_all,
    taken,
)
from kktdiff._interior_point.certificates import (
    Proof,
    dual_infeasible,
    least_violated,
    maybe_dual_infeasible,
    maybe_primal_infeasible,
    primal_infeasible,
)
from kktdiff._interior_point.program import Program
from kktdiff._interior_point.residuals import Residuals, evaluate
from kktdiff._interior_point.scaling import Units, to_given
from kktdiff._records import QP, Point
from kktdiff._settings import ROUNDING, STALL, Settings
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra

RUNNING = -1
_FLOOR = 1e-6  # a term counts at least so much of its unit,
_LEAST_MU = 1e-17  # a smaller mu, in its unit, is no progress
_CEILING = 1e8  # a multiplier at most so much: there is no bound without an interior


class Loop(NamedTuple):
    """State of the elements that are still in the loop."""

    index: Array  # (B,): the element's place in the chunk
    point: Point
    before: Point  # one iteration ago
    best: Point
    best_error: Array  # (B,)
    least: Array  # (B, 4): the smallest errors and mu so far
    progress: Array  # (B,): iteration at which one of them last halved
    boost: Array  # (B,): factor of the proximal weights, raised where a factorization fails
    status: Array  # (B,): a Status, or RUNNING
    iterations: Array  # (B,)
    step: Array  # (B,): length of the last step
    short: Array  # (B,): number of short steps in a row
    restarts: Array  # (B,)
    expected: Array  # (B, 2): bound on the residuals of the linear conditions after the step
    active: Array  # (B, M) bool: the rows that the last predictor shows as active
    hopeless: Array  # (B,) bool: infeasible, by no more than rounding may be

    def take(self, index: Array) -> "Loop":
        """Return the elements `index` of the batch."""
        return Loop(*taken(self, index))


def errors(qp: QP, units: Units, point: Point, r: Residuals) -> Array:  # (B, 3)
    """Return primal, dual and complementarity errors of the scaled `qp`, relative to their terms.

    The primal error is row by row, so that a limit far away excuses no other row.
    """
    xp = namespace(r.gap)
    size = norm_inf(point.x)
    reach = _within(size, units.x, units.far)[:, None]
    d, _ = qp.limits(point.lam, point.nu)
    row = norms_inf(r.r_c / (reach + abs(d)), r.r_nu / (reach + abs(qp.b)))
    terms = xp.maximum(r.sizes[:, 1], r.multiplier)  # multipliers of rows of size one
    terms = _within(terms, units.price, _CEILING * units.price)
    rounding = ROUNDING * (units.bend * size + r.multiplier)
    dual = xp.where(r.dual > rounding, r.dual, 0.0)
    value = r.value + yielded(qp, point)
    gap = dot(point.s, point.lam) / xp.maximum(value, terms * reach[:, 0] * 1e-3)
    return xp.stack([row, dual / terms, gap], axis=-1)


def duality_gap(units: Units, qp: QP, point: Point, r: Residuals) -> Array:  # (B,)
    """The duality gap relative to the objective and its unit; multipliers that run off show."""
    xp = namespace(r.gap)
    gap = r.gap - ROUNDING * r.sizes[:, 2]
    size = r.value + yielded(qp, point) + units.price * units.x
    return xp.where(gap > 0, gap, 0.0) / size


def yielded(qp: QP, point: Point) -> Array | float:  # (B,)
    """Return twice the price of the shifts of compliant rows."""
    value: Array | float = 0.0
    for give, multiplier in ((qp.compliance, point.lam), (qp.compliance_nu, point.nu)):
        value = value if give is None else value + dot(give * multiplier, multiplier)
    return value


def _within(size: Array, unit: Array, ceiling: Array) -> Array:
    xp = namespace(size)
    return xp.minimum(xp.maximum(size, _FLOOR * unit), ceiling)


def linear(r: Residuals) -> Array:  # (B, 2)
    """Return the linear conditions' residuals; a step alpha scales them by 1 - alpha."""
    return namespace(r.gap).stack([r.equal, r.dual], axis=-1)


def check_termination(
    some: Program,  # of the elements in the loop
    loop: Loop,
    r: Residuals,
    error: Array,  # (B, 3)
    tol: float,
    settings: Settings,
    backend: LinearAlgebra,
    *,
    careful: bool,
    on_path: bool,  # a point of the central path is wanted: it has a gap
) -> Loop:
    """Keep each element's best point; end those that are accurate, proven or stuck."""
    xp = namespace(error)
    worst = norm_inf(error)
    running = loop.status == RUNNING
    quality = worst
    if not on_path:
        quality = largest(worst, duality_gap(some.units, some.qp, loop.point, r))
    better = running & (quality < loop.best_error)
    best = pick_all(better, loop.point, loop.best)
    hopeless = _hopeless(some, loop, r, error, settings.tol)
    loop = _progress(some, loop, error)
    floor = 0.1 * tol * xp.stack([some.units.x, some.units.price], axis=-1)
    over = xp.any(linear(r) > xp.maximum(loop.expected, floor), axis=1)
    stuck = hopeless | (loop.iterations - loop.progress >= STALL)
    if not careful:
        stuck = stuck | over | (loop.boost > 1e3)
    status = xp.where(stuck, int(Status.NUMERICAL_ERROR), RUNNING + 0 * loop.status)
    status = xp.where(loop.iterations < settings.max_iter, status, int(Status.MAX_ITER))
    if some.qp.compliance is None:  # compliant rows can always be met
        for verdict, index, proof in _proofs(some, loop, r, backend):
            holds = placed(index, proof.holds, running & False)
            status = xp.where(holds, int(verdict), status)
            best = pick_all(holds, placed_all(index, proof.point, best), best)
    status = xp.where(worst <= tol, int(Status.SOLVED), status)
    return loop._replace(
        best=best,
        best_error=xp.where(better, quality, loop.best_error),
        status=xp.where(running, status, loop.status),
        hopeless=hopeless & careful,
    )


def _hopeless(some: Program, loop: Loop, r: Residuals, error: Array, tol: float) -> Array:
    """Return True where x violates a given constraint by `tol`, and can't by much less, (B,)."""
    slow = error[:, 0] > loop.least[:, 0] / 2
    index = namespace(error).nonzero(slow & (loop.status == RUNNING))[0]
    if some.qp.compliance is not None or not index.shape[0]:
        return loop.hopeless
    qp, units, point = some.qp.take(index), some.units.take(index), loop.point.take(index)
    found = least_violated(qp, units, point, loop.before.take(index), r.take(index))
    if not bool(namespace(error).any(found)):
        return loop.hopeless
    given = some.given.take(index)
    violation = evaluate(given, to_given(given, some.scaling.take(index), point)).primal
    return placed(index, found & (violation > tol), loop.hopeless)


def _progress(some: Program, loop: Loop, error: Array) -> Loop:
    """Note when an error or mu has halved."""
    xp = namespace(error)
    mu = some.mean_product(loop.point.s, loop.point.lam)
    mu = xp.maximum(mu, _LEAST_MU * some.units.x * some.units.price)
    now = xp.concat([xp.maximum(error, 1e-14 + 0 * error), mu[:, None]], axis=-1)
    halved = now < loop.least / 2
    return loop._replace(
        least=xp.where(halved, now, loop.least),
        progress=xp.where(xp.any(halved, axis=-1), loop.iterations, loop.progress),
    )


def _proofs(
    some: Program, loop: Loop, r: Residuals, backend: LinearAlgebra
) -> Iterator[tuple[Status, Array, Proof]]:
    """Proofs that elements have no solution, and the elements that were looked at."""
    qp, units = some.qp, some.units
    for verdict, maybe, test in (
        (Status.DUAL_INFEASIBLE, maybe_dual_infeasible, dual_infeasible),
        (Status.PRIMAL_INFEASIBLE, maybe_primal_infeasible, primal_infeasible),
    ):
        look = (loop.status == RUNNING) & maybe(qp, units, loop.point, r)
        index = namespace(look).nonzero(look)[0]
        if index.shape[0]:
            points = loop.point.take(index), loop.before.take(index)
            yield verdict, index, test(qp.take(index), units.take(index), *points, backend)
