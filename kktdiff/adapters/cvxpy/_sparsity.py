"""Large programs with few entries: which of them stay sparse, and what goes without filling them.

Variables y that are in the objective alone, and in equalities `a y = b - A x` with constants a and
A, are put in terms of x where that adds few entries: `sum_squares(x - b)` is such a case, and
`sum_squares(A @ x - b)` with few entries in each row of A. Others stay, with their equalities.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from kktdiff.adapters.cvxpy._program import Entries, Program, constants, pairs

SMALL = 100  # columns and rows of a QP that is dense whatever its entries
FASTER = 8  # places of dense matrices in the time of an entry of sparse ones
FILL = 4  # entries that the objective gets for each that goes


class Affine(NamedTuple):
    """Variables `y = L x + offset`, by the entries of L."""

    row: Any  # of each entry: the place among y
    column: Any
    value: Any
    offset: Any  # (y, size of all parameters + 1), sparse
    place: Any  # of each column of the program: among y, or -1


def is_sparse(program: Program, columns: int, rows: int) -> bool:
    """Return True if a dense QP of so many columns and rows takes longer than the program."""
    places, entries = columns * (columns + rows), program.P.row.size + program.rows.row.size
    return columns + rows > SMALL and FASTER * entries < places


def without_defined(
    program: Program, column: Any, row: Any, slope: Any
) -> tuple[Program, Any, Any]:  # and the columns and rows that went
    """Put y into the objective; given are the columns, rows and slopes a of `a y = b - A x`."""
    chosen = np.flatnonzero(_cheap(program, column, row))
    if not chosen.size:
        return program, column[:0], row[:0]
    own = _affine(program, column[chosen], row[chosen], slope[chosen])
    stays = ~np.isin(program.rows.row, row[chosen])
    program = program._replace(rows=Entries(*(part[stays] for part in program.rows)))
    return _in_terms_of_x(program, own), column[chosen], row[chosen]


def _cheap(program: Program, column: Any, row: Any) -> Any:  # (y,) bool
    """Return True for y that can go: whole variables of cvxpy's, few entries, nothing bilinear."""
    (n, m, k), (rows, columns, matrix), P = program.sizes, program.rows, program.P
    _, varies = constants(matrix)
    inside = columns < n
    others = np.bincount(rows[inside], minlength=k + m) - 1  # entries of each row of A
    A_varies = np.bincount(rows[inside & varies], minlength=k + m) > 0
    b_varies = np.bincount(rows[~inside & varies], minlength=k + m) > 0
    P_varies = np.bincount(P.row[constants(P.map)[1]], minlength=n) > 0
    of = np.full(n, -1)
    of[column] = row
    mine = (of[P.row] >= 0) & (of[P.column] >= 0)
    first, second = P.row[mine], P.column[mine]
    added = np.bincount(first, weights=others[of[first]] * others[of[second]], minlength=n)
    taken = np.bincount(first, minlength=n)
    out = np.zeros(n, dtype=bool)
    for group in program.groups:
        at = of[group]
        bilinear = A_varies[at].any() or (b_varies[at].any() and P_varies[group].any())
        before = others[at].sum() + taken[group].sum()
        out[group] = np.all(at >= 0) and not bilinear and added[group].sum() <= FILL * before
    for start, variable in program.columns.values():  # y itself may be a result
        out[start : start + variable.size] = False
    return out[column]


def _affine(program: Program, column: Any, row: Any, slope: Any) -> Affine:
    """Return y as functions of x and the parameters."""
    n, m, k = program.sizes
    rows, columns, matrix = program.rows
    value, _ = constants(matrix)
    place, of_row = np.full(n + 1, -1), np.full(k + m, -1)
    place[column] = of_row[row] = np.arange(row.size)
    mine = of_row[rows]
    entry = np.flatnonzero((mine >= 0) & (columns < n) & (place[columns] < 0))
    last = np.flatnonzero((mine >= 0) & (columns == n))
    sums = sp.coo_array((-1 / slope[mine[last]], (mine[last], last)), (row.size, rows.size))
    L = -value[entry] / slope[mine[entry]]
    return Affine(mine[entry], columns[entry], L, sp.csr_array(sums.tocsr() @ matrix), place[:n])


def _in_terms_of_x(program: Program, own: Affine) -> Program:
    """With y = L x + o, ``1/2 y'Py + q'y`` is ``1/2 x'L'PLx + (L'(Po + q))'x`` and a constant."""
    P, q, place = program.P, program.q, own.place
    first, second = place[P.row], place[P.column]
    mine, linear = np.flatnonzero(first >= 0), np.flatnonzero(place[q.row] >= 0)
    first, second = first[mine], second[mine]
    at, left = pairs(first, own.row)
    both, right = pairs(second[at], own.row)
    products = own.value[left[both]] * own.value[right]
    quadratic = sp.diags_array(products) @ P.map[mine[at[both]]]
    shifted = sp.diags_array(own.value[left]) @ _shifted(P.map[mine], own.offset[second])[at]
    entry, factor = pairs(place[q.row[linear]], own.row)
    moved = sp.diags_array(own.value[factor]) @ q.map[linear[entry]]
    in_P, in_q = place[P.row] < 0, place[q.row] < 0
    columns = np.concatenate([q.row[in_q], own.column[left], own.column[factor]])
    return program._replace(
        P=Entries(
            np.append(P.row[in_P], own.column[left[both]]),
            np.append(P.column[in_P], own.column[right]),
            sp.csr_array(sp.vstack([P.map[in_P], quadratic])),
        ),
        q=Entries(columns, 0 * columns, sp.csr_array(sp.vstack([q.map[in_q], shifted, moved]))),
    )


def _shifted(P: Any, offset: Any) -> Any:
    """Return the products of maps, one of which is constant in each row."""
    (c, _), (d, _) = constants(P), constants(offset)
    without = sp.diags_array(np.append(np.ones(P.shape[1] - 1), 0.0))
    return sp.csr_array(sp.diags_array(c) @ offset + sp.diags_array(d) @ P @ without)
