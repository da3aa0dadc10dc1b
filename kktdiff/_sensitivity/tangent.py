"""Derivatives of the outputs along a direction: equation (2) of `first_order`."""

from typing import NamedTuple

from kktdiff._arrays import dot, mv, namespace
from kktdiff._interior_point.compiled_kept import KeptGroup
from kktdiff._records import Rhs
from kktdiff._sensitivity.first_order import solve
from kktdiff._sparse.matrix import symmetric_part
from kktdiff._typing import Array

Direction = dict[str, Array]  # name -> (B or 1, ...); a missing name is zero


class Product(NamedTuple):
    """Derivative of the matrix of (2) along a direction, times a vector of unknowns."""

    curved: Array  # (B, n): ``dQ x``
    by_rows: Array  # (B, n): ``dG'lam + dA'nu``
    rows: Array  # (B, m): ``dG x``; bounds' rows do not move
    nu: Array  # (B, k): ``dA x``

    @property
    def x(self) -> Array:  # (B, n)
        """First block row: ``dQ x + dG'lam + dA'nu``."""
        return self.curved + self.by_rows


def product(d: Direction, x: Array, lam: Array, nu: Array) -> Product:
    """Return the `Product` of `d` with ``(x, lam, nu)``; lam: (B, m), the rows of G alone."""
    curved, by_rows, rows, equal = 0 * x, 0 * x, 0 * lam, 0 * nu
    if "Q" in d:
        curved = mv(symmetric_part(d["Q"]), x)
    if "G" in d:
        by_rows, rows = mv(d["G"].mT, lam), mv(d["G"], x)
    if "A" in d:
        by_rows, equal = by_rows + mv(d["A"].mT, nu), mv(d["A"], x)
    return Product(curved, by_rows, rows, equal)


class Tangent(NamedTuple):
    """The directional derivative of every output, for one direction per element."""

    x: Array  # (B, n)
    s: Array  # (B, m)
    lam: Array  # (B, M)
    nu: Array  # (B, k)
    objective: Array  # (B,)


def tangent(
    kept: KeptGroup,
    lam: Array,  # (B, M), fixed variables' multipliers included
    d: Direction,
    *,
    least_squares: bool,
) -> Tangent:
    """Solve (2) for the direction `d` of the inputs."""
    qp, w = kept.qp, kept.w
    x, nu = kept.point.x, kept.point.nu
    xp = namespace(x)
    moved = product(d, x, qp.split(lam)[0], nu)
    none = 0 * x
    r_c = [d.get("h", 0 * moved.rows) - moved.rows]
    r_c += [none - d.get("lb", none)] if qp.bounds[0] else []
    r_c += [none + d.get("ub", none)] if qp.bounds[1] else []
    # A row that is absent has activity 0 and a right-hand side that may be infinite.
    rows = xp.where(w > 0, xp.concat(r_c, axis=1), 0.0)
    r_nu, dp = d.get("b", 0 * nu) - moved.nu, d.get("p", none)
    rhs = Rhs(-(moved.x + dp)[..., None], rows[..., None], r_nu[..., None])
    out = solve(kept, rhs, least_squares=least_squares)
    dx = out.x[..., 0]
    free = qp.split(qp.present & (w < xp.inf))[0]
    ds = xp.where(free, r_c[0] - mv(qp.G, dx), 0.0)
    forces = xp.where(lam > 0, xp.concat(r_c, axis=1), 0.0)  # a fixed variable's on either side
    value = dot(x, moved.curved) / 2 + dot(x, dp) - dot(nu, r_nu) - dot(lam, forces)
    return Tangent(dx, ds, out.c[..., 0], out.nu[..., 0], value)
