"""Derivatives of the solution, from the factors that the solve left.

The optimality conditions, with all inequalities in one block ``C x <= d`` (rows of G, then
``-x <= -lb`` and ``x <= ub``) and their slacks ``s``:

    Qx + p + C'lam + A'nu = 0,    Cx + s = d,    lam_i s_i = mu,    Ax = b          (1)

with mu = 0 at the solution. Differentiated (Amos & Kolter 2017, equations 6 to 8), with ds
eliminated:

    [ Q   C'    A' ] [dx  ]   [ -(dQ x + dp + dC'lam + dA'nu) ]
    [ C  -s/lam 0  ] [dlam] = [ dd - dC x                     ]                     (2)
    [ A   0     0  ] [dnu ]   [ db - dA x                     ]

``jvp`` solves (2); then ``ds = dd - dC x - C dx``. The matrix is symmetric, so ``vjp`` solves
with the same factors: for cotangents g of x, s, lam, nu

    K (u_x, u_lam, u_nu) = -(g_x - C'g_s, g_lam, g_nu)                              (3)

and, since u_lam already contains lam,

    dQ = (u_x x' + x u_x')/2    dp = u_x
    dG = lam u_x' + c x'        dh = -c            with c = u_lam - g_s
    dA = nu u_x' + u_nu x'      db = -u_nu                                           (4)
    dlb = u_lb                  dub = -u_ub

The optimal value needs no solve: its derivative is that of the Lagrangian (Danskin 1967),

    dQ = x x'/2, dp = x, dG = lam x', dh = -lam, dA = nu x', db = -nu,
    dlb = lam_lb, dub = -lam_ub.                                                     (5)

A fixed variable (lb == ub) is an equality whose multiplier is counted, by its sign, to lam_ub
or lam_lb, and whose derivative goes to that bound.
"""

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import NamedTuple

from kktdiff._arrays import is_sparse, namespace, pick_all, placed_all, take_shared, taken
from kktdiff._interior_point.compiled_kept import KeptGroup
from kktdiff._interior_point.parts import Kept, scaled_rhs
from kktdiff._kkt import relative_residual
from kktdiff._kkt.whole import (
    Activity,
    activity,
    solve_least_squares,
    solve_lu,
    solve_sparse_least_squares,
)
from kktdiff._records import QP, Data, Point, Rhs, Scaling
from kktdiff._settings import CONVERGED, REFINED
from kktdiff._sparse.matrix import products as on_pattern
from kktdiff._sparse.pattern import Pattern
from kktdiff._sparse.structure import Structure
from kktdiff._typing import Array
from kktdiff.backends import Backend

_MOST_DENSE = 600  # unknowns of sparse systems whose least squares go through dense eigenvalues


class Cotangents(NamedTuple):
    """Cotangents of the outputs, each (B, ..., r); None for zero."""

    x: Array | None = None  # (B, n, r)
    s: Array | None = None  # (B, m, r)
    lam: Array | None = None  # (B, m, r)
    nu: Array | None = None  # (B, k, r)
    lam_lb: Array | None = None  # (B, n, r)
    lam_ub: Array | None = None  # (B, n, r)
    objective: Array | None = None  # (B, 1, r)
    violation_h: Array | None = None  # (B, m, r): these are for the kernels alone
    violation_lb: Array | None = None  # (B, n, r)
    violation_ub: Array | None = None  # (B, n, r)
    violation_b: Array | None = None  # (B, k, r)

    def take(self, index: Array) -> "Cotangents":
        """Return the elements `index` of the batch."""
        return Cotangents(*taken(self, index))


class Adjoint(NamedTuple):
    """The solution of (3) with the cotangent of the objective, as used in (4) and (5)."""

    x: Array  # (B, n, r)
    c: Array  # (B, M, r)
    nu: Array  # (B, k, r)
    value: Array | None  # (B, 1, r): cotangent of the objective; None for zero


