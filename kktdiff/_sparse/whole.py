"""The whole KKT matrix of a large sparse problem: least squares, and how well it is posed.

Its unknowns are those of `_kkt.whole`: x, nu, and the multipliers of C over the roots of the rows'
activities.
"""

from typing import Any

import numpy as np

from kktdiff._sparse.matrix import SparseMatrix
from kktdiff._sparse.quasidefinite import factor_one
from kktdiff._typing import Array

_FLAT = 1e-6  # eigenvalues below this, relative to the largest entry, count for less and less
_TIRED = 1e-12  # relative change of a solution that is rounding
_STEPS = 30  # of least squares


def system(
    Q: SparseMatrix,
    G: SparseMatrix,
    A: SparseMatrix,
    bounds: tuple[int, int],
    a: Array,
    unit: Array,
) -> Any:
    """Return the matrix of the first of some problems; a, unit: (M,), of its rows."""
    from scipy import sparse

    n = Q.shape[1]
    eye = sparse.eye_array(n, format="csr")
    sides = [side for side, there in ((-eye, bounds[0]), (eye, bounds[1])) if there]
    C = sparse.diags_array(np.sqrt(a)) @ sparse.vstack([G.first(), *sides], format="csr")
    rows = sparse.diags_array(-(1 - a) * unit)
    return sparse.block_array(
        [[Q.first(), A.first().T, C.T], [A.first(), None, None], [C, None, rows]], format="csc"
    )


def least_squares(K: Any, rhs: Array) -> Array:  # (N, r)
    """Return the least-squares solution of minimum norm of ``K z = rhs``, K symmetric.

    Proximal steps ``(K K + eps) dz = K (rhs - K z)`` from zero, each by a matrix that is regular.
    What rounding leaves of a right-hand side where K is flat grows by 1/eps: it is in long numbers,
    and z loses what it has there before the last step, which is small.
    """
    from scipy import sparse

    size = K.shape[0]
    root = _FLAT * max(abs(K).max(), np.finfo(float).tiny)
    eye = root * sparse.eye_array(size)
    factor = factor_one(sparse.block_array([[eye, K], [K, -eye]], format="csc"))
    long = K.astype(np.longdouble)

    def solved(right: Array) -> Array:
        return factor.solve(np.concatenate([0 * right, -right / root]))[size:]

    def step(z: Array) -> Array:
        return solved((long @ (rhs - long @ z)).astype(float))

    out = step(np.zeros(rhs.shape))
    for _ in range(_STEPS):
        more = step(out)
        out = out + more
        if np.abs(more).max(initial=0.0) <= _TIRED * np.abs(out).max(initial=0.0):
            break
    out = out - solved(root**2 * out)
    return out + step(out)


def balanced(K: Any, weights: Array) -> Any:
    """Return K with rows and columns times the weights, (N,)."""
    from scipy import sparse

    own = sparse.diags_array(weights)
    return (own @ K @ own).tocsc()


def extreme_sizes(K: Any) -> tuple[float, float]:
    """Return the largest and the smallest size of an eigenvalue of K, symmetric, to a percent."""
    from scipy.sparse import linalg

    most = abs(K).max()
    if not most:
        return 0.0, 0.0
    start = np.random.default_rng(0).normal(size=K.shape[0])
    how = {"k": 1, "v0": start, "tol": 1e-2, "return_eigenvectors": False}
    (top,) = abs(linalg.eigsh(K, **how))
    try:
        (bottom,) = abs(linalg.eigsh(K, sigma=-1e-3 * np.finfo(float).eps * most, **how))
    except RuntimeError:  # exactly singular
        return float(top), 0.0
    return float(top), float(bottom)
