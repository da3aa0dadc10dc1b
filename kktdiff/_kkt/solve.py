"""Solve with a factored KKT system, once or until the residual is rounding."""

from functools import reduce
from operator import or_

from kktdiff._arrays import broadcast, concat, namespace, norm_inf, norms_inf, pick_all
from kktdiff._kkt.factors import Factors
from kktdiff._kkt.sparse import SparseFactors, solve_sparse
from kktdiff._records import QP, Rhs
from kktdiff._typing import Array
from kktdiff.backends import Cholesky, LinearAlgebra

AnyFactors = Factors | SparseFactors

_REFINEMENTS = 10  # at most; it stops where the residual no longer halves
_ROUNDING = 1e-16  # relative residual below which there is nothing to refine


def solve_once(qp: QP, f: AnyFactors, rhs: Rhs, backend: LinearAlgebra) -> Rhs:
    """Solve the regularised system with the kept factors."""
    xp = namespace(rhs.x)
    move, x, c, nu = None, rhs.x, rhs.c, rhs.nu
    if f.held is not None:
        move = _from_bounds(qp, xp.where(f.held[..., None], c, 0.0))
        x, c, nu = x - qp.Q @ move, c - qp.C(move), nu - qp.A @ move
    side = _from_bounds(qp, f.sides[..., None] * c) if any(qp.bounds) else None
    if isinstance(f, SparseFactors):
        dx, rows, dnu = solve_sparse(f, x if side is None else x + side, qp.split(c)[0], nu)
    else:
        dx, rows, dnu = _solve_condensed(qp, f, Rhs(x, qp.split(c)[0], nu), side, backend)
    if move is not None:
        dx = dx + move
    sides = _bound_multipliers(qp, f, rhs, dx, rows, dnu)
    return Rhs(dx, concat([rows, *sides], axis=1), dnu)


def _solve_condensed(
    qp: QP, f: Factors, rhs: Rhs, side: Array | None, backend: LinearAlgebra
) -> tuple[Array, Array, Array]:
    """Solve with H and S for dx and the multipliers of G and A; rhs.c: (B, m, r), of G alone."""
    xp, k, held = namespace(rhs.x), qp.A.shape[-2], f.weights.held
    g, c, nu = rhs
    if c.shape[1]:
        g = g + qp.G.mT @ (f.condensed[..., None] * c)
    if k:
        g = g + qp.A.mT @ (f.augmented[..., None] * nu)
    if side is not None:
        g = g + side
    if held is not None:
        g = xp.where(held[..., None], 0.0, g)
    dx, own = _solve_blocks(f, g, c, nu, backend)
    rows = f.condensed[..., None] * (qp.G @ dx - c)
    if f.border is not None and f.border.place is not None and f.border.stiff is not None:
        placed = xp.take_along_axis(own[:, k:, :], f.border.place[..., None], axis=1)
        rows = xp.where(f.border.stiff[..., None], placed, rows)
    return dx, rows, own[:, :k, :]


def _solve_blocks(
    f: Factors, g: Array, c_G: Array, nu: Array, backend: LinearAlgebra
) -> tuple[Array, Array]:
    """Solve with H and S: dx, and the multipliers of the border."""
    border, half = f.border, half_solve(f, g, backend)
    if border is None:
        return half_solve(f, half, backend, transposed=True), nu
    right = nu
    if border.order is not None and border.used is not None:
        xp = namespace(g)
        own = xp.take_along_axis(c_G, border.order[..., None], axis=1)
        right = concat([nu, xp.where(border.used[..., None], own, 0.0)], axis=1)
    found = cho_solve(border.S, border.V.mT @ half - right, backend)
    dx = half_solve(f, half - border.V @ found, backend, transposed=True)
    return dx, border.stretch[..., None] * found


def half_solve(
    f: Factors, rhs: Array, backend: LinearAlgebra, *, transposed: bool = False
) -> Array:
    """Solve with L, or with L', where H = LL'."""
    if f.H is None:
        return rhs / namespace(rhs).sqrt(f.h)[..., None]
    return _triangular(f.H, rhs, backend, transposed=transposed)


def _from_bounds(qp: QP, c: Array) -> Array:  # (B, M, r) -> (B, n, r)
    """Return ``C'c`` over the bounds alone."""
    _, lower, upper = qp.split(c)
    if not qp.bounds[0]:
        return upper
    return upper - lower if qp.bounds[1] else -lower


