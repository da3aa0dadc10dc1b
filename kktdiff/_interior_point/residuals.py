"""Residuals of the optimality conditions at a point, in the caller's units."""

from typing import NamedTuple

from kktdiff._arrays import concat, dot, largest, mv, namespace, norm_inf, norms_inf, taken
from kktdiff._records import QP, Point
from kktdiff._settings import ROUNDING
from kktdiff._typing import Array


class Residuals(NamedTuple):
    """Vectors that a Newton step needs, and the three residual norms of a solution."""

    r_x: Array  # (B, n): Qx + p + C'lam + A'nu, 0 for fixed variables
    r_c: Array  # (B, M): Cx + s - d, 0 for absent rows
    r_nu: Array  # (B, k): Ax - b
    y: Array  # (B, n): multiplier of each fixed variable's equality, 0 elsewhere
    Qx: Array  # (B, n)
    Cx: Array  # (B, M)
    force: Array  # (B, n): C'lam + A'nu
    offset: Array  # (B,): d'lam + b'nu
    value: Array  # (B,): |x'Qx| + |p'x|
    multiplier: Array  # (B,): the largest of lam and nu
    primal: Array  # (B,): largest violation of a constraint
    equal: Array  # (B,): largest entry of r_nu
    dual: Array  # (B,): largest entry of r_x
    gap: Array  # (B,): |x'Qx + p'x + d'lam + b'nu|
    sizes: Array  # (B, 3): size of the terms whose difference each of the three is

    def within(self, tol: float) -> Array:  # (B,) bool
        """Return True where all three norms are at most `tol`, up to rounding."""
        return namespace(self.gap).all(self.norms <= tol + ROUNDING * self.sizes, axis=-1)

    def take(self, index: Array) -> "Residuals":
        """Return the elements `index` of the batch."""
        return Residuals(*taken(self, index))

    @property
    def norms(self) -> Array:  # (B, 3)
        """Primal, dual and gap."""
        return namespace(self.gap).stack([self.primal, self.dual, self.gap], axis=-1)


def evaluate(qp: QP, point: Point) -> Residuals:
    """Evaluate the residuals of the optimality conditions at `point`."""
    xp, n = namespace(point.x), point.x.shape[1]
    x, s, lam, nu = point
    Qx, Ax, An = mv(qp.Q, x), mv(qp.A, x), mv(qp.A.mT, nu)
    Cx = xp.where(qp.present, qp.C(x[..., None])[..., 0], 0.0)
    Cl = qp.Ct(lam[..., None])[..., 0]
    d, b = qp.limits(lam, nu)
    excess, r_nu = Cx - d, Ax - b
    equal = norm_inf(r_nu)
    r_x, y = Qx + qp.p + Cl + An, xp.zeros_like(x)
    products, violations = (
        [x * Qx, x * qp.p, lam * d, nu * b],
        [xp.where(excess > 0, excess, 0.0), equal[:, None]],
    )
    if qp.fixed is not None:
        r_x, y = xp.where(qp.fixed, 0.0, r_x), xp.where(qp.fixed, -r_x, 0.0)
        violations.append(xp.where(qp.fixed, x - qp.value, 0.0))
        products.append(y * qp.value)
    terms = concat(products, axis=1)
    M = lam.shape[1] + nu.shape[1]
    return Residuals(
        r_x,
        xp.where(qp.present, excess + s, 0.0),
        r_nu,
        y,
        Qx,
        Cx,
        Cl + An,
        offset=xp.sum(terms[:, 2 * n : 2 * n + M], axis=1),
        value=abs(xp.sum(terms[:, :n], axis=1)) + abs(xp.sum(terms[:, n : 2 * n], axis=1)),
        multiplier=norms_inf(lam, nu),
        primal=norms_inf(*violations),
        equal=equal,
        dual=norm_inf(r_x),
        gap=abs(xp.sum(terms, axis=1)),
        sizes=xp.stack(
            [
                norms_inf(Cx, qp.d, Ax, qp.b),
                norms_inf(Qx, qp.p, Cl, An),
                xp.sum(abs(terms), axis=1),
            ],
            axis=-1,
        ),
    )


def with_full_sizes(qp: QP, point: Point, r: Residuals) -> Residuals:
    """`r` with the sizes of the terms' own terms, which may be far larger than their sums.

    What rounding leaves of ``Qx`` is relative to ``|Q||x|``, and what it leaves of the gap, to x
    times all terms of the stationarity.
    """
    xp = namespace(point.x)
    x, lam, nu, y = (xp.abs(v) for v in (point.x, point.lam, point.nu, r.y))
    Q, G, A = abs(qp.Q), abs(qp.G), abs(qp.A)
    rows, *sides = qp.split(lam)
    stationary = mv(Q, x) + xp.abs(qp.p) + mv(G.mT, rows) + mv(A.mT, nu) + y
    stationary = stationary + sum(side for side in sides if side.shape[1])
    primal = largest(norm_inf(mv(G, x)), norm_inf(mv(A, x)), r.sizes[:, 0])
    gap = dot(x, stationary) + r.sizes[:, 2]
    return r._replace(sizes=xp.stack([primal, norm_inf(stationary), gap], axis=-1))


def multipliers(qp: QP, point: Point) -> Array:  # (B, M)
    """Return ``lam`` with each fixed variable's multiplier placed on the bound of its sign."""
    xp = namespace(point.x)
    if qp.fixed is None:
        return point.lam
    y = evaluate(qp, point).y
    rows, lower, upper = qp.split(point.lam)
    lower = xp.where(qp.fixed & (y < 0), -y, lower)
    upper = xp.where(qp.fixed & (y > 0), y, upper)
    return xp.concat([rows, lower, upper], axis=1)
