"""The Newton system of one element, condensed: as `kktdiff._condensed` has it, or the dual form."""

from typing import Any

from kktdiff._settings import FIXED as STIFF
from kktdiff._settings import REGULARISATION
from kktdiff.backends.compiled import _dual as dual
from kktdiff.backends.compiled import _lapack as lapack
from kktdiff.backends.compiled import _triangular as triangular
from kktdiff.backends.compiled._data import (
    CDX,
    DLAM,
    DNU,
    DUAL,
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
    fill,
)
from kktdiff.backends.compiled._data import H as DIAGONAL
from kktdiff.backends.compiled._data import W as WEIGHTS
from kktdiff.backends.compiled._jit import exact, fast
from kktdiff.backends.compiled._products import (
    add_rows,
    dot,
    rows_times,
)

_TINY = 6  # variables: the call of BLAS would take longer than the work


@exact
def factor(e: Data, o: Options, f: Work) -> bool:
    """Factor the system for the weights w of the rows, ``f.c[W]``."""
    if f.flags[DUAL]:
        return dual.factor(e, f)
    return _factor_primal(e, o, f)


@exact
def solve(e: Data, o: Options, f: Work) -> None:
    """dlam for the right-hand side (-r_x, target, -r_nu)."""
    if f.flags[DUAL]:
        dual.solve(e, f)
    else:
        _solve_primal(e, o, f)


@exact
def finish(e: Data, f: Work) -> None:
    """dx and dnu for the right-hand side that was solved for last."""
    if f.flags[DUAL]:
        dual.finish(e, f)


@fast
def _factor_primal(e: Data, o: Options, f: Work) -> bool:
    """``H = Q + C'diag(w)C`` and ``S = A H^-1 A'``."""
    n, h, w = e.Q.shape[0], f.x[DIAGONAL], f.c[WEIGHTS]
    lower, upper = w[len(e.G) :], w[len(e.G) + o.lower :]
    for j in range(n):
        prox = 1 / (e.cost * e.x[WEIGHT, j] ** 2)
        h[j] = e.Q[j, j] + (STIFF if e.x[FIXED, j] else REGULARISATION) * prox
        if not e.x[FIXED, j]:
            h[j] += lower[j] if o.lower else 0.0
            h[j] += upper[j] if o.upper else 0.0
    if e.diagonal:
        _add_squares(e, w, h)
        for j in range(n):
            if not h[j] > 0:
                return False
            h[j] = 1 / h[j] ** 0.5
    else:
        for j in range(n):
            copy(e.Q[j], f.H[j])
            f.H[j, j] = h[j]
        _add_square(e, f)
        if not lapack.factor(f.H, f.la):
            return False
    return len(e.A) == 0 or _factor_equalities(e, f)


@fast
def _add_square(e: Data, f: Work) -> None:
    """``H += G'diag(w)G``, above the diagonal."""
    w, H = f.c[WEIGHTS], f.H
    tiny = len(H) <= _TINY
    for i in range(len(e.G)):
        if e.few_g:
            for t in range(e.starts[i], e.starts[i + 1]):
                row = e.columns[t]
                weight = w[i] * e.G[i, row]
                for u in range(t, e.starts[i + 1]):
                    H[row, e.columns[u]] += weight * e.G[i, e.columns[u]]
        elif tiny:
            for row in range(len(H)):
                weight = w[i] * e.G[i, row]
                for j in range(row, len(H)):
                    H[row, j] += weight * e.G[i, j]
        else:
            root = w[i] ** 0.5
            for j in range(len(H)):
                f.rows[i, j] = root * e.G[i, j]
    if not (e.few_g or tiny):
        lapack.add_square(f.rows[: len(e.G)], H, f.la)


@fast
def _add_squares(e: Data, w: Any, h: Any) -> None:
    """The same where no row has more than one entry."""
    for i in range(len(e.G)):
        for t in range(e.starts[i], e.starts[i + 1]):
            h[e.columns[t]] += w[i] * e.G[i, e.columns[t]] ** 2


@fast
def _factor_equalities(e: Data, f: Work) -> bool:
    """V = A R^-1, where H = R'R, and S = V V'."""
    k = len(e.A)
    V, S = f.rows[len(e.G) :], f.S
    for i in range(k):
        fill(S[i], 0.0)
        S[i, i] = REGULARISATION * e.cost / e.k[NU_WEIGHT, i] ** 2
        copy(e.A[i], V[i])
        if e.diagonal:
            _scale(V[i], f.x[DIAGONAL])
    if not e.diagonal:
        lapack.solve_half(f.H, V, f.la)
    lapack.add_products(V, S, f.la)
    return lapack.factor(S, f.la)


@fast
def _solve_primal(e: Data, o: Options, f: Work) -> None:
    """dx and dnu come first in this form."""
    dx, Cdx, w, target = f.x[DX], f.c[CDX], f.c[WEIGHTS], f.c[TARGET]
    for i in range(len(w)):
        Cdx[i] = w[i] * target[i]
    for j in range(len(dx)):
        dx[j] = -f.x[R_X, j]
    add_rows(e, o, Cdx, dx)
    if e.diagonal:
        _scale(dx, f.x[DIAGONAL])
    else:
        triangular.forward(f.H, dx)
    if len(e.A):
        _eliminate_equalities(e, f)
    if e.diagonal:
        _scale(dx, f.x[DIAGONAL])
    else:
        triangular.backward(f.H, dx)
    for j in range(len(dx)):
        if e.x[FIXED, j]:
            dx[j] = 0.0
    rows_times(e, o, dx, Cdx)
    for i in range(len(w)):
        f.c[DLAM, i] = w[i] * (Cdx[i] - target[i])


@fast
def _scale(v: Any, by: Any) -> None:
    for j in range(len(v)):
        v[j] *= by[j]


@fast
def _eliminate_equalities(e: Data, f: Work) -> None:
    """dnu, and its share in R dx, which f.x[DX] holds: ``S dnu = V R dx + r_nu``."""
    dnu, dx, V = f.k[DNU], f.x[DX], f.rows[len(e.G) :]
    for i in range(len(dnu)):
        dnu[i] = dot(V[i], dx) + f.k[R_NU, i]
    triangular.solve(f.S, dnu)
    for i in range(len(dnu)):
        triangular.subtract(dnu[i], V[i], dx)
