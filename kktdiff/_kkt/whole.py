"""The whole KKT matrix: LU with pivoting, and least squares for where it is singular.

With dependent active rows the multipliers are not unique, with a flat objective x is not:
the minimum-norm solution is one element of what the derivative may be, and finite.
"""

from typing import Any, NamedTuple

from kktdiff._arrays import concat, diagonal, namespace, take_shared
from kktdiff._records import QP, Rhs
from kktdiff._sparse import whole
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra

RANK = 1e-11  # eigenvalues below this, relative to the largest, count as zero


class Activity(NamedTuple):
    """Degree of activity of each row of a QP, in the QP's own units."""

    a: Array  # (B, M): lam/(lam + s), s and lam in units of each other
    unit: Array  # (B, M): the value of s/lam that is natural


def activity(w: Array, unit: Array) -> Activity:
    """Return the activities for weights w = lam/s, (B, M): 1 for active rows, 0 for idle ones."""
    xp = namespace(w)
    finite = xp.where(w < xp.inf, w, 0.0)
    return Activity(xp.where(w < xp.inf, finite / (finite + 1 / unit), 1.0), unit)


def matrix(qp: QP, rows: Activity) -> Array:  # (B, N, N)
    """Assemble the KKT matrix of `qp`, rows weighted by the root of their activity.

    The unknowns are dx, dnu and ``v = dlam / sqrt(a)``, bounds included.
    """
    a = rows.a
    xp = namespace(a)
    n, _, k = qp.sizes
    batch = max(a.shape[0], qp.Q.shape[0], qp.A.shape[0])
    eye = xp.eye(n, dtype=a.dtype, device=a.device)[None, ...]
    C = xp.sqrt(a)[..., None] * qp.C(eye)
    size = n + k + a.shape[1]
    K = xp.zeros((batch, size, size), dtype=a.dtype, device=a.device)
    K[:, :n, :n] = qp.Q
    K[:, n : n + k, :n], K[:, :n, n : n + k] = qp.A, qp.A.mT
    K[:, n + k :, :n], K[:, :n, n + k :] = C, C.mT
    if qp.compliance_nu is not None:
        K[:, n : n + k, n : n + k] = -diagonal(qp.compliance_nu)
    K[:, n + k :, n + k :] = -diagonal((1 - a) * rows.unit)
    return K


def solve_lu(qp: QP, rows: Activity, rhs: Rhs, backend: LinearAlgebra) -> Rhs:
    """Solve with LU of the whole matrix and partial pivoting."""
    K, flat = matrix(qp, rows), _flat(rows, rhs)
    xp = namespace(K)
    K = xp.broadcast_to(K, (flat.shape[0], *K.shape[1:]))
    size = xp.zeros_like(flat[:, 0, 0], dtype=xp.int64) + K.shape[1]
    return _blocks(qp, rows, backend.lu_solve(backend.lu_factor(K, size), flat))


def solve_least_squares(qp: QP, rows: Activity, rhs: Rhs) -> Rhs:
    """Find the minimum-norm least-squares solution."""
    K = matrix(qp, rows)
    xp = namespace(K)
    values, vectors = xp.linalg.eigh(K)
    size = xp.abs(values)
    keep = size > RANK * xp.max(size, axis=-1, keepdims=True)
    inverse = xp.where(keep, 1 / xp.where(keep, values, 1.0), 0.0)
    return _blocks(qp, rows, vectors @ (inverse[..., None] * (vectors.mT @ _flat(rows, rhs))))


def sparse_matrix(qp: QP, rows: Activity, element: Array) -> Any:
    """Return the KKT matrix of one element of a sparse `qp`, element: (1,)."""
    own = qp.take(element)
    a, unit = (take_shared(v, element)[0, :] for v in rows)
    return whole.system(own.Q, own.G, own.A, qp.bounds, a, unit)


def solve_sparse_least_squares(qp: QP, rows: Activity, rhs: Rhs) -> Rhs:
    """Find the minimum-norm least-squares solution for sparse matrices, element by element."""
    flat, xp = _flat(rows, rhs), namespace(rhs.x)
    elements = [xp.arange(i, i + 1) for i in range(flat.shape[0])]
    parts = [
        whole.least_squares(sparse_matrix(qp, rows, i), flat[int(i[0]), ...]) for i in elements
    ]
    return _blocks(qp, rows, xp.stack(parts))


def sparse_conditions(qp: QP, rows: Activity, balance: Array) -> Array:  # (B,)
    """Return condition numbers of KKT matrices of sparse problems times weights, (B, N)."""
    xp = namespace(balance)
    found = []
    for i in range(balance.shape[0]):
        K = sparse_matrix(qp, rows, xp.arange(i, i + 1))
        top, bottom = whole.extreme_sizes(whole.balanced(K, balance[i, :]))
        found.append(top / bottom if bottom > RANK * top else xp.inf)
    return xp.asarray(found)


def _flat(rows: Activity, rhs: Rhs) -> Array:  # (B, N, r)
    root = namespace(rows.a).sqrt(rows.a)[..., None]
    return concat([rhs.x, rhs.nu, root * rhs.c], axis=1)


def _blocks(qp: QP, rows: Activity, out: Array) -> Rhs:
    n, _, k = qp.sizes
    root = namespace(rows.a).sqrt(rows.a)[..., None]
    return Rhs(out[:, :n, :], root * out[:, n + k :, :], out[:, n : n + k, :])
