"""From finished parts to the fields of a `Solution`, and to proofs that there is none."""

from kktdiff._arrays import namespace, pick, placed, spread, take
from kktdiff._interior_point.certificates import crossed_bounds
from kktdiff._interior_point.compiled import Ready
from kktdiff._interior_point.parts import Part
from kktdiff._interior_point.program import point_in_given
from kktdiff._interior_point.residuals import evaluate, multipliers
from kktdiff._interior_point.scaling import to_given
from kktdiff._problem import Problem, objective
from kktdiff._records import Point
from kktdiff._status import Status
from kktdiff._typing import Array

_NUMBERS = "objective", "primal_residual", "dual_residual", "duality_gap"

Proofs = tuple[tuple[Array, Point], ...]  # places of elements without a solution, and why


def collect(
    problem: Problem, parts: list[Part], ready: list[Ready], tol: float
) -> tuple[dict[str, Array], Proofs]:
    """Fields of the solution, each (B, ...), and proofs, from the finished parts."""
    n, m, k = problem.qp.sizes
    xp, length = namespace(problem.invalid), problem.length
    tails: dict[str, tuple[int, ...]] = {
        "x": (n,),
        "s": (m,),
        "lam": (m,),
        "nu": (k,),
        "lam_lb": (n,),
        "lam_ub": (n,),
    }
    for name in _NUMBERS:
        tails[name] = ()
    found = [(r.index, r.fields) for r in ready] + [(p.index, _fields(p)) for p in parts]
    fields = {
        name: spread([(i, f[name]) for i, f in found], tail, length, problem.qp.p, xp.nan)
        for name, tail in tails.items()
    }
    none = xp.astype(problem.invalid, xp.int64)
    compiled = [(r.index, 0 * r.iterations + int(Status.SOLVED)) for r in ready]
    statuses = compiled + [(p.index, p.status) for p in parts]
    status = spread(statuses, (), length, none)
    off = problem.crossing > tol
    status = xp.where(off & (status == int(Status.SOLVED)), int(Status.ALMOST_SOLVED), status)
    primal = xp.maximum(fields["primal_residual"], problem.crossing)
    fields["primal_residual"] = primal
    status = xp.where(problem.contradictory, int(Status.PRIMAL_INFEASIBLE), status)
    status = xp.where(problem.invalid, int(Status.INVALID_DATA), status)
    counts = [(r.index, r.iterations) for r in ready] + [(p.index, p.iterations) for p in parts]
    iterations = spread(counts, (), length, none)
    solved = status <= int(Status.ALMOST_SOLVED)
    fields |= {"status": status, "solved": solved, "iterations": iterations}
    proofs = [_proof(part) for part in parts]
    crossed = xp.nonzero(problem.contradictory)[0]
    if crossed.shape[0]:
        point = crossed_bounds(problem.qp.take(crossed))
        own = (xp.broadcast_to(v, (crossed.shape[0], *v.shape[1:])) for v in point)
        proofs.append((crossed, Point(*own)))
    return fields, tuple(proofs)


def _proof(part: Part) -> tuple[Array, Point]:
    xp = namespace(part.status)
    infeasible = (part.status == int(Status.PRIMAL_INFEASIBLE)) | (
        part.status == int(Status.DUAL_INFEASIBLE)
    )
    index = xp.nonzero(infeasible)[0]
    scaling = part.program.scaling.take(index)
    point, cost = part.point.take(index), scaling.cost[:, None]
    point = to_given(part.program.given.take(index), scaling, point)
    # one unit is proven of the scaled problem, whose objective is c times the given one
    point = Point(point.x * cost, point.s, point.lam * cost, point.nu * cost)
    return take(part.index, index), point


def _fields(part: Part) -> dict[str, Array]:
    """Return the fields of some elements; NaN where there is no point to return."""
    qp, status = part.program.given, part.status
    point = point_in_given(part.program, part.point)
    xp = namespace(point.x)
    rows, lower, upper = qp.split(multipliers(qp, point))
    s, present = qp.split(point.s)[0], qp.split(qp.present)[0]
    r = evaluate(qp, point)
    excess = qp.split(r.Cx - qp.d)[0]
    s = pick(status == int(Status.SOLVED), s, xp.where(excess < 0, -excess, 0.0))
    numbers = [objective(qp, point.x), r.primal, r.dual, r.gap]
    fields = {
        "x": point.x,
        "s": xp.where(present, s, xp.inf),
        "lam": rows,
        "nu": point.nu,
        "lam_lb": lower if lower.shape[1] else xp.zeros_like(point.x),
        "lam_ub": upper if upper.shape[1] else xp.zeros_like(point.x),
        **dict(zip(_NUMBERS, numbers, strict=True)),
    }
    says = xp.isfinite(numbers[0])
    for nothing in (Status.PRIMAL_INFEASIBLE, Status.DUAL_INFEASIBLE, Status.NONCONVEX):
        says = says & (status != int(nothing))
    return {name: pick(says, v, xp.nan + 0 * v) for name, v in fields.items()}


def without_points(fields: dict[str, Array], index: Array) -> dict[str, Array]:
    """Set the numerical results of the elements `index`, which have no solution, to NaN."""
    if not index.shape[0]:
        return fields
    points = ("x", "s", "lam", "nu", "lam_lb", "lam_ub", *_NUMBERS)
    nan = namespace(index).nan
    return fields | {
        name: placed(index, nan + 0 * take(fields[name], index), fields[name]) for name in points
    }
