"""From the solution of a nearby problem to a point of this one."""

from collections.abc import Mapping

from kktdiff._arrays import concat
from kktdiff._given import Given
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
    n, m, k = problem.data.sizes
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
    """Return a point by its fields, with s = 0; fixed variables and absent rows are as given."""
    lam = concat([flat["lam"], *(flat[name] for name in _bounds(problem))], axis=1)
    return Point(flat["x"], 0 * lam, lam, flat["nu"])


def _bounds(problem: Problem) -> list[str]:
    """Return the names of the multipliers of the bounds that were given."""
    pairs = zip(("lam_lb", "lam_ub"), problem.data.bounds, strict=True)
    return [name for name, rows in pairs if rows]
