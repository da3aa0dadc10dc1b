"""The condensed Newton system of one element, as `kktdiff._condensed` has it."""

from kktdiff._settings import FIXED as STIFF
from kktdiff.backends.compiled import _lapack as lapack
from kktdiff.backends.compiled._data import (
    CDX,
    DLAM,
    DNU,
    DX,
    FIXED,
    NU_WEIGHT,
    R_NU,
    R_X,
    TARGET,
    WEIGHT,
    Data,
    Options,
    Work,
    copy,
)
from kktdiff.backends.compiled._data import H as DIAGONAL
from kktdiff.backends.compiled._data import W as WEIGHTS
from kktdiff.backends.compiled._jit import fast
from kktdiff.backends.compiled._products import (
    add_rows,
    dot,
    rows_times,
    times,
)


@fast
def factor(e: Data, o: Options, f: Work, reg: float) -> bool:
    """Factor ``H = Q + C'diag(w)C`` and ``S = A H^-1 A'`` for the weights w of the rows."""
    n, h, w = e.Q.shape[0], f.x[DIAGONAL], f.c[WEIGHTS]
    lower, upper = w[len(e.G) :], w[len(e.G) + o.lower :]
    for j in range(n):
        prox = 1 / (e.cost * e.x[WEIGHT, j] ** 2)
        h[j] = e.Q[j, j] + (STIFF if e.x[FIXED, j] else reg) * prox
        if not e.x[FIXED, j]:
            h[j] += lower[j] if o.lower else 0.0
            h[j] += upper[j] if o.upper else 0.0
    if e.diagonal:
        for j in range(n):
            if not h[j] > 0:
                return False
    else:
        for j in range(n):
            copy(e.Q[j], f.H[j])
            f.H[j, j] = h[j]
        for i in range(len(e.G)):
            root = w[i] ** 0.5
            for j in range(n):
                f.rows[i, j] = root * e.G[i, j]
        lapack.add_square(f.rows, f.H, False, f.la)
        if not lapack.factor(f.H, f.la):
            return False
    return len(e.A) == 0 or _factor_equalities(e, o, f, reg)


@fast
def _factor_equalities(e: Data, o: Options, f: Work, reg: float) -> bool:
    k, n = e.A.shape
    if e.diagonal:
        for i in range(k):
            for j in range(n):
                f.HA[i, j] = e.A[i, j] / f.x[DIAGONAL, j]
    else:
        for i in range(k):
            copy(e.A[i], f.HA[i])
        lapack.solve(f.H, f.HA, f.la)
    for i in range(k):
        for j in range(i, k):
            f.S[i, j] = dot(e.A[i], f.HA[j])
        f.S[i, i] += reg * e.cost / e.k[NU_WEIGHT, i] ** 2
    return lapack.factor(f.S, f.la)


@fast
def solve(e: Data, o: Options, f: Work) -> None:
    """dx, dlam, dnu and C dx for the right-hand side (-r_x, target, -r_nu)."""
    dx, Cdx, w, target = f.x[DX], f.c[CDX], f.c[WEIGHTS], f.c[TARGET]
    for i in range(len(w)):
        Cdx[i] = w[i] * target[i]
    for j in range(len(dx)):
        dx[j] = -f.x[R_X, j]
    add_rows(e, o, Cdx, dx)
    if e.diagonal:
        for j in range(len(dx)):
            dx[j] /= f.x[DIAGONAL, j]
    else:
        lapack.solve(f.H, f.x[DX : DX + 1], f.la)
    if len(e.A):
        _eliminate_equalities(e, f)
    for j in range(len(dx)):
        if e.x[FIXED, j]:
            dx[j] = 0.0
    rows_times(e, o, dx, Cdx)
    for i in range(len(w)):
        f.c[DLAM, i] = w[i] * (Cdx[i] - target[i])


@fast
def _eliminate_equalities(e: Data, f: Work) -> None:
    """dnu, and dx with its share: ``S dnu = A dx + r_nu``, ``dx -= H^-1 A' dnu``."""
    dnu, dx = f.k[DNU], f.x[DX]
    times(e.A, dx, dnu)
    for i in range(len(dnu)):
        dnu[i] += f.k[R_NU, i]
    lapack.solve(f.S, f.k[DNU : DNU + 1], f.la)
    for i in range(len(dnu)):
        for j in range(len(dx)):
            dx[j] -= f.HA[i, j] * dnu[i]
