"""What compiled code works on: a batch of QPs, one of them, and the memory that one needs.

Vectors of one length stand together, as rows of one array with names for its rows: compiling takes
a time that grows with the number of arrays that functions hand to each other.
"""

from typing import Any, NamedTuple

import numpy as np

from kktdiff.backends.compiled._jit import exact, inlined
from kktdiff.backends.compiled._lapack import Lapack, Routines, tools

P, WEIGHT, FIXED, VALUE = range(4)  # rows of `Data.x`
D, ROW_WEIGHT, PRESENT = range(3)  # of `Data.c`
B, NU_WEIGHT = range(2)  # of `Data.k`
H, QX, CL, AN, R_X, DX, FORCE, HALF, P_HALF = range(9)  # of `Work.x`
W, R_C, TARGET, DS, DLAM, CDX, AIM, ACTIVE, WANTED, VR, PER_S, PER_LAM, GIVE = range(13)  # `Work.c`
R_NU, DNU, VR_NU = range(3)  # of `Work.k`
CONVEX, SERVES, FORMED, DUAL, FEW_G, FEW_A, RECALLS, DIAGONAL = range(8)  # of `Work.flags`

FEW = 8  # entries of the rows that are not zero, among so many, are worth looking for


class Batch(NamedTuple):
    """QPs and the weights of their scaling; leading dimensions are B or 1."""

    Q: Any  # (B, n, n)
    G: Any  # (B, m, n)
    A: Any  # (B, k, n)
    p: Any  # (B, n)
    fixed: Any  # (B, n) bool
    value: Any  # (B, n): of the fixed variables
    d: Any  # (B, M): right-hand sides of the inequalities
    present: Any  # (B, M) bool
    b: Any  # (B, k)
    x: Any  # (B, n): weights of the variables,
    rows: Any  # (B, M): of the inequalities,
    nu: Any  # (B, k): of the equalities,
    cost: Any  # (B,): and of the objective


class Data(NamedTuple):
    """One of them."""

    Q: Any  # (n, n)
    G: Any  # (m, n)
    A: Any  # (k, n)
    x: Any  # (4, n): p, weights of the variables, 1 where fixed, values of the fixed ones
    c: Any  # (3, M): right-hand sides of the inequalities, weights, 1 where present
    k: Any  # (2, k): b, weights
    cost: float  # weight of the objective
    starts: Any  # (m + k + 1,) int64: where in `columns` those of each row of G and A begin
    columns: Any  # int64: places of the entries that are not zero,
    few_g: bool  # in G, if there are so few that they are worth looking for,
    few_a: bool  # and in A
    diagonal: bool  # Q + G'WG is, for any weights W


class Options(NamedTuple):
    """The same for all elements."""

    lower: int  # rows of lower bounds, 0 or n
    upper: int
    tol: float
    barrier: float
    max_iter: int
    curvature: float  # negative curvature of Q, relative to it, that is but rounding


class Point(NamedTuple):
    """A batch of primal-dual points, or one of them."""

    x: Any  # (B, n)
    s: Any  # (B, M)
    lam: Any  # (B, M)
    nu: Any  # (B, k)


class Work(NamedTuple):
    """Memory for one element at a time."""

    R: Any  # (n, n): factor of Q
    H: Any  # (n, n): factor of Q + C'WC
    rows: Any  # (m + k, n): rows of G and A, with weights or by a factor
    S: Any  # (k, k): factor of A H^-1 A'
    M: Any  # (m + k, m + k): what the dual form's matrices have in common; (0, 0): not used
    F: Any  # the same shape: their factor
    step: Any  # (m + k,)
    flags: Any  # (8,) bool: Q is convex; the dual form serves; M is formed; it is used;
    # few entries of G are not zero; of A; residuals are recalled, not evaluated; `Data.diagonal`
    starts: Any  # what `Data` has under these names,
    columns: Any
    x: Any  # (9, n)
    c: Any  # (13, M)
    k: Any  # (3, k)
    least: Any  # (7,): smallest residuals, relative ones, and mu, so far
    data_x: Any  # and under x, c and k
    data_c: Any
    data_k: Any
    rhs: Any  # (n + k + r,): of the KKT system
    room: Any  # (n + k + r,)
    la: Lapack


