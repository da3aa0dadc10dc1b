"""A checked batch, chunk by chunk."""

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from kktdiff._arrays import broadcast, is_sparse, namespace, take, take_shared
from kktdiff._interior_point.compiled import Compiled, solve_compiled, solve_soft
from kktdiff._interior_point.compiled_kept import KeptGroup
from kktdiff._interior_point.driver import solve_chunk
from kktdiff._interior_point.gather import Proofs, collect
from kktdiff._interior_point.parts import Part
from kktdiff._interior_point.program import separable_elements
from kktdiff._problem import Faults, Problem, for_arrays
from kktdiff._records import QP, Data, Point
from kktdiff._settings import INFINITE, Settings
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra
from kktdiff.kernels import method

Elements = TypeVar("Elements", Data, QP)

_SPARSE_COPIES = 50  # of the entries of sparse matrices: their factors, and vectors


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
    backend, data = problem.given.backend.host, problem.data
    xp = namespace(data.p)
    places = xp.arange(problem.length, device=data.p.device)
    found: list[Compiled] = []
    if backend.compiled and problem.compliance is None and method.supports(data):
        for index, separable in _forms(problem, places):
            found += _by_kernels(problem, warm, index, settings, separable=separable)
        if len(found) == 1 and found[0].proof is None:  # all are solved
            fields, _ = collect(problem, None, [], [found[0].piece], settings.tol)
            return BatchResult(fields, True, (found[0].kept,), ())
        left = [(one.left, one.kept.separable) for one in found if one.left is not None]
        faults = problem.faults if any(one.unsound is not None for one in found) else None
    else:
        faults = problem.faults
        left = list(_forms(problem, places if faults is None else _sound(faults, places)))
    kept: list[KeptGroup] = [one.kept for one in found if one.kept.index.shape[0]]
    parts: list[Part] = []
    for index, separable in left:
        for some in _chunks(problem, index):
            qp, near = _for_arrays(problem, warm, some)
            done, more = solve_chunk(qp, some, near, settings, backend, separable=separable)
            parts, kept = parts + done, kept + list(more)
    pieces, proofs = [one.piece for one in found], [one.proof for one in found if one.proof]
    fields, more_proofs = collect(problem, faults, parts, pieces, settings.tol)
    solved = bool(xp.all(fields["status"] == int(Status.SOLVED)))
    return BatchResult(fields, solved, tuple(kept), (*proofs, *more_proofs))


def run_soft(
    problem: Problem, data: Data, warm: Point | None, settings: Settings
) -> tuple[list[Compiled], Array]:
    """Solve by the kernels, where there are any; return the places of what is not solved, too.

    data: that of `problem` with prices, which the array code does not know.
    """
    backend, xp = problem.given.backend, namespace(data.p)
    places = xp.arange(problem.length, device=data.p.device)
    if not (backend.compiled and method.supports(data)):
        return [], places
    found = []
    for index, separable in _forms(problem, places):
        for some, hard in _hard_equalities(data, index):
            own, near = _elements(data, problem, warm, some)
            own = own._replace(soft_b=None) if hard else own
            found.append(solve_soft(own, some, near, settings, backend, separable))
    left = [one.left for one in found if one.left is not None]
    return found, xp.sort(xp.concat(left)) if left else places[:0]


def _hard_equalities(data: Data, places: Array) -> Iterator[tuple[Array, bool]]:
    """Yield those of `places` that have no soft equality, with True, and those that have one."""
    if data.soft_b is None:
        yield places, True
        return
    xp = namespace(data.soft_b)
    hard = take_shared(xp.all(data.soft_b >= INFINITE, axis=1), places)
    for mask, kind in ((hard, True), (~hard, False)):
        if bool(xp.all(mask)):
            yield places, kind
        elif bool(xp.any(mask)):
            yield take(places, xp.nonzero(mask)[0]), kind


def _by_kernels(
    problem: Problem, warm: Point | None, index: Array, settings: Settings, *, separable: bool
) -> list[Compiled]:
    """Solve some elements; look at data that do not seem sound, and solve those that are."""
    backend = problem.given.backend
    data, near = _elements(problem.data, problem, warm, index)
    how = settings, backend, separable
    found = solve_compiled(data, index, near, *how, examined=False)
    if found.unsound is None:
        return [found]
    again = found.unsound
    if problem.faults is not None:
        again = _sound(problem.faults, again)
    if not again.shape[0]:
        return [found]
    data, near = _elements(problem.data, problem, warm, again)
    return [found, solve_compiled(data, again, near, *how, examined=True)]


def _sound(faults: Faults, places: Array) -> Array:
    """Return those of `places` that can be attempted."""
    bad = take(faults.invalid | faults.contradictory, places)
    return take(places, namespace(bad).nonzero(~bad)[0])


def _elements(
    record: Elements, problem: Problem, warm: Point | None, index: Array
) -> tuple[Elements, Point | None]:
    """Return some elements of a record, and their points to start from."""
    if index.shape[0] == problem.length:
        return record, warm
    return record.take(index), None if warm is None else warm.take(index)


def _for_arrays(problem: Problem, warm: Point | None, index: Array) -> tuple[QP, Point | None]:
    """Return some elements for the array code; sparse matrices of small ones are dense there."""
    if problem.data.structure is None:
        return _elements(problem.qp, problem, warm, index)
    own = problem.data.take(index).for_arrays()
    return for_arrays(own, problem.given.backend), None if warm is None else warm.take(index)


def _forms(problem: Problem, places: Array) -> Iterator[tuple[Array, bool]]:
    """Yield those of `places` that are solved in one form, and True if their H is diagonal.

    The form that an element is solved in depends on itself alone, never on its batch.
    """
    if not places.shape[0]:
        return
    data, backend = problem.data, problem.given.backend
    if (
        data.structure is not None
        or data.G is not None
        or (backend.compiled and method.is_never_diagonal(data.Q))
    ):  # of no element
        yield places, False
        return
    xp = namespace(places)
    if backend.compiled and problem.compliance is None:
        separable = take(method.forms(data), places)
    else:
        separable = take(broadcast(separable_elements(problem.qp), (problem.length,)), places)
    for mask, kind in ((separable, True), (~separable, False)):
        some = take(places, xp.nonzero(mask)[0])
        if some.shape[0]:
            yield some, kind


def _chunks(problem: Problem, places: Array) -> Iterator[Array]:
    """Split places into chunks of bounded memory."""
    count = places.shape[0]
    step = chunk_size(problem.qp, problem.given.backend.host) if count else 1
    for first in range(0, count, step):
        yield places[first : min(first + step, count)]


def chunk_size(qp: QP, backend: LinearAlgebra) -> int:
    """Return the number of elements to solve at once within the backend's workspace."""
    n, m, k = qp.sizes
    if is_sparse(qp.Q):
        entries = sum(v.pattern.column.size for v in (qp.Q, qp.G, qp.A))
        return max(1, backend.workspace // (8 * _SPARSE_COPIES * (entries + n + m + k)))
    doubles = (n + m + k) ** 2 * 3 + (m + k) * n * 2 + n * n
    return max(1, backend.workspace // (8 * doubles))
