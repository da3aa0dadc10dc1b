"""A checked batch, chunk by chunk."""

from collections.abc import Iterator
from typing import NamedTuple

from kktdiff._arrays import broadcast, namespace, take
from kktdiff._interior_point.compiled import KeptGroup, Ready, solve_compiled
from kktdiff._interior_point.driver import solve_chunk
from kktdiff._interior_point.gather import Proofs, collect
from kktdiff._interior_point.parts import Part
from kktdiff._interior_point.program import separable_elements
from kktdiff._problem import Problem
from kktdiff._records import QP, Point
from kktdiff._settings import Settings
from kktdiff._typing import Array
from kktdiff.backends import Backend
from kktdiff.kernels import method


class BatchResult(NamedTuple):
    """Fields, kept factors and proofs of a solved batch."""

    fields: dict[str, Array]  # of the solution, each (B, ...)
    kept: tuple[KeptGroup, ...]
    proofs: Proofs


def run(problem: Problem, warm: Point | None, settings: Settings) -> BatchResult:
    """Solve all elements that can be attempted, in chunks of bounded memory.

    The compiled kernels go first, where there are any for the backend and the form of the QP.
    """
    parts: list[Part] = []
    kept: list[KeptGroup] = []
    ready: list[Ready] = []
    backend = problem.given.backend
    good = ~(problem.invalid | problem.contradictory)
    places = namespace(good).nonzero(good)[0]
    if backend.compiled and method.supports(problem.qp) and places.shape[0]:
        qp, near = _elements(problem, warm, places)
        first, own, places = solve_compiled(qp, places, near, settings, backend)
        ready, kept = ([first], [own]) if own.index.shape[0] else ([], [])
    for index, separable in _chunks(problem, places):
        qp, near = _elements(problem, warm, index)
        done, more = solve_chunk(qp, index, near, settings, backend, separable=separable)
        parts, kept = parts + done, kept + list(more)
    fields, proofs = collect(problem, parts, ready, settings.tol)
    return BatchResult(fields, tuple(kept), proofs)


def _elements(problem: Problem, warm: Point | None, index: Array) -> tuple[QP, Point | None]:
    """Return some elements and their points to start from."""
    whole = index.shape[0] == problem.length
    near = warm if warm is None or whole else warm.take(index)
    return problem.qp if whole else problem.qp.take(index), near


def _chunks(problem: Problem, places: Array) -> Iterator[tuple[Array, bool]]:
    """Yield places of elements to be solved together, and True if their H is diagonal.

    The form that an element is solved in depends on itself alone, never on its batch.
    """
    if not places.shape[0]:
        return
    qp = problem.qp
    xp = namespace(qp.p)
    separable = broadcast(separable_elements(qp), (problem.length,))
    step = chunk_size(qp, problem.given.backend)
    diagonal = take(separable, places)
    for mask, kind in ((diagonal, True), (~diagonal, False)):
        some = take(places, xp.nonzero(mask)[0])
        count = some.shape[0]
        for first in range(0, count, step):
            yield some[first : min(first + step, count)], kind


def chunk_size(qp: QP, backend: Backend) -> int:
    """Return the number of elements to solve at once within the backend's workspace."""
    n, m, k = qp.sizes
    doubles = (n + m + k) ** 2 * 3 + (m + k) * n * 2 + n * n
    return max(1, backend.workspace // (8 * doubles))
