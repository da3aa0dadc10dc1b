"""The solve of a batch with soft rows: by the kernels, or by its problems with slack variables."""

from collections.abc import Callable

from kktdiff._arrays import concat, mv, namespace, take, take_shared
from kktdiff._given import Given
from kktdiff._interior_point.batching import run_soft
from kktdiff._layout import CORE, SIDES, VIOLATIONS
from kktdiff._prices import check_prices
from kktdiff._problem import Problem, build
from kktdiff._records import Point
from kktdiff._results import Derivatives
from kktdiff._settings import Settings
from kktdiff._soft.engine import SoftEngine, joined
from kktdiff._soft.layout import Part, parts
from kktdiff._soft.maps import cotangents, output
from kktdiff._soft.written import Solved, with_slacks
from kktdiff._solution import Solution
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff._warm_start import flat_solution, start

Values = dict[str, Array]
Solve = Callable[[Problem, Point | None, Values | None], tuple[Values, Derivatives, bool]]


def solve_soft(
    given: Given, near: Solution | None, weights: Values | None, settings: Settings, solve: Solve
) -> tuple[Values, Derivatives, bool]:
    """Return the fields of the solution, its derivatives, and True if all elements are solved.

    Parameters
    ----------
    near
        The solution of a nearby problem.
    weights
        Of the shifts for ``infeasible="closest"``, (B or 1, size), by right-hand side.
    solve
        Solves a problem with slacks: gives the fields, the derivatives, and True if all elements
        are solved.
    """
    prices, problem = check_prices(given), build(given)
    point = None if near is None else flat_point(given, near)
    warm = None if point is None else start(problem, point)
    found, left = run_soft(problem, problem.data._replace(**prices), warm, settings)
    pieces = [(one.piece[0], _by_kernels(given, one.piece[1], weights)) for one in found]
    others, every = [], True
    if problem.data.structure is not None and left.shape[0]:
        pieces.append((left, _unsolved(pieces, left)))
        left, every = left[:0], False
    for part in parts(given, left) if left.shape[0] or not found else ():
        own, near_own = with_slacks(part), None
        if point is not None:
            near_own = _start(part, own, point)
        costs = None if weights is None else _shift_weights(part, weights)
        values, engine, good = solve(own, near_own, costs)
        others.append(Solved(part, own, engine))
        pieces.append((part.index, _given_fields(given, part, values)))
        every = every and good
    fields = pieces[0][1]
    if len(pieces) > 1:
        fields = {v: joined([(i, own[v]) for i, own in pieces], given.length) for v in fields}
    kept = tuple(one.kept for one in found if one.kept.index.shape[0])
    return fields, SoftEngine(problem, kept, tuple(others)), every


def _unsolved(pieces: list[tuple[Array, Values]], left: Array) -> Values:
    """Return fields of large sparse problems that the kernels leave: no more is known of them."""
    xp = namespace(left)
    like = pieces[0][1]
    nan = {k: xp.full((left.shape[0], *v.shape[1:]), xp.nan) for k, v in like.items()}
    failed = int(Status.NUMERICAL_ERROR) + 0 * left
    return nan | {"status": failed, "iterations": 0 * left, "solved": failed < 0}


def _by_kernels(given: Given, found: Values, weights: Values | None) -> Values:
    """Return the fields of what the kernels have solved, where nothing is shifted."""
    out = found | {"solved": found["status"] == int(Status.SOLVED)}
    names = [v for v in VIOLATIONS if v not in found and f"soft_{v[10:]}" in given.arrays]
    names += [] if weights is None else [f"shift_{v}" for v in weights]
    x, sizes = found["x"], given.sizes
    for name in names:
        size = sizes[CORE[name.partition("_")[2]]]
        out[name] = namespace(x).zeros((x.shape[0], size), dtype=x.dtype, device=x.device)
    return out


def _given_fields(given: Given, part: Part, found: Values) -> Values:
    """Return the fields of a part's solution, and its violations, in the given shapes."""
    names = [v for v in found if not v.startswith("shift_")]
    names += [v for v in VIOLATIONS if f"soft_{v[10:]}" in given.arrays]
    if any(v.startswith("shift_") for v in found):
        names += [f"shift_{v}" for v in SIDES if given.arrays[v] is not None]
    return {name: output(part.layout, name, found.get) for name in names}


def flat_point(given: Given, near: Solution) -> Values:
    """Return the point of a solution, (B, size), with its violations if it has them."""
    there = {v: letter for v, letter in VIOLATIONS.items() if getattr(near, v) is not None}
    letters = {"x": "n", "lam": "m", "nu": "k", "lam_lb": "n", "lam_ub": "n"} | there
    sizes = {name: given.sizes[letter] for name, letter in letters.items()}
    return flat_solution(given, sizes, near)


def _start(part: Part, problem: Problem, point: Values) -> Point:
    """Return the point of the problem with slacks; a slack that is not 0 has no multiplier."""
    n, qp = part.layout.sizes[0], problem.qp
    own = {name: take(v, part.index) for name, v in point.items()}
    flat = cotangents(part.layout, own, part.index.shape[0], own["x"])
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
