"""The KKT matrices of `kktdiff._kkt`: assembled, factored and solved with, one by one.

Variables of weight zero are held by their bounds: their rows are those of the identity, and are
left out. Where the objective alone is well conditioned in the others, they are eliminated first, by
Cholesky: with ``H = R'R`` for the objective's block, C for the rows below it and -D for theirs,

    S = C H^-1 C' + D = V V' + D,    V' = R'^-1 C',

is positive too, and two small Cholesky factorizations cost a fourth of one LU of the whole; less
where H is diagonal and few entries of C are not zero. Where the objective is not so, and for the
elements that are not easy, LU with pivoting takes the matrix as it is.
"""

from typing import Any, NamedTuple

from kktdiff._settings import BIG
from kktdiff.backends.compiled import _lapack as lapack
from kktdiff.backends.compiled import _triangular as triangular
from kktdiff.backends.compiled._data import FEW, fill, is_diagonal, of
from kktdiff.backends.compiled._jit import exact, fast, inlined
from kktdiff.backends.compiled._lapack import Lapack
from kktdiff.backends.compiled._products import dot
from kktdiff.backends.compiled._triangular import is_sound

PIVOTED, IN_BLOCKS, SEPARABLE = range(3)  # ways to factor; the last: R is diagonal


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

    store: Any  # (B, N N): what the factorization left, as much of it as was needed
    pivots: Any  # (B, N) int32: of LU; else room
    unknowns: Any  # (B, N) int64: places of the unknowns that are solved for
    counts: Any  # (B, 3) int64: how many variables are among them; all; the way
    rest: Any  # (B, N): the diagonal


def factor(
    blocks: Blocks, size: Any, la: Lapack, f: Factors, ok: Any, first: int, end: int
) -> None:
    """Factor the elements from `first` to `end` by pivoting; size: (B,), rows that play a part."""
    for i in range(first, end):
        choose(element(blocks, i), size[i], element_of(f, i))
        ok[i] = by_pivoting(element(blocks, i), la, element_of(f, i))


@inlined
def element(b: Blocks, i: int) -> Blocks:
    """One element's blocks."""
    return Blocks(
        of(b.Q, i), of(b.G, i), of(b.A, i), of(b.x, i), of(b.g, i), of(b.nu, i), of(b.cost, i),
        of(b.order, i), of(b.diagonal, i),
    )  # fmt: skip


@inlined
def element_of(f: Factors, i: int) -> Factors:
    """One element's factors."""
    return Factors(f.store[i], f.pivots[i], f.unknowns[i], f.counts[i], f.rest[i])


@exact
def choose(b: Blocks, size: int, f: Factors) -> None:
    """Note the unknowns that are solved for: not the variables that bounds hold."""
    n, count = len(b.x), 0
    for j in range(n):
        if b.x[j] != 0:
            f.unknowns[count] = j
            count += 1
    f.counts[0] = count
    for j in range(n, size):
        f.unknowns[count] = j
        count += 1
    f.counts[1] = count


@exact
def by_pivoting(b: Blocks, la: Lapack, f: Factors) -> bool:
    """LU of the whole matrix; whether that succeeded."""
    f.counts[2] = PIVOTED
    count = f.counts[1]
    if not count:
        return True
    K = f.store[: count * count].reshape(count, count)
    whole(b, f, K)
    return lapack.lu_factor(K, f.pivots, la) and abs(K[count - 1, count - 1]) < BIG  # not NaN


@exact
def in_blocks(b: Blocks, la: Lapack, f: Factors) -> bool:
    """Eliminate the variables, if the objective alone is well conditioned in them."""
    R, V, S = parts(f)
    free = len(R)
    for row in range(free):
        objective_row(b, f, row, R[row])
    separable = is_diagonal(R)
    f.counts[2] = SEPARABLE if separable else IN_BLOCKS
    if not ((take_roots(R) if separable else lapack.factor(R, la)) and is_sound(R)):
        return False
    for row in range(len(V)):
        constraint_row(b, f, free + row, V[row])
    for i in range(len(S)):
        fill(S[i], 0.0)
        S[i, i] = -b.diagonal[f.unknowns[free + i]]
    if free and separable:
        for row in range(len(V)):
            divide(R, V[row])
        if not add_few_products(V, S, f.pivots):
            lapack.add_products(V, S, la)
    elif free:
        lapack.solve_half(R, V, la)
        lapack.add_products(V, S, la)
    return lapack.factor(S, la) and is_sound(S)