def solve(kept: KeptGroup, rhs: Rhs, *, least_squares: bool = False) -> Rhs:
    """Solve (2) or (3), in the caller's units; in the least-squares sense where K is singular.

    The kept factors serve where K is regular. Where refinement does not converge with them, LU of
    the whole matrix is tried; where K is singular, or where it is asked for, the solution is the
    least-squares one of minimum norm.
    """
    if least_squares:
        return _on_host(kept, rhs, _least_squares)
    out, error, singular = kept.refine(rhs, _target(kept))
    bad = namespace(error).nonzero(singular | ~(error <= CONVERGED))[0]
    if not bad.shape[0]:
        return out
    hard = partial(_hard, singular=kept.backend.to_host(take_shared(singular, bad)))
    return placed_all(bad, _on_host(kept.take(bad), Rhs(*taken(rhs, bad)), hard), out)


def _target(kept: KeptGroup) -> float:
    return float(REFINED * kept.qp.sizes[0] ** 0.5)


def _on_host(kept: KeptGroup, rhs: Rhs, work: Callable[[KeptGroup, Rhs], Rhs]) -> Rhs:
    """Let array code solve, on copies of what is on a device."""
    backend = kept.backend
    if backend.host is backend or isinstance(kept, Kept):
        return work(kept, rhs)
    out = work(kept.on_host(), Rhs(*map(backend.to_host, rhs)))
    return Rhs(*(backend.receive(v, None, kept.index) for v in out))


def row_activity(kept: KeptGroup) -> Activity:
    """Return the rows' activities in the caller's units."""
    scaling, theta = kept.scaling, kept.theta
    unit = scaling.cost[:, None] / scaling.rows**2 / theta[:, None]
    return activity(kept.w * (scaling.rows**2 / scaling.cost[:, None]), unit)


def _hard(kept: KeptGroup, rhs: Rhs, singular: Array) -> Rhs:
    """Solve by LU, or in the least-squares sense, where the kept factors are not accurate."""
    if is_sparse(kept.qp.Q):
        # larger proximal terms take second differences of a thousand points for singular
        found, error, singular = kept.refine(rhs, _target(kept), sharp=True)
        bad = singular | ~(error <= CONVERGED)
        some = bool(namespace(bad).any(bad))
        return pick_all(bad, _least_squares(kept, rhs), found) if some else found
    least = _least_squares(kept, rhs)
    if bool(namespace(singular).all(singular)):
        return least
    scaling, rows = kept.program.scaling, row_activity(kept)
    found = solve_lu(kept.qp, rows, rhs, kept.backend.host)
    error = relative_residual(
        kept.program.qp, kept.factors, scaled_rhs(scaling, rhs), _scaled_solution(scaling, found)
    )
    return pick_all((error <= CONVERGED) & ~singular, found, least)


def _least_squares(kept: KeptGroup, rhs: Rhs) -> Rhs:
    """Solve in the least-squares sense; the scaled program is not needed for rows on or off."""
    kept = kept if _on_sparse(kept) else kept.on_dense()
    w, xp = kept.w, namespace(kept.w)
    if bool(xp.all((w == 0.0) | (w == xp.inf))):  # idle rows are zero, and have no unit then
        rows = Activity(xp.astype(w > 0.0, w.dtype), xp.zeros_like(w))
    else:
        rows = row_activity(kept)
    if _on_sparse(kept):
        return solve_sparse_least_squares(kept.qp, rows, rhs)
    return solve_least_squares(kept.qp, rows, rhs)


def _on_sparse(kept: KeptGroup) -> bool:
    """Return True for sparse matrices of more unknowns than dense eigenvalues are fast for."""
    qp = kept.qp
    return is_sparse(qp.Q) and sum(qp.sizes) + sum(qp.bounds) > _MOST_DENSE


def _scaled_solution(s: Scaling, out: Rhs) -> Rhs:
    cost = s.cost[:, None, None]
    x, c, nu = out.x / s.cols[..., None], out.c / s.rows[..., None], out.nu / s.eqs[..., None]
    return Rhs(x, cost * c, cost * nu)


