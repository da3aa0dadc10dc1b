"""KKT matrices of sparse problems, factored by SuperLU, one element after the other.

Proximal terms make them quasi-definite: any order of elimination will do, without pivoting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from kktdiff._sparse.matrix import SparseMatrix
from kktdiff._sparse.pattern import Pattern
from kktdiff._typing import Array


@dataclass(frozen=True, eq=False)
class Factored:
    """Factors of a batch of symmetric matrices, or one for all."""

    factors: tuple[Any, ...]  # of SuperLU; None: it failed

    @property
    def ok(self) -> Array:  # (B,) bool
        """True where the matrix was factored."""
        return np.array([own is not None for own in self.factors])

    @property
    def positive(self) -> Array:  # (B,) bool
        """True where all pivots are positive, on the diagonal."""
        return np.array([own is not None and _is_positive(own) for own in self.factors])

    def take(self, index: Array) -> "Factored":
        """Return the elements `index` of the batch."""
        own = self.factors
        return self if len(own) == 1 else Factored(tuple(own[i] for i in index))

    def solve(self, rhs: Array) -> Array:  # (B, N, r)
        """Solve, element by element; NaN where there are no factors."""
        length = max(len(self.factors), len(rhs))
        out = np.full((length, *rhs.shape[1:]), np.nan)
        for i, own in enumerate(out):
            factor, right = self.factors[_at(self.factors, i)], rhs[_at(rhs, i)]
            if factor is not None:
                own[...] = factor.solve(right)
        return out


def factored(
    Q: SparseMatrix,
    rows: SparseMatrix,  # of G, then those of A
    diagonal: Array,  # (B, N): to add
    out: Array,  # (B, N) bool: unknowns that are taken out, but for their diagonal
) -> Factored:
    """Factor each ``[Q C'; C 0]`` plus a diagonal matrix; Q has both triangles."""
    row, column = _places(Q.pattern, rows.pattern)
    length = max(len(v) for v in (Q.values, rows.values, diagonal, out))
    found = []
    for i in range(length):
        q, c, own, gone = (v[_at(v, i)] for v in (Q.values, rows.values, diagonal, out))
        entries = np.concatenate([q, c, c])
        count = entries.size
        entries[gone[row[:count]] | gone[column[:count]]] = 0.0
        found.append(_factored(np.append(entries, own), row, column, own.size))
    return Factored(tuple(found))


def stacked(G: SparseMatrix, A: SparseMatrix) -> SparseMatrix:
    """Return the rows of G, then those of A."""
    length = max(len(G.values), len(A.values))
    values = [np.broadcast_to(v.values, (length, v.values.shape[1])) for v in (G, A)]
    return SparseMatrix(_stacked(G.pattern, A.pattern), np.concatenate(values, axis=1))


def no_rows(Q: SparseMatrix) -> SparseMatrix:
    """Return a matrix without rows that multiplies what Q does."""
    return SparseMatrix(Pattern((0, Q.shape[2]), [], []), np.zeros((1, 0)))


def _at(values: Sequence[Any] | Array, i: int) -> int:
    return i if len(values) > 1 else 0


@lru_cache(8)
def _stacked(G: Pattern, A: Pattern) -> Pattern:
    shape = G.shape[0] + A.shape[0], G.shape[1]
    rows = np.append(G.row, G.shape[0] + A.row)
    return Pattern(shape, rows, np.append(G.column, A.column))


@lru_cache(8)
def _places(Q: Pattern, rows: Pattern) -> tuple[Array, Array]:
    """Return where the entries of Q, C, C' and the diagonal are."""
    count, n = rows.shape
    row, eye = n + rows.row, np.arange(n + count)
    up = np.concatenate([Q.row, row, rows.column, eye])
    return up, np.concatenate([Q.column, rows.column, row, eye])


def factor_one(K: Any) -> Any:
    """Return SuperLU's factors of a quasi-definite matrix in compressed columns.

    Raises
    ------
    RuntimeError
        If it is exactly singular.
    """
    from scipy.sparse import linalg

    symmetric = {"SymmetricMode": True}
    return linalg.splu(K, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric)


def _factored(entries: Array, row: Array, column: Array, size: int) -> Any:
    from scipy import sparse  # late: it takes as long as all other imports together

    if not np.all(np.isfinite(entries)):
        return None
    K = sparse.csc_array((entries, (row, column)), shape=(size, size))
    K.eliminate_zeros()
    try:
        return factor_one(K)
    except RuntimeError:
        return None


def _is_positive(own: Any) -> bool:
    return bool(np.array_equal(own.perm_r, own.perm_c) and np.all(own.U.diagonal() > 0))
