"""The symmetric KKT system under LU: polishing, hard steps, and every sensitivity.

    [ Q   C'    A' ] [dx  ]   [r_x ]
    [ C  -s/lam 0  ] [dlam] = [r_c ]          C = (G, -I, I): all inequalities
    [ A   0     0  ] [dnu ]   [r_nu]

s/lam spans thirty decades near a solution. With the *activity* ``a = lam/(lam + s)`` of each
row (in the scaled metric) and ``dlam = sqrt(a) v`` the row of G becomes

    sqrt(a) G dx - (1 - a) v = sqrt(a) r_c,

all entries bounded, 1 for an active row, 0 for one that plays no part. A bound's row is
eliminated into the diagonal, and its variable scaled by ``sqrt(1 - a)``, to the same effect:
an active bound's variable leaves the system.

A tiny proximal term keeps the factorization from breaking down when Q is singular or rows are
dependent; refinement against the system above, which has none, takes it out again.
"""

from typing import NamedTuple

from kktdiff._arrays import (
    concat,
    largest,
    namespace,
    norm_inf,
    onto_diagonal,
    pick_all,
    take_shared,
)
from kktdiff._problem import QP
from kktdiff._residuals import Point
from kktdiff._scaling import Scaling, activity
from kktdiff._settings import LU_REGULARISATION, REFINED, REFINEMENTS, REGULARISATION
from kktdiff._typing import Array, Solve, System
from kktdiff.backends import LU, Backend


class Rhs(NamedTuple):
    """A right-hand side or a solution of the KKT system, several columns each."""

    x: Array  # (B, n, r)
    c: Array  # (B, M, r)
    nu: Array  # (B, k, r)


class Factors(NamedTuple):
    """LU factors of the KKT matrix and the weights that it was assembled with.

    Each with a leading dimension of one where all elements share it.
    """

    lu: LU
    order: Array  # (B, r): the rows of G that play a part, most active first
    place: Array  # (B, m): where in `order` each row of G stands
    activity: Array  # (B, M)
    slack: Array  # (B, M): s/lam in the caller's units; 0 where activity is 0 or 1
    x: Array  # (B, n): weight of each variable
    g: Array  # (B, m): weight of each row of G
    stiff: Array  # (B, M): lam/s of bounds that are not held, 0 elsewhere
    held: Array  # (B, M) bool: active bounds, each of which fixes its variable
    scaling: Scaling

    def take(self, index: Array, backend: Backend) -> "Factors":
        """The elements `index`."""
        lu = self.lu if self.lu.ok.shape[0] == 1 else backend.lu_take(self.lu, index)
        weights = [take_shared(v, index) for v in self[1:-1]]
        return Factors._make([lu, *weights, self.scaling.take(index)])


def with_fixed(qp: QP, activity: Array, y: Array) -> Array:  # (B, M), (B, n) -> (B, M)
    """Activity with each fixed variable's equality put on the side of its multiplier's sign."""
    if qp.fixed is None or not (qp.bounds[0] and qp.bounds[1]):
        return activity
    xp = namespace(activity)
    rows, lower, upper = qp.split(activity)
    lower = xp.where(qp.fixed, xp.astype(y < 0, y.dtype), lower)
    upper = xp.where(qp.fixed, xp.astype(y >= 0, y.dtype), upper)
    return xp.concat([rows, lower, upper], axis=1)


def factor(
    qp: QP,
    scaling: Scaling,
    a: Array,  # (B, M)
    backend: Backend,
    reg: Array | float = LU_REGULARISATION,  # (B,)
) -> Factors:
    """Assemble the KKT matrix for the activities `a`, and factor it.

    What is shared stays shared: without inequalities, elements with the same matrices have the
    same factors.
    """
    a = a if a.shape[1] else a[: scaling.x.shape[0], :]
    xp = namespace(a)
    inside = (a > 0) & (a < 1)
    odds = xp.where(inside, a / xp.where(inside, 1 - a, 1.0), 0.0)  # lam/s in the scaled metric
    slack = xp.where(inside, scaling.unit_rows / xp.where(inside, odds, 1.0), 0.0)
    held = _held(qp, a)
    stiff = xp.where(_is_bound(qp, a) & ~held, odds / scaling.unit_rows, 0.0)
    share = xp.ones_like(scaling.x)
    for side in qp.split(xp.where(a < 1, odds, xp.inf))[1:]:
        share = share + side if side.shape[1] else share
    share = 1 / share  # of each variable, what its bounds' activity leaves
    a_G = qp.split(a)[0]
    order, place, size = _by_activity(a_G)
    x, g = xp.sqrt(share) * scaling.x, xp.sqrt(a_G) * qp.split(scaling.rows)[0]
    reg = (reg + xp.zeros_like(share[:, 0]))[:, None]
    rest = xp.take_along_axis(a_G, order, axis=1) - 1
    give = 0 * scaling.nu if qp.soft_nu is None else qp.soft_nu / scaling.unit_nu
    diagonal = concat([1 - share + reg, -give - reg, rest - reg], axis=1)
    size = xp.broadcast_to(size + qp.sizes[0] + qp.sizes[2], diagonal.shape[:1])
    lu = backend.lu_factor(_assemble(qp, scaling, order, x, g, diagonal), size)
    return Factors(lu, order, place, a, slack, x, g, stiff, held, scaling)


