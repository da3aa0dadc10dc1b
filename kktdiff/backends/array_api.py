"""Any library that follows the array API standard, by textbook factorizations.

The standard has no factorization that can be kept, so they are written here in its own
terms: one vectorised column step at a time over the whole batch. Slow beside LAPACK, and
the reference that proves the core needs nothing but the standard.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

from kktdiff._arrays import outer, plus_diagonal
from kktdiff._settings import WORKSPACE
from kktdiff._typing import Array, Namespace
from kktdiff.backends._protocol import LU, Cholesky
from kktdiff.kernels.running import Call, no_kernels


@dataclass(frozen=True)
class ArrayAPIBackend:
    """A backend over `xp`, the array API namespace of some library."""

    xp: Namespace
    name: str = "array_api"
    workspace: int = WORKSPACE
    compiled: bool = False  # the kernels are for NumPy arrays
    call: Call = no_kernels

    @property
    def host(self) -> "ArrayAPIBackend":
        """This backend: on whatever device, the array code works there."""
        return self

    def to_host(self, array: Array) -> Array:
        """Return `array` unchanged."""
        return array

    def may_wait(self) -> bool:
        """Return True always."""
        return True

    def owns(self, array: Any) -> bool:
        """Return True if `array` belongs to this namespace."""
        return (
            array_api_compat.is_array_api_obj(array)
            and array_api_compat.array_namespace(array) is self.xp
        )

    def receive(self, array: Any, dtype: Any, like: Any = None) -> Array:
        """`array` in this namespace, on the device of `like`.

        Raises
        ------
        TypeError
            If float64 is asked for, and the device of `array` has none.
        """
        device = None if like is None else array_api_compat.device(like)
        if self.owns(array):
            if dtype == self.xp.float64 and array.dtype != dtype:
                self._check_float64(array_api_compat.device(array))
            return self.xp.astype(array, dtype, copy=False)
        return self.xp.astype(self.xp.asarray(array, device=device), dtype, copy=False)

    def _check_float64(self, device: Any) -> None:
        info = self.xp.__array_namespace_info__()
        if "float64" not in info.dtypes(device=device, kind="real floating"):
            raise TypeError(
                f"the arrays are on {device}, which has no float64, in which kktdiff computes: "
                'move them to another device, or pass backend="numpy"'
            )

    def at(self, like: Array | None) -> AbstractContextManager[Any]:
        """NumPy's switch: libraries that are built on NumPy warn through it."""
        return np.errstate(all="ignore")

    def bounded(self, arrays: Sequence[Array], d: Array, limit: float) -> bool:
        """Return False always: a test may cost a synchronisation."""
        return False

    def symmetric(self, Q: Array) -> Array:
        """Return a copy always: a test for symmetry may cost a synchronisation."""
        return (Q + Q.mT) / 2

    def outer(self, a: Array, b: Array, c: Array, d: Array) -> Array:
        """Two products and a sum."""
        return outer(a, b, c, d)

    def cholesky(self, a: Array) -> Cholesky:
        """Right-looking Cholesky, one column of all matrices at a time."""
        xp, n = self.xp, a.shape[-1]
        rows = _arange(xp, n, a)
        ok = xp.ones(a.shape[0], dtype=xp.bool, device=array_api_compat.device(a))
        columns = []
        for j in range(n):
            pivot = a[:, j, j]
            good = pivot > 0
            ok = ok & good
            root = xp.sqrt(xp.where(good, pivot, xp.ones_like(pivot)))
            column = xp.where(rows >= j, a[:, :, j] / root[:, None], xp.zeros_like(a[:, :, j]))
            columns.append(column)
            a = a - column[:, :, None] * column[:, None, :]
        factor = xp.stack(columns, axis=-1) if columns else a
        return Cholesky(factor, xp.linalg.diagonal(factor) ** 2, ok)

    def condensed_cholesky(self, Q: Array, D: Array, G: Array, w: Array | None) -> Cholesky:
        """Assemble by matrix products, then factor."""
        weighted = G if w is None else w[..., None] * G
        return self.cholesky(plus_diagonal(Q + G.mT @ weighted if G.shape[-2] else Q, D))

    def triangular_solve(self, chol: Cholesky, rhs: Array, *, transposed: bool) -> Array:
        """Backward or forward substitution."""
        if transposed:
            return _upper_solve(self.xp, chol.factor.mT, rhs)
        return _lower_solve(self.xp, chol.factor, rhs, unit=False)

    def lu_factor(self, a: Array, size: Array) -> LU:
        """Factor by Gaussian elimination with partial pivoting; `size` is ignored."""
        xp, n = self.xp, a.shape[-1]
        index = _arange(xp, n, a)
        ok = xp.ones(a.shape[0], dtype=xp.bool, device=array_api_compat.device(a))
        order = xp.broadcast_to(index, a.shape[:-1])
        for j in range(n):
            size_of = xp.where(index >= j, xp.abs(a[:, :, j]), -xp.ones_like(a[:, :, j]))
            best = xp.argmax(size_of, axis=-1, keepdims=True)
            swap = xp.where(index == j, best, xp.where(index == best, j, index))
            a = xp.take_along_axis(a, xp.broadcast_to(swap[:, :, None], a.shape), axis=1)
            order = xp.take_along_axis(order, swap, axis=1)
            pivot = a[:, j, j]
            good = xp.abs(pivot) > 0
            ok = ok & good
            below = (index > j)[None, :]
            safe = xp.where(good, pivot, xp.ones_like(pivot))
            ratio = xp.where(below, a[:, :, j] / safe[:, None], xp.zeros_like(a[:, :, j]))
            right = xp.where(below, a[:, j, :], xp.zeros_like(a[:, j, :]))
            a = a - ratio[:, :, None] * right[:, None, :]
            a = xp.where((index == j) & below[:, :, None], ratio[:, :, None], a)
        return LU((a, order), ok)

    def lu_solve(self, lu: LU, rhs: Array) -> Array:
        """Permute, then forward and backward substitution."""
        factor, order = lu.factor
        rhs = self.xp.take_along_axis(
            rhs, self.xp.broadcast_to(order[..., None], rhs.shape), axis=1
        )
        return _upper_solve(self.xp, factor, _lower_solve(self.xp, factor, rhs, unit=True))


def _arange(xp: Namespace, n: int, like: Array) -> Array:
    return xp.arange(n, device=array_api_compat.device(like))


def _lower_solve(xp: Namespace, lower: Array, rhs: Array, *, unit: bool) -> Array:
    """Substitution from the top: column j's unknown is taken out of the rows below it."""
    rows = _arange(xp, lower.shape[-1], lower)[None, :, None]
    for j in range(lower.shape[-1]):
        x = rhs[:, j, :] if unit else rhs[:, j, :] / lower[:, j, j][:, None]
        step = lower[:, :, j][:, :, None] * x[:, None, :]
        rhs = xp.where(rows > j, rhs - step, xp.where(rows == j, x[:, None, :], rhs))
    return rhs


def _upper_solve(xp: Namespace, upper: Array, rhs: Array) -> Array:
    """Substitution from the bottom."""
    rows = _arange(xp, upper.shape[-1], upper)[None, :, None]
    for j in reversed(range(upper.shape[-1])):
        x = rhs[:, j, :] / upper[:, j, j][:, None]
        step = upper[:, :, j][:, :, None] * x[:, None, :]
        rhs = xp.where(rows < j, rhs - step, xp.where(rows == j, x[:, None, :], rhs))
    return rhs
