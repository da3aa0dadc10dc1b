"""A checked batch, chunk by chunk."""

from collections.abc import Iterator
from typing import NamedTuple

from kktdiff._arrays import broadcast, namespace, take
from kktdiff._interior_point.compiled import KeptGroup, Piece, Proof, solve_compiled
from kktdiff._interior_point.driver import solve_chunk
from kktdiff._interior_point.gather import Proofs, collect
from kktdiff._interior_point.parts import Part
from kktdiff._interior_point.program import separable_elements
from kktdiff._problem import Problem
from kktdiff._records import QP, Point
from kktdiff._settings import Settings
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff.backends import Backend
from kktdiff.kernels import method


class BatchResult(NamedTuple):
    """Fields, kept factors and proofs of a solved batch."""

    fields: dict[str, Array]  # of the solution, each (B, ...)
    solved: bool  # all elements are, and no more is to be said
    kept: tuple[KeptGroup, ...]
    proofs: Proofs


def run(problem: Problem, warm: Point | None, settings: Settings) -> BatchResult:
    """Solve all elements that can be attempted, in chunks of bounded memory.

    The compiled kernels go first, where there are any for the backend and the form of the QP.
    """
    backend, faults = problem.given.backend, problem.faults
    xp = namespace(problem.qp.p)
    places = xp.arange(problem.length, device=problem.qp.p.device)
    if faults is not None:
        places = xp.nonzero(~(faults.invalid | faults.contradictory))[0]
    pieces: list[Piece] = []
    proofs: list[Proof] = []
    kept: list[KeptGroup] = []
    parts: list[Part] = []
    compiled = backend.compiled and method.supports(problem.qp)
    for index, separable in _forms(problem, places):
        if compiled:
            qp, near = _elements(problem, warm, index)
            found = solve_compiled(qp, index, near, settings, backend, separable=separable)
            index = found.left
            pieces, proofs = [*pieces, found.piece], [*proofs, found.proof]
            kept += [found.kept] if found.kept.index.shape[0] else []
        for some in _chunks(problem, index):
            qp, near = _elements(problem, warm, some)
            done, more = solve_chunk(qp, some, near, settings, backend, separable=separable)
            parts, kept = parts + done, kept + list(more)
    fields, more_proofs = collect(problem, parts, pieces, settings.tol)
    solved = bool(xp.all(fields["status"] == int(Status.SOLVED)))
    return BatchResult(fields, solved, tuple(kept), (*proofs, *more_proofs))


def _elements(problem: Problem, warm: Point | None, index: Array) -> tuple[QP, Point | None]:
    """Return some elements and their points to start from."""
    whole = index.shape[0] == problem.length
    near = warm if warm is None or whole else warm.take(index)
    return problem.qp if whole else problem.qp.take(index), near


def _forms(problem: Problem, places: Array) -> Iterator[tuple[Array, bool]]:
    """Yield those of `places` that are solved in one form, and True if their H is diagonal.

    The form that an element is solved in depends on itself alone, never on its batch.
    """
    if not places.shape[0]:
        return
    qp, xp = problem.qp, namespace(places)
    if qp.G.shape[-2]:  # no H is diagonal
        yield places, False
        return
    separable = take(broadcast(separable_elements(qp), (problem.length,)), places)
    for mask, kind in ((separable, True), (~separable, False)):
        some = take(places, xp.nonzero(mask)[0])
        if some.shape[0]:
            yield some, kind


def _chunks(problem: Problem, places: Array) -> Iterator[Array]:
    """Split places into chunks of bounded memory."""
    count = places.shape[0]
    step = chunk_size(problem.qp, problem.given.backend) if count else 1
    for first in range(0, count, step):
        yield places[first : min(first + step, count)]


def chunk_size(qp: QP, backend: Backend) -> int:
    """Return the number of elements to solve at once within the backend's workspace."""
    n, m, k = qp.sizes
    doubles = (n + m + k) ** 2 * 3 + (m + k) * n * 2 + n * n
    return max(1, backend.workspace // (8 * doubles))
