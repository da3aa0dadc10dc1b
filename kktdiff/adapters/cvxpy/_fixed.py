"""Take variables out of a program whose values equalities of one entry give: `a y = b`.

A constraint `y == W` lets cvxpy multiply W by what has another parameter. What `y` adds to other
rows and to the linear part of the objective is added there. It is affine in the parameters where
the coefficients of y or its value are constants; elsewhere it is an inner parameter, which a call
computes from the others.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from kktdiff.adapters.cvxpy._program import Entries, Program, bounded, constants


class Product(NamedTuple):
    """An inner parameter: sums of products of linear maps of the parameters before it."""

    left: Any  # (e, size of these parameters + 1), sparse; the last column is 0
    right: Any  # the same
    sums: Any  # (size, e), sparse


class Fixed(NamedTuple):
    """Variables that are functions of the parameters, with the rows that say so."""

    program: Program  # without them; its maps have columns for the inner parameters, too
    column: Any
    row: Any
    value: Any  # (f, width of the maps)
    products: list[Product]


def fixed(program: Program, kept: Any) -> Fixed:
    """Fix all variables that rows of one entry fix, one after the other; `kept`: rows that stay."""
    none = np.zeros(0, dtype=int)
    empty = sp.csr_array((0, program.rows.map.shape[1]))
    found = Fixed(program, none, none, empty, [])
    while (entry := _fixing(found.program, found.column, kept)).size:
        found = _without(found, entry)
    return found


def _fixing(program: Program, gone: Any, kept: Any) -> Any:
    """Return the entries of the variables that can be fixed next."""
    n, m, k = program.sizes
    row, column, matrix = program.rows
    slope, varies = constants(matrix)
    inside = column < n
    alone = np.bincount(row[inside], minlength=k + m) == 1
    fit = inside & (row < k) & alone[row] & ~varies & (slope != 0) & ~kept[row]
    fit &= np.append(~bounded(program), False)[column]
    once = np.bincount(column[fit], minlength=n + 1) == 1
    entry = np.flatnonzero(fit & once[column])
    while True:  # a row of fixed variables alone says whether there is a solution: they stay
        own = np.zeros(n + 1, dtype=bool)
        own[column[entry]] = True
        others = inside & ~np.isin(row, row[entry])
        free = np.bincount(row[others & ~own[column]], minlength=k + m) > 0
        stay = np.isin(column[entry], column[others & own[column] & ~free[row]])
        if not stay.any():
            break
        entry = entry[~stay]
    return entry if entry.size + gone.size < n else entry[:0]  # a QP has a variable


def _without(found: Fixed, entry: Any) -> Fixed:
    """Put the values of these variables into the program."""
    program = found.program
    n, m, k = program.sizes
    row, column, matrix = program.rows
    value = _values(program, entry)
    place = np.full(n + 1, -1)
    place[column[entry]] = np.arange(entry.size)
    gone = np.isin(row, row[entry])
    P, q, in_rows = program.P, program.q, (place[column] >= 0) & ~gone
    first, second = place[P.row], place[P.column]
    by_first, by_second = (first >= 0) & (second < 0), (first < 0) & (second >= 0)
    coefficient = sp.vstack([matrix[in_rows], P.map[by_first] / 2, P.map[by_second] / 2])
    own = np.concatenate([place[column[in_rows]], first[by_first], second[by_second]])
    target = [row[in_rows], k + m + P.column[by_first], k + m + P.row[by_second]]
    target, added, product = _products(coefficient, value[own], np.concatenate(target))
    wide = added.shape[1] - matrix.shape[1]
    linear = target >= k + m
    offsets = (target[~linear], np.full((~linear).sum(), n), added[~linear])
    slopes = (target[linear] - (k + m), 0 * target[linear], added[linear])
    program = program._replace(
        P=_joined(P, (first < 0) & (second < 0), wide),
        q=_joined(q, place[q.row] < 0, wide, slopes),
        rows=_joined(program.rows, (place[column] < 0) & ~gone, wide, offsets),
        **{
            name: bound._replace(map=_widened(bound.map, wide))
            for name in ("lower", "upper")
            if (bound := getattr(program, name)) is not None
        },
    )
    return Fixed(
        program,
        np.append(found.column, column[entry]),
        np.append(found.row, row[entry]),
        sp.csr_array(sp.vstack([_widened(found.value, wide), _widened(value, wide)])),
        found.products + ([product] if wide else []),
    )


def _values(program: Program, entry: Any) -> Any:
    """Return the map of the variables' values, by their entries in the rows that fix them."""
    n, m, k = program.sizes
    row, column, matrix = program.rows
    slope, _ = constants(matrix)
    offsets = np.flatnonzero(column == n)
    pairs = (np.ones(offsets.size), (row[offsets], offsets))
    offset = sp.coo_array(pairs, shape=(k + m, row.size)).tocsr()[row[entry]] @ matrix
    return sp.csr_array(sp.diags_array(-1 / slope[entry]) @ offset)


def _products(left: Any, right: Any, target: Any) -> tuple[Any, Any, Product]:
    """Return what products of maps add to their targets, and the inner parameter in it.

    (c + l)(d + r) is c (d + r) + d l + l r, with constants c and d: l r is not affine.
    """
    left = sp.csr_array(left)
    (c, left_varies), (d, right_varies) = constants(left), constants(right)
    without = sp.diags_array(np.append(np.ones(left.shape[1] - 1), 0.0))
    affine = sp.diags_array(c) @ right + sp.diags_array(d) @ left @ without
    both = left_varies & right_varies
    goal, index = np.unique(target[both], return_inverse=True)
    count = index.size
    pairs = (np.ones(count), (index, np.arange(count)))
    sums = sp.coo_array(pairs, shape=(goal.size, count)).tocsr()
    inner = sp.eye_array(goal.size, goal.size + left.shape[1], k=left.shape[1] - 1)
    added = sp.csr_array(sp.vstack([_widened(affine, goal.size), inner]))
    product = Product((left @ without)[both], (right @ without)[both], sums)
    return np.concatenate([target, goal]), added, product


def _joined(entries: Entries, kept: Any, wide: int, added: tuple[Any, ...] = ()) -> Entries:
    """Return the kept entries, their maps with columns for the inner parameter, and others."""
    row, column = entries.row[kept], entries.column[kept]
    matrix = _widened(entries.map[kept], wide)
    if not added:
        return Entries(row, column, matrix)
    matrix = sp.csr_array(sp.vstack([matrix, added[2]]))
    return Entries(np.append(row, added[0]), np.append(column, added[1]), matrix)


def _widened(matrix: Any, count: int) -> Any:
    """Return a map with columns of zeros before its constant part."""
    zeros = sp.csr_array((matrix.shape[0], count))
    return sp.csr_array(sp.hstack([matrix[:, :-1], zeros, matrix[:, [-1]]]))
