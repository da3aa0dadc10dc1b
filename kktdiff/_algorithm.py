"""The algorithm for one chunk of a batch: fast first, then sure.

1. Interior point with the condensed system, to a moderate accuracy.
2. Polish: solve for the active set by LU, which takes an element to rounding and leaves the
   factors for its sensitivities. Where a sign comes out wrong the active set is corrected.
3. What is left, hard elements only: interior point with the whole system under LU, to the
   wanted tolerance; polish once more.
"""

from kktdiff import _condensed as condensed
from kktdiff import _ipm as ipm
from kktdiff import _kkt as kkt
from kktdiff._arrays import largest, namespace, pick_all, placed, placed_all, take
from kktdiff._least_multipliers import multiplier_qp, with_multipliers
from kktdiff._parts import Kept, Part, activity_at, keep_solved
from kktdiff._polish import Polished, is_rounding, polish
from kktdiff._problem import QP
from kktdiff._reports import record
from kktdiff._residuals import Point, Residuals, evaluate, with_full_sizes
from kktdiff._scaling import equilibrate
from kktdiff._settings import (
    CLOSE,
    CORRECTIONS,
    HANDOVER,
    INNER_ITER,
    LOOSE,
    MANY_WRONG,
    ROUNDING,
    Settings,
)
from kktdiff._status import Status
from kktdiff._typing import Array, System
from kktdiff.backends import Backend

_TIGHT = 1e-9  # accuracy to which hard elements are taken, whatever the wanted one
_NEARBY_CORRECTIONS = 4  # of a nearby problem's active set, which may differ in more
_LINGER = 8  # iterations that a hard element may take on top for its active set to show
_COARSE = 1e-10  # what rounding may leave of the stationarity before smaller multipliers are tried


Outcome = tuple[list[Part], list[Kept]]


def solve_part(
    qp: QP,
    index: Array,
    warm: Point | None,
    settings: Settings,
    backend: Backend,
    *,
    separable: bool,
) -> Outcome:
    """Solve every element of `qp`; the finished parts, and what is kept for sensitivities."""
    scaling = equilibrate(qp, backend)
    part = Part(index, qp, scaling, ipm.origin(qp), 0 * index, 0 * index)
    done, kept = _solve(part, warm, settings, backend, separable=separable)
    return [part for part in done if part.size], kept


def _solve(
    part: Part, warm: Point | None, settings: Settings, backend: Backend, *, separable: bool
) -> Outcome:
    """Solve the convex elements: a nearby problem's active set first, then the three steps."""
    fast = condensed.system(backend, separable=separable)
    index = part.index
    part, concave = part.split(
        condensed.is_convex(part.qp, settings.curvature, backend, separable=separable)
    )
    done = [concave.marked(Status.NONCONVEX)]
    kept: list[Kept] = []
    if warm is not None and part.size:
        warm = warm.take(_places(index, part.index))
        done_too, kept, part = _from_nearby(part, warm, settings, backend)
        done += done_too
    if not part.size:
        return done, kept
    last = part.point
    if part.qp.d.shape[1]:  # without inequalities the active set is known
        part, last = _run(_started(part, fast), _first(settings), fast)
    done_too, kept_too = _finished(part, last, settings, backend)
    return done + done_too, kept + kept_too


def _first(settings: Settings) -> Settings:
    return settings._replace(tol=max(settings.tol, HANDOVER), exacting=True)


def _places(index: Array, some: Array) -> Array:
    return namespace(index).searchsorted(index, some)


def _from_nearby(
    part: Part, warm: Point, settings: Settings, backend: Backend
) -> tuple[list[Part], list[Kept], Part]:
    """Try the active set of a nearby problem's solution; the others start as they would without.

    To begin the iteration at a solution, however near, costs more iterations than it saves.
    """
    xp = namespace(part.index)
    usable = xp.isfinite(
        xp.sum(warm.x, axis=1) + xp.sum(warm.lam, axis=1) + xp.sum(warm.nu, axis=1)
    )
    near = pick_all(usable, warm, part.point)
    known = part._replace(point=near)
    done, kept, left = _polish(known, near, settings, backend, _NEARBY_CORRECTIONS)
    return done, kept, left._replace(point=ipm.origin(left.qp))


def _started(part: Part, fast: System) -> Part:
    point = ipm.start(part.qp, part.scaling, fast)
    return part._replace(point=point, iterations=0 * part.iterations)


def _finished(part: Part, last: Point, settings: Settings, backend: Backend) -> Outcome:
    """The other two steps."""
    near, away = part.split(_near(part))
    stuck, lost = away.split(away.status == int(Status.NUMERICAL_ERROR))
    done, kept, rest = _polish(near, near.point, settings, backend)
    done.append(lost)
    for hard in (rest, stuck):
        if hard.size:
            centred = last.take(_places(part.index, hard.index))
            done_too, kept_too = _solve_hard(hard, centred, settings, backend)
            done, kept = done + done_too, kept + kept_too
    return done, kept


def _run(part: Part, settings: Settings, system: System) -> tuple[Part, Point]:
    """How far the iteration brings `part`, and the points at which it left off."""
    end = ipm.run(part.qp, part.scaling, part.point, settings, system, part.iterations)
    part = part._replace(point=end.best, status=end.status, iterations=end.iterations)
    return part, end.last


def _near(part: Part) -> Array:  # (B,) bool
    """Solved, or stopped for want of iterations or progress with small residuals."""
    solved = part.status <= int(Status.ALMOST_SOLVED)
    if bool(namespace(solved).all(solved)):
        return solved
    ended = (part.status == int(Status.NUMERICAL_ERROR)) | (part.status == int(Status.MAX_ITER))
    return solved | (ended & (evaluate(part.qp, part.point).merit < CLOSE))


