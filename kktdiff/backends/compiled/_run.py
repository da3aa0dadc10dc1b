"""From the core's arrays to compiled code and back."""

from typing import Any

import numpy as np

from kktdiff._typing import Array
from kktdiff.backends.compiled import _entry
from kktdiff.backends.compiled._data import Data, Options, Point
from kktdiff.backends.compiled._kkt import Blocks, Factors
from kktdiff.backends.compiled._lapack import routines
from kktdiff.backends.compiled._ruiz import Weights
from kktdiff.backends.compiled._threads import in_threads

_CALL = routines()


def loop(
    qp: Any, scaling: Any, *, diagonal: bool, tol: float, barrier: float, max_iter: int
) -> tuple[Point, Array]:
    """Points of all elements, and their numbers of iterations, or -1 for those given up."""
    data = _data(qp, scaling)
    lower, upper = qp.bounds
    options = Options(lower, upper, diagonal, tol, barrier, max_iter)
    (n, m, k), M, batch = qp.sizes, qp.d.shape[1], qp.length
    point = Point(*(np.empty((batch, size)) for size in (n, M, M, k)))
    iterations = np.empty(batch, np.int64)

    def work(first: int, end: int) -> None:
        _entry.loop(data, options, _CALL, point, iterations, first, end)

    step = n * k * k if diagonal else n * n * (m + n / 3 + 2 * k)
    in_threads(work, batch, 10.0 * batch * step)  # 10: as many steps are usual
    return point, iterations


def equilibrate(Q: Array, G: Array, A: Array, passes: int, low: float, high: float) -> Weights:
    """Weights under which all rows of the KKT matrices are of size about one."""
    batch = max(len(Q), len(G), len(A))
    n, m, k = Q.shape[1], G.shape[1], A.shape[1]
    of_x, of_g, of_nu = (np.ones((batch, count)) for count in (n, m, k))
    weights = Weights(of_x, of_g, of_nu, np.empty(batch))
    matrices = _own(Q), _own(G), _own(A)

    def work(first: int, end: int) -> None:
        _entry.equilibrate(*matrices, weights, passes, low, high, first, end)

    in_threads(work, batch, 3.0 * batch * n * (n + m + k))
    return weights


def kkt_factor(**blocks: Array) -> tuple[Factors, Array]:
    """Factors of the matrices that `blocks` describe, and where that succeeded, (B,) bool."""
    size = np.require(blocks.pop("size"), np.int64, ["C", "A", "W"])
    order = np.require(blocks.pop("order"), np.int64, ["C", "A", "W"])
    rest = _own(blocks.pop("diagonal"))
    batch, N = rest.shape
    matrices = Blocks(**{name: _own(v) for name, v in blocks.items()}, order=order, diagonal=rest)
    factors = Factors(np.empty((batch, N, N)), np.empty((batch, N), np.int32), size, rest)
    ok = np.empty(batch, bool)

    def work(first: int, end: int) -> None:
        _entry.kkt_factor(matrices, _CALL, factors, ok, first, end)

    in_threads(work, batch, batch * N**3)
    return factors, ok


def kkt_solve(factors: Factors, places: Array, rhs: Array) -> Array:
    """Solutions for (B, N, r) with the factors at `places`, one for each element or one for all."""
    batch, N, r = rhs.shape
    out = np.array(rhs.mT, order="C")  # (B, r, N)
    if len(places) < batch:  # one for all: one call for all
        out = out.reshape(1, batch * r, N)

    def work(first: int, end: int) -> None:
        _entry.kkt_solve(factors, places, _CALL, out, first, end)

    in_threads(work, len(places), 2.0 * batch * r * N * N)
    return out.reshape(batch, r, N).mT


def _data(qp: Any, scaling: Any) -> Data:
    none = np.zeros((1, qp.sizes[0]))
    fixed, value = (none if v is None else v for v in (qp.fixed, qp.value))
    return Data(
        _own(qp.Q),
        _own(qp.G),
        _own(qp.A),
        _together(qp.p, scaling.x, fixed, value),
        _together(qp.d, scaling.rows, qp.present),
        _together(qp.b, scaling.nu),
        _own(scaling.cost),
    )


def _own(array: Array) -> Array:
    """In the one layout that code is compiled for; a copy only where it is not already."""
    return np.require(array, np.float64, ["C", "A", "W"])


def _together(*vectors: Array) -> Array:  # each (B or 1, n) -> (B or 1, r, n)
    batch = max(len(v) for v in vectors)
    out = np.empty((batch, len(vectors), vectors[0].shape[1]))
    for row, vector in enumerate(vectors):
        out[:, row] = vector
    return out
