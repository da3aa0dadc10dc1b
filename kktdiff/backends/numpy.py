"""NumPy arrays, LAPACK through SciPy: one call per element, so that no bit of an
element's answer depends on the rest of the batch."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import array_api_compat
import array_api_compat.numpy as xp
import numpy as np
from scipy.linalg import blas, lapack

from kktdiff import kernels
from kktdiff._arrays import outer, plus_diagonal
from kktdiff._settings import WORKSPACE
from kktdiff._typing import Array, Namespace
from kktdiff.backends._protocol import LU, Cholesky
from kktdiff.kernels.running import Call, on_processor

_LARGE = 32  # rows from which a LAPACK call per matrix is faster than np.linalg.cholesky
_OWN = (np.ndarray, np.generic)
_SECONDS_PER_PRODUCT = 3e-10  # of the kernel `outer`, by entry of the result


@dataclass(frozen=True)
class NumPyBackend:
    """The default backend, on the CPU."""

    name: str = "numpy"
    workspace: int = WORKSPACE
    call: Call = on_processor

    @property
    def compiled(self) -> bool:
        """True if the kernels are there."""
        return kernels.available() is None

    @property
    def host(self) -> "NumPyBackend":
        """This backend."""
        return self

    def to_host(self, array: Array) -> Array:
        """Return `array` unchanged."""
        return array

    def may_wait(self) -> bool:
        """Return True always."""
        return True

    @property
    def xp(self) -> Namespace:
        """array-api-compat's view of NumPy."""
        return xp

    def owns(self, array: Any) -> bool:
        """Return True if `array` is a NumPy array or scalar."""
        return isinstance(array, _OWN)

    def receive(self, array: Any, dtype: Any, like: Any = None) -> Array:
        """`array` as a C-contiguous NumPy array; other libraries' arrays through DLPack."""
        if not self.owns(array):  # CuPy's DLPack doesn't copy from the device
            on_cuda = array_api_compat.is_cupy_array(array)
            array = array.get() if on_cuda else np.from_dlpack(array, device="cpu")
        return np.asarray(array, dtype=dtype, order="C")

    def at(self, like: Array | None) -> AbstractContextManager[Any]:
        """Overflow and invalid operations become a status, not a warning."""
        return np.errstate(all="ignore")

    def bounded(self, arrays: Sequence[Array], d: Array, limit: float) -> bool:
        """By a sum of squares, which takes no memory for a mask."""
        squares = 0.0
        for array in arrays:
            squares += np.vdot(array, array)
        return bool(squares < limit**2 and (not d.size or np.minimum.reduce(d, axis=None) > -limit))

    def symmetric(self, Q: Array) -> Array:
        """A copy only where it is needed: the system clears the memory that it gives."""
        return Q if np.logical_and.reduce(Q.mT == Q, axis=None) else (Q + Q.mT) / 2

    def cholesky(self, a: Array) -> Cholesky:
        """LAPACK's ``dpotrf``, or NumPy's loop over it where the call itself would dominate.

        Which of the two depends on the size alone: their bits differ.
        """
        if a.shape[-1] < _LARGE:
            return _small_cholesky(a)
        factor = np.array(a, order="C")
        info = [lapack.dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)[1] for matrix in factor]
        return _large(factor, np.array(info, dtype=int) == 0)

    def condensed_cholesky(self, Q: Array, D: Array, G: Array, w: Array | None) -> Cholesky:
        """BLAS's ``dsyrk`` and LAPACK's ``dpotrf``, one element after the other.

        Each matrix is still in the cache when the next call wants it. What NumPy's products of
        a whole batch write has left it, and they run in the threads of another BLAS than
        SciPy's, which go on spinning.
        """
        rows = G.shape[-2]
        if Q.shape[-1] < _LARGE:
            weighted = G if w is None else w[..., None] * G
            return _small_cholesky(plus_diagonal(Q + G.mT @ weighted if rows else Q, D))
        factor = plus_diagonal(Q, D)
        batch = len(factor)
        G = np.broadcast_to(G, (batch, *G.shape[1:]))
        roots = None if w is None else np.broadcast_to(np.sqrt(w), (batch, rows))
        info = np.empty(batch, dtype=int)
        for i, a in enumerate(factor):
            if rows:
                own = G[i] if roots is None else roots[i, :, None] * G[i]
                blas.dsyrk(1.0, own.T, 1.0, a.T, lower=1, overwrite_c=1)
            info[i] = lapack.dpotrf(a.T, lower=1, clean=0, overwrite_a=1)[1]
        return _large(factor, info == 0)

    def triangular_solve(self, chol: Cholesky, rhs: Array, *, transposed: bool) -> Array:
        """Products with inverses of small factors; BLAS with large ones."""
        if rhs.shape[1] < _LARGE:
            return (chol.factor.mT if transposed else chol.factor) @ rhs
        out = np.array(rhs.mT, order="C")  # (B, r, n): each element Fortran-ordered (n, r)
        if out.shape[1] == 1:  # the blocks of dtrsm would take twice as long
            for factor, b in zip(chol.factor, out, strict=True):
                blas.dtrsv(factor.T, b[0], lower=1, trans=transposed, overwrite_x=1)
            return out.reshape(rhs.shape)
        if out.size:
            for factor, b in zip(chol.factor, out, strict=True):
                blas.dtrsm(1.0, factor.T, b.T, lower=1, trans_a=transposed, overwrite_b=1)
        return np.ascontiguousarray(out.mT)  # bits of products depend on the order of memory

    def lu_factor(self, a: Array, size: Array) -> LU:
        """LAPACK's ``dgetrf`` on each leading block of ``size[i]`` rows."""
        factor = []
        ok = np.ones(len(a), dtype=bool)
        for i, (matrix, n) in enumerate(zip(a, size, strict=True)):
            block = matrix[:n, :n].T  # symmetric, so the transpose is the matrix
            lu, pivots, info = lapack.dgetrf(block)
            ok[i] = info == 0 and bool(np.isfinite(lu[-1, -1]) if n else True)
            factor.append((lu, pivots, np.diagonal(matrix)[n:]))
        return LU(factor, ok)

    def outer(self, a: Array, b: Array, c: Array, d: Array) -> Array:
        """Two products and a sum; a kernel gives the same bits without temporary arrays."""
        if kernels.available() is not None:
            return outer(a, b, c, d)
        batch = max(map(len, (a, b, c, d)))
        out = np.empty((batch, a.shape[1], b.shape[1]))
        given = (np.ascontiguousarray(v, dtype=out.dtype) for v in (a, b, c, d))
        workers = kernels.threads(out.size * _SECONDS_PER_PRODUCT)
        kernels.call("outer", out.shape, (), (*given, out), workers)
        return out

    def lu_solve(self, lu: LU, rhs: Array) -> Array:
        """LAPACK's ``dgetrs``; the diagonal rest by division."""
        if len(lu.factor) < len(rhs):  # one for all: one call for all
            batch, n, r = rhs.shape
            together = self.lu_solve(lu, rhs.transpose(1, 0, 2).reshape(1, n, batch * r))
            return together.reshape(n, batch, r).transpose(1, 0, 2)
        out = np.array(rhs.mT, order="C")  # (B, r, n)
        getrs = lapack.dgetrs
        for (factor, pivots, rest), b in zip(lu.factor, out, strict=True):
            n = len(pivots)
            if n:  # SciPy counts the pivots from 1 in place, for the time of the call: not ours
                b[:, :n] = getrs(factor, pivots.copy(), b[:, :n].T, overwrite_b=1)[0].T
            b[:, n:] /= rest
        return out.mT