def _by_activity(a: Array) -> tuple[Array, Array, Array]:  # (B, m)
    """The rows that play a part in some element, most active first; where each stands; how many.

    A row that plays no part in any is left out, and its place is somebody else's: its weight,
    ``sqrt(a)``, is 0.
    """
    xp = namespace(a)
    size = xp.sum(xp.astype(a > 0, xp.int64), axis=1)
    order = xp.argsort(-a, axis=1, stable=True)
    most = min(max(1, int(xp.max(size))), a.shape[1])
    place = xp.argsort(order, axis=1)
    return order[:, :most], xp.where(place < most, place, 0), size


def _assemble(
    qp: QP, scaling: Scaling, order: Array, x: Array, g: Array, diagonal: Array
) -> Array:  # (B, N, N), unknowns in the order x, nu, rows of G by activity
    xp = namespace(x)
    n, _, k = qp.sizes
    K = xp.zeros((*diagonal.shape, diagonal.shape[1]), dtype=x.dtype, device=x.device)
    K[:, :n, :n] = (scaling.cost[:, None, None] * x[:, :, None]) * qp.Q * x[:, None, :]
    if k:
        A = scaling.nu[:, :, None] * qp.A * x[:, None, :]
        K[:, n : n + k, :n] = A
        K[:, :n, n : n + k] = A.mT
    if order.shape[1]:
        G = xp.take_along_axis(g[:, :, None] * qp.G * x[:, None, :], order[:, :, None], axis=1)
        K[:, n + k :, :n] = G
        K[:, :n, n + k :] = G.mT
    return onto_diagonal(K, diagonal)


def _is_bound(qp: QP, a: Array) -> Array:  # (1, M) bool
    xp = namespace(a)
    return xp.arange(a.shape[1], device=a.device)[None, :] >= qp.G.shape[-2]


def _held(qp: QP, a: Array) -> Array:  # (B, M) bool
    """Bounds that are more active than not; of a variable's two the more active one."""
    xp = namespace(a)
    rows, lower, upper = qp.split(a)
    if lower.shape[1] and upper.shape[1]:
        sides = [(lower > 0.5) & (lower > upper), (upper > 0.5) & (upper >= lower)]
    else:
        sides = [side > 0.5 for side in (lower, upper)]
    return xp.concat([rows > 1, *sides], axis=1)


def solve(qp: QP, f: Factors, rhs: Rhs, backend: Backend) -> tuple[Rhs, Array]:
    """Solve and refine; the solution and each element's relative residual, (B,)."""
    xp = namespace(rhs.x)
    out = solve_once(qp, f, rhs, backend)
    left = _residual(qp, f, rhs, out)
    size, error = _size(f, rhs), _size(f, left)
    going = error > REFINED * size
    for _ in range(REFINEMENTS):
        if not bool(xp.any(going)):
            break
        step = solve_once(qp, f, left, backend)
        trial = Rhs(*(a + b for a, b in zip(out, step, strict=True)))
        trial_left = _residual(qp, f, rhs, trial)
        trial_error = _size(f, trial_left)
        better = going & (trial_error < error)
        going = better & (trial_error < 0.5 * error) & (trial_error > REFINED * size)
        out = pick_all(better, trial, out)
        left = pick_all(better, trial_left, left)
        error = xp.where(better, trial_error, error)
    return out, xp.where(size > 0, error / xp.where(size > 0, size, 1.0), error)


