"""Products with the data of one element, and norms."""

from typing import Any

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
def rows_times(e: Data, o: Options, x: Any, out: Any) -> None:
    """``out = C x``: the rows of G, -x for lower bounds, x for upper bounds."""
    m, n = e.G.shape
    times(e.G, x, out)
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
    add_transposed(e.G, z, out)
    if o.lower:
        for j in range(n):
            out[j] -= z[m + j]
    if o.upper:
        for j in range(n):
            out[j] += z[m + o.lower + j]


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
