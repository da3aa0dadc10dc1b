"""Sparse matrices of a flat batch, with the operations of arrays that the core asks of matrices."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from kktdiff._sparse.pattern import Pattern, dense
from kktdiff._typing import Array


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """Matrices on one pattern, (B, rows, columns); a batch of length one stands for a shared one.

    Products go through `scipy.sparse`, row by row, so that no bit depends on the batch.
    """

    pattern: Pattern
    values: Array  # (B, entries): by rows
    transposed: bool = False
    symmetric: bool = False  # it stands for the mean of itself and its transpose

    __array_ufunc__ = None  # an array times this is `__rmul__`

    @property
    def shape(self) -> tuple[int, int, int]:
        """Length, rows and columns."""
        rows, cols = self.pattern.shape
        return self.values.shape[0], *((cols, rows) if self.transposed else (rows, cols))

    @property
    def mT(self) -> "SparseMatrix":
        """The transposes."""
        return self if self.symmetric else replace(self, transposed=not self.transposed)

    def __matmul__(self, x: Array) -> Array:  # (B, columns, r) -> (B, rows, r)
        if self.symmetric:
            one = replace(self, symmetric=False)
            return (one @ x + one.mT @ x) / 2
        matrix = self._block_diagonal()
        (length, rows, _), (batch, size, columns) = self.shape, x.shape
        if length == 1:  # one product for all
            out = matrix @ x.transpose(1, 0, 2).reshape(size, batch * columns)
            return out.reshape(rows, batch, columns).transpose(1, 0, 2)
        if batch == 1:
            x = np.broadcast_to(x, (length, size, columns))
        return (matrix @ x.reshape(length * size, columns)).reshape(length, rows, columns)

    def __abs__(self) -> "SparseMatrix":
        own = self.merged()
        return replace(own, values=np.abs(own.values))

    def __mul__(self, weights: Array) -> "SparseMatrix":  # (B, rows or 1, columns or 1)
        own, (rows, cols) = self.merged(), weights.shape[1:]
        row, column = own.places
        own_weights = weights[:, row if rows > 1 else 0 * row, column if cols > 1 else 0 * column]
        return replace(own, values=own.values * own_weights)

    __rmul__ = __mul__

    @property
    def places(self) -> tuple[Array, Array]:  # (entries,) each
        """The row and the column of each entry."""
        own = self.pattern.row, self.pattern.column
        return own[::-1] if self.transposed else own

    def top(self, axis: int) -> Array:  # (B, rows) or, along axis 1, (B, columns)
        """Return the largest entry of each row or column of nonnegative matrices, at least 0."""
        other = 0 if axis in (-1, 2) else 1
        out = np.zeros((self.shape[0], self.shape[1 + other]))
        for own, values in zip(out, self.values, strict=True):
            np.maximum.at(own, self.places[other], values)
        return out

    def diagonal(self) -> Array:  # (B, n)
        """Return the diagonals."""
        rows, cols = self.places
        out = np.zeros(self.shape[:2])
        out[:, rows[rows == cols]] = self.values[:, rows == cols]
        return out

    def merged(self) -> "SparseMatrix":
        """Return the same, with both triangles among its entries if it is symmetric."""
        if not self.symmetric:
            return self
        pattern = with_transpose(self.pattern)
        return SparseMatrix(pattern, pattern.sort(np.tile(self.values / 2, (1, 2))))

    def take(self, index: Array) -> "SparseMatrix":
        """Return the elements `index` of the batch."""
        shared = len(self.values) == 1
        return self if shared else replace(self, values=self.values[index])

    def first(self) -> Any:
        """Return the first of the matrices, as one of `scipy.sparse`."""
        own = replace(self, values=self.values[:1], symmetric=False)._block_diagonal()
        return (own + own.T) / 2 if self.symmetric else own

    def to_dense(self) -> Array:  # (B, rows, columns)
        """Return dense matrices."""
        own = dense(self.pattern, self.values)
        own = own.transpose(0, 2, 1) if self.transposed else own
        return (own + own.transpose(0, 2, 1)) / 2 if self.symmetric else own

    def _block_diagonal(self) -> Any:
        """Return one matrix of `scipy.sparse`, an element after the other."""
        from scipy import sparse  # late: it takes as long as all other imports together

        start, column, count = self.pattern.start, self.pattern.column, len(self.values)
        rows, cols = self.pattern.shape
        steps = np.arange(count)[:, None]
        starts = np.append((start[:-1] + steps * column.size).ravel(), count * column.size)
        parts = self.values.ravel(), (column + steps * cols).ravel(), starts
        own = sparse.csr_array(parts, shape=(count * rows, count * cols))
        return own.T if self.transposed else own


@lru_cache(8)  # a solve asks several times
def with_transpose(pattern: Pattern) -> Pattern:
    """Return the entries of a square pattern, then those of its transpose."""
    row, column = pattern.row, pattern.column
    return Pattern(pattern.shape, np.append(row, column), np.append(column, row))


def symmetric_part(Q: Any) -> Any:
    """Return ``(Q + Q')/2`` of dense or sparse matrices."""
    return replace(Q, symmetric=True) if isinstance(Q, SparseMatrix) else (Q + Q.mT) / 2


def entries(matrix: Any) -> Array:
    """Return the entries of a matrix: an array, or the values of a sparse one."""
    return matrix.values if isinstance(matrix, SparseMatrix) else matrix


def products(
    pattern: Pattern, a: Array, b: Array, c: Array, d: Array, *, shared: bool
) -> Array:  # (B, r), (B, c), twice -> (B or 1, entries)
    """Return each ``a b' + c d'``, or their sum, in the entries of a pattern."""
    rows, cols = pattern.row, pattern.column
    if not shared:
        return a[:, rows] * b[:, cols] + c[:, rows] * d[:, cols]
    out = np.zeros((1, rows.size))
    for i in range(max(map(len, (a, b, c, d)))):
        left, top, right, under = (v[i if len(v) > 1 else 0] for v in (a, b, c, d))
        out += left[rows] * top[cols] + right[rows] * under[cols]
    return out