def adjoint(kept: KeptGroup, g: Cotangents, *, least_squares: bool) -> Adjoint:
    """Solve (3) for several cotangents at once."""
    qp, like = kept.qp, kept.point.x
    xp = namespace(like)
    columns = next(v.shape[-1] for v in g if v is not None)

    def given(v: Array | None, size: int) -> Array:
        shape = (like.shape[0], size, columns)
        return xp.zeros(shape, dtype=like.dtype, device=like.device) if v is None else v

    n, m, k = qp.sizes
    g_c = given(None, m + sum(qp.bounds))
    if any(v is not None for v in (g.lam, g.lam_lb, g.lam_ub)):
        sides = zip((g.lam, g.lam_lb, g.lam_ub), (m, *qp.bounds), strict=True)
        g_c = xp.concat([given(v, size)[:, :size, :] for v, size in sides], axis=1)
        g_c = xp.where(kept.w[..., None] > 0, -g_c, 0.0)
    g_x = given(None, n) if g.x is None else -g.x
    rhs = Rhs(g_x, g_c, given(None, k) if g.nu is None else -g.nu)
    if g.s is None:
        u = solve(kept, rhs, least_squares=least_squares)
        return Adjoint(u.x, u.c, u.nu, g.objective)
    free = qp.present & (kept.w < xp.inf)  # an active row's slack stays zero
    g_s = xp.where(qp.split(free)[0][..., None], g.s, 0.0)
    rhs = rhs._replace(x=qp.G.mT @ g_s + rhs.x)
    u = solve(kept, rhs, least_squares=least_squares)
    pad = given(None, sum(qp.bounds))
    return Adjoint(u.x, u.c - xp.concat([g_s, pad], axis=1), u.nu, g.objective)


def products(
    backend: Backend,
    a: Array,
    b: Array,
    c: Array,
    d: Array,
    *,
    shared: bool,
    pattern: Pattern | None = None,
) -> Array:  # (B, r), (B, c), twice -> (B or 1, r, c)
    """Return each ``a b' + c d'``, or their sum; exactly symmetric if c is b and d is a.

    With a `pattern` its entries alone, (B or 1, entries).
    """
    if pattern is not None:
        return on_pattern(pattern, a, b, c, d, shared=shared)
    if not shared:
        return backend.outer(a, b, c, d)
    first = a.mT @ b
    return (first + (first.mT if c is b and d is a else c.mT @ d))[None, ...]


def gradients(
    names: Iterable[str],
    qp: QP | Data,
    lam: Array,  # (B, M), fixed variables' multipliers included
    point: Point,
    u: Adjoint,
    backend: Backend,
    shared: Collection[str] = (),
    structure: Structure | None = None,
) -> dict[str, Array]:
    """Evaluate formulas (4) plus (5) for inputs by name, with one cotangent per element.

    Those of `shared` are summed over the batch, without forming the elements' own gradients.
    """
    xp, x, u_x = namespace(point.x), point.x, u.x[..., 0]
    rows, lower, upper = qp.split(_with_value(u, u.c, lam))
    u_nu = _with_value(u, u.nu, point.nu)
    half = _with_value(u, u.x, x, 0.5) / 2  # x x'/2 is symmetric already: half of it on each side
    pairs = {
        "Q": (half, x, x, half),
        "G": (qp.split(lam)[0], u_x, rows, x),
        "A": (point.nu, u_x, u_nu, x),
    }
    vectors = {"p": _with_value(u, u.x, x), "h": -rows, "b": -u_nu, "lb": lower, "ub": -upper}
    found = {}
    for name in names:
        if name in pairs:
            pattern = None if structure is None else structure.pattern(name)
            one = name in shared
            found[name] = products(backend, *pairs[name], shared=one, pattern=pattern)
        else:
            own = vectors[name]
            total = name in shared and own.shape[0] > 1
            found[name] = xp.sum(own, axis=0, keepdims=True) if total else own
    return found


def _with_value(u: Adjoint, part: Array, by_value: Array, share: float = 1.0) -> Array:
    """Return a part of `u` plus what the cotangent of the objective adds to it."""
    part = part[..., 0]
    return part if u.value is None else part + share * u.value[..., 0] * by_value
