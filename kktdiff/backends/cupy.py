"""CuPy arrays: batched factorizations by cuBLAS and cuSOLVER, and the loop in kernels of our own.

Everything is queued on CuPy's current stream, on the device of the arrays.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

from kktdiff._arrays import plus_diagonal
from kktdiff._settings import GIVEN_UP
from kktdiff._typing import Array, Namespace
from kktdiff.backends._protocol import LU, Cholesky, Solved
from kktdiff.backends.cuda import _libraries as libraries
from kktdiff.backends.cuda import _loop, _refined
from kktdiff.backends.cuda._cuda import Cuda
from kktdiff.backends.cuda._kernels import threads_for
from kktdiff.backends.cuda._polish import polish
from kktdiff.backends.cuda._table import Given, Ruiz, packed

_THREADS = 256  # of a block, for work that is entry by entry
_MOST_BLOCKS = 65536  # of such; each takes as many entries as it must


@dataclass(frozen=True)
class CuPyBackend:
    """The backend for CUDA devices, over CuPy or what stands in for it."""

    cuda: Cuda
    name: str = "cupy"
    at_once: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """A solution that is pickled finds the CuPy of the process that it comes to."""
        return backend, ()

    @property
    def xp(self) -> Namespace:
        """array-api-compat's view of CuPy."""
        return self.cuda.xp

    @property
    def workspace(self) -> int:
        """A share of the device's free memory."""
        return self.cuda.room()

    def owns(self, array: Any) -> bool:
        """Whether `array` is a CuPy array."""
        return self.cuda.owns(array)

    def receive(self, array: Any, dtype: Any, like: Any = None) -> Array:
        """`array` as a C-contiguous array, on the device of `like` or, None, the current one."""
        with self.cuda.at(like):
            own = array if self.owns(array) else self.cuda.to_device(array)
            return self.xp.asarray(own, dtype=dtype, order="C")

    def at(self, like: Array | None) -> AbstractContextManager[Any]:
        """The device of `like`."""
        return self.cuda.at(like)

    def symmetric(self, Q: Array) -> Array:
        """Always a copy: to look first would make the host wait."""
        return (Q + Q.mT) / 2

    def equilibrate(
        self, Q: Array, G: Array, A: Array, passes: int, low: float, high: float
    ) -> tuple[Array, Array, Array, Array]:
        """A kernel with a block for each set of matrices."""
        xp, (n, m, k) = self.xp, (Q.shape[1], G.shape[1], A.shape[1])
        batch = max(Q.shape[0], G.shape[0], A.shape[0])
        x, rows, nu, norms = (
            xp.empty((batch, count), dtype=xp.float64) for count in (n, m, k, n + m + k)
        )
        size = xp.empty(batch, dtype=xp.float64)
        given = [Given(xp.ascontiguousarray(v)) for v in (Q, G, A)]
        ruiz = Ruiz(n, m, k, passes, low, high, *given, x, rows, nu, size, norms)  # type: ignore[call-arg]
        table = packed(ruiz, self.cuda)
        self.cuda.launch("equilibrate", batch, threads_for(n, m, k), table)
        return x, rows, nu, size

    def solve(self, qp: Any, scaling: Any, settings: Any) -> Solved:
        """The loop, and kernels that solve for the active sets."""
        p, iterations = polish(_loop.run(self.cuda, qp, scaling, settings))
        point = p.x, p.s, p.lam, p.nu
        lu = LU((p.K, p.pivots), iterations >= 0)
        order, weights = p.order[:, : p.r], (p.x_weight, p.g_weight)
        return Solved(
            point, iterations, p.numbers, lu, order, p.place, p.activity, *weights, p.held
        )

    def loop(self, qp: Any, scaling: Any, settings: Any) -> tuple[Any, Array]:
        """Without a look at the device in between."""
        batch = _loop.run(self.cuda, qp, scaling, settings).batch
        short = self.xp.maximum(batch.state, GIVEN_UP + 0 * batch.state)  # near is not there
        return (batch.x, batch.s, batch.lam, batch.nu), short

    def cholesky(self, a: Array) -> Cholesky:
        """Of copies; by columns the lower triangle is the factor."""
        return self._cholesky(self.xp.array(a, order="C"))

    def condensed_cholesky(self, Q: Array, D: Array, G: Array, w: Array) -> Cholesky:
        """One batched product, one batched factorization."""
        H = plus_diagonal(Q, D)
        if G.shape[-2]:
            W = self.xp.ascontiguousarray(self.xp.sqrt(w)[..., None] * G)
            libraries.add_product(self.cuda, W, H, H.shape[0], by_rows=False)
        return self._cholesky(H)

    def _cholesky(self, a: Array) -> Cholesky:  # overwritten
        xp, (batch, *_) = self.xp, a.shape
        info = xp.empty(batch, dtype=xp.int32)
        libraries.cholesky(self.cuda, a, libraries.pointers(self.cuda, a), info, batch)
        return Cholesky(a, self._ok(a, info))

    def cho_solve(self, chol: Cholesky, rhs: Array) -> Array:
        """Two batched triangular solves: cuSOLVER's own takes one column at a time."""
        batch, n, r = rhs.shape
        out = self.xp.array(rhs.mT, order="C")  # (B, r, n): by columns (n, r)
        if r:
            where, on = (libraries.pointers(self.cuda, v) for v in (chol.factor, out))
            for transposed in (False, True):
                libraries.half_solve(self.cuda, where, n, out, on, batch, transposed=transposed)
        return out.mT

    def lu_factor(self, a: Array, size: Array) -> LU:
        """Of copies, with partial pivoting; `size` is not made use of."""
        factor = self.xp.array(a, order="C")  # symmetric, so by columns it is the same
        pivots = self.xp.empty(factor.shape[:2], dtype=self.xp.int32)
        info = self.xp.empty(factor.shape[0], dtype=self.xp.int32)
        libraries.lu(self.cuda, factor, pivots, info)
        return LU((factor, pivots), self._ok(factor, info))

    def _ok(self, factor: Array, info: Array) -> Array:
        """NaN in a matrix need not show in info, but it gets as far as the diagonal."""
        xp = self.xp
        return (info == 0) & xp.all(xp.isfinite(xp.linalg.diagonal(factor)), axis=-1)

    def kkt_lu(self, **blocks: Any) -> None:
        """Not offered: assembling is a few array operations."""

    def kkt_solve(self, qp: Any, factors: Any, rhs: Any) -> tuple[Array, Array, Array, Array]:
        """One kernel."""
        return _refined.solve(self.cuda, qp, factors, rhs)

    def outer(self, a: Array, b: Array, c: Array, d: Array) -> Array:
        """In one pass over the result."""
        xp, (batch, rows), columns = self.xp, a.shape, b.shape[1]
        out = xp.empty((batch, rows, columns), dtype=xp.float64)
        if out.size:
            vectors = (xp.ascontiguousarray(v) for v in (a, b, c, d))
            blocks = min(_MOST_BLOCKS, -(-out.size // _THREADS))
            arguments = (*vectors, out, rows, columns, out.size)
            self.cuda.launch("outer", blocks, _THREADS, *arguments)
        return out

    def lu_take(self, lu: LU, index: Array) -> LU:
        """Copies of the factors of the elements `index`."""
        factor, pivots = lu.factor
        return LU((factor[index], pivots[index]), lu.ok[index])

    def lu_solve(self, lu: LU, rhs: Array) -> Array:
        """One batched call; one for all: all their columns at once."""
        factor, pivots = lu.factor
        batch, n, r = rhs.shape
        if factor.shape[0] < batch:
            together = self.lu_solve(lu, self.xp.reshape(rhs.transpose(1, 0, 2), (1, n, batch * r)))
            return self.xp.reshape(together, (n, batch, r)).transpose(1, 0, 2)
        out = self.xp.array(rhs.mT, order="C")  # (B, r, n): by columns (n, r)
        if out.size:
            libraries.lu_solve(self.cuda, factor, pivots, out)
        return out.mT


@cache
def backend() -> CuPyBackend:
    """The backend over CuPy, which is imported here.

    Raises
    ------
    ImportError
        CuPy or a library of CUDA is missing; `kktdiff.backends.available` says which.
    """
    from kktdiff.backends.cuda._cupy import CuPy

    return CuPyBackend(CuPy())