def _large(factor: Array, ok: Array) -> Cholesky:
    return Cholesky(factor, np.diagonal(factor, axis1=1, axis2=2) ** 2, ok)


def _small_cholesky(a: Array) -> Cholesky:
    """Inverses of the factors: a call of LAPACK for each of many small solves would dominate.

    `np.linalg.cholesky` over the stack; one by one if one of them fails.
    """
    ok = np.ones(len(a), dtype=bool)
    try:
        factor = np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        factor = np.zeros_like(a) + np.eye(a.shape[-1])
        for i, matrix in enumerate(a):
            try:
                factor[i] = np.linalg.cholesky(matrix)
            except np.linalg.LinAlgError:
                ok[i] = False
    return Cholesky(_inverse(factor), np.diagonal(factor, axis1=1, axis2=2) ** 2, ok)


def _inverse(lower: Array) -> Array:  # (B, n, n) lower triangular
    """Substitution, a row of all inverses at a time."""
    n = lower.shape[-1]
    out = np.zeros(lower.shape)
    diagonal = 1 / np.diagonal(lower, axis1=1, axis2=2)
    for j in range(n):
        row = -lower[:, j : j + 1, :j] @ out[:, :j, :j]
        out[:, j, :j] = row[:, 0, :] * diagonal[:, j : j + 1]
        out[:, j, j] = diagonal[:, j]
    return out


BACKEND = NumPyBackend()
