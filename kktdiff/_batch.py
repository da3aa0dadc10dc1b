"""A checked batch, chunk by chunk."""

from collections.abc import Iterator
from typing import NamedTuple

from kktdiff._algorithm import solve_part
from kktdiff._arrays import namespace
from kktdiff._condensed import is_separable
from kktdiff._derivatives import Engine
from kktdiff._inputs import check
from kktdiff._parts import Kept, Part, room
from kktdiff._problem import NAMES, Problem, build
from kktdiff._residuals import Point
from kktdiff._results import collect
from kktdiff._settings import Settings
from kktdiff._solution import Solution
from kktdiff._typing import Array


class Ran(NamedTuple):
    """A batch that was run."""

    fields: dict[str, Array]  # of the solution, each (B, ...)
    engine: Engine
    violation: Array  # (B,): how nearly each element's constraints were met


def run(problem: Problem, warm: Point | None, settings: Settings) -> Ran:
    """Solve all elements that can be attempted, in chunks of bounded memory."""
    parts: list[Part] = []
    kept: list[Kept] = []
    for index, separable in _chunks(problem):
        nearby = None if warm is None else warm.take(index)
        qp = problem.qp if index.shape[0] == problem.length else problem.qp.take(index)
        done, more = solve_part(
            qp, index, nearby, settings, problem.given.backend, separable=separable
        )
        parts, kept = parts + done, kept + more
    fields, proofs, violation = collect(problem, parts)
    return Ran(fields, Engine(problem, fields["status"], tuple(kept), proofs), violation)


def solve(
    data: dict[str, Array], settings: Settings, soft: dict[str, Array] | None = None
) -> Solution:
    """`solve_qp` as one solve calls it for another: no warnings, no questions why.

    Parameters
    ----------
    data
        Arguments of `solve_qp` in the backend's own arrays.
    soft
        As in `build`.
    """
    given = check({name: data.get(name) for name in NAMES}, None)
    problem = build(given, soft)
    fields, engine, _ = run(problem, None, settings)
    return Solution(**{k: given.give(v) for k, v in fields.items()}, _engine=engine)


def _chunks(problem: Problem) -> Iterator[tuple[Array, bool]]:
    """Places of elements to be solved together, and whether their Q is diagonal with no G.

    The form that an element is solved in depends on itself alone, never on its batch.
    """
    qp = problem.qp
    xp = namespace(qp.p)
    good = ~(problem.invalid | problem.contradictory)
    separable = good & is_separable(qp)
    step = room(qp, problem.given.backend)
    for mask, kind in ((separable, True), (good & ~separable, False)):
        places = xp.nonzero(mask)[0]
        count = places.shape[0]
        for first in range(0, count, step):
            yield places[first : min(first + step, count)], kind