def work_for(batch: Batch, call: Routines) -> Work:
    """New memory."""
    n, m, k, M = batch.Q.shape[1], batch.G.shape[1], batch.A.shape[1], batch.d.shape[1]
    N, rows = n + k + min(m, n), m + k
    primal = n * n * (m + n / 3 + k) + k * k * (n + k / 3)  # operations of an iteration
    dual = rows if m == M and rows**3 / 3 < primal else 0
    return Work(
        np.empty((n, n)), np.empty((n, n)), np.empty((rows, n)), np.empty((k, k)),
        np.empty((dual, dual)), np.empty((dual, dual)), np.empty(rows), np.zeros(8, bool),
        np.empty(rows + 1, np.int64), np.empty(rows * n // FEW, np.int64),
        np.empty((9, n)), np.empty((13, M)), np.empty((3, k)), np.empty(7),
        np.empty((4, n)), np.empty((3, M)), np.empty((2, k)), np.empty(N),
        np.empty(N), tools(call),
    )  # fmt: skip


@inlined
def of(array: Any, i: int) -> Any:
    """One element's: what is shared is the same for all."""
    return array[i if len(array) > 1 else 0]


@inlined
def element(batch: Batch, i: int, first: int, f: Work) -> Data:
    """The QP of one element, its vectors in the memory of `f`, which has seen `first` before."""
    x, c, k = f.data_x, f.data_c, f.data_k
    copy(of(batch.p, i), x[P])
    copy(of(batch.x, i), x[WEIGHT])
    copy(of(batch.fixed, i), x[FIXED])
    copy(of(batch.value, i), x[VALUE])
    copy(of(batch.d, i), c[D])
    copy(of(batch.rows, i), c[ROW_WEIGHT])
    copy(of(batch.present, i), c[PRESENT])
    copy(of(batch.b, i), k[B])
    copy(of(batch.nu, i), k[NU_WEIGHT])
    Q, G, A = of(batch.Q, i), of(batch.G, i), of(batch.A, i)
    if has_own_matrices(batch, i, first):
        f.starts[0] = f.starts[len(G)] = 0
        f.flags[FEW_G] = find_entries(G, 0, f.starts, f.columns)
        f.flags[FEW_A] = find_entries(A, len(G), f.starts, f.columns)
        single = f.flags[FEW_G] and is_single(f.starts, len(G))
        f.flags[DIAGONAL] = single and is_diagonal(Q)
    found = (f.flags[FEW_G], f.flags[FEW_A], f.flags[DIAGONAL])
    return Data(Q, G, A, x, c, k, of(batch.cost, i), f.starts, f.columns, *found)


@inlined
def has_own_matrices(batch: Batch, i: int, first: int) -> bool:
    """Whether what was found out about the matrices of the element before does not hold for it."""
    return i == first or len(batch.Q) > 1 or len(batch.G) > 1 or len(batch.A) > 1


@exact
def find_entries(rows: Any, first: int, starts: Any, columns: Any) -> bool:
    """Note the places of the entries that are not zero, row by row; whether they are few.

    The rows of the other matrix before them: `first`.
    """
    count = starts[first]
    most = count + rows.shape[0] * rows.shape[1] // FEW
    for i in range(len(rows)):
        for j in range(rows.shape[1]):
            if rows[i, j] != 0:
                if count == most:
                    return False
                columns[count] = j
                count += 1
        starts[first + i + 1] = count
    return True


@exact
def is_single(starts: Any, m: int) -> bool:
    """Whether none of the first m rows has more than one entry."""
    most = 0
    for i in range(m):
        most = max(most, starts[i + 1] - starts[i])
    return most <= 1


@inlined
def point_of(at: Point, i: int) -> Point:
    """One element's."""
    return Point(at.x[i], at.s[i], at.lam[i], at.nu[i])


@exact
def copy(source: Any, out: Any) -> None:
    """A slice assignment would compile what says why it fails, which takes seconds."""
    for i in range(len(out)):
        out[i] = source[i]


@exact
def fill(out: Any, value: float) -> None:
    """The same."""
    for i in range(len(out)):
        out[i] = value


@exact
def is_diagonal(Q: Any) -> bool:
    """Whether all other entries of a symmetric matrix are zero."""
    for i in range(len(Q)):
        for j in range(i + 1, len(Q)):
            if Q[i, j] != 0:
                return False
    return True
