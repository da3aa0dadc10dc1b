"""Products with the data of one element, and norms."""

from typing import Any

from kktdiff._settings import BIG
from kktdiff.backends.compiled._data import Data, Options
from kktdiff.backends.compiled._jit import exact, fast


@fast
def times(M: Any, x: Any, out: Any) -> None:
    """``out = M x``."""
    for i in range(M.shape[0]):
        total = 0.0
        for j in range(M.shape[1]):
            total += M[i, j] * x[j]
        out[i] = total


@fast
def add_transposed(M: Any, z: Any, out: Any) -> None:
    """``out += M'z``."""
    for i in range(M.shape[0]):
        weight = z[i]
        if weight != 0.0:
            for j in range(M.shape[1]):
                out[j] += weight * M[i, j]


@fast
def dot(a: Any, b: Any) -> float:
    """Inner product."""
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@exact
def top(v: Any) -> float:
    """Largest absolute value; NaN if there is one."""
    out = 0.0
    for i in range(v.shape[0]):
        if not abs(v[i]) <= out:
            out = abs(v[i])
            if out != out:
                break
    return out


@fast
def times_rows(e: Data, few: bool, rows: Any, first: int, x: Any, out: Any) -> None:
    """``out = rows x`` for G, or for A with `first` rows before it."""
    if not few:
        times(rows, x, out)
        return
    for i in range(len(rows)):
        total = 0.0
        for t in range(e.starts[first + i], e.starts[first + i + 1]):
            total += rows[i, e.columns[t]] * x[e.columns[t]]
        out[i] = total


@fast
def add_rows_of(e: Data, few: bool, rows: Any, first: int, z: Any, out: Any) -> None:
    """``out += rows' z``."""
    if not few:
        add_transposed(rows, z, out)
        return
    for i in range(len(rows)):
        for t in range(e.starts[first + i], e.starts[first + i + 1]):
            out[e.columns[t]] += z[i] * rows[i, e.columns[t]]


@fast
def rows_times(e: Data, o: Options, x: Any, out: Any) -> None:
    """``out = C x``: the rows of G, -x for lower bounds, x for upper bounds."""
    m, n = e.G.shape
    times_rows(e, e.few_g, e.G, 0, x, out)
    if o.lower:
        for j in range(n):
            out[m + j] = -x[j]
    if o.upper:
        for j in range(n):
            out[m + o.lower + j] = x[j]


@fast
def add_rows(e: Data, o: Options, z: Any, out: Any) -> None:
    """``out += C'z``."""
    m, n = e.G.shape
    add_rows_of(e, e.few_g, e.G, 0, z, out)
    if o.lower:
        for j in range(n):
            out[j] -= z[m + j]
    if o.upper:
        for j in range(n):
            out[j] += z[m + o.lower + j]


@exact
def is_positive(v: Any) -> bool:
    """Whether all entries are above zero."""
    low = BIG
    for i in range(len(v)):
        low = min(low, v[i])
    return low > 0


@exact
def is_zero(M: Any) -> bool:
    """Whether a matrix has no entry but zeros."""
    for i in range(M.shape[0]):
        for j in range(M.shape[1]):
            if M[i, j] != 0:
                return False
    return True


def outer(a: Any, b: Any, c: Any, d: Any, out: Any, first: int, end: int) -> None:
    """``a b' + c d'`` for the elements from `first` to `end`; (B, r), (B, c), twice."""
    for i in range(first, end):
        for row in range(out.shape[1]):
            left, right = a[i, row], c[i, row]
            for column in range(out.shape[2]):
                out[i, row, column] = left * b[i, column] + right * d[i, column]
