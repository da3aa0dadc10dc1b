"""From the solution of a nearby problem to a point of this one."""

from kktdiff._arrays import concat, namespace
from kktdiff._problem import Problem
from kktdiff._records import Point
from kktdiff._solution import Solution


def nearby_point(problem: Problem, solution: Solution) -> Point:
    """Return the flat point of `solution`, for a problem of the same shapes.

    s is left zero, and lam as it is in rows that are absent here.

    Raises
    ------
    ValueError
        If `solution` is of other shapes.
    """
    given, qp = problem.given, problem.qp
    n, m, k = qp.sizes
    sides = [name for name, rows in zip(("lam_lb", "lam_ub"), qp.bounds, strict=True) if rows]
    flat = {}
    for name, size in {"x": n, "lam": m, "nu": k, **dict.fromkeys(sides, n)}.items():
        array, shape = getattr(solution, name), (*given.batch, size)
        if array.shape != shape:
            raise ValueError(
                f"warm_start.{name} has shape {tuple(array.shape)}: expected {shape}, as this "
                "problem has"
            )
        flat[name] = given.receive(array, (problem.length, size))
    lam = concat([flat["lam"], *(flat[name] for name in sides)], axis=1) if sides else flat["lam"]
    x = flat["x"]
    if qp.fixed is not None:
        x = namespace(x).where(qp.fixed, qp.value, x)
    return Point(x, 0 * lam, lam, flat["nu"])
