"""The method for one chunk of a batch: interior point, then polish; tighter where that fails.

Every element takes the same path. A first run goes to a moderate accuracy, from which polishing
usually reaches the solution; elements that it does not reach go on, with refined steps, to a
higher accuracy, and are polished again. Elements that polishing never reaches are judged by the
residuals of their points.
"""

from kktdiff._arrays import largest, namespace, norm_inf, pick_all, placed, take
from kktdiff._interior_point.active_set import equalities, one_side, polish
from kktdiff._interior_point.loop import run
from kktdiff._interior_point.mehrotra import Stage
from kktdiff._interior_point.newton import border_groups
from kktdiff._interior_point.parts import Kept, Part, keep_accepted, kept_at
from kktdiff._interior_point.program import Program, program
from kktdiff._interior_point.reports import polish_record
from kktdiff._interior_point.residuals import evaluate, with_full_sizes
from kktdiff._interior_point.scaling import to_given, to_scaled
from kktdiff._interior_point.start import origin, start
from kktdiff._interior_point.termination import duality_gap, errors
from kktdiff._kkt import Weights
from kktdiff._records import QP, Point
from kktdiff._settings import BIG, HANDOVER, LOOSE, Settings
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra

_POLISH_TRY = 1e-4  # error from which polishing is worth a try, where the loop has to stop
_STAGES = (
    Stage(HANDOVER, careful=False, restarts=2, near=_POLISH_TRY),
    Stage(1e-9, careful=True),  # a restart would lose what an infeasible element is on its way to
    Stage(1e-9, careful=True, restarts=2),
    Stage(1e-15, careful=True, restarts=2, near=1e-9),
)
_CORRECTIONS = 2  # of the active set, per element and stage
_WARM_CORRECTIONS = 4  # of a nearby problem's active set, which may differ in more
_ACTIVE_SET_CHANGE_DIVISOR = 4  # with more than 4 and M by this wrong signs it is another set
_LARGE = 1e-3  # of that accuracy, in large sparse problems: LISWET's are far from optimal at it


Outcome = tuple[list[Part], list[Kept]]


def solve_chunk(
    qp: QP,
    index: Array,
    warm: Point | None,
    settings: Settings,
    backend: LinearAlgebra,
    *,
    separable: bool,
) -> Outcome:
    """Solve every element of `qp`; return the finished parts and the kept factors."""
    whole, convex = program(qp, settings.curvature, backend, separable=separable)
    point = origin(whole.qp)
    part = Part(index, whole, point, point.lam > 0, 0 * index, 0 * index, index < 0)
    done: list[Part] = []
    kept: list[Kept] = []
    if not bool(namespace(convex).all(convex)):
        done.append(part.where(~convex).with_status(Status.NONCONVEX))
        part = part.where(convex)
    if warm is not None and part.size:
        scaled = to_scaled(qp, whole.scaling, warm)
        near = _usable(scaled.take(_places(index, part.index)), part)
        part = part._replace(point=near, active=_shown(part.program, near))
        finished, kept, part = _polish(part, settings, backend, _WARM_CORRECTIONS)
        done += finished
    if not part.program.qp.d.shape[1] and part.size:  # without inequalities the active set is known
        finished, more, part = _polish(part, settings, backend, 0)
        done, kept = done + finished, kept + more
    if part.size:
        finished, more = _follow(part, settings, backend)
        done, kept = done + finished, kept + more
    return done, kept


def _places(index: Array, some: Array) -> Array:
    return namespace(index).searchsorted(index, some)


def _usable(warm: Point, part: Part) -> Point:
    """Return the scaled point `warm` with its slacks; the origin where it is not finite."""
    xp, qp = namespace(warm.x), part.program.qp
    x = warm.x if qp.fixed is None else xp.where(qp.fixed, qp.value, warm.x)
    warm = warm._replace(x=x, lam=xp.where(qp.present, warm.lam, 0.0))
    slack = qp.d - qp.C(warm.x[..., None])[..., 0]
    s = xp.where(qp.present, xp.where(slack < 0, 0.0, slack), 1.0)
    sums = (xp.sum(v, axis=1) for v in (warm.x, warm.lam, warm.nu))
    return pick_all(xp.isfinite(sum(sums)), warm._replace(s=s), origin(qp))


