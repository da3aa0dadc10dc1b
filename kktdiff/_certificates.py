"""Certificates of infeasibility, each checked on the caller's own data.

Farkas: ``Cx <= d, Ax = b`` has no solution if and only if some ``lam >= 0, nu`` has
``C'lam + A'nu = 0`` and ``d'lam + b'nu < 0``. A feasible QP is unbounded below if and only
if some ``r`` has ``Qr = 0, Ar = 0, Cr <= 0`` and ``p'r < 0``.
"""

from kktdiff._arrays import dot, largest, mv, namespace, norm_inf
from kktdiff._problem import QP
from kktdiff._residuals import Point, Residuals
from kktdiff._typing import Array

CLEARLY = 1e-5  # contradictions smaller than this, relative to the multipliers, may be rounding
EXACT = 1e-9  # how nearly a certificate's equations must hold, relative to what it proves


def primal_infeasible(point: Point, r: Residuals) -> Array:  # (B,) bool
    """Whether the multipliers at `point` prove that no x meets the constraints.

    With the multipliers' largest entry scaled to one the proof must leave more than rounding
    on the right-hand side, for all x that are not EXACT^-1 times as large as it.
    """
    proof = -r.offset
    size = largest(norm_inf(point.lam), norm_inf(point.nu), norm_inf(r.y))
    reach = EXACT * proof / (1 + norm_inf(point.x))
    return (proof > CLEARLY * size) & (norm_inf(r.rows) <= reach)


def dual_infeasible(qp: QP, point: Point, r: Residuals) -> Array:  # (B,) bool
    """Whether x itself is a direction in which the objective falls for ever."""
    xp = namespace(point.x)
    x, Qx, Cx, Ax = point.x, r.Qx, r.Cx, r.r_nu + qp.b
    if qp.fixed is not None:  # a direction does not move these
        x = xp.where(qp.fixed, 0.0, x)
        Qx, Cx, Ax = mv(qp.Q, x), qp.C(x[..., None])[..., 0], mv(qp.A, x)
    rising = xp.where(qp.present & (Cx > 0), Cx, 0.0)
    descent = -dot(qp.p, x)
    off = largest(norm_inf(Qx), norm_inf(rising), norm_inf(Ax))
    return (descent > 1e-6 * norm_inf(x)) & (off <= EXACT * descent)
