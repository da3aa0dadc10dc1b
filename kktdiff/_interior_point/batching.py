"""A checked batch, chunk by chunk."""

from collections.abc import Iterator
from typing import NamedTuple

from kktdiff._arrays import namespace
from kktdiff._interior_point.driver import Kept, Part, solve_chunk
from kktdiff._interior_point.gather import Proofs, collect
from kktdiff._interior_point.program import separable_elements
from kktdiff._problem import Problem
from kktdiff._records import QP, Point
from kktdiff._settings import Settings
from kktdiff._typing import Array
from kktdiff.backends import Backend


class BatchResult(NamedTuple):
    """Fields, kept factors and proofs of a solved batch."""

    fields: dict[str, Array]  # of the solution, each (B, ...)
    kept: tuple[Kept, ...]
    proofs: Proofs


def run(problem: Problem, warm: Point | None, settings: Settings) -> BatchResult:
    """Solve all elements that can be attempted, in chunks of bounded memory."""
    parts: list[Part] = []
    kept: list[Kept] = []
    for index, separable in _chunks(problem):
        nearby = None if warm is None else warm.take(index)
        qp = problem.qp if index.shape[0] == problem.length else problem.qp.take(index)
        done, more = solve_chunk(
            qp, index, nearby, settings, problem.given.backend, separable=separable
        )
        parts, kept = parts + done, kept + more
    fields, proofs = collect(problem, parts, settings.tol)
    return BatchResult(fields, tuple(kept), proofs)


def _chunks(problem: Problem) -> Iterator[tuple[Array, bool]]:
    """Yield places of elements to be solved together, and True if their H is diagonal.

    The form that an element is solved in depends on itself alone, never on its batch.
    """
    qp = problem.qp
    xp = namespace(qp.p)
    good = ~(problem.invalid | problem.contradictory)
    separable = good & separable_elements(qp)
    step = chunk_size(qp, problem.given.backend)
    for mask, kind in ((separable, True), (good & ~separable, False)):
        places = xp.nonzero(mask)[0]
        count = places.shape[0]
        for first in range(0, count, step):
            yield places[first : min(first + step, count)], kind


def chunk_size(qp: QP, backend: Backend) -> int:
    """Return the number of elements to solve at once within the backend's workspace."""
    n, m, k = qp.sizes
    doubles = (n + m + k) ** 2 * 3 + (m + k) * n * 2 + n * n
    return max(1, backend.workspace // (8 * doubles))
