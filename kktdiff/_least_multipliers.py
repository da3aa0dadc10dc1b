"""Smaller multipliers where those at hand are so large that they leave much to rounding.

Where the constraints have no interior the optimal multipliers are not bounded, and those of an
interior point may be huge; what rounding leaves of the stationarity is relative to them. The
least ones, for the active rows C and x as it is, solve a QP of their own, in scaled units:

    minimise 1/2 |lam|^2 + 1/2 |nu|^2   subject to   C'lam + A'nu = -(Qx + p),  lam >= 0.
"""

from kktdiff._arrays import concat, diagonal, mv, namespace, placed
from kktdiff._problem import QP
from kktdiff._residuals import Point
from kktdiff._scaling import Scaling
from kktdiff._typing import Array


def multiplier_qp(qp: QP, scaling: Scaling, x: Array, rows: Array) -> QP:
    """The QP above for one element; its unknowns are those of `rows`, (r,), and then nu's."""
    xp = namespace(x)
    eye = xp.eye(x.shape[1], dtype=x.dtype, device=x.device)[None, ...]
    C = concat([qp.G] + [-eye] * (qp.bounds[0] > 0) + [eye] * (qp.bounds[1] > 0), axis=1)
    own = xp.take(scaling.rows[..., None] * C, rows, axis=1)
    E = concat([own, scaling.nu[..., None] * qp.A], axis=1)
    E, g = scaling.x[..., None] * E.mT, -scaling.x * (mv(qp.Q, x) + qp.p)
    if qp.fixed is not None:  # a fixed variable's stationarity has a multiplier of its own
        free = xp.nonzero(~xp.broadcast_to(qp.fixed, x.shape)[0])[0]
        E, g = xp.take(E, free, axis=1), xp.take(g, free, axis=1)
    zero = xp.zeros((1, E.shape[2]), dtype=x.dtype, device=x.device)
    signed = xp.arange(zero.shape[1], device=x.device)[None, :] < rows.shape[0]
    none = xp.zeros((1, 0, zero.shape[1]), dtype=x.dtype, device=x.device)
    Q, bounds = diagonal(zero + 1), (zero.shape[1], 0)
    return QP(Q, zero, none, E, g, zero, signed, None, None, None, None, bounds)


def with_multipliers(scaling: Scaling, point: Point, rows: Array, found: Array) -> Point:
    """`point` of one element with the multipliers `found`, (1, r + k), of `rows` and of A."""
    xp = namespace(found)
    own = xp.where(found > 0, found, 0.0)[0, : rows.shape[0]]
    lam = placed(rows, own, 0 * point.lam[0, :])[None, :] * scaling.rows
    return point._replace(lam=lam, nu=found[:, rows.shape[0] :] * scaling.nu)
