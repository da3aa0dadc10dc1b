"""NumPy arrays, LAPACK through SciPy: one call per element, so that no bit of an
element's answer depends on what else is in the batch."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
from scipy.linalg import blas, lapack

from kktdiff._typing import Array, Namespace
from kktdiff.backends._protocol import LU, Cholesky

_THREADED = 1 << 18  # multiplications in a product from which OpenBLAS uses several threads
_LARGE = 32  # rows from which a LAPACK call per matrix is faster than np.linalg.cholesky


@dataclass(frozen=True)
class NumPyBackend:
    """The default backend, on the CPU."""

    name: str = "numpy"

    @property
    def xp(self) -> Namespace:
        """array-api-compat's view of NumPy."""
        return xp

    def owns(self, array: Any) -> bool:
        """Whether `array` is a NumPy array or scalar."""
        return isinstance(array, np.ndarray | np.generic)

    def receive(self, array: Any, dtype: Any, like: Any = None) -> Array:
        """`array` as a C-contiguous NumPy array; other libraries' arrays through DLPack."""
        if not self.owns(array):
            array = np.from_dlpack(array, device="cpu")
        return np.ascontiguousarray(array, dtype=dtype)

    def quiet(self) -> AbstractContextManager[Any]:
        """Overflow and invalid operations become a status, not a warning."""
        return np.errstate(all="ignore")

    def matmul(self, a: Array, b: Array) -> Array:
        """NumPy's product, or BLAS's ``dgemm`` through SciPy where threads come in.

        The wheels of NumPy and SciPy each hold a BLAS with threads of its own. The idle ones go
        on spinning, so alternating between the two makes both several times slower; what LAPACK
        is called through does the large products too.
        """
        if a.shape[1] * a.shape[2] * b.shape[2] <= _THREADED:
            return a @ b
        batch = max(len(a), len(b))
        out = np.empty((batch, a.shape[1], b.shape[2]))
        a, b = (np.broadcast_to(v, (batch, *v.shape[1:])) for v in (a, b))
        for x, y, product in zip(a, b, out, strict=True):
            (left, flip), (right, turn) = _in_place(y.T), _in_place(x.T)
            blas.dgemm(1.0, left, right, 0.0, product.T, flip, turn, overwrite_c=1)
        return out

    def cholesky(self, a: Array) -> Cholesky:
        """LAPACK's ``dpotrf``, or NumPy's loop over it where the call itself would dominate.

        Which of the two depends on the size alone: their bits differ.
        """
        if a.shape[-1] < _LARGE:
            return _small_cholesky(a)
        factor = np.array(a, order="C")
        info = [lapack.dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)[1] for matrix in factor]
        return Cholesky(factor, np.array(info, dtype=int) == 0)

    def cho_solve(self, chol: Cholesky, rhs: Array) -> Array:
        """LAPACK's ``dpotrs``, with each factor read in place."""
        out = np.array(rhs.mT, order="C")  # (B, r, n): each element Fortran-ordered (n, r)
        if out.size:
            potrs = lapack.dpotrs
            for factor, b in zip(chol.factor, out, strict=True):
                potrs(factor.T, b.T, lower=0, overwrite_b=1)
        return out.mT

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

    def lu_take(self, lu: LU, index: Array) -> LU:
        """The factors of the elements `index`, not copied."""
        return LU([lu.factor[i] for i in index], lu.ok[index])

    def lu_solve(self, lu: LU, rhs: Array) -> Array:
        """LAPACK's ``dgetrs``; the diagonal rest by division."""
        out = np.array(rhs.mT, order="C")  # (B, r, n)
        getrs = lapack.dgetrs
        for (factor, pivots, rest), b in zip(lu.factor, out, strict=True):
            n = len(pivots)
            if n:
                b[:, :n] = getrs(factor, pivots, b[:, :n].T, overwrite_b=1)[0].T
            b[:, n:] /= rest
        return out.mT


def _in_place(matrix: Array) -> tuple[Array, bool]:
    """What BLAS reads without a copy, and whether that is the transpose."""
    return (matrix, False) if matrix.flags.f_contiguous else (matrix.T, True)


def _small_cholesky(a: Array) -> Cholesky:
    """`np.linalg.cholesky` over the stack; one by one if one of them fails."""
    try:
        return Cholesky(np.linalg.cholesky(a), np.ones(len(a), dtype=bool))
    except np.linalg.LinAlgError:
        factor, ok = np.zeros_like(a) + np.eye(a.shape[-1]), np.ones(len(a), dtype=bool)
    for i, matrix in enumerate(a):
        try:
            factor[i] = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            ok[i] = False
    return Cholesky(factor, ok)


BACKEND = NumPyBackend()
