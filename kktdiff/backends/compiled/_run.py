"""From the core's arrays to compiled code and back."""

from typing import Any

import numpy as np

from kktdiff._typing import Array
from kktdiff.backends.compiled import _entry
from kktdiff.backends.compiled._data import Batch, Options, Point, work_for
from kktdiff.backends.compiled._kept import Kept
from kktdiff.backends.compiled._kkt import Blocks, Factors
from kktdiff.backends.compiled._lapack import routines, tools
from kktdiff.backends.compiled._refined import Columns, System, Vectors
from kktdiff.backends.compiled._ruiz import Weights
from kktdiff.backends.compiled._threads import in_threads

_CALL = routines()


def solve(qp: Any, scaling: Any, settings: Any) -> tuple[Kept, Array]:
    """Solutions of all elements, and their numbers of iterations, or -1 for those given up."""
    batch, options = _batch(qp, scaling), _options(qp, settings)
    (n, m, k), M, count = qp.sizes, qp.d.shape[1], qp.length
    r = min(m, n)
    N = n + k + r
    kept = Kept(
        _points(qp),
        np.empty((count, 4)),
        np.empty((count, M)),
        np.empty((count, r), np.int64),
        np.empty((count, m), np.int64),
        np.empty((count, n)),
        np.empty((count, m)),
        np.empty((count, M), bool),
        _factors(count, N),
    )
    iterations = np.empty(count, np.int64)

    def work(first: int, end: int) -> None:
        at = Point(*(np.empty((1, size)) for size in (n, M, M, k)))
        _entry.solve(batch, options, work_for(batch, _CALL), at, kept, iterations, first, end)

    in_threads(work, count, count * (_operations(qp) + N**3))
    return kept, iterations


def loop(qp: Any, scaling: Any, settings: Any) -> tuple[Point, Array]:
    """Points of all elements, and their numbers of iterations, or -1 for those given up."""
    batch, options, point = _batch(qp, scaling), _options(qp, settings), _points(qp)
    iterations = np.empty(qp.length, np.int64)

    def work(first: int, end: int) -> None:
        _entry.loop(batch, options, work_for(batch, _CALL), point, iterations, first, end)

    in_threads(work, qp.length, qp.length * _operations(qp))
    return point, iterations


def _operations(qp: Any) -> float:
    """About as many as one element takes, in as many steps as are usual."""
    n, m, k = qp.sizes
    return 10.0 * n * n * (m + n / 3 + 2 * k)


def equilibrate(Q: Array, G: Array, A: Array, passes: int, low: float, high: float) -> Weights:
    """Weights under which all rows of the KKT matrices are of size about one."""
    batch = max(len(Q), len(G), len(A))
    n, m, k = Q.shape[1], G.shape[1], A.shape[1]
    of_x, of_g, of_nu = (np.ones((batch, count)) for count in (n, m, k))
    weights = Weights(of_x, of_g, of_nu, np.empty(batch))
    matrices = _own(Q), _own(G), _own(A)

    def work(first: int, end: int) -> None:
        norms = tuple(np.empty(size) for size in (n, m, k))
        _entry.equilibrate(*matrices, weights, norms, passes, low, high, first, end)

    in_threads(work, batch, 3.0 * batch * n * (n + m + k))
    return weights


def kkt_factor(**blocks: Array) -> tuple[Factors, Array]:
    """Factors of the matrices that `blocks` describe, and where that succeeded, (B,) bool."""
    size, order = _whole(blocks.pop("size")), _whole(blocks.pop("order"))
    matrices = Blocks(**{name: _own(v) for name, v in blocks.items()}, order=order)
    batch, N = matrices.diagonal.shape
    factors = _factors(batch, N)._replace(rest=matrices.diagonal)
    ok = np.empty(batch, bool)

    def work(first: int, end: int) -> None:
        _entry.kkt_factor(matrices, size, tools(_CALL), factors, ok, first, end)

    in_threads(work, batch, batch * N**3)
    return factors, ok


def _factors(batch: int, N: int) -> Factors:
    """Memory for them; the system gives it page by page, as it is used."""
    counts, unknowns = np.empty((batch, 3), np.int64), np.empty((batch, N), np.int64)
    pivots = np.empty((batch, N), np.int32)
    return Factors(np.empty((batch, N * N)), pivots, unknowns, counts, np.empty((batch, N)))


