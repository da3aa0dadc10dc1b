"""The KKT system condensed: Cholesky for the interior-point loop.

From the system of `kktdiff._kkt` dlam is eliminated, then dx:

    H = Q + C'diag(lam/s)C,     S = A H^-1 A'.

Cheap and, until the last digits, good enough for a step. A small proximal term in the scaled
metric makes room for singular Q and dependent rows.
"""

from functools import partial
from typing import NamedTuple

from kktdiff._arrays import mv, namespace, norm_inf, plus_diagonal
from kktdiff._problem import QP
from kktdiff._residuals import Point
from kktdiff._scaling import Scaling
from kktdiff._settings import FIXED
from kktdiff._typing import Array, Solve, System
from kktdiff.backends import Backend, Cholesky


class Condensed(NamedTuple):
    """Cholesky factors of ``H = Q + C'diag(w)C`` and of ``S = A H^-1 A'``."""

    w: Array  # (B, M): lam/s, 0 for absent rows
    H: Cholesky | None  # None: H is diagonal
    h: Array  # (B, n): the diagonal of H
    S: Cholesky | None  # None: no equalities
    HA: Array | None  # (B, n, k): H^-1 A'
    ok: Array  # (B,) bool


def is_separable(qp: QP) -> Array:  # (B or 1,) bool
    """Which elements have a diagonal ``H``: a diagonal Q and no G."""
    xp = namespace(qp.Q)
    if qp.G.shape[-2]:
        return xp.zeros((1,), dtype=xp.bool, device=qp.Q.device)
    diagonal = xp.eye(qp.Q.shape[-1], dtype=xp.bool, device=qp.Q.device)
    return xp.all((qp.Q == 0) | diagonal, axis=(1, 2))


def is_convex(qp: QP, rounding: float, backend: Backend, *, separable: bool) -> Array:  # (B,) bool
    """Whether Q has no negative eigenvalue but such as rounding may leave, relative to Q."""
    xp = namespace(qp.Q)
    size = norm_inf(norm_inf(qp.Q))
    if separable:
        convex = xp.all(xp.linalg.diagonal(qp.Q) >= -rounding * size[:, None], axis=-1)
    else:
        least = xp.where(size > 0, rounding * size, 1.0)
        shift = least[:, None] + xp.zeros_like(qp.Q[:, 0, :])
        convex = backend.cholesky(plus_diagonal(qp.Q, shift)).ok
    return xp.broadcast_to(convex, (qp.length,))


def system(backend: Backend, *, separable: bool) -> System:
    """The condensed Newton system; `separable`: `is_separable` for all elements."""

    def factor(qp: QP, scaling: Scaling, point: Point, reg: Array) -> tuple[Solve, Array]:
        give = point.s + qp.shift(point.lam)
        w = namespace(reg).where(qp.present, point.lam / give, 0.0)
        c = condense(qp, scaling, w, reg, backend, separable=separable)
        return partial(_solve, qp, c, backend), c.ok

    return factor


def condense(
    qp: QP,
    scaling: Scaling,
    w: Array,  # (B, M)
    reg: Array,  # (B,): proximal weight, scaled metric
    backend: Backend,
    *,
    separable: bool,
) -> Condensed:
    """Assemble and factor the condensed system."""
    xp = namespace(w)
    w_G, w_lb, w_ub = qp.split(w)
    D = reg[:, None] * scaling.prox_x
    D = D + w_lb if qp.bounds[0] else D
    D = D + w_ub if qp.bounds[1] else D
    if qp.fixed is not None:
        D = xp.where(qp.fixed, FIXED * scaling.prox_x, D)
    h = xp.linalg.diagonal(qp.Q) + D
    if separable:
        factor, ok = None, xp.all(h > 0, axis=1)
    else:
        factor = backend.condensed_cholesky(qp.Q, D, qp.G, w_G)
        ok = factor.ok
    if not qp.A.shape[-2]:
        return Condensed(w, factor, h, None, None, ok)
    At = xp.broadcast_to(qp.A.mT, (w.shape[0], *qp.A.mT.shape[1:]))
    HA = At / h[..., None] if factor is None else backend.cho_solve(factor, At)
    give = reg[:, None] * scaling.unit_nu + (0.0 if qp.soft_nu is None else qp.soft_nu)
    S = backend.cholesky(plus_diagonal(qp.A @ HA, give))
    return Condensed(w, factor, h, S, HA, ok & S.ok)


def _solve(
    qp: QP, c: Condensed, backend: Backend, r_x: Array, r_c: Array, r_nu: Array
) -> tuple[Array, Array, Array, Array]:
    """(dx, dlam, dnu) and C dx for one right-hand side per element."""
    rhs = r_x + qp.Ct((c.w * r_c)[..., None])[..., 0]
    dx = _solve_H(c, rhs, backend)
    dnu = r_nu
    if c.S is not None:
        dnu = backend.cho_solve(c.S, (mv(qp.A, dx) - r_nu)[..., None])[..., 0]
        dx = dx - mv(c.HA, dnu)
    if qp.fixed is not None:
        dx = namespace(dx).where(qp.fixed, 0.0, dx)
    Cdx = qp.C(dx[..., None])[..., 0]
    return dx, c.w * (Cdx - r_c), dnu, Cdx


def _solve_H(c: Condensed, rhs: Array, backend: Backend) -> Array:
    if c.H is None:
        return rhs / c.h
    return backend.cho_solve(c.H, rhs[..., None])[..., 0]
