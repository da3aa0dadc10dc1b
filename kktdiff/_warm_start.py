"""From the solution of a nearby problem to a point of this one."""

from kktdiff._arrays import namespace
from kktdiff._problem import Problem
from kktdiff._records import Point
from kktdiff._solution import Solution


def nearby_point(problem: Problem, solution: Solution) -> Point:
    """Return the flat point of `solution`, for a problem of the same shapes; s is left zero.

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
        array, shape = getattr(solution, name), (*given.batch, size)
        if array.shape != shape:
            raise ValueError(
                f"warm_start.{name} has shape {tuple(array.shape)}: expected {shape}, as this "
                "problem has"
            )
        flat[name] = given.receive(array, (problem.length, size))
    xp = namespace(qp.p)
    sides = [v for v, rows in zip((flat["lam_lb"], flat["lam_ub"]), qp.bounds, strict=True) if rows]
    lam = xp.concat([flat["lam"], *sides], axis=1) if sides else flat["lam"]
    x = flat["x"] if qp.fixed is None else xp.where(qp.fixed, qp.value, flat["x"])
    return Point(x, 0 * lam, xp.where(qp.present, lam, 0.0), flat["nu"])
