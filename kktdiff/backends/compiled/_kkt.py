"""The KKT matrices of `kktdiff._kkt`: assembled, factored and solved with, one by one."""

from typing import Any, NamedTuple

import numpy as np

from kktdiff.backends.compiled import _lapack as lapack
from kktdiff.backends.compiled._data import of
from kktdiff.backends.compiled._jit import exact, fast
from kktdiff.backends.compiled._lapack import Routines


class Blocks(NamedTuple):
    """What the matrices are made of; leading dimensions are B or 1."""

    Q: Any  # (B, n, n)
    G: Any  # (B, m, n)
    A: Any  # (B, k, n)
    x: Any  # (B, n): weights of the variables,
    g: Any  # (B, m): of the rows of G,
    nu: Any  # (B, k): of the equalities,
    cost: Any  # (B,): and of the objective
    order: Any  # (B, r): the rows of G that play a part
    diagonal: Any  # (B, N): added


class Factors(NamedTuple):
    """Of a batch of matrices."""

    lu: Any  # (B, N, N)
    pivots: Any  # (B, N) int32
    size: Any  # (B,) int64
    rest: Any  # (B, N): the diagonal


@exact
def factor(blocks: Blocks, call: Routines, f: Factors, ok: Any, first: int, end: int) -> None:
    """Assemble and factor the elements from `first` to `end`."""
    sizes = np.empty(4, np.int32)
    for i in range(first, end):
        assemble(blocks, i, f.lu[i], f.size[i])
        ok[i] = f.size[i] == 0 or lapack.lu_factor(f.lu[i], f.size[i], f.pivots[i], call, sizes)
        if ok[i] and f.size[i]:
            ok[i] = np.isfinite(f.lu[i, f.size[i] - 1, f.size[i] - 1])


@fast
def assemble(blocks: Blocks, i: int, K: Any, size: int) -> None:
    """The leading block of one matrix; unknowns in the order x, nu, rows of G by activity."""
    Q, G, A, order = of(blocks.Q, i), of(blocks.G, i), of(blocks.A, i), of(blocks.order, i)
    x, g, nu, cost = of(blocks.x, i), of(blocks.g, i), of(blocks.nu, i), of(blocks.cost, i)
    n, k, diagonal = len(x), len(A), of(blocks.diagonal, i)
    K[n:size, n:size] = 0.0
    for row in range(n):
        weight = cost * x[row]
        for column in range(n):
            K[row, column] = weight * Q[row, column] * x[column]
    for row in range(n, size):
        source = A[row - n] if row < n + k else G[order[row - n - k]]
        weight = nu[row - n] if row < n + k else g[order[row - n - k]]
        for column in range(n):
            value = weight * source[column] * x[column]
            K[row, column] = value
            K[column, row] = value
    for row in range(size):
        K[row, row] += diagonal[row]


@exact
def solve(
    f: Factors, places: Any, call: Routines, rhs: Any, first: int, end: int
) -> None:  # rhs: (B, r, N), in place
    """Solve with the factors at `places`, (B,)."""
    sizes, letters = np.empty(4, np.int32), np.empty(2, np.uint8)
    letters[1] = 78  # "N"
    for i in range(first, end):
        place = places[i]
        size = f.size[place]
        if size:
            lapack.lu_solve(f.lu[place], size, f.pivots[place], rhs[i], call, sizes, letters)
        for column in range(rhs.shape[1]):
            for row in range(size, rhs.shape[2]):
                rhs[i, column, row] /= f.rest[place, row]
