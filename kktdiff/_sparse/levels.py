"""The structure of sparse problems for a team of threads: the factor level by level.

See kernels/device_ldl.hpp. Columns of L whose entries need none of each other's are a level; each
entry of L has the list of the pairs whose products are taken from it.
"""

from typing import NamedTuple

import numpy as np

from kktdiff._sparse.pattern import Pattern
from kktdiff._sparse.structure import (
    Structure,
    _analyse,
    _both_triangles,
    _by_rows_and_columns,
    _starts,
    _triangle,
)
from kktdiff._typing import Array


class _Factor(NamedTuple):
    """L without its diagonal, by columns; columns of a level follow each other."""

    order: Array  # (size,): rows in the order of elimination
    level: Array  # (levels + 1,): the first column of each level
    start: Array  # (size + 1,)
    below: Array  # (entries,): rows, ascending in each column
    column: Array  # (entries,)


def by_levels(Q: Pattern, G: Pattern, A: Pattern) -> Structure:
    """Return the structure of these patterns with the array that a device's kernels take."""
    n, m, k = Q.shape[0], G.shape[0], A.shape[0]
    start, column, first, second, diagonal = _both_triangles(Q)
    source, one, other = _triangle(start, column, G, A)
    factor = _factor(n + m + k, one, other)
    size, entries = factor.order.size, factor.below.size
    place = np.empty(size, dtype=np.int64)
    place[factor.order] = np.arange(size)
    flat = factor.column * size + factor.below  # ascending
    low, high = np.minimum(place[one], place[other]), np.maximum(place[one], place[other])
    given = np.full(entries, -1)
    given[np.searchsorted(flat, low * size + high)] = np.arange(source.size)
    at = np.argsort(factor.below, kind="stable")
    pair, left, right = _pairs(factor, flat)
    counts = [n, m, k, column.size, G.column.size, A.column.size, Q.column.size, source.size]
    counts += [entries, factor.level.size - 1, left.size]
    parts = [counts, start, column, first, second, diagonal, Q.start, Q.column]
    parts += [*_by_rows_and_columns(G), *_by_rows_and_columns(A), source, one, other]
    parts += [factor.order, place, factor.level, factor.start, factor.below, factor.column, given]
    parts += [_starts(factor.below, size), at, pair, left, right]
    array = np.concatenate([np.asarray(v, dtype=np.int32) for v in parts])
    sizes = (Q.column.size, G.column.size, A.column.size, column.size, entries, source.size)
    operations = 1000.0 + 2 * left.size + 40 * entries
    return Structure(Q, G, A, array, (*sizes, array.size), operations)


def _factor(size: int, one: Array, other: Array) -> _Factor:
    """Return the pattern of the factor of a symmetric one, its columns sorted by levels."""
    found = _analyse(size, one, other, panels=False)
    lengths, level = np.diff(found.start), np.zeros(size, dtype=np.int64)
    for i in np.flatnonzero(lengths):  # above its children
        parent = found.below[found.start[i]]
        level[parent] = max(level[parent], level[i] + 1)
    by_level = np.argsort(level, kind="stable")
    new = np.empty(size, dtype=np.int64)
    new[by_level] = np.arange(size)
    column, below = np.repeat(new, lengths), new[found.below]
    by_columns = np.lexsort((below, column))
    return _Factor(
        found.order[by_level].astype(np.int64),
        _starts(level, int(level.max(initial=0)) + 1),
        _starts(column, size),
        below[by_columns],
        column[by_columns],
    )


def _pairs(factor: _Factor, flat: Array) -> tuple[Array, Array, Array]:
    """Return where the pairs of each entry of L begin, and both entries of each pair.

    Entries (r, j) and (c, j) are a pair of (r, c), for c < r.
    """
    size, entries = factor.order.size, factor.below.size
    after = factor.start[factor.column + 1] - np.arange(entries) - 1  # in the same column
    small = np.repeat(np.arange(entries), after)
    steps = np.arange(small.size) - np.repeat(np.cumsum(after) - after, after)
    large = small + 1 + steps
    target = np.searchsorted(flat, factor.below[small] * size + factor.below[large])
    by_target = np.argsort(target, kind="stable")
    return _starts(target, entries), large[by_target], small[by_target]
