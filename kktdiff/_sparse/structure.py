"""What the kernels need of the patterns of Q, G and A: made once, and kept for later calls."""

import functools
import importlib
from typing import NamedTuple

import numpy as np

from kktdiff._sparse.pattern import Pattern
from kktdiff._typing import Array

_KEPT = 8  # structures of patterns that were used last; of large ones each takes many megabytes
_OF_ARRAYS = 2e3  # operations on dense matrices in the time that array code takes for an entry


class Structure(NamedTuple):
    """The patterns of a batch, and of the factor of its KKT system, if kernels are to use it."""

    Q: Pattern
    G: Pattern
    A: Pattern
    array: Array | None  # (length,) int32: see `structure_of` in kernels/sparse.hpp
    entries: tuple[int, ...]  # of Q, G, A, of Q with both triangles, of L, of the system; length
    operations: float  # of a factorization, about

    def pattern(self, name: str) -> Pattern:
        """Return that of the matrix `name`."""
        return {"Q": self.Q, "G": self.G, "A": self.A}[name]


class _Key:
    """Patterns, equal to others of the same places."""

    def __init__(self, *patterns: Pattern) -> None:
        self.patterns, self.key = patterns, tuple(own.key for own in patterns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def structure(Q: Pattern, G: Pattern, A: Pattern, *, panels: bool = True) -> Structure:
    """Return the structure of problems with these patterns; G and A may have no rows.

    A factor that fills up is in panels if `panels` is true.
    """
    return _structure(_Key(Q, G, A), panels)


def without_factor(Q: Pattern, G: Pattern, A: Pattern) -> Structure:
    """Return the patterns alone, for array code."""
    entries = Q.column.size + G.column.size + A.column.size
    return Structure(Q, G, A, None, (), _OF_ARRAYS * entries)


@functools.lru_cache(_KEPT)
def _structure(key: _Key, panels: bool) -> Structure:
    Q, G, A = key.patterns
    n, m, k = Q.shape[0], G.shape[0], A.shape[0]
    start, column, first, second, diagonal = _both_triangles(Q)
    source, one, other = _triangle(start, column, G, A)
    factor = _analyse(n + m + k, one, other, panels=panels)
    place = np.empty_like(factor.order)
    place[factor.order] = np.arange(place.size, dtype=np.int32)
    low, high = np.minimum(place[one], place[other]), np.maximum(place[one], place[other])
    if factor.first.size:
        by_columns = np.lexsort((high, low))
        top = np.searchsorted(low[by_columns], factor.first)
        row = factor.places(low[by_columns], high[by_columns])
    else:
        by_columns = np.lexsort((low, high))
        top, row = _starts(high, n + m + k), low[by_columns]
    entries = int((factor.entry if factor.first.size else factor.start)[-1])
    counts = [n, m, k, column.size, G.column.size, A.column.size, Q.column.size, source.size]
    counts += [entries, max(factor.first.size - 1, 0), factor.below.size, factor.at.size]
    parts = [counts, start, column, first, second, diagonal, Q.start, Q.column]
    parts += [*_by_rows_and_columns(G), *_by_rows_and_columns(A)]
    parts += [v[by_columns] for v in (source, one, other)]
    parts += [top, row, place, *factor]
    array = np.concatenate([np.asarray(v, dtype=np.int32) for v in parts])
    sizes = (Q.column.size, G.column.size, A.column.size, column.size, entries, source.size)
    operations = 1000 + factor.operations() + 40 * entries
    return Structure(Q, G, A, array, (*sizes, array.size), operations)


def _triangle(start: Array, column: Array, G: Pattern, A: Pattern) -> tuple[Array, Array, Array]:
    """Return the triangle of the system: the entry of (Q, A, G) that each one is, its unknowns."""
    n, k = G.shape[1], A.shape[0]
    row = np.repeat(np.arange(n, dtype=np.int32), np.diff(start))
    upper = np.flatnonzero(row < column)
    one = np.concatenate([column[upper], A.column, G.column])
    other = np.concatenate([row[upper], n + A.row, n + k + G.row])
    source = np.concatenate([upper, column.size + np.arange(A.column.size + G.column.size)])
    return source, one, other


def _both_triangles(Q: Pattern) -> tuple[Array, ...]:
    """Return the pattern of Q + Q' + I by rows, the entries of Q that these are, and its diagonal.

    Where an entry has none of its own in Q, -1 stands for it.
    """
    n, count = Q.shape[0], Q.column.size
    row, column = Q.row.astype(np.int64), Q.column.astype(np.int64)
    eye = np.arange(n)
    flat = np.unique(np.concatenate([row * n + column, column * n + row, eye * (n + 1)]))
    first, second = np.full(flat.size, -1), np.full(flat.size, -1)
    first[np.searchsorted(flat, row * n + column)] = np.arange(count)
    second[np.searchsorted(flat, column * n + row)] = np.arange(count)
    rows, cols = np.divmod(flat, n)
    return (
        _starts(rows, n),
        cols.astype(np.int32),
        first,
        second,
        np.searchsorted(flat, eye * (n + 1)),
    )


def _starts(index: Array, size: int) -> Array:  # (size + 1,)
    """Return where the entries of each of `size` rows begin."""
    out = np.zeros(size + 1, dtype=np.int32)
    np.cumsum(np.bincount(index, minlength=size), out=out[1:])
    return out


def _by_rows_and_columns(of: Pattern) -> list[Array]:
    entry = np.argsort(of.column, kind="stable")
    return [of.start, of.column, _starts(of.column, of.shape[1]), of.row[entry], entry]


class _Factor(NamedTuple):
    """The pattern of a factor, as `Analysis` in kernels/analysis.hpp has it."""

    order: Array  # (size,)
    first: Array  # (panels + 1,), or empty where each column is on its own
    entry: Array  # (panels + 1,), or empty
    start: Array  # (panels + 1,), or of columns
    below: Array  # (rows,)
    left: Array  # (panels + 1,), or of columns
    origin: Array  # (pairs,)
    at: Array  # (pairs,)

    def places(self, low: Array, high: Array) -> Array:  # (count,) x 2 -> (count,)
        """Return where the entries of columns `low` and rows `high` stand in the panels."""
        size, columns = self.order.size, np.diff(self.first)
        panel = np.repeat(np.arange(columns.size), columns)
        rows = np.repeat(np.arange(columns.size), np.diff(self.start)) * size + self.below
        of = panel[low]
        below = columns[of] + np.searchsorted(rows, of * size + high) - self.start[of]
        within = high < self.first[of + 1]
        length = columns + np.diff(self.start)
        own = self.entry[of] + (low - self.first[of]) * length[of].astype(np.int64)
        return own + np.where(within, high - self.first[of], below)

    def operations(self) -> float:
        """Return the number of operations of a factorization: of each column its length squared."""
        length = np.diff(self.start).astype(float)
        columns = np.diff(self.first).astype(float) if self.first.size else np.ones(length.size)
        length += columns if self.first.size else 0.0
        less = columns * (columns - 1)  # column q of a panel is shorter by q
        return float(np.sum(columns * length**2 - length * less + less * (2 * columns - 1) / 6))


def _analyse(size: int, one: Array, other: Array, *, panels: bool) -> _Factor:
    """Return the order of elimination of a symmetric pattern, and that of its factor.

    A factor that fills up is in panels if `panels` is true.
    """
    rows, cols = np.concatenate([one, other]), np.concatenate([other, one])
    by_columns = np.lexsort((rows, cols))
    start, index = _starts(cols, size), rows[by_columns].astype(np.int32)
    native = importlib.import_module("kktdiff.kernels._native")
    data = native.analyse(start.tobytes(), index.tobytes(), panels)
    found = np.frombuffer(data, dtype=np.int32)
    count, below, pairs = map(int, found[:3])
    first = count + 1 if count else 0
    starts = first if count else size + 1
    sizes = [size, first, first, starts, below, starts, pairs, pairs]
    return _Factor(*np.split(found[3:], np.cumsum(sizes)[:-1]))
