"""Derivatives of the derivatives, from the same factors.

For a given active set the optimality conditions are linear in the unknowns y = (x, lam, nu), and
bilinear in them and the data: ``M y + c = 0``, where M holds Q, C and A, and c holds p, d and b.
Differentiated along a direction of the data, with M' and c' what M and c move by,

    M y' = -(M'y + c'),                                                             (1)

and once more, along d and e, where M'' and c'' are zero,

    M y'' = -(M_d y_e + M_e y_d).                                                   (2)

The gradient of ``g'y`` in the data is bilinear in y and in the solution u of ``M u = -g`` (formula
(4) of `first_order`). Along d it moves by y_d and by

    M u_d = -M_d u.                                                                 (3)
"""

from functools import partial

from kktdiff._arrays import dot, mv, namespace
from kktdiff._interior_point.compiled_kept import KeptGroup
from kktdiff._records import QP, Point, Rhs
from kktdiff._sensitivity.first_order import Adjoint, products, solve
from kktdiff._sensitivity.tangent import Direction, Product, Tangent, product
from kktdiff._sparse.structure import Structure
from kktdiff._sparse_inputs import MATRICES
from kktdiff._typing import Array
from kktdiff.backends import Backend


def _right(kept: KeptGroup, *products: Product) -> Rhs:
    """Return minus the sum of the products as a right-hand side; rows of zero weight are zero."""
    qp, w = kept.qp, kept.w
    xp = namespace(w)
    x, rows, nu = (sum(getattr(p, row) for p in products) for row in ("x", "rows", "nu"))
    sides = [0 * x for count in qp.bounds if count]
    c = xp.concat([rows, *sides], axis=1)
    c = xp.where(w > 0, c, 0.0)
    return Rhs(-x[..., None], -c[..., None], -nu[..., None])


def second_tangent(
    kept: KeptGroup,
    lam: Array,  # (B, M), fixed variables' multipliers included
    d: Direction,
    e: Direction,
    moved: tuple[Tangent, Tangent],  # along d and along e
    *,
    least_squares: bool,
) -> Tangent:
    """Find the second derivative of every output along `d` and `e`: solve equation (2)."""
    qp, w = kept.qp, kept.w
    xp = namespace(w)
    y_d, y_e = moved
    by_d, by_e = (product(way, y.x, qp.split(y.lam)[0], y.nu) for way, y in ((d, y_e), (e, y_d)))
    out = solve(kept, _right(kept, by_d, by_e), least_squares=least_squares)
    x, c, nu = out.x[..., 0], out.c[..., 0], out.nu[..., 0]
    free = qp.split(qp.present & (w < xp.inf))[0]
    s = xp.where(free, -by_d.rows - by_e.rows - mv(qp.G, x), 0.0)
    return Tangent(x, s, c, nu, _second_value(kept, lam, d, y_e))


def _second_value(kept: KeptGroup, lam: Array, d: Direction, y_e: Tangent) -> Array:
    """Differentiate ``x'Q_d x/2 + p_d'x + lam'(G_d x - h_d) + ...`` along e, (B,)."""
    qp, point, w = kept.qp, kept.point, kept.w
    xp = namespace(point.x)
    by_d = product(d, point.x, qp.split(lam)[0], point.nu)
    rows = [by_d.rows - d.get("h", 0 * by_d.rows)]
    rows += [0 * point.x + d.get("lb", 0 * point.x)] if qp.bounds[0] else []
    rows += [0 * point.x - d.get("ub", 0 * point.x)] if qp.bounds[1] else []
    forces = xp.where((lam > 0) | (w > 0), xp.concat(rows, axis=1), 0.0)
    along_x = by_d.x + d.get("p", 0 * point.x)
    equal = by_d.nu - d.get("b", 0 * point.nu)
    return dot(y_e.x, along_x) + dot(y_e.lam, forces) + dot(y_e.nu, equal)


def moved_adjoint(kept: KeptGroup, u: Adjoint, d: Direction, *, least_squares: bool) -> Adjoint:
    """Differentiate the adjoint along `d`: solve equation (3)."""
    by_d = product(d, u.x[..., 0], kept.qp.split(u.c[..., 0])[0], u.nu[..., 0])
    out = solve(kept, _right(kept, by_d), least_squares=least_squares)
    return Adjoint(out.x, out.c, out.nu, None)


def moved_gradient(
    name: str,
    lam: Array,
    point: Point,
    y: Tangent,
    u: Adjoint,
    v: Adjoint,
    qp: QP,
    backend: Backend,
    *,
    shared: bool,
    structure: Structure | None,
) -> Array:
    """Differentiate the gradient of the input `name`; y, v: tangents of the solution and of u."""
    xp = namespace(point.x)
    value = 0.0 if u.value is None else u.value[..., 0]  # (B, 1)
    x, u_x, v_x = point.x, u.x[..., 0], v.x[..., 0]
    rows, _, _ = qp.split(u.c[..., 0] + value * lam)
    by_row, lower, upper = qp.split(v.c[..., 0] + value * y.lam)
    by_nu = v.nu[..., 0] + value * y.nu

    pattern = structure.pattern(name) if structure is not None and name in MATRICES else None
    outer = partial(products, backend, shared=shared, pattern=pattern)
    if name == "Q":
        now, then = (v_x + value * y.x / 2) / 2, (u_x + value * x / 2) / 2
        return outer(now, x, x, now) + outer(then, y.x, y.x, then)
    if name == "G":
        lam_G, y_G = qp.split(lam)[0], qp.split(y.lam)[0]
        return outer(y_G, u_x, lam_G, v_x) + outer(by_row, x, rows, y.x)
    if name == "A":
        u_nu = u.nu[..., 0] + value * point.nu
        return outer(y.nu, u_x, point.nu, v_x) + outer(by_nu, x, u_nu, y.x)
    sides = {"h": -by_row, "b": -by_nu, "lb": lower, "ub": -upper}
    own = (v_x + value * y.x) if name == "p" else sides[name]
    return xp.sum(own, axis=0, keepdims=True) if shared else own
