"""The KKT system in the least-squares sense, for where it is singular.

With dependent active rows the multipliers are not unique, with a flat objective x is not:
the minimum-norm solution is one element of what the derivative may be, and finite.
"""

from kktdiff._arrays import concat, diagonal, namespace
from kktdiff._kkt import Rhs
from kktdiff._problem import QP
from kktdiff._scaling import Scaling
from kktdiff._typing import Array

RANK = 1e-11  # eigenvalues below this, relative to the largest, count as zero


def matrix(qp: QP, scaling: Scaling, activity: Array) -> Array:  # (B, N, N)
    """The KKT matrix in the caller's units, rows weighted by the root of their activity.

    The unknowns are dx, dnu and ``v = dlam / sqrt(activity)``, bounds included.
    """
    xp = namespace(activity)
    n, _, k = qp.sizes
    batch, rows = activity.shape
    eye = xp.eye(n, dtype=activity.dtype, device=activity.device)[None, ...]
    C = xp.sqrt(activity)[..., None] * qp.C(eye)
    size = n + k + rows
    K = xp.zeros((batch, size, size), dtype=activity.dtype, device=activity.device)
    K[:, :n, :n] = qp.Q
    K[:, n : n + k, :n], K[:, :n, n : n + k] = qp.A, qp.A.mT
    K[:, n + k :, :n], K[:, :n, n + k :] = C, C.mT
    if qp.soft_nu is not None:
        K[:, n : n + k, n : n + k] = -diagonal(qp.soft_nu)
    K[:, n + k :, n + k :] = -diagonal((1 - activity) * scaling.unit_rows)
    return K


def spectrum(qp: QP, scaling: Scaling, activity: Array) -> tuple[Array, Array]:
    """Eigenvalues (B, N) and eigenvectors (B, N, N) of the KKT matrix."""
    K = matrix(qp, scaling, activity)
    result = namespace(K).linalg.eigh(K)
    return result.eigenvalues, result.eigenvectors


def solve_least_squares(qp: QP, scaling: Scaling, activity: Array, rhs: Rhs) -> Rhs:
    """Minimum-norm least-squares solution."""
    xp = namespace(activity)
    n, _, k = qp.sizes
    values, vectors = spectrum(qp, scaling, activity)
    size = xp.abs(values)
    keep = size > RANK * xp.max(size, axis=-1, keepdims=True)
    inverse = xp.where(keep, 1 / xp.where(keep, values, 1.0), 0.0)
    root = xp.sqrt(activity)[..., None]
    flat = concat([rhs.x, rhs.nu, root * rhs.c], axis=1)
    out = vectors @ (inverse[..., None] * (vectors.mT @ flat))
    return Rhs(out[:, :n, :], root * out[:, n + k :, :], out[:, n : n + k, :])
