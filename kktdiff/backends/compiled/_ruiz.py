"""Ruiz equilibration of `kktdiff._scaling`, element by element."""

from typing import Any, NamedTuple

from kktdiff.backends.compiled._data import fill, of
from kktdiff.backends.compiled._jit import exact, fast


class Weights(NamedTuple):
    """Weights of the variables, of the rows of G, of the rows of A."""

    x: Any  # (B, n)
    g: Any  # (B, m)
    nu: Any  # (B, k)
    size: Any  # (B,): the largest entry of Q under them


def equilibrate(
    Q: Any, G: Any, A: Any, weights: Weights, norms: Any, passes: int, low: float, high: float,
    first: int, end: int,
) -> None:  # fmt: skip
    """Write the weights of the elements from `first` to `end`, which come as ones.

    norms: room for what is (n,), (m,) and (k,).
    """
    n, (of_x, of_g, of_nu) = Q.shape[1], norms
    for i in range(first, end):
        q, g, a = of(Q, i), of(G, i), of(A, i)
        x, wg, wa = weights.x[i], weights.g[i], weights.nu[i]
        for _ in range(passes):
            norms_of_square(q, x, of_x)
            norms_of_rows(g, x, wg, of_x, of_g)
            norms_of_rows(a, x, wa, of_x, of_nu)
            for j in range(n):
                of_x[j] *= x[j]
            outside = is_outside(of_x, low, high) or is_outside(of_g, low, high)
            if not (outside or is_outside(of_nu, low, high)):
                break
            divide_by_root(x, of_x)
            divide_by_root(wg, of_g)
            divide_by_root(wa, of_nu)
        norms_of_square(q, x, of_x)
        weights.size[i] = 0.0
        for j in range(n):
            weights.size[i] = max(weights.size[i], of_x[j] * x[j])


@fast
def norms_of_square(Q: Any, x: Any, of_x: Any) -> None:
    """Largest entry of each column of ``diag(x) |Q|``, which is symmetric."""
    fill(of_x, 0.0)
    for i in range(len(x)):
        weigh_columns(Q[i], x[i], of_x)


@fast
def norms_of_rows(rows: Any, x: Any, weights: Any, of_x: Any, of_rows: Any) -> None:
    """Largest entry of each weighted row, and, with what `of_x` holds, of each weighted column."""
    for i in range(len(rows)):
        weigh_columns(rows[i], weights[i], of_x)
        of_rows[i] = weights[i] * top_product(rows[i], x)


@fast
def weigh_columns(row: Any, weight: float, of_x: Any) -> None:
    """The larger of what `of_x` holds and the weighted row."""
    for j in range(len(of_x)):
        of_x[j] = max(of_x[j], weight * abs(row[j]))


@fast
def top_product(row: Any, x: Any) -> float:
    """Largest entry of ``|row| x``: four maxima at once, since each waits for the one before."""
    a = b = c = d = 0.0
    whole = len(x) - len(x) % 4
    for j in range(0, whole, 4):
        a, b = max(a, abs(row[j]) * x[j]), max(b, abs(row[j + 1]) * x[j + 1])
        c, d = max(c, abs(row[j + 2]) * x[j + 2]), max(d, abs(row[j + 3]) * x[j + 3])
    for j in range(whole, len(x)):
        a = max(a, abs(row[j]) * x[j])
    return max(max(a, b), max(c, d))


@exact
def is_outside(norms: Any, low: float, high: float) -> bool:
    """Whether any norm but zero is out of balance."""
    found = False
    for norm in norms:
        found |= norm > 0 and not low <= norm <= high
    return found


@exact
def divide_by_root(weights: Any, norms: Any) -> None:
    """Where the norm is not zero."""
    for i in range(len(weights)):
        if norms[i] > 0:
            weights[i] /= norms[i] ** 0.5