def kkt_solve(factors: Factors, places: Array, rhs: Array) -> Array:
    """Solutions for (B, N, r) with the factors at `places`, one for each element or one for all."""
    batch, N, r = rhs.shape
    out = np.array(rhs.mT, order="C")  # (B, r, N)
    if len(places) < batch:  # one for all: one call for all
        out = out.reshape(1, batch * r, N)

    def work(first: int, end: int) -> None:
        _entry.kkt_solve(factors, places, out, np.empty(N), tools(_CALL), first, end)

    in_threads(work, len(places), 2.0 * batch * r * N * N)
    return out.reshape(batch, r, N).mT


def kkt_solve_refined(
    qp: Any, f: Any, factors: Factors, places: Array, rhs: Any
) -> tuple[Array, Array, Array, Array]:
    """`kktdiff._kkt.solve`: x, c and nu as in `rhs`, (B, size, r), and the relative residuals."""
    count, r = len(rhs.x), rhs.x.shape[2]
    columns = Columns(*(np.array(v.mT, order="C") for v in rhs))
    matrices, places_of = [_own(v) for v in (qp.Q, qp.G, qp.A)], [_whole(f.order), _whole(f.place)]
    weights = [_own(v) for v in (f.activity, f.slack, f.x, f.g, f.stiff)]
    held = _flags(f.held)
    scaling = [_own(v) for v in f.scaling]
    systems = System._make([*matrices, *places_of, *weights, held, *scaling])
    N, error = factors.rest.shape[1], np.empty(count)

    def work(first: int, end: int) -> None:
        x, c, nu = (np.empty((6, v.shape[2])) for v in columns)
        v = Vectors(x, c, nu, np.empty(N), np.empty(N), tools(_CALL))
        _entry.kkt_solve_refined(
            systems, qp.bounds[0], factors, places, v, columns, error, first, end
        )

    in_threads(work, count, 4.0 * count * r * N * N)
    x, c, nu = (v.mT for v in columns)
    return x, c, nu, error


def outer(a: Array, b: Array, c: Array, d: Array) -> Array:
    """``a b' + c d'`` for each element, (B, r, c)."""
    vectors = [_own(v) for v in (a, b, c, d)]
    out = np.empty((*a.shape, b.shape[1]))

    def work(first: int, end: int) -> None:
        _entry.outer(*vectors, out, first, end)

    in_threads(work, len(out), 4.0 * out.size)
    return out


def _batch(qp: Any, scaling: Any) -> Batch:
    n = qp.sizes[0]
    fixed = np.zeros((1, n), bool) if qp.fixed is None else qp.fixed
    value = np.zeros((1, n)) if qp.value is None else qp.value
    Q, G, A, p = (_own(v) for v in (qp.Q, qp.G, qp.A, qp.p))
    value, d, b = (_own(v) for v in (value, qp.d, qp.b))
    weights = [_own(v) for v in scaling]
    return Batch._make([Q, G, A, p, _flags(fixed), value, d, _flags(qp.present), b, *weights])


def _options(qp: Any, settings: Any) -> Options:
    (lower, upper), s = qp.bounds, settings
    return Options(lower, upper, s.tol, s.barrier, s.max_iter, s.curvature)


def _points(qp: Any) -> Point:
    (n, _, k), M, batch = qp.sizes, qp.d.shape[1], qp.length
    return Point(*(np.empty((batch, size)) for size in (n, M, M, k)))


def _flags(array: Array) -> Array:
    """Truth values, in the one layout."""
    return _own(array, bool)


def _whole(array: Array) -> Array:
    """Integers, in the one layout."""
    return _own(array, np.int64)


def _own(array: Array, dtype: Any = np.float64) -> Array:
    """In the one layout that code is compiled for; a copy only where it is not already."""
    array = np.require(array, dtype, ["C", "A"])
    return array if array.flags.writeable else np.asarray(_Writable(array))


class _Writable:
    """A read-only array for code that is compiled for others, but does not write to it."""

    def __init__(self, array: Array) -> None:
        self._array = array
        place, _ = array.__array_interface__["data"]
        self.__array_interface__ = array.__array_interface__ | {"data": (place, False)}
