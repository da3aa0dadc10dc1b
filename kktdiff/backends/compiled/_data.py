"""What compiled code works on: a batch of QPs, one of them, and the memory that one needs.

Vectors of one length stand together, as rows of one array with names for its rows: compiling takes
a time that grows with the number of arrays that functions hand to each other.
"""

from typing import Any, NamedTuple

import numpy as np

from kktdiff.backends.compiled._jit import exact

P, WEIGHT, FIXED, VALUE = range(4)  # rows of `Data.x`
D, ROW_WEIGHT, PRESENT = range(3)  # of `Data.c`
B, NU_WEIGHT = range(2)  # of `Data.k`
H, QX, CL, AN, R_X, DX = range(6)  # of `Work.x`
W, R_C, TARGET, DS, DLAM, CDX, AIM = range(7)  # of `Work.c`
R_NU, DNU = range(2)  # of `Work.k`


class Data(NamedTuple):
    """A batch of QPs with the weights of their scaling; leading dimensions are B or 1.

    One element has the same without the leading dimension.
    """

    Q: Any  # (B, n, n)
    G: Any  # (B, m, n)
    A: Any  # (B, k, n)
    x: Any  # (B, 4, n): p, weights of the variables, 1 where fixed, values of the fixed ones
    c: Any  # (B, 3, M): right-hand sides of the inequalities, weights, 1 where present
    k: Any  # (B, 2, k): b, weights
    cost: Any  # (B,): weight of the objective


class Options(NamedTuple):
    """The same for all elements."""

    lower: int  # rows of lower bounds, 0 or n
    upper: int
    diagonal: bool  # Q is diagonal and there is no G
    tol: float
    barrier: float
    max_iter: int


class Point(NamedTuple):
    """A batch of primal-dual points, or one of them."""

    x: Any  # (B, n)
    s: Any  # (B, M)
    lam: Any  # (B, M)
    nu: Any  # (B, k)


class Work(NamedTuple):
    """Memory for one element at a time."""

    H: Any  # (n, n): factor of Q + C'WC
    rows: Any  # (m, n): rows of G with weights
    HA: Any  # (k, n): A H^-1
    S: Any  # (k, k): factor of A H^-1 A'
    x: Any  # (6, n)
    c: Any  # (7, M)
    k: Any  # (2, k)
    least: Any  # (7,): smallest residuals, relative ones, and mu, so far
    sizes: Any  # (4,) int32: dimensions, as LAPACK takes them: by address
    letters: Any  # (2,) uint8: "LN"
    one: Any  # (1,): 1.0


@exact
def work_for(data: Data) -> Work:
    """New memory."""
    n, m, k, M = data.Q.shape[1], data.G.shape[1], data.A.shape[1], data.c.shape[2]
    letters = np.empty(2, np.uint8)
    letters[0], letters[1] = 76, 78
    return Work(
        np.empty((n, n)), np.empty((m, n)), np.empty((k, n)), np.empty((k, k)),
        np.empty((6, n)), np.empty((7, M)), np.empty((2, k)),
        np.empty(7), np.empty(4, np.int32), letters, np.ones(1),
    )  # fmt: skip


@exact
def of(array: Any, i: int) -> Any:
    """One element's: what is shared is the same for all."""
    return array[i % len(array)]


@exact
def element(data: Data, i: int) -> Data:
    """The QP of one element."""
    return Data(
        of(data.Q, i), of(data.G, i), of(data.A, i),
        of(data.x, i), of(data.c, i), of(data.k, i), of(data.cost, i),
    )  # fmt: skip
