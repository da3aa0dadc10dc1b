"""The dual form without x: a step of Newton's method leaves residuals that are known beforehand.

One of length alpha takes all linear residuals to ``1 - alpha`` of what they were. With y = Rx and
z = (lam, nu), ``R'^-1 r_x = y + R'^-1 p + V'z``, which gives x when it is wanted. So an iteration
needs no product with the data: it is a factorization in the space of the rows and two solves.
"""

from kktdiff.backends.compiled import _dual as dual
from kktdiff.backends.compiled import _triangular as triangular
from kktdiff.backends.compiled._data import (
    DNU,
    HALF,
    P_HALF,
    R_C,
    R_NU,
    R_X,
    RECALLS,
    VR,
    VR_NU,
    Data,
    P,
    Point,
    Work,
    copy,
)
from kktdiff.backends.compiled._jit import fast
from kktdiff.backends.compiled._products import dot, top
from kktdiff.backends.compiled._residuals import Norms


@fast
def begin(e: Data, f: Work) -> None:
    """Do without x from now on; `f` holds the residuals."""
    f.flags[RECALLS] = True
    dual.halve(e, f)
    copy(e.x[P], f.x[P_HALF])
    triangular.forward(f.R, f.x[P_HALF])


@fast
def shrink(e: Data, f: Work, alpha: float) -> None:
    """The residuals after a step; the regularisation leaves some of those of the equalities."""
    rest = 1 - alpha
    for j in range(f.x.shape[1]):
        f.x[R_X, j] *= rest
        f.x[HALF, j] *= rest
    for i in range(f.c.shape[1]):
        f.c[R_C, i] *= rest
        f.c[VR, i] *= rest
    for i in range(f.k.shape[1]):
        f.k[R_NU, i] = rest * f.k[R_NU, i] + alpha * dual.give(e, i) * f.k[DNU, i]
        f.k[VR_NU, i] *= rest


@fast
def norms(f: Work, at: Point) -> Norms:
    """Norms of these residuals; the sizes of the terms are not known.

    The gap is ``lam's + x'r_x - lam'r_c - nu'r_nu``, and ``x'r_x = y'R'^-1 r_x``.
    """
    half, primal = f.x[HALF], 0.0
    gap = dot(half, half) - dot(half, f.x[P_HALF])
    for i in range(len(at.s)):
        primal = max(primal, f.c[R_C, i] - at.s[i])
        gap += at.lam[i] * (at.s[i] - f.c[R_C, i] - f.c[VR, i])
    for i in range(len(at.nu)):
        gap -= at.nu[i] * (f.k[R_NU, i] + f.k[VR_NU, i])
    equalities = top(f.k[R_NU])
    worst = max(primal, equalities), top(f.x[R_X]), abs(gap)
    return Norms(*worst, top(f.c[R_C]), equalities, 0.0, 0.0, 0.0)


@fast
def end(e: Data, f: Work, at: Point) -> None:
    """Write x, and leave it to others to say what it is worth."""
    f.flags[RECALLS] = False
    for j in range(len(at.x)):
        at.x[j] = f.x[HALF, j] - f.x[P_HALF, j]
    for i in range(len(e.G)):
        triangular.subtract(at.lam[i], f.rows[i], at.x)
    for i in range(len(e.A)):
        triangular.subtract(at.nu[i], f.rows[len(e.G) + i], at.x)
    triangular.backward(f.R, at.x)
