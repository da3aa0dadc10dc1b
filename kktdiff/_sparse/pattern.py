"""Where the entries of a sparse matrix are, and matrices that share it."""

import hashlib
import math
from functools import cached_property
from typing import Any

import numpy as np

from kktdiff._arrays import namespace
from kktdiff._typing import Array

__all__ = ["Pattern", "Sparse"]


class Pattern:
    """The places of a sparse matrix's entries, which a batch of matrices shares.

    Parameters
    ----------
    shape : tuple of two int
        Numbers of rows and columns.
    rows, cols : (nnz,)
        The row and the column of each entry, from 0, in any order. Entries in the same place add.

    Raises
    ------
    TypeError
        Indices that are no integers.
    ValueError
        Indices out of range, or not one row and one column for each entry.

    Examples
    --------
    >>> import kktdiff
    >>> kktdiff.Pattern((2, 3), rows=[0, 1, 1], cols=[0, 1, 2])
    Pattern((2, 3), nnz=3)
    """

    def __init__(self, shape: tuple[int, int], rows: Any, cols: Any) -> None:
        self.shape = _shape(shape)
        self.rows, self.cols = _indices("rows", rows), _indices("cols", cols)
        if self.rows.shape != self.cols.shape:
            raise ValueError(
                f"rows has shape {self.rows.shape}, but cols has {self.cols.shape}: expected one "
                "row and one column for each entry"
            )
        for name, index, size in zip(
            ("rows", "cols"), (self.rows, self.cols), self.shape, strict=True
        ):
            if index.size and not 0 <= index.min() <= index.max() < size:
                raise ValueError(
                    f"{name} has indices from {index.min()} to {index.max()}: expected 0 to "
                    f"{size - 1}, for a pattern of shape {self.shape}"
                )

    @classmethod
    def of(cls, matrix: Any) -> "Pattern":
        """Return the pattern of a matrix or array of `scipy.sparse`, explicit zeros included.

        Its entries are in the order of the rows, each row's in that of the columns.

        Examples
        --------
        >>> import scipy.sparse, kktdiff
        >>> kktdiff.Pattern.of(scipy.sparse.eye_array(3))
        Pattern((3, 3), nnz=3)
        """
        own = canonical(matrix)
        return by_rows(own.shape, own.indptr, own.indices)

    @property
    def nnz(self) -> int:
        """Number of entries."""
        return int(self.rows.size)

    def __eq__(self, other: object) -> bool:
        """Return True for the same places in the same order."""
        if self is other or not isinstance(other, Pattern):
            return self is other
        same = self.shape == other.shape and np.array_equal(self.rows, other.rows)
        return same and np.array_equal(self.cols, other.cols)

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Pattern({self.shape}, nnz={self.nnz})"

    @cached_property
    def _sorted(self) -> tuple[Array, Array, Array | None]:
        """CSR without duplicates, and the place there of each entry; None: they are in order."""
        flat = self.rows * max(self.shape[1], 1) + self.cols
        if np.all(flat[1:] > flat[:-1]):
            unique, place = flat, None
        else:
            unique, place = np.unique(flat, return_inverse=True)
        rows, cols = np.divmod(unique, max(self.shape[1], 1))
        start = np.zeros(self.shape[0] + 1, dtype=np.int32)
        np.cumsum(np.bincount(rows, minlength=self.shape[0]), out=start[1:])
        return start, cols.astype(np.int32), place

    @property
    def start(self) -> Array:  # (rows + 1,)
        """Where each row's entries begin, duplicates being one."""
        return self._sorted[0]

    @property
    def column(self) -> Array:  # (entries,)
        """The column of each entry by rows, duplicates being one."""
        return self._sorted[1]

    @cached_property
    def row(self) -> Array:  # (entries,)
        """The row of each entry by rows, duplicates being one."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.start))

    @cached_property
    def key(self) -> bytes:
        """A digest of the places: the same for equal patterns."""
        parts = hashlib.blake2b(repr(self.shape).encode(), digest_size=16)
        parts.update(self.start.tobytes())
        parts.update(self.column.tobytes())
        return parts.digest()

    def sort(self, values: Array) -> Array:  # (B, nnz) -> (B, entries)
        """Return values by rows, duplicates added."""
        place = self._sorted[2]
        if place is None:
            return values
        out = namespace(values).zeros((values.shape[0], self.column.size), device=values.device)
        for own, given in self._rounds:  # entries in the same place, one after the other
            at = like(own, values)
            out[:, at] = out[:, at] + values[:, like(given, values)]
        return out

    def unsort(self, values: Array) -> Array:  # (B, entries) -> (B, nnz)
        """Return the values by rows in the order of the entries: the transpose of `sort`."""
        place = self._sorted[2]
        return values if place is None else values[:, like(place, values)]

    @cached_property
    def _rounds(self) -> list[tuple[Array, Array]]:
        """Places by rows and the entries there, no place twice in a round."""
        place = self._sorted[2]
        assert place is not None
        order = np.argsort(place, kind="stable")
        ordered = place[order]
        first = np.searchsorted(ordered, ordered)
        turn = np.arange(order.size) - first
        return [
            (ordered[turn == i], order[turn == i]) for i in range(int(turn.max(initial=-1)) + 1)
        ]


class Sparse:
    """Sparse matrices with one pattern, for `solve_qp`: the values, with any batch dimensions.

    Gradients of such an input are a `Sparse` of the same pattern, in `values`. Adapters of
    frameworks differentiate by `values`: they pass a `Sparse` of NumPy arrays, and give back what
    the gradient has there.

    Parameters
    ----------
    pattern : Pattern
    values : (..., nnz)
        In the order of the pattern's entries.

    Raises
    ------
    TypeError
        If `pattern` is no `Pattern`.
    ValueError
        If the last dimension of `values` is not the pattern's number of entries.

    Examples
    --------
    >>> import numpy as np, kktdiff
    >>> pattern = kktdiff.Pattern((2, 2), rows=[0, 1], cols=[0, 1])
    >>> Q = kktdiff.Sparse(pattern, np.array([[1.0, 2.0], [3.0, 4.0]]))  # two matrices
    >>> Q.shape
    (2, 2, 2)
    >>> kktdiff.solve_qp(Q, np.array([-1.0, -2.0])).x
    array([[1.        , 1.        ],
           [0.33333333, 0.5       ]])
    """

    def __init__(self, pattern: Pattern, values: Array) -> None:
        if not isinstance(pattern, Pattern):
            raise TypeError(
                f"pattern is a {type(pattern).__name__}: expected a kktdiff.Pattern; "
                "kktdiff.Pattern.of(matrix) is that of a matrix of scipy.sparse"
            )
        if isinstance(values, list | tuple | range):
            values = np.asarray(values)
        shape = tuple(values.shape)
        if not shape or shape[-1] != pattern.nnz:
            raise ValueError(
                f"values has shape {shape}: expected (..., {pattern.nnz}), one for each entry of "
                "the pattern"
            )
        self.pattern, self.values = pattern, values

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the matrices, batch dimensions first."""
        return (*self.values.shape[:-1], *self.pattern.shape)

    @property
    def dtype(self) -> Any:
        """The dtype of the values."""
        return self.values.dtype

    def to_dense(self) -> Array:  # (..., rows, cols)
        """Return dense matrices.

        Examples
        --------
        >>> import numpy as np, kktdiff
        >>> kktdiff.Sparse(kktdiff.Pattern((1, 2), [0], [1]), np.array([3.0])).to_dense()
        array([[0., 3.]])
        """
        lead, (rows, cols) = self.values.shape[:-1], self.pattern.shape
        xp = namespace(self.values)
        flat = xp.reshape(self.values, (math.prod(lead), self.pattern.nnz))
        return xp.reshape(dense(self.pattern, self.pattern.sort(flat)), (*lead, rows, cols))

    def __repr__(self) -> str:
        return f"Sparse(shape={self.shape}, nnz={self.pattern.nnz}, dtype={self.dtype})"


