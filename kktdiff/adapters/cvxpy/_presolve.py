"""Presolve: eliminate variables of a program, so that the QP is smaller.

cvxpy adds variables as it reduces a problem: one for each entry of what is squared, and of what has
an absolute value or a maximum. Users and `_rewrite` add some that parameters fix. Three kinds can
go and leave the rest as it is:

- y, where an equality says `a y = b`: `_fixed`.
- y, where equalities say `a y = b - A x`, each entry of y in one equality and in no inequality: it
  is put in for y. For `sum_squares(A @ x - b)` that is all of what is squared.
- t, where `t >= each of some f(x)`, `t <= c` and nothing else: each `f(x) <= c` says the same. That
  is `abs(x) <= c`, `max(x) <= c`, `norm_inf(x) <= c`.

`_slacks` saves a row for others, and equalities that others imply go, too. Of a large program with
few entries y stays where it would add many: `_sparsity`.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.linalg import qr

from kktdiff.adapters.cvxpy._fixed import Fixed, fixed
from kktdiff.adapters.cvxpy._program import Entries, Program, bounded, constants
from kktdiff.adapters.cvxpy._slacks import with_slacks
from kktdiff.adapters.cvxpy._sparsity import is_sparse, without_defined

RANK = 1e-12  # relative: what is left of a row that others imply
MOST = 500  # constant equalities that are compared: a dense factorization, when the layer is made
ENTRIES = 1_000_000  # the most that they may have, zeros included


class Defined(NamedTuple):
    """Variables that equalities define: `a y = b - A x`."""

    column: Any  # of each y
    row: Any  # of its equality
    slope: Any  # a, a constant


class Smaller(NamedTuple):
    """A program with the columns and rows that the QP leaves out."""

    program: Program
    columns: Any  # bool: t
    rows: Any  # bool: `t <= c`
    fixed: Fixed
    defined: Defined
    sparse: bool  # the QP's matrices


def presolved(program: Program, wanted: list[Any], *, eliminate: bool) -> Smaller:
    """Eliminate the variables that can go; `wanted`: rows whose multipliers are requested."""
    n, m, k = program.sizes
    if not eliminate:
        nothing = np.zeros(0, dtype=int)
        none = np.zeros(n, dtype=bool), np.zeros(k + m, dtype=bool)
        nobody = Fixed(program, nothing, nothing, program.rows.map[:0], [])
        nowhere = Defined(nothing, nothing, np.zeros(0))
        return Smaller(program, *none, nobody, nowhere, is_sparse(program, n, k + m))
    kept = np.isin(np.arange(k + m), np.concatenate([np.zeros(0, dtype=int), *wanted]))
    columns, rows = np.zeros(n, dtype=bool), np.zeros(k + m, dtype=bool)
    known = fixed(program, kept)
    program = known.program
    columns[known.column] = rows[known.row] = True
    while (ends := _limits(program, kept)).size:  # of max(abs(x)) <= c the maximum goes first
        columns[program.rows.column[ends]] = rows[program.rows.row[ends]] = True
        program = _without(program, ends)
    rows |= _dependent(program, kept)
    program = with_slacks(program)
    defined = _defined(program, columns, kept | rows)
    left = (int(np.sum(~gone)) - defined.row.size for gone in (columns, rows))
    sparse = is_sparse(program, *left)
    if sparse:
        program, *gone = without_defined(program, *defined)
        columns[gone[0]] = rows[gone[1]] = True
        defined = Defined(*(part[:0] for part in defined))
    return Smaller(program, columns, rows, known, defined, sparse)


def _limits(program: Program, kept: Any) -> Any:
    """Return the entries of each t in `t <= c`."""
    n, m, k = program.sizes
    row, column, matrix = program.rows
    slope, varies = constants(matrix)
    upper, lower = ((column < n) & (row >= k) & (sign * slope > 0) for sign in (-1, 1))
    count_upper, count_lower = (np.bincount(column[side], minlength=n) for side in (upper, lower))
    t = (count_upper == 1) & (count_lower > 0)
    t &= ~_constrained(program, varies) & ~_in_objective(program)
    for first, own in program.columns.values():
        t[first : first + own.size] = False
    ends = np.flatnonzero(upper & np.append(t, False)[column])
    alone = np.bincount(row[column < n], minlength=k + m) == 1
    return ends[alone[row[ends]] & ~kept[row[ends]]]


def _without(program: Program, ends: Any) -> Program:
    """Rows `a t - f(x) >= 0` with c for t, by the entries of t in `c - b t >= 0`."""
    n, m, k = program.sizes
    row, column, matrix = program.rows
    slope, _ = constants(matrix)
    is_t, gone = np.isin(column, column[ends]), np.isin(row, row[ends])
    end_of = np.full(n + 1, -1)
    end_of[column[ends]] = ends
    starts = np.flatnonzero(is_t & ~gone)  # the entries of each t in `t >= f(x)`
    end = end_of[column[starts]]
    weight = slope[starts] / -slope[end]
    offsets = np.flatnonzero(gone & (column == n))
    to_row = sp.coo_array((weight, (np.arange(starts.size), row[end])), shape=(starts.size, k + m))
    to_entry = sp.coo_array((np.ones(offsets.size), (row[offsets], offsets)), (k + m, row.size))
    stays = ~is_t & ~gone
    rows = Entries(
        np.concatenate([row[stays], row[starts]]),
        np.concatenate([column[stays], np.full(starts.size, n)]),
        sp.csr_array(sp.vstack([matrix[stays], to_row.tocsr() @ to_entry.tocsr() @ matrix])),
    )
    return program._replace(rows=rows)


def _dependent(program: Program, kept: Any) -> Any:
    """Return True for equalities that others imply, constants all: with them gradients take longer.

    The rows and columns of a matrix that all have the sum 1 are the common case.
    """
    n, m, k = program.sizes
    row, column, matrix = program.rows
    value, varies = constants(matrix)
    fit = np.bincount(row[varies], minlength=k + m)[:k] == 0
    fit &= np.bincount(row[column < n], minlength=k + m)[:k] > 0
    out, place = np.zeros(k + m, dtype=bool), np.flatnonzero(fit)
    few = 2 <= place.size <= MOST and place.size * (n + 1) <= ENTRIES
    if kept[:k].any() or not few:  # their multipliers are shared
        return out
    own = np.isin(row, place)
    pairs = (value[own], (row[own], column[own]))
    dense = sp.coo_array(pairs, shape=(k + m, n + 1)).tocsr()[place].toarray()
    dense /= np.max(np.abs(dense[:, :n]), axis=1, keepdims=True)
    ranks = [_rank(dense[:, :n]), _rank(dense)]
    if ranks[0][0] == ranks[1][0]:  # else they contradict each other
        out[place[ranks[0][1][ranks[0][0] :]]] = True
    return out


def _rank(rows: Any) -> tuple[int, Any]:
    """Return the rank, and the order in which rows are independent of those before."""
    triangle, order = qr(rows.T, mode="r", pivoting=True)
    size = np.abs(np.diagonal(triangle))
    return int(np.count_nonzero(size > RANK * size[0])), order


def _defined(program: Program, gone: Any, kept: Any) -> Defined:
    """Find variables with each entry in one equality, in no inequality, and without bounds."""
    n, _, k = program.sizes
    row, column, matrix = program.rows
    slope, varies = constants(matrix)
    equal = (row < k) & (column < n)
    fit = ~bounded(program) & (np.bincount(column[equal], minlength=n) == 1)
    fit[column[(row >= k) & (column < n)]] = False
    group = np.zeros(n, dtype=int)
    for number, columns in enumerate(program.groups):
        group[columns] = number
    mixed = group[program.P.row] != group[program.P.column]  # cvxpy makes no such objective
    fit[program.P.row[mixed]] = fit[program.P.column[mixed]] = False
    at = np.flatnonzero(equal & np.append(fit, False)[column] & ~varies & (slope != 0) & ~kept[row])
    entry = np.full(n, -1)
    entry[column[at]] = at
    used = np.zeros(k, dtype=bool)
    taken = [np.zeros(0, dtype=int)]
    for columns in program.groups:  # whole variables: of w with sum(w) == 1 no entry goes
        own = entry[columns[~gone[columns]]]
        if np.any(own < 0):  # there may be no row at all
            continue
        rows = row[own]
        if np.unique(rows).size == rows.size and not np.any(used[rows]):
            used[rows] = True
            taken.append(own)
    chosen = np.concatenate(taken)
    if chosen.size == n - np.count_nonzero(gone):  # a QP has a variable
        chosen = chosen[:0]
    return Defined(column[chosen], row[chosen], slope[chosen])


def _constrained(program: Program, varies: Any) -> Any:
    """Columns with bounds, in equalities, or with a parameter for an entry."""
    n, _, k = program.sizes
    row, column, _ = program.rows
    out = bounded(program)
    out[column[((row < k) | varies) & (column < n)]] = True
    return out


def _in_objective(program: Program) -> Any:
    out = np.zeros(program.sizes[0], dtype=bool)
    out[program.P.row] = out[program.P.column] = True
    out[program.q.row[np.diff(program.q.map.indptr) > 0]] = True
    return out
