"""Sparse matrices of a flat batch, with the operations of arrays that the core asks of matrices."""

from dataclasses import dataclass, replace
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
        rows, (batch, _, columns) = self.shape[1], x.shape
        if len(self.values) == 1:  # one product for all
            out = matrix @ x.transpose(1, 0, 2).reshape(x.shape[1], -1)
            return out.reshape(rows, batch, columns).transpose(1, 0, 2)
        if batch == 1:
            x = np.broadcast_to(x, (len(self.values), *x.shape[1:]))
        return (matrix @ x.reshape(-1, columns)).reshape(-1, rows, columns)

    def __abs__(self) -> "SparseMatrix":
        return replace(self, values=np.abs(self.values))

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
