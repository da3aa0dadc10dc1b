"""From finished parts to the fields of a `Solution`, and from a `Solution` to a warm start."""

from typing import TYPE_CHECKING, NamedTuple

from kktdiff._arrays import namespace, pick, spread, take
from kktdiff._certificates import crossed_bounds
from kktdiff._parts import Part
from kktdiff._problem import Problem, objective
from kktdiff._residuals import Point, evaluate, multipliers
from kktdiff._status import Status
from kktdiff._typing import Array

if TYPE_CHECKING:
    from kktdiff._solution import Solution


_NUMBERS = "objective", "primal_residual", "dual_residual", "duality_gap"

Proofs = tuple[tuple[Array, Point], ...]  # places of elements without a solution, and why


class Collected(NamedTuple):
    """What a batch came to."""

    fields: dict[str, Array]  # those of the solution, each (B, ...)
    proofs: Proofs
    violation: Array  # (B,): how nearly each element's constraints were met, solved or not


def collect(problem: Problem, parts: list[Part]) -> Collected:
    """Put the parts together."""
    n, m, k = problem.qp.sizes
    xp = namespace(problem.invalid)
    tails: dict[str, tuple[int, ...]] = {
        "x": (n,),
        "s": (m,),
        "lam": (m,),
        "nu": (k,),
        "lam_lb": (n,),
        "lam_ub": (n,),
    }
    for name in (*_NUMBERS, "violation"):
        tails[name] = ()
    found = [(part.index, _fields(part)) for part in parts]
    fields = {
        name: spread([(i, f[name]) for i, f in found], tail, problem.length, problem.qp.p, xp.nan)
        for name, tail in tails.items()
    }
    none = xp.astype(problem.invalid, xp.int64)
    status = spread([(p.index, p.status) for p in parts], (), problem.length, none)
    status = xp.where(problem.contradictory, int(Status.PRIMAL_INFEASIBLE), status)
    status = xp.where(problem.invalid, int(Status.INVALID_DATA), status)
    iterations = spread([(p.index, p.iterations) for p in parts], (), problem.length, none)
    solved = status <= int(Status.ALMOST_SOLVED)
    violation = fields.pop("violation")
    fields |= {"status": status, "solved": solved, "iterations": iterations}
    proofs = [_proof(part) for part in parts]
    crossed = xp.nonzero(problem.contradictory)[0]
    if crossed.shape[0]:
        point = crossed_bounds(problem.qp.take(crossed))
        own = (xp.broadcast_to(v, (crossed.shape[0], *v.shape[1:])) for v in point)
        proofs.append((crossed, Point(*own)))
    return Collected(fields, tuple(proofs), violation)


def _proof(part: Part) -> tuple[Array, Point]:
    xp = namespace(part.status)
    infeasible = (part.status == int(Status.PRIMAL_INFEASIBLE)) | (
        part.status == int(Status.DUAL_INFEASIBLE)
    )
    index = xp.nonzero(infeasible)[0]
    return take(part.index, index), part.point.take(index)


def _fields(part: Part) -> dict[str, Array]:
    """The fields of some elements; NaN where the iterate says nothing."""
    qp, point, status = part.qp, part.point, part.status
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
    says = (status <= int(Status.ALMOST_SOLVED)) | (status == int(Status.MAX_ITER))
    fields = {name: pick(says, v, xp.nan + 0 * v) for name, v in fields.items()}
    return fields | {"violation": r.primal}


def nearby_point(problem: Problem, solution: "Solution") -> Point:
    """The flat point that `solution` holds, for a problem of the same shapes.

    Raises
    ------
    ValueError
        If `solution` is of other shapes.
    """
    given, qp = problem.given, problem.qp
    n, m, k = qp.sizes
    wanted = {"x": n, "lam": m, "nu": k, "lam_lb": n, "lam_ub": n}
    flat = {}
    for name, size in wanted.items():
        array = getattr(solution, name)
        if tuple(array.shape) != (*given.batch, size):
            raise ValueError(
                f"warm_start.{name} has shape {tuple(array.shape)}: expected "
                f"{(*given.batch, size)}, as this problem has"
            )
        flat[name] = given.receive(array, (problem.length, size))
    xp = namespace(qp.p)
    sides = [v for v, rows in zip((flat["lam_lb"], flat["lam_ub"]), qp.bounds, strict=True) if rows]
    lam = xp.concat([flat["lam"], *sides], axis=1)
    x = flat["x"] if qp.fixed is None else xp.where(qp.fixed, qp.value, flat["x"])
    slack = qp.d - qp.C(x[..., None])[..., 0]
    s = xp.where(qp.present, xp.where(slack < 0, 0.0, slack), 1.0)
    return Point(x, s, xp.where(qp.present, lam, 0.0), flat["nu"])
