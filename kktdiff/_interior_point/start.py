"""Points from which the iteration can begin, in the problem's own units."""

from kktdiff import _kkt as kkt
from kktdiff._arrays import largest, namespace, norm_inf, top
from kktdiff._interior_point.program import Program
from kktdiff._interior_point.residuals import evaluate
from kktdiff._kkt import Weights
from kktdiff._records import QP, Point, Rhs
from kktdiff._settings import MAX_REGULARISATION
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra


def origin(qp: QP) -> Point:
    """Return the point with all unknowns zero except the fixed variables."""
    n, _, k = qp.sizes
    x, s, lam, nu = (
        namespace(qp.p).zeros((qp.length, size), dtype=qp.p.dtype, device=qp.p.device)
        for size in (n, qp.d.shape[1], qp.d.shape[1], k)
    )
    return Point(x if qp.fixed is None else x + qp.value, s, lam, nu)


def start(program: Program, backend: LinearAlgebra) -> Point:
    """Find a point near the origin with s and lam positive and about centred.

    x minimises ``1/2 x'Qx + p'x + theta/2 |Cx - min(d, 0)|^2`` on ``Ax = b``: it meets the rows
    that the origin violates, and moves no further towards the others. (The start of CVXOPT's
    solvers, Vandenberghe 2010, section 5.3, goes to all rows.)
    """
    qp, size = program.qp, program.units
    xp = namespace(qp.p)
    zero = origin(qp)
    w = xp.where(qp.present, size.weight[:, None], 0.0) + zero.s
    held = None if qp.fixed is None else xp.broadcast_to(qp.fixed, zero.x.shape)
    reg = MAX_REGULARISATION + 0 * size.x
    f = kkt.factor(
        qp, Weights(w, held, size.weight, reg, reg), backend, separable=program.separable
    )
    r = evaluate(qp, zero)
    towards = xp.where(qp.present, xp.minimum(-r.r_c, 0 * r.r_c), 0.0)
    out = kkt.solve_once(
        qp, f, Rhs(-r.r_x[..., None], towards[..., None], -r.r_nu[..., None]), backend
    )
    x, nu = zero.x + out.x[..., 0], out.nu[..., 0]
    return centred(program, x, nu, size.x, size.price)


def centred(program: Program, x: Array, nu: Array, scale: Array, price: Array) -> Point:
    """Return a centred point at x; scale, price: (B,).

    Slacks are at least the worst violation and `scale`/10, multipliers about `price` or the largest
    force.
    """
    qp = program.qp
    xp = namespace(x)
    slack = xp.where(qp.present, qp.d - qp.C(x[..., None])[..., 0], 0.0)
    short = xp.maximum(top(xp.where(slack < 0, -slack, 0.0)), 1e-1 * scale)
    force = largest(norm_inf((qp.Q @ x[..., None])[..., 0] + qp.p), price)
    s = xp.maximum(slack, short[:, None] + 0 * slack)
    lam = force[:, None] * xp.minimum(short[:, None] / s, 1 + 0 * s)
    return Point(x, xp.where(qp.present, s, 1.0), xp.where(qp.present, lam, 0.0), nu)
