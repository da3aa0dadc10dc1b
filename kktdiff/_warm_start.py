"""From the solution of a nearby problem to a point of this one."""

from collections.abc import Mapping

from kktdiff._arrays import concat, namespace
from kktdiff._inputs import Given
from kktdiff._problem import Problem
from kktdiff._records import Point
from kktdiff._solution import Solution
from kktdiff._typing import Array


def nearby_point(problem: Problem, solution: Solution) -> Point:
    """Return the flat point of `solution`, for a problem of the same shapes.

    Raises
    ------
    ValueError
        If `solution` is of other shapes.
    """
    n, m, k = problem.qp.sizes
    sizes = {"x": n, "lam": m, "nu": k, **dict.fromkeys(_bounds(problem), n)}
    return start(problem, flat_solution(problem.given, sizes, solution))


def flat_solution(given: Given, sizes: Mapping[str, int], solution: Solution) -> dict[str, Array]:
    """Return fields of `solution` by name, (B, size); a ValueError if they are of other shapes."""
    flat = {}
    for name, size in sizes.items():
        array, shape = getattr(solution, name), (*given.batch, size)
        if array.shape != shape:
            raise ValueError(
                f"warm_start.{name} has shape {tuple(array.shape)}: expected {shape}, as this "
                "problem has"
            )
        flat[name] = given.receive(array, (given.length, size))
    return flat


def start(problem: Problem, flat: Mapping[str, Array]) -> Point:
    """Return a point by its fields; s is left zero, and lam as it is in rows that are absent."""
    qp = problem.qp
    lam = concat([flat["lam"], *(flat[name] for name in _bounds(problem))], axis=1)
    x = flat["x"]
    if qp.fixed is not None:
        x = namespace(x).where(qp.fixed, qp.value, x)
    return Point(x, 0 * lam, lam, flat["nu"])


def _bounds(problem: Problem) -> list[str]:
    """Return the names of the multipliers of the bounds that were given."""
    pairs = zip(("lam_lb", "lam_ub"), problem.qp.bounds, strict=True)
    return [name for name, rows in pairs if rows]