@exact
def take_roots(R: Any) -> bool:
    """Cholesky of a diagonal matrix."""
    for i in range(len(R)):
        if not R[i, i] > 0:
            return False
        R[i, i] = R[i, i] ** 0.5
    return True


@fast
def divide(R: Any, v: Any) -> None:
    """``v = R^-1 v`` for a diagonal R."""
    for i in range(len(v)):
        v[i] /= R[i, i]


@fast
def add_few_products(V: Any, S: Any, places: Any) -> bool:
    """``S += V V'``, above the diagonal, if few entries are not zero; whether they are."""
    r, n = V.shape
    count = 0
    for i in range(r):
        for j in range(n):
            count += V[i, j] != 0
    if FEW * count > r * n:
        return False
    for i in range(r):
        count = 0
        for j in range(n):
            if V[i, j] != 0:
                places[count] = j
                count += 1
        for u in range(i, r):
            for t in range(count):
                S[i, u] += V[i, places[t]] * V[u, places[t]]
    return True


@inlined
def parts(f: Factors) -> tuple[Any, Any, Any]:
    """R, V and S, one after the other."""
    n = f.counts[0]
    r = f.counts[1] - n
    R = f.store[: n * n].reshape(n, n)
    V = f.store[n * n : n * n + r * n].reshape(r, n)
    return R, V, f.store[n * n + r * n : n * n + r * n + r * r].reshape(r, r)


@fast
def objective_row(b: Blocks, f: Factors, row: int, out: Any) -> None:
    """One of the variables' rows, its part in the variables."""
    i = f.unknowns[row]
    weight = b.cost * b.x[i]
    for column in range(f.counts[0]):
        j = f.unknowns[column]
        out[column] = weight * b.Q[i, j] * b.x[j]
    out[row] += b.diagonal[i]


@fast
def constraint_row(b: Blocks, f: Factors, row: int, out: Any) -> None:
    """One of the others, first those of A, then those of G: its part in the variables."""
    i, k = f.unknowns[row] - len(b.x), len(b.A)
    source = b.A[i] if i < k else b.G[b.order[i - k]]
    weight = b.nu[i] if i < k else b.g[b.order[i - k]]
    for column in range(f.counts[0]):
        j = f.unknowns[column]
        out[column] = weight * source[j] * b.x[j]


@inlined
def whole(b: Blocks, f: Factors, K: Any) -> None:
    """The whole matrix."""
    free = f.counts[0]
    for row in range(free):
        objective_row(b, f, row, K[row])
    for row in range(free, len(K)):
        fill(K[row], 0.0)
        constraint_row(b, f, row, K[row])
        for column in range(free):
            K[column, row] = K[row, column]
        K[row, row] += b.diagonal[f.unknowns[row]]


def solve(
    f: Factors, places: Any, rhs: Any, room: Any, la: Lapack, first: int, end: int
) -> None:  # rhs: (B, r, N), in place
    """Solve with the factors at `places`, (B,); room: (N,)."""
    for i in range(first, end):
        for column in range(rhs.shape[1]):
            solve_one(element_of(f, places[i]), rhs[i, column], room, la)


@exact
def solve_one(f: Factors, rhs: Any, room: Any, la: Lapack) -> None:  # rhs: (N,)
    """Solve in place with one element's factors; room: (N,)."""
    count = f.counts[1]
    both = room[:count]
    for t in range(count):
        both[t] = rhs[f.unknowns[t]]
    for j in range(len(rhs)):
        rhs[j] /= f.rest[j]
    if f.counts[2] != PIVOTED:
        through_blocks(f, both)
    elif count:
        K = f.store[: count * count].reshape(count, count)
        lapack.lu_solve(K, f.pivots, both, la)
    for t in range(count):
        rhs[f.unknowns[t]] = both[t]


@fast
def through_blocks(f: Factors, rhs: Any) -> None:
    """Solve in place with what `in_blocks` left."""
    R, V, S = parts(f)
    x, rows = rhs[: len(R)], rhs[len(R) :]
    separable = f.counts[2] == SEPARABLE
    if separable:
        divide(R, x)
    else:
        triangular.forward(R, x)
    for i in range(len(V)):
        rows[i] = dot(V[i], x) - rows[i]
    triangular.solve(S, rows)
    for i in range(len(V)):
        triangular.subtract(rows[i], V[i], x)
    if separable:
        divide(R, x)
    else:
        triangular.backward(R, x)
