"""The Newton system of one element in the space of its rows (OptNet's own, arXiv 1703.00443).

Where the objective alone is well conditioned, Q = R'R, and there are no bounds, dx is eliminated
first. With all rows, of G and of A, in one block C, and V' = R'^-1 C',

    (V V' + diag(s/lam, 0)) (dlam, dnu) = -C Q^-1 r_x - (target, -r_nu),

so that V V' is formed once, and an iteration factors it with another diagonal.
"""

from kktdiff.backends.compiled import _lapack as lapack
from kktdiff.backends.compiled import _triangular as triangular
from kktdiff.backends.compiled._data import (
    DLAM,
    DNU,
    DX,
    HALF,
    NU_WEIGHT,
    PRESENT,
    R_NU,
    R_X,
    TARGET,
    VR,
    VR_NU,
    Data,
    W,
    Work,
    copy,
    fill,
)
from kktdiff.backends.compiled._jit import fast, inlined
from kktdiff.backends.compiled._products import dot


@inlined
def prepare(e: Data, f: Work) -> bool:
    """Form V V'; whether this form serves."""
    if not len(f.M):
        return False
    for i in range(len(e.G)):
        if not e.c[PRESENT, i]:
            return False
    m = len(e.G)
    for i in range(m):
        copy(e.G[i], f.rows[i])
    for i in range(len(e.A)):
        copy(e.A[i], f.rows[m + i])
    for i in range(len(f.M)):
        fill(f.M[i], 0.0)
    lapack.solve_half(f.R, f.rows, f.la)
    lapack.add_products(f.rows, f.M, f.la)
    return True


@fast
def factor(e: Data, f: Work, reg: float) -> bool:
    """Factor the matrix for the weights lam/s, and what of the right-hand side is alike."""
    m = len(e.G)
    for i in range(len(f.M)):
        copy(f.M[i, i:], f.F[i, i:])
        f.F[i, i] += 1 / f.c[W, i] if i < m else reg * e.cost / e.k[NU_WEIGHT, i - m] ** 2
    copy(f.x[R_X], f.x[HALF])
    triangular.forward(f.R, f.x[HALF])
    for i in range(m):
        f.c[VR, i] = dot(f.rows[i], f.x[HALF])
    for i in range(len(e.A)):
        f.k[VR_NU, i] = dot(f.rows[m + i], f.x[HALF])
    return lapack.factor(f.F, f.la)


@fast
def solve(e: Data, f: Work) -> None:
    """dlam for the right-hand side (-r_x, target, -r_nu)."""
    m, step = len(e.G), f.step
    for i in range(m):
        step[i] = -f.c[VR, i] - f.c[TARGET, i]
    for i in range(len(e.A)):
        step[m + i] = f.k[R_NU, i] - f.k[VR_NU, i]
    triangular.solve(f.F, step)
    for i in range(m):
        f.c[DLAM, i] = step[i]


@fast
def finish(e: Data, f: Work) -> None:
    """dx and dnu with what `solve` found."""
    dx, step = f.x[DX], f.step
    for i in range(len(e.A)):
        f.k[DNU, i] = step[len(e.G) + i]
    for j in range(len(dx)):
        dx[j] = -f.x[HALF, j]
    for i in range(len(step)):
        triangular.subtract(step[i], f.rows[i], dx)
    triangular.backward(f.R, dx)
