"""The solve of a batch with soft rows: by its problems with slack variables."""

from collections.abc import Callable
from dataclasses import replace

from kktdiff._arrays import concat, mv, namespace, take, take_shared
from kktdiff._inputs import Given, check
from kktdiff._layout import VIOLATIONS
from kktdiff._prices import check_prices
from kktdiff._problem import Problem, build
from kktdiff._records import Point
from kktdiff._results import Derivatives
from kktdiff._soft.arguments import arguments
from kktdiff._soft.engine import SoftEngine, Solved, fields
from kktdiff._soft.layout import Part, parts
from kktdiff._soft.maps import cotangents
from kktdiff._solution import Solution
from kktdiff._typing import Array
from kktdiff._warm_start import flat_solution, start

Values = dict[str, Array]
Solve = Callable[[Problem, Point | None, Values | None], tuple[Values, Derivatives, bool]]


def solve_soft(
    given: Given, near: Solution | None, weights: Values | None, solve: Solve
) -> tuple[Values, Derivatives, bool]:
    """Solve the problems with slacks by `solve`; return the given ones' fields and derivatives.

    Parameters
    ----------
    near
        The solution of a nearby problem.
    weights
        Of the shifts for ``infeasible="closest"``, (B or 1, size), by right-hand side.
    solve
        Gives the fields, the derivatives, and True if all elements are solved.
    """
    check_prices(given)
    point = None if near is None else _flat(given, near)
    solved, every = [], True
    for part in parts(given):
        problem = _with_slacks(part)
        warm = None if point is None else _start(part, problem, point)
        own = None if weights is None else _shift_weights(part, weights)
        found, engine, good = solve(problem, warm, own)
        solved.append(Solved(part, problem, found, engine))
        every = every and good
    return fields(given, tuple(solved)), SoftEngine(given, tuple(solved)), every


def _with_slacks(part: Part) -> Problem:
    """Return the problem with slacks of a part of the batch."""
    problem = build(check(arguments(part.layout, part.data), None))
    return replace(problem, data=problem.data._replace(slack_rows=part.layout.slack_rows))


def _flat(given: Given, near: Solution) -> Values:
    """Return the point of a solution, (B, size), with its violations if it has them."""
    there = {v: letter for v, letter in VIOLATIONS.items() if getattr(near, v) is not None}
    letters = {"x": "n", "lam": "m", "nu": "k", "lam_lb": "n", "lam_ub": "n"} | there
    sizes = {name: given.sizes[letter] for name, letter in letters.items()}
    return flat_solution(given, sizes, near)


def _start(part: Part, problem: Problem, point: Values) -> Point:
    """Return the point of the problem with slacks; a slack that is not 0 has no multiplier."""
    n, qp = part.layout.sizes[0], problem.qp
    own = {name: take(v, part.index) for name, v in point.items()}
    flat = cotangents(part.layout, own, own["x"])
    xp, slacks = namespace(qp.p), flat["x"][:, n:]
    slacks = xp.where(slacks > 0, slacks, 0.0)
    price = qp.p + mv(qp.G.mT, flat["lam"]) + mv(qp.A.mT, flat["nu"])
    multiplier = xp.where((slacks > 0) | (price[:, n:] < 0), 0.0, price[:, n:])
    flat["x"] = concat([flat["x"][:, :n], slacks], axis=1)
    flat["lam_lb"] = concat([flat["lam_lb"][:, :n], multiplier], axis=1)
    return start(problem, flat)


def _shift_weights(part: Part, weights: Values) -> Values:
    """Return weights for the problem with slacks: 1 for what is never shifted."""
    n, m, _ = part.layout.sizes
    some = {name: take_shared(v, part.index) for name, v in weights.items()}
    like: Array = part.data["p"]
    xp = namespace(like)

    def ones(size: int) -> Array:
        return xp.ones((1, size), dtype=like.dtype, device=like.device)

    more = {"h": part.layout.bound_rows, "lb": part.layout.slacks, "ub": part.layout.slacks}
    own = {"h": ones(m), "lb": ones(n), "ub": ones(n)} | some
    return {name: concat([v, ones(more.get(name, 0))], axis=1) for name, v in own.items()}