def _polish(
    part: Part, shown: Point, settings: Settings, backend: Backend, corrections: int = CORRECTIONS
) -> tuple[list[Part], list[Kept], Part]:
    """The elements that polishing finishes, their factors, and the elements that it does not.

    It begins with the active set that the point `shown` shows. An element whose multipliers or
    slacks come out with a wrong sign is tried again with the active set that the signs ask for,
    as long as there are fewer of them each time.
    """
    xp = namespace(part.index)
    done: list[Part] = []
    kept: list[Kept] = []
    whole, active = part, activity_at(part, shown) > 0.5
    most = 0 * part.index + 4 + active.shape[1] // MANY_WRONG
    for _ in range(1 + corrections):
        if not part.size:
            break
        result = polish(part.qp, part.scaling, part.point, active, backend)
        result = _with_less(part, active, result, settings, backend)
        if settings.report is not None:
            r, zero = evaluate(part.qp, result.point), 0 * result.point.x[:, 0]
            settings.report(record("polish", r, part.iterations, ~result.clean, zero, zero + 1))
        finished, _ = part._replace(point=result.point).split(result.clean)
        if finished.size:
            factors = result.factors
            if finished.size < part.size:
                factors = factors.take(xp.nonzero(result.clean)[0], backend)
            kept.append(Kept(finished.index, finished.qp, finished.point, factors))
            done.append(finished.marked(Status.SOLVED))
        wrong = xp.sum(xp.astype(result.wanted != active, xp.int64), axis=1)
        again = xp.nonzero(~result.clean & (wrong > 0) & (wrong < most))[0]
        part, active, most = part.take(again), take(result.wanted, again), take(wrong, again)
    return done, kept, _without(whole, done)


def _without(part: Part, done: list[Part]) -> Part:
    """The elements of `part` that are not in `done`."""
    left = part.index >= 0
    for some in done:
        left = placed(_places(part.index, some.index), some.index < 0, left)
    return part.split(left)[0]


def _solve_hard(part: Part, centred: Point, settings: Settings, backend: Backend) -> Outcome:
    """Carry on with the whole system under LU; polish; keep what is good enough as it is."""
    tight = settings._replace(tol=min(settings.tol, _TIGHT), linger=_LINGER)
    after, last = _run(part._replace(point=centred), tight, kkt.system(backend))
    part = _best_of(part, after, settings)
    near, lost = part.split(_near(part))
    shown = last.take(_places(part.index, near.index))
    done, kept, rest = _polish(near, shown, tight, backend)
    good, bad = rest.split(rest.status <= int(Status.ALMOST_SOLVED))
    if good.size:
        shown = last.take(_places(part.index, good.index))
        kept.append(keep_solved(good, shown, backend))
    return [*done, good, bad, lost], kept


def _with_less(
    part: Part, active: Array, result: Polished, settings: Settings, backend: Backend
) -> Polished:
    """`result` with smaller multipliers where rounding leaves much of those of a hard element."""
    if settings.nested or not settings.linger:
        return result
    xp = namespace(part.index)
    r = evaluate(part.qp, result.tried)
    coarse = _coarseness(part.qp, result.tried, r)
    share = _COARSE / 2 / largest(coarse, r.gap, 0 * coarse + _COARSE)
    much = xp.nonzero((r.merit <= _TIGHT) & (coarse > _COARSE))[0]
    for i in range(much.shape[0]):  # one by one: their QPs are of different sizes
        place = much[i : i + 1]
        one = part._replace(point=result.tried).take(place)
        point = _least(one, take(active, place)[0, :], take(share, place), backend)
        new = evaluate(one.qp, point)
        better = _coarseness(one.qp, point, new) < take(coarse, place)
        better = better & ((new.worst <= _COARSE) | is_rounding(one.qp, point, new))
        if bool(xp.all(better)):
            clean = placed(place, better, result.clean)
            result = result._replace(point=placed_all(place, point, result.point), clean=clean)
    return result


def _coarseness(qp: QP, point: Point, r: Residuals) -> Array:  # (B,)
    """What the multipliers leave of the stationarity, or what rounding may leave of it."""
    sizes = with_full_sizes(qp, point, r).sizes
    return largest(r.dual, ROUNDING / 16 * sizes[:, 1])


def _least(one: Part, active: Array, share: Array, backend: Backend) -> Point:
    """An element's point with almost the least multipliers on the rows `active`, (M,).

    A `share`, (1,), of its own multipliers keeps them above 0 where they were.
    """
    rows = namespace(active).nonzero(active)[0]
    dual = multiplier_qp(one.qp, one.scaling, one.point.x, rows)
    settings = Settings(_TIGHT, INNER_ITER, None, nested=True)
    (found, *_), _ = solve_part(dual, 0 * one.index, None, settings, backend, separable=True)
    least = with_multipliers(one.scaling, one.point, rows, found.point.x)
    return Point(*(v + share[:, None] * (w - v) for v, w in zip(least, one.point, strict=True)))


def _best_of(before: Part, after: Part, settings: Settings) -> Part:
    """The better of two points for each element, and the status that it has earned."""
    xp = namespace(before.index)
    old, new = evaluate(before.qp, before.point), evaluate(after.qp, after.point)
    proven = (after.status == int(Status.PRIMAL_INFEASIBLE)) | (
        after.status == int(Status.DUAL_INFEASIBLE)
    )
    better = proven | ~(old.merit < new.merit)
    point = pick_all(better, after.point, before.point)
    r = evaluate(after.qp, point)
    status = xp.where(r.merit < LOOSE, int(Status.ALMOST_SOLVED), after.status)
    status = xp.where(r.within(settings.tol), int(Status.SOLVED), status)
    return after._replace(point=point, status=xp.where(proven, after.status, status))