def _follow(part: Part, settings: Settings, backend: LinearAlgebra) -> Outcome:
    """Run interior point and polishing, stage by stage."""
    done: list[Part] = []
    kept: list[Kept] = []
    part = part._replace(point=start(part.program, backend))
    for stage in _STAGES:
        ended = run(part.program, part.point, settings, stage, backend, part.iterations)
        part = Part(part.index, part.program, *ended)
        proven = (part.status == int(Status.PRIMAL_INFEASIBLE)) | (
            part.status == int(Status.DUAL_INFEASIBLE)
        )
        if bool(namespace(proven).any(proven)):
            done.append(part.where(proven))
            part = part.where(~proven)
        finished, more, part = _polish(part, settings, backend, _CORRECTIONS, _POLISH_TRY)
        done, kept = done + finished, kept + more
        if bool(namespace(part.hopeless).any(part.hopeless)):
            finished, more = _judge(part.where(part.hopeless), settings, backend)
            done, kept, part = done + finished, kept + more, part.where(~part.hopeless)
        if not part.size:
            break
    if part.size:
        finished, more = _judge(part, settings, backend)
        done, kept = done + finished, kept + more
    return done, kept


def _error(part: Part) -> Array:  # (B,)
    program = part.program
    r = evaluate(program.qp, part.point)
    return norm_inf(errors(program.qp, program.units, part.point, r))


def _judge(part: Part, settings: Settings, backend: LinearAlgebra) -> Outcome:
    """Set the status of unpolished elements by the accuracy of their points."""
    xp = namespace(part.index)
    qp, point, units = part.program.qp, part.point, part.program.units
    r = with_full_sizes(qp, point, evaluate(qp, point))
    gap = duality_gap(units, qp, point, r)
    near = units._replace(far=10 * units.x)  # no point far away excuses a violation
    error = largest(norm_inf(errors(qp, near, point, r)), gap)
    given = part.program.given
    point = to_given(given, part.program.scaling, part.point)
    r = with_full_sizes(given, point, evaluate(given, point))
    almost = LOOSE * (_LARGE if qp.is_large else 1.0)
    status = xp.where(error <= almost, int(Status.ALMOST_SOLVED), part.status)
    good = (error <= LOOSE) & r.within(settings.tol)
    status = xp.where(good, int(Status.SOLVED), status)
    stuck = (status == int(Status.SOLVED)) & ~good
    part = part._replace(status=xp.where(stuck, int(Status.NUMERICAL_ERROR), status))
    good = part.where(part.status <= int(Status.ALMOST_SOLVED))
    return [part], keep_accepted(good, backend) if good.size else []


def _polish(
    part: Part,
    settings: Settings,
    backend: LinearAlgebra,
    corrections: int,
    most_error: float = BIG,
) -> tuple[list[Part], list[Kept], Part]:
    """Polish the elements of at most `most_error`; return the finished, their factors, the others.

    An element with multipliers or slacks of wrong sign is tried again with the active set that
    the signs indicate, as long as the number of wrong signs decreases.
    """
    xp = namespace(part.index)
    done: list[Part] = []
    kept: list[Kept] = []
    some = part if most_error == BIG else part.where(_error(part) <= most_error)
    active = one_side(some.program.qp, some.active, some.point)
    most = 0 * some.index + 4 + active.shape[1] // _ACTIVE_SET_CHANGE_DIVISOR
    for left in reversed(range(1 + corrections)):
        again = []
        for index, border in border_groups(some.program.qp, _as_weights(some, active)):
            group, own = some.take(index), take(active, index)
            result = polish(group.program, group.point, own, border, backend)
            if settings.report is not None:
                row = result.point, group.iterations, ~result.clean
                settings.report(polish_record(group.program, *row))
            wrong = xp.sum(xp.astype(result.wanted != own, xp.int64), axis=1)
            off = ~(result.clean & result.signed) & (wrong > 0) & (wrong < take(most, index))
            off = off & (left > 0)
            good = xp.nonzero(result.clean & ~off)[0]
            if good.shape[0]:
                finished = group._replace(point=result.point).take(good)
                every = good.shape[0] == group.size
                factors = result.factors if every else result.factors.take(good)
                done.append(finished.with_status(Status.SOLVED))
                kept.append(kept_at(done[-1], factors, backend))
            retry = xp.nonzero(off)[0]
            again.append((take(index, retry), take(result.wanted, retry), take(wrong, retry)))
        if not any(i.shape[0] for i, _, _ in again):
            break
        index, active, most = (xp.concat(v) for v in zip(*again, strict=True))
        order = xp.argsort(index)
        some, active, most = some.take(take(index, order)), take(active, order), take(most, order)
        active = one_side(some.program.qp, active, some.point)
    return done, kept, _without(part, done)


def _shown(program: Program, point: Point) -> Array:  # (B, M) bool
    """Return True for rows that `point` shows as active: lam above s, in their units."""
    return (point.lam > program.units.weight[:, None] * point.s) & program.qp.present


def _as_weights(part: Part, active: Array) -> Weights:
    unit = part.program.units.weight
    return Weights(equalities(part.program.qp, active), None, unit, unit, unit)


def _without(part: Part, done: list[Part]) -> Part:
    """Return the elements of `part` that are not in `done`."""
    if not done:
        return part
    left = part.index >= 0
    for some in done:
        left = placed(_places(part.index, some.index), some.index < 0, left)
    return part.where(left)
