"""CuPy arrays: batched factorizations by cuBLAS and cuSOLVER.

Everything is queued on CuPy's current stream, on the device of the arrays.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

from kktdiff._arrays import broadcast, plus_diagonal
from kktdiff._typing import Array, Namespace
from kktdiff.backends._protocol import LU, Cholesky
from kktdiff.backends.cuda import _libraries as libraries
from kktdiff.backends.cuda._cuda import Cuda

_THREADS = 256  # of a block, for work that is entry by entry
_MOST_BLOCKS = 65536  # of such; each takes as many entries as it must


@dataclass(frozen=True)
class CuPyBackend:
    """The backend for CUDA devices, over CuPy or what stands in for it."""

    cuda: Cuda
    name: str = "cupy"
    compiled: bool = False  # the kernels are for NumPy arrays

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
        """Return True if `array` is a CuPy array."""
        return self.cuda.owns(array)

    def receive(self, array: Any, dtype: Any, like: Any = None) -> Array:
        """`array` as a C-contiguous array, on the device of `like` or, None, the current one."""
        with self.cuda.at(like):
            own = array if self.owns(array) else self.cuda.to_device(array)
            return self.xp.asarray(own, dtype=dtype, order="C")

    def at(self, like: Array | None) -> AbstractContextManager[Any]:
        """Return the context in which the device of `like` is current."""
        return self.cuda.at(like)

    def bounded(self, arrays: Sequence[Array], d: Array, limit: float) -> bool:
        """Return False always: a test may cost a synchronisation."""
        return False

    def symmetric(self, Q: Array) -> Array:
        """Return a copy always: a test for symmetry would make the host wait."""
        return (Q + Q.mT) / 2

    def cholesky(self, a: Array) -> Cholesky:
        """Factor copies; in column-major order the lower triangle is the factor."""
        return self._cholesky(self.xp.array(a, order="C"))

    def condensed_cholesky(self, Q: Array, D: Array, G: Array, w: Array | None) -> Cholesky:
        """Factor with one batched product and one batched factorization."""
        H = plus_diagonal(Q, D)
        if G.shape[-2]:
            W = G if w is None else self.xp.sqrt(w)[..., None] * G
            W = broadcast(W, (H.shape[0], *G.shape[1:]))
            libraries.add_product(self.cuda, self.xp.ascontiguousarray(W), H)
        return self._cholesky(H)

    def _cholesky(self, a: Array) -> Cholesky:  # overwritten
        info = self.xp.empty(a.shape[0], dtype=self.xp.int32)
        libraries.cholesky(self.cuda, a, info)
        return Cholesky(a, self.xp.linalg.diagonal(a) ** 2, self._ok(a, info))

    def triangular_solve(self, chol: Cholesky, rhs: Array, *, transposed: bool) -> Array:
        """One batched call."""
        out = self.xp.array(rhs.mT, order="C")  # (B, r, n): by columns (n, r)
        if out.size:
            libraries.triangular_solve(self.cuda, chol.factor, out, transposed=transposed)
        return out.mT

    def lu_factor(self, a: Array, size: Array) -> LU:
        """Factor copies, with partial pivoting; `size` is ignored."""
        factor = self.xp.array(a, order="C")  # symmetric, so by columns it is the same
        pivots = self.xp.empty(factor.shape[:2], dtype=self.xp.int32)
        info = self.xp.empty(factor.shape[0], dtype=self.xp.int32)
        libraries.lu(self.cuda, factor, pivots, info)
        return LU((factor, pivots), self._ok(factor, info))

    def _ok(self, factor: Array, info: Array) -> Array:
        """NaN in a matrix need not show in info, but it gets as far as the diagonal."""
        xp = self.xp
        return (info == 0) & xp.all(xp.isfinite(xp.linalg.diagonal(factor)), axis=-1)

    def outer(self, a: Array, b: Array, c: Array, d: Array) -> Array:
        """Compute the result in one pass."""
        xp, (batch, rows), columns = self.xp, a.shape, b.shape[1]
        out = xp.empty((batch, rows, columns), dtype=xp.float64)
        if out.size:
            vectors = (xp.ascontiguousarray(v) for v in (a, b, c, d))
            blocks = min(_MOST_BLOCKS, -(-out.size // _THREADS))
            arguments = (*vectors, out, rows, columns, out.size)
            self.cuda.launch("outer", blocks, _THREADS, *arguments)
        return out

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
    """Return the backend over CuPy.

    Raises
    ------
    ImportError
        CuPy or a library of CUDA is missing; `kktdiff.backends.available` says which.
    """
    from kktdiff.backends.cuda._cupy import CuPy

    return CuPyBackend(CuPy())
