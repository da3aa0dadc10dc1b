"""Whether constraints can be met at all, by the homogeneous self-dual embedding.

For ``Cx <= d, Ax = b`` find x, s >= 0, lam >= 0, nu, tau >= 0, kappa >= 0 with

    C'lam + A'nu = 0,    Cx + s = d tau,    Ax = b tau,    d'lam + b'nu + kappa = 0.

It always has a solution other than 0, and the interior-point method goes to one with tau > 0, a
point x/tau that meets the constraints, or with kappa > 0, a Farkas proof that there is none. The
iterates stay bounded whichever it is, where those of a method that looks for x run off. (Ye, Todd
and Mizuno 1994; the steps are Mehrotra's, as in Andersen and Andersen 2000.)
"""

from typing import NamedTuple

from kktdiff._arrays import dot, largest, namespace, norm_inf, pick_all
from kktdiff._certificates import Proof, farkas
from kktdiff._problem import QP
from kktdiff._residuals import Point
from kktdiff._scaling import Scaling
from kktdiff._settings import REGULARISATION
from kktdiff._typing import Array, Solve, System

_ITERATIONS = 60
_KEEP_OFF = 0.99  # share of the step to the boundary that is taken
_MET = 1e-9  # residual of the embedding, relative to tau, from which the constraints are met


class Embedded(NamedTuple):
    """An iterate, and directions of the same form."""

    x: Array  # (B, n)
    s: Array  # (B, M), 1 for absent rows
    lam: Array  # (B, M), 0 for absent rows
    nu: Array  # (B, k)
    tau: Array  # (B, 1)
    kappa: Array  # (B, 1)

    def plus(self, alpha: Array, step: "Embedded") -> "Embedded":
        """``self + alpha step``."""
        return Embedded(*(v + alpha * dv for v, dv in zip(self, step, strict=True)))


def prove_infeasible(qp: QP, scaling: Scaling, system: System) -> Proof:
    """A Farkas proof where there is one; `qp` with Q = 0 and p = 0."""
    xp = namespace(qp.p)
    at = _start(qp, scaling)
    reg = 0 * at.tau[:, 0] + REGULARISATION
    proof = Proof(reg < 0, Point(at.x, at.s, 0 * at.lam, at.nu))
    for _ in range(_ITERATIONS):
        found = farkas(qp, scaling, at.lam, at.nu, 0 * at.x, violated=0.0)
        proof = Proof(
            proof.holds | found.holds,
            pick_all(found.holds & ~proof.holds, found.point, proof.point),
        )
        left = _residuals(qp, at)
        off = largest(*(norm_inf(v) for v in left[:3])) / at.tau[:, 0]
        if not bool(xp.any(~proof.holds & (off > _MET) & xp.isfinite(off))):
            break
        solve, _ = system(qp, scaling, Point(at.x, at.s, at.lam, at.nu), reg)
        step = _direction(qp, at, left, solve)
        at = at.plus(_KEEP_OFF * _length(at, step), step)
    return proof


def _start(qp: QP, scaling: Scaling) -> Embedded:
    """The centre: s lam = tau kappa = 1, in the scaled metric."""
    xp = namespace(qp.p)
    one = xp.ones((qp.length, 1), dtype=qp.p.dtype, device=qp.p.device)
    rows = xp.where(qp.present, scaling.rows, 1.0) * one
    zero = [0 * one + xp.zeros_like(v) for v in (qp.p, qp.b)]
    return Embedded(zero[0], 1 / rows, xp.where(qp.present, rows, 0.0), zero[1], one, one)


def _residuals(qp: QP, at: Embedded) -> tuple[Array, Array, Array, Array]:
    """What the four equations leave."""
    xp = namespace(at.x)
    x = -qp.Ct(at.lam[..., None]) - qp.A.mT @ at.nu[..., None]
    c = qp.d * at.tau - at.s - qp.C(at.x[..., None])[..., 0]
    nu = qp.b * at.tau - (qp.A @ at.x[..., None])[..., 0]
    return x[..., 0], xp.where(qp.present, c, 0.0), nu, -at.kappa - _height(qp, at.lam, at.nu)


def _height(qp: QP, lam: Array, nu: Array) -> Array:  # (B, 1)
    return (dot(qp.d, lam) + dot(qp.b, nu))[:, None]


def _direction(
    qp: QP, at: Embedded, left: tuple[Array, Array, Array, Array], solve: Solve
) -> Embedded:
    """Mehrotra's direction."""
    xp = namespace(at.x)
    _, lam_tau, nu_tau, _ = by_tau = solve(0 * at.x, qp.d + 0 * at.s, qp.b + 0 * at.nu)
    slope = _height(qp, lam_tau, nu_tau) - at.kappa / at.tau
    count = xp.sum(xp.astype(qp.present, at.s.dtype), axis=-1, keepdims=True) + 1

    def mean(point: Embedded) -> Array:
        return (dot(point.s, point.lam)[:, None] + point.tau * point.kappa) / count

    def newton(share: Array | float, r_s: Array, r_kappa: Array) -> Embedded:
        r_x, r_c, r_nu, r_tau = (share * v for v in left)
        inverse = 1 / xp.where(qp.present, at.lam, 1.0)
        dx, dlam, dnu, _ = solve(r_x, xp.where(qp.present, r_c - inverse * r_s, 0.0), r_nu)
        dtau = (r_tau - r_kappa / at.tau - _height(qp, dlam, dnu)) / slope
        dx, dlam, dnu = (v + dtau * w for v, w in zip((dx, dlam, dnu), by_tau, strict=False))
        ds = xp.where(qp.present, inverse * (r_s - at.s * dlam), 0.0)
        return Embedded(dx, ds, dlam, dnu, dtau, (r_kappa - at.kappa * dtau) / at.tau)

    affine = newton(1.0, -at.s * at.lam, -at.tau * at.kappa)
    alpha = _length(at, affine)
    sigma = (mean(at.plus(alpha, affine)) / mean(at)) ** 3
    aim = sigma * mean(at)
    return newton(
        1 - sigma,
        aim - at.s * at.lam - affine.s * affine.lam,
        aim - at.tau * at.kappa - affine.tau * affine.kappa,
    )


def _length(at: Embedded, step: Embedded) -> Array:  # (B, 1)
    """Largest step, up to one, that keeps s, lam, tau and kappa from below zero."""
    xp = namespace(at.x)
    v = xp.concat([at.s, at.lam, at.tau, at.kappa], axis=1)
    dv = xp.concat([step.s, step.lam, step.tau, step.kappa], axis=1)
    ratio = xp.where(dv < 0, -v / xp.where(dv < 0, dv, -1.0), xp.inf)
    return xp.minimum(xp.min(ratio, axis=1, keepdims=True), xp.ones_like(at.tau))