def system(backend: Backend) -> System:
    """The whole Newton system under LU, refined: for elements that the condensed one fails."""

    def factored(qp: QP, scaling: Scaling, point: Point, reg: Array) -> tuple[Solve, Array]:
        a = with_fixed(qp, activity(qp, scaling, point.s, point.lam), 0 * point.x)
        f = factor(qp, scaling, a, backend, reg * (LU_REGULARISATION / REGULARISATION))

        def newton(r_x: Array, r_c: Array, r_nu: Array) -> tuple[Array, Array, Array, Array]:
            out, _ = solve(qp, f, Rhs(r_x[..., None], r_c[..., None], r_nu[..., None]), backend)
            dlam = namespace(reg).where(qp.present, out.c[..., 0], 0.0)
            return out.x[..., 0], dlam, out.nu[..., 0], qp.C(out.x)[..., 0]

        return newton, f.lu.ok

    return factored


def solve_once(qp: QP, f: Factors, rhs: Rhs, backend: Backend) -> Rhs:
    """Solve the regularised system with the kept factors.

    An active bound's variable is moved to where the right-hand side wants it, and only the rest
    is solved for: its multiplier then comes from the stationarity row, free of lam/s.
    """
    if not any(qp.bounds):
        return _solve_rows(qp, f, rhs, backend)
    move = _from_bounds(qp, namespace(rhs.x).where(f.held[..., None], rhs.c, 0.0))
    c = rhs.c - qp.C(move)
    r_x = rhs.x - qp.Q @ move + _from_bounds(qp, f.stiff[..., None] * c)
    out = _solve_rows(qp, f, Rhs(r_x, qp.split(c)[0], rhs.nu - qp.A @ move), backend)
    x = out.x + move
    return Rhs(x, concat([out.c, *_bound_multipliers(qp, f, rhs, x, out)], axis=1), out.nu)


def _solve_rows(qp: QP, f: Factors, rhs: Rhs, backend: Backend) -> Rhs:  # rhs.c: (B, m, r)
    """The same for the rows of G and A alone."""
    xp = namespace(rhs.x)
    n, m, k = qp.sizes
    cost, nu = f.scaling.cost[:, None, None], f.scaling.nu[..., None]
    parts = [cost * f.x[..., None] * rhs.x, nu * rhs.nu]
    if m:
        parts.append(xp.take_along_axis(f.g[..., None] * rhs.c, f.order[..., None], axis=1))
    u = backend.lu_solve(f.lu, concat(parts, axis=1))
    c = rhs.c
    if m:
        c = f.g[..., None] * xp.take_along_axis(u[:, n + k :, :], f.place[..., None], axis=1) / cost
    return Rhs(f.x[..., None] * u[:, :n, :], c, nu * u[:, n : n + k, :] / cost)


def _from_bounds(qp: QP, c: Array) -> Array:  # (B, M, r) -> (B, n, r)
    """``C'c`` over the bounds alone."""
    _, lower, upper = qp.split(c)
    if not qp.bounds[0]:
        return upper
    return upper - lower if qp.bounds[1] else -lower


def _bound_multipliers(qp: QP, f: Factors, rhs: Rhs, x: Array, rows: Rhs) -> list[Array]:
    """Multipliers of the bounds: by their own row, or, where held, by stationarity."""
    xp = namespace(x)
    own = f.stiff[..., None] * (qp.C(x) - rhs.c)
    left = rhs.x - qp.Q @ x - qp.G.mT @ rows.c - qp.A.mT @ rows.nu - _from_bounds(qp, own)
    sides = zip(qp.split(f.held)[1:], qp.split(own)[1:], (-left, left), strict=True)
    return [xp.where(held[..., None], by_row, o) for held, o, by_row in sides if o.shape[1]]


def _residual(qp: QP, f: Factors, rhs: Rhs, out: Rhs) -> Rhs:
    """What `out` leaves of `rhs` in the system without regularisation."""
    xp = namespace(rhs.x)
    x = rhs.x - qp.Q @ out.x - qp.Ct(out.c) - qp.A.mT @ out.nu
    c = rhs.c - qp.C(out.x) + f.slack[..., None] * out.c
    nu = rhs.nu - qp.A @ out.x
    if qp.soft_nu is not None:
        nu = nu + qp.soft_nu[..., None] * out.nu
    return Rhs(x, xp.where(f.activity[..., None] > 0, c, 0.0), nu)


def _size(f: Factors, r: Rhs) -> Array:  # (B,)
    """Infinity norm in the metric in which the matrix was assembled."""
    xp = namespace(r.x)
    c = xp.sqrt(f.activity) * f.scaling.rows
    parts = [
        f.scaling.cost[:, None] * f.scaling.x * norm_inf(r.x),
        c * norm_inf(r.c),
        f.scaling.nu * norm_inf(r.nu),
    ]
    return largest(*(norm_inf(part) for part in parts))
