"""Make slacks of the variables that cvxpy adds for absolute values and maxima of two.

For `t >= e` and `t >= f` with affine e and f it is `t = e + s` here: the first row is the bound
`s >= 0`, the second one `s >= f - e`. That is a row less, and s is the slack of one row.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

from kktdiff.adapters.cvxpy._program import Entries, Program, bounded, constants, pairs


def with_slacks(program: Program) -> Program:
    """Put `t = e + s` into the program; the column of t is that of s."""
    entry = _first_rows(program)
    if not entry.size:
        return program
    n, m, k = program.sizes
    row, column, matrix = program.rows
    slope, _ = constants(matrix)
    of_column, of_row = np.full(n + 1, -1), np.full(k + m, -1)
    of_column[column[entry]] = of_row[row[entry]] = np.arange(entry.size)
    owner, first = of_column[column], of_row[row]
    inner = np.flatnonzero((first >= 0) & (owner < 0))  # the entries of -e, in units of its row
    starts = np.flatnonzero((owner >= 0) & (first < 0))  # t elsewhere
    start, place = pairs(owner[starts], first[inner])
    start, place = starts[start], inner[place]
    weight = -slope[start] / slope[entry][owner[start]]
    stays = (owner >= 0) | (first < 0)
    rows = Entries(
        np.append(row[stays], row[start]),
        np.append(column[stays], column[place]),
        sp.csr_array(sp.vstack([matrix[stays], sp.diags_array(weight) @ matrix[place]])),
    )
    q, inside = program.q, inner[column[inner] < n]
    starts = np.flatnonzero(of_column[q.row] >= 0)
    start, place = pairs(of_column[q.row[starts]], first[inside])
    start, place = starts[start], inside[place]
    weight = -slope[place] / slope[entry][first[place]]
    added = sp.diags_array(weight) @ q.map[start]
    linear = Entries(
        np.append(q.row, column[place]),
        np.append(q.column, 0 * place),
        sp.csr_array(sp.vstack([q.map, added])),
    )
    return program._replace(rows=rows, q=linear)


def _first_rows(program: Program) -> Any:
    """Return the entries of each t in its `t >= e`, all of whose coefficients are constants."""
    n, m, k = program.sizes
    row, column, matrix = program.rows
    slope, varies = constants(matrix)
    inside = column < n
    fit = ~bounded(program)
    fit[program.P.row] = fit[program.P.column] = False
    fit[column[inside & ((row < k) | varies | (slope == 0))]] = False
    for first, own in program.columns.values():
        fit[first : first + own.size] = False
    sizes = np.bincount(row[inside], minlength=k + m)
    lower = np.flatnonzero(inside & np.append(fit, False)[column] & (slope > 0))
    plain = np.bincount(row[inside & varies], minlength=k + m) == 0
    one = np.bincount(column[lower], weights=sizes[row[lower]] == 1, minlength=n) > 0  # a bound
    fit &= (np.bincount(column[lower], minlength=n) == 2) & ~one
    lower = lower[fit[column[lower]] & plain[row[lower]]]
    lower = lower[np.argsort(sizes[row[lower]], kind="stable")]
    _, chosen = np.unique(column[lower], return_index=True)
    entry = lower[chosen]
    others = np.bincount(row[inside & np.isin(column, column[entry])], minlength=k + m)
    entry = entry[others[row[entry]] == 1]  # no t in the e of another
    _, alone = np.unique(row[entry], return_index=True)
    return entry[alone]