def by_rows(shape: tuple[int, int], start: Array, column: Array) -> Pattern:
    """Return the pattern of a matrix by rows, each in order and without duplicates."""
    out = object.__new__(Pattern)  # there is nothing to check
    out.shape = int(shape[0]), int(shape[1])
    out.rows = np.repeat(np.arange(out.shape[0]), np.diff(start))
    out.cols = column.astype(np.int64)
    vars(out)["_sorted"] = start.astype(np.int32), column.astype(np.int32), None
    return out


def dense(pattern: Pattern, values: Array) -> Array:  # (B, entries) -> (B, rows, cols)
    """Return matrices with the values by rows."""
    shape, xp = (values.shape[0], *pattern.shape), namespace(values)
    out = xp.zeros(shape, dtype=values.dtype, device=values.device)
    out[:, like(pattern.row, values), like(pattern.column, values)] = values
    return out


def like(index: Array, values: Array) -> Array:
    """Return an index where the values are."""
    return index if isinstance(values, np.ndarray) else namespace(values).asarray(index)


def canonical(matrix: Any) -> Any:
    """Return a matrix of `scipy.sparse` by rows: sorted, duplicates added, zeros left in."""
    own = matrix.tocsr()
    if own is matrix and not own.has_canonical_format:
        own = own.copy()
    own.sum_duplicates()
    return own


def _shape(shape: Any) -> tuple[int, int]:
    try:
        rows, cols = (int(size) for size in shape)
    except (TypeError, ValueError):
        rows = cols = -1
    if min(rows, cols) < 0:
        raise ValueError(f"shape={shape!r:.60}: expected the numbers of rows and of columns")
    return rows, cols


def _indices(name: str, given: Any) -> Array:  # (nnz,)
    array = np.asarray(given)
    if not array.size and array.ndim == 1:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {array.dtype}: expected integers")
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}: expected one dimension, (nnz,)")
    return array.astype(np.int64)