def _bound_multipliers(
    qp: QP, f: AnyFactors, rhs: Rhs, dx: Array, rows: Array, dnu: Array
) -> list[Array]:
    """Find the bounds' multipliers: by their own row or, where held, by stationarity."""
    if not any(qp.bounds):
        return []
    xp = namespace(dx)
    own = f.sides[..., None] * (qp.C(dx) - rhs.c)
    if f.held is None:
        return [side for side in qp.split(own)[1:] if side.shape[1]]
    left = rhs.x - qp.Q @ dx - qp.G.mT @ rows - qp.A.mT @ dnu - _from_bounds(qp, own)
    sides = zip(qp.split(f.held)[1:], qp.split(own)[1:], (-left, left), strict=True)
    return [xp.where(h[..., None], by_row, o) for h, o, by_row in sides if o.shape[1]]


def residual(qp: QP, f: AnyFactors, rhs: Rhs, out: Rhs) -> Rhs:
    """Return the residual of `out` in the system without proximal terms."""
    xp, w = namespace(rhs.x), f.weights.w
    x = rhs.x - qp.Q @ out.x - qp.Ct(out.c) - qp.A.mT @ out.nu
    if f.weights.held is not None:
        x = xp.where(_fixed(qp, f)[..., None], 0.0, x)
    inverse = 1 / xp.where(w > 0, w, xp.inf)
    c = rhs.c - qp.C(out.x) + inverse[..., None] * out.c
    nu = rhs.nu - qp.A @ out.x
    if qp.compliance_nu is not None:
        nu = nu + qp.compliance_nu[..., None] * out.nu
    return Rhs(x, xp.where(w[..., None] > 0, c, 0.0), nu)


def _fixed(qp: QP, f: AnyFactors) -> Array:  # (B, n) bool
    """Return True for variables that are held by no bound in the system."""
    if f.held is None:
        return f.weights.held
    return f.weights.held & ~reduce(or_, [side for side in qp.split(f.held)[1:] if side.shape[1]])


def _size(f: AnyFactors, r: Rhs) -> Array:  # (B,)
    """Return the infinity norm in the units of the first row."""
    xp, theta = namespace(r.x), f.weights.theta[:, None]
    w = xp.where(f.weights.w < theta, f.weights.w, theta)
    return norms_inf(norm_inf(r.x), w * norm_inf(r.c), theta * norm_inf(r.nu))


def relative_residual(qp: QP, f: AnyFactors, rhs: Rhs, out: Rhs) -> Array:  # (B,)
    """Return the norm of the residual of `out`, relative to the right-hand side."""
    xp, size = namespace(rhs.x), _size(f, rhs)
    error = _size(f, residual(qp, f, rhs, out))
    return xp.where(size > 0, error / xp.where(size > 0, size, 1.0), error)


def refine(
    qp: QP, f: AnyFactors, rhs: Rhs, backend: LinearAlgebra, target: float = _ROUNDING
) -> tuple[Rhs, Array]:
    """Solve without proximal terms; return the solution and its relative residual, (B,)."""
    xp = namespace(rhs.x)
    out = solve_once(qp, f, rhs, backend)
    left = residual(qp, f, rhs, out)
    size, error = _size(f, rhs), _size(f, left)
    going = error > target * size
    for _ in range(_REFINEMENTS):
        if not bool(xp.any(going)):
            break
        step = solve_once(qp, f, left, backend)
        trial = Rhs(*(a + b for a, b in zip(out, step, strict=True)))
        trial_left = residual(qp, f, rhs, trial)
        trial_error = _size(f, trial_left)
        better = going & (trial_error < error)
        going = better & (trial_error < 0.5 * error) & (trial_error > target * size)
        out = pick_all(better, trial, out)
        left = pick_all(better, trial_left, left)
        error = xp.where(better, trial_error, error)
    return out, xp.where(size > 0, error / xp.where(size > 0, size, 1.0), error)


def cho_solve(factor: Cholesky, rhs: Array, backend: LinearAlgebra) -> Array:
    """Solve with both triangular factors."""
    half = _triangular(factor, rhs, backend, transposed=False)
    return _triangular(factor, half, backend, transposed=True)


def _triangular(factor: Cholesky, rhs: Array, backend: LinearAlgebra, *, transposed: bool) -> Array:
    """Solve with one factor for each element, or with one for all as several columns."""
    length, (batch, n, r) = factor.ok.shape[0], rhs.shape
    if batch == length:
        return backend.triangular_solve(factor, rhs, transposed=transposed)
    if batch == 1:
        rhs = broadcast(rhs, (length, n, r))
        return backend.triangular_solve(factor, rhs, transposed=transposed)
    xp = namespace(rhs)
    columns = xp.reshape(xp.permute_dims(rhs, (1, 0, 2)), (1, n, batch * r))
    out = backend.triangular_solve(factor, columns, transposed=transposed)
    return xp.permute_dims(xp.reshape(out, (n, batch, r)), (1, 0, 2))
