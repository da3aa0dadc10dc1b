"""From finished parts to the fields of a `Solution`, and to proofs that there is none."""

from kktdiff._arrays import namespace, pick, placed, spread, take
from kktdiff._interior_point.certificates import crossed_bounds
from kktdiff._interior_point.compiled import Piece
from kktdiff._interior_point.parts import Part
from kktdiff._interior_point.program import point_in_given
from kktdiff._interior_point.residuals import evaluate, multipliers
from kktdiff._interior_point.scaling import to_given
from kktdiff._problem import Faults, Problem, objective
from kktdiff._records import Point
from kktdiff._status import Status
from kktdiff._typing import Array

_NUMBERS = "objective", "primal_residual", "dual_residual", "duality_gap"

Proofs = tuple[tuple[Array, Point], ...]  # places of elements without a solution, and why


def collect(
    problem: Problem, faults: Faults | None, parts: list[Part], pieces: list[Piece], tol: float
) -> tuple[dict[str, Array], Proofs]:
    """Fields of the solution, each (B, ...), and proofs, from the finished elements."""
    found = [*pieces, *((part.index, _fields(part)) for part in parts)]
    whole = len(found) == 1 and found[0][0].shape[0] == problem.length
    fields = dict(found[0][1]) if whole else _spread_fields(problem, found)
    proofs = [_proof(part) for part in parts]
    if faults is not None:
        proofs += _with_faults(problem, faults, fields, tol)
    fields["solved"] = fields["status"] <= int(Status.ALMOST_SOLVED)
    return fields, tuple(proofs)


def _spread_fields(problem: Problem, found: list[Piece]) -> dict[str, Array]:
    """Scatter the fields of some elements to their places; NaN, or zero, elsewhere."""
    (n, m, k), p = problem.data.sizes, problem.data.p
    xp = namespace(p)
    tails = {"x": (n,), "s": (m,), "lam": (m,), "nu": (k,), "lam_lb": (n,), "lam_ub": (n,)}
    none = xp.arange(1, device=p.device)
    whole = {"status": none, "iterations": none}
    return {
        name: spread(
            [(index, fields[name]) for index, fields in found],
            tails.get(name, ()),
            problem.length,
            whole.get(name, p),
            0 if name in whole else xp.nan,
        )
        for name in (*tails, *_NUMBERS, *whole)
    }


def _with_faults(
    problem: Problem, faults: Faults, fields: dict[str, Array], tol: float
) -> list[tuple[Array, Point]]:
    """Enter what is wrong with the data into `fields`; return proofs of contradictions."""
    xp, status = namespace(faults.crossing), fields["status"]
    off = (faults.crossing > tol) & (status == int(Status.SOLVED))
    status = xp.where(off, int(Status.ALMOST_SOLVED), status)
    status = xp.where(faults.contradictory, int(Status.PRIMAL_INFEASIBLE), status)
    fields["status"] = xp.where(faults.invalid, int(Status.INVALID_DATA), status)
    fields["primal_residual"] = xp.maximum(fields["primal_residual"], faults.crossing)
    crossed = xp.nonzero(faults.contradictory)[0]
    if not crossed.shape[0]:
        return []
    point = crossed_bounds(problem.qp.take(crossed))
    own = (xp.broadcast_to(v, (crossed.shape[0], *v.shape[1:])) for v in point)
    return [(crossed, Point(*own))]


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
    fields = {name: pick(says, v, xp.nan + 0 * v) for name, v in fields.items()}
    return fields | {"status": status, "iterations": part.iterations}


def without_points(fields: dict[str, Array], index: Array) -> dict[str, Array]:
    """Set the numerical results of the elements `index`, which have no solution, to NaN."""
    if not index.shape[0]:
        return fields
    points = ("x", "s", "lam", "nu", "lam_lb", "lam_ub", *_NUMBERS)
    nan = namespace(index).nan
    return fields | {
        name: placed(index, nan + 0 * take(fields[name], index), fields[name]) for name in points
    }
