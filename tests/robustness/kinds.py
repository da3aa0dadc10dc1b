"""Kinds of feasible, bounded, convex QPs with their minimisers.

Each kind is a function ``(rng, batch) -> (Data, Reference)``, all arrays with one batch dimension
B; the sizes are drawn once for a batch. Units, far limits, repeated rows and limits that meet come
last: none of these moves x*.
"""

import numpy as np

from tests.problems import Data
from tests.robustness import scaled_kinds as scaled
from tests.robustness.backwards import (
    build,
    decades,
    draw_sizes,
    product,
    refer,
    with_equalities,
    with_rows,
)
from tests.tolerances import KIND_ANSWER, KIND_DEGENERATE, KIND_ROUNDING, KIND_SINGLE

EPS = np.finfo(float).eps

# ---- curvature


def _exact_factor(rng, shape):
    """Draw a matrix of small multiples of 1/64: its Gram matrix is exact in float64."""
    return rng.integers(-64, 65, shape) / 64


def _low_rank_curve(L, size, rng):
    """Return ``Q = size L L'``, x and Q x: x is where Q is flat, but for ``L'x`` of 1 / size."""
    y, x = rng.normal(size=L.shape[::2]), rng.normal(size=L.shape[:2])
    inverse = np.linalg.pinv(L)
    x = x - product(inverse.mT, product(L.mT, x)) + product(inverse.mT, y) / size[:, None]
    return size[:, None, None] * (L @ L.mT), x, product(L, y)


def _low_rank_sizes(rng, **bounds):
    """Draw sizes in which the constraints alone hold n - rank of the n variables."""
    sizes = draw_sizes(rng, most=8, active=1, rank=0, **bounds)
    rank = rng.integers(1, 4)
    return sizes._replace(n=int(sizes.n + rank), rank=int(sizes.rank + rank))


def low_rank(rng, batch):
    """Q of rank r and of size up to 1e12 beside p of size one; constraints hold the rest of x.

    Rounding in Q x alone is larger than p's: by that much is the answer uncertain.
    """

    def curve(rng, count, sizes):
        L = _exact_factor(rng, (count, sizes.n, sizes.rank))
        return _low_rank_curve(L, np.exp2(np.round(rng.uniform(3, 40, count))), rng)

    built = build(rng, batch, _low_rank_sizes(rng), curve=curve)
    data, x = built.data, built.x
    slack = EPS * (np.abs(data.Q) @ np.abs(x)[..., None]).max(axis=(1, 2))
    terms = (np.abs(data.p) * np.maximum(np.abs(x), 1)).sum(axis=1)
    x_tol = KIND_ANSWER + built.gain * slack
    return refer(data, x, built.prices, size=terms, slack=slack, x_tol=x_tol)


def float32_gram(rng, batch):
    """Float32 arrays, Q = F F' of low rank computed in float32: of size up to 1e6, indefinite."""
    factors = []

    def curve(rng, count, sizes):
        scale = np.exp2(np.round(rng.uniform(0, 10, count)))
        L = rng.normal(size=(count, sizes.n, sizes.rank)).astype(np.float32).astype(float)
        Q, x, Qx = _low_rank_curve(L, scale**2, rng)
        factors.append((Q, L * scale[:, None, None]))
        return Q, x, Qx

    built = build(rng, batch, _low_rank_sizes(rng, lower=True, upper=True), curve=curve)
    F = _factors_of(built.data.Q, *factors[0]).astype(np.float32)
    data = Data(*(None if v is None else v.astype(np.float32) for v in built.data))
    data = data._replace(Q=F @ F.mT)
    exact = Data(*(None if v is None else v.astype(float) for v in data))
    exact = exact._replace(Q=built.data.Q)
    terms = (np.abs(exact.p) * np.maximum(np.abs(built.x), 1)).sum(axis=1)
    return refer(
        data,
        built.x,
        built.prices,
        size=terms,
        truth=exact,
        slack=KIND_SINGLE,
        x_tol=KIND_SINGLE,
        almost=True,
    )


def _factors_of(kept, Q, F):
    """Return the factors (B, n, r) of the matrices `kept`, (B, n, n), all of them among Q."""
    return F[[int(np.flatnonzero((matrix == Q).all(axis=(1, 2)))[0]) for matrix in kept]]


def nearly_singular(rng, batch):
    """L L' + 1e-9..1e-5 I with bounds far off: x of size one, or as large as p makes it."""
    n = rng.integers(2, 7)
    L = _exact_factor(rng, (batch, n, rng.integers(1, n)))
    eps = np.exp2(-np.round(rng.uniform(17, 30, batch)))[:, None]
    x = rng.normal(size=(batch, n))
    if rng.random() < 0.5:
        x = x + (x - product(L, product(np.linalg.pinv(L), x))) / eps
    Q = L @ L.mT + eps[..., None] * np.eye(n)
    unit = np.abs(x).max(axis=1, keepdims=True)
    far = unit * decades(rng, 0.5, 4, (batch, n))
    data = Data(Q, -product(Q, x), lb=-far, ub=far if rng.random() < 0.5 else None)
    return refer(data, x, unit=unit, x_tol=KIND_ANSWER + 1e-13 / eps[:, 0])


def circles(rng, batch):
    """Safety filters: rows of sizes 1e-4 to 1 around an optimum inside, of 0 or near it."""
    n, m = rng.integers(1, 5), rng.integers(2, 8)
    weight = np.array([1.0, 1e-2, 1e5, 1.0])[:n]
    G = rng.normal(size=(batch, m, n)) * decades(rng, -4, 0.2, (batch, m, 1))
    x = np.zeros((batch, n))
    if rng.random() < 0.5:
        x = decades(rng, -6, 0, (batch, 1)) * rng.uniform(-0.5, 0.5, (batch, n)) / n
    size = np.full(batch, weight.sum())
    h = np.ones((batch, m))
    data = Data(np.tile(np.diag(weight), (batch, 1, 1)), -weight * x, G, h + product(G, x))
    box = np.tile(np.vstack([np.eye(n), -np.eye(n)]), (batch, 1, 1))
    if rng.random() < 0.5:
        data = with_rows(data, box, np.ones((batch, 2 * n)))
    near = 1 / np.abs(data.G).max(axis=(1, 2), keepdims=True)[..., 0]  # how far off the limits are
    return refer(data, x, unit=near, size=size * near[:, 0] ** 2)


# ---- limits


def _gaps(rng, batch):
    """Draw by how much limits miss each other: nothing, rounding, or up to float32's (B, 1)."""
    gap = rng.choice([0.0, 1e-17, 1e-15, 1e-12, 1e-9, 1e-7], (batch, 1))
    return gap * rng.choice([-1.0, 1.0], (batch, 1))  # positive: they cross


def _meeting(built, data, gap):
    slack = np.abs(gap[:, 0])
    x_tol = KIND_ANSWER + 100 * built.gain * slack
    return refer(
        data, built.x, built.prices, slack=10 * slack, x_tol=x_tol, almost=gap[:, 0] > KIND_ROUNDING
    )


def meeting_bounds(rng, batch):
    """Lower and upper bounds that meet but for rounding, or cross by it."""
    sizes = draw_sizes(rng, active=1, lower=True, upper=True)
    built = build(rng, batch, sizes, least=1, bounds_first=True)
    gap, x, prices = _gaps(rng, batch), built.x, built.prices
    lb = np.where(prices.lam_ub > 0, x + gap * np.abs(x), built.data.lb)
    ub = np.where(prices.lam_lb > 0, x - gap * np.abs(x), built.data.ub)
    return _meeting(built, built.data._replace(lb=lb, ub=ub), gap)


def meeting_rows(rng, batch):
    """Pairs of opposite rows that meet but for rounding, or cross by it."""
    built = build(rng, batch, draw_sizes(rng, active=1), least=1)
    gap, C = _gaps(rng, batch), built.C[:, : rng.integers(1, built.C.shape[1] + 1)]
    d = product(C, built.x)
    return _meeting(built, with_rows(built.data, -C, -d - gap * np.abs(d)), gap)


def far_limits(rng, batch):
    """Limits of 1e8 to 9.9e19 that stand for none, on either side and in rows; LPs and QPs."""
    built = build(rng, batch, draw_sizes(rng, rank=rng.choice([0, 12])))
    data, prices = built.data, built.prices

    def far(old, sign, held):
        limit = sign * decades(rng, 8, np.log10(9.9e19), held.shape)
        return limit if old is None else np.where(held | (rng.random(held.shape) < 0.5), old, limit)

    sides = rng.integers(1, 4)
    data = data._replace(
        lb=far(data.lb, -1, prices.lam_lb > 0) if sides & 1 or data.lb is not None else None,
        ub=far(data.ub, 1, prices.lam_ub > 0) if sides & 2 or data.ub is not None else None,
        h=None if data.h is None else far(data.h, 1, prices.lam > 0),
    )
    return refer(data, built.x, prices)


def fixed_variables(rng, batch):
    """Variables with lb == ub, and rows and equalities that touch these alone."""
    sizes = draw_sizes(rng, active=1, lower=True, upper=True)
    built = build(rng, batch, sizes, least=1, bounds_first=True)
    data, x, prices = built.data, built.x, built.prices
    fixed = (prices.lam_lb > 0) | (prices.lam_ub > 0)
    data = data._replace(lb=np.where(fixed, x, data.lb), ub=np.where(fixed, x, data.ub))
    G = rng.normal(size=(batch, 2, x.shape[1])) * fixed[:, None]
    data = with_rows(data, G, product(G, x) + rng.choice([0.0, 1.0], (batch, 2)))
    if rng.random() < 0.5:
        A = rng.normal(size=(batch, 1, x.shape[1])) * fixed[:, None]
        data = with_equalities(data, A, product(A, x))
    return refer(data, x, prices)


# ---- more rows than needed


def repeated_rows(rng, batch):
    """Active constraints again as rows, in other units and nearly parallel (1e-12 to 1e-4)."""
    built = build(rng, batch, draw_sizes(rng, active=1), least=1)
    C = built.C[:, : rng.integers(1, built.C.shape[1] + 1)]
    factor = decades(rng, -3, 3, (*C.shape[:2], 1))
    tilt = decades(rng, -12, -4, factor.shape) * rng.normal(size=C.shape)
    more = factor * np.concatenate([C, C + tilt], axis=0).reshape(2, *C.shape)
    G = np.concatenate(list(more[: rng.integers(1, 3)]), axis=1)
    data = with_rows(built.data, G, product(G, built.x))
    return refer(data, built.x, built.prices, x_tol=KIND_DEGENERATE)


def degenerate(rng, batch):
    """Up to six rows more than needed through x*, at an angle to an inner direction."""
    built = build(rng, batch, draw_sizes(rng, active=1), least=1)
    C, A, n = built.C, built.data.A, built.x.shape[1]
    K = C if A is None else np.concatenate([C, A], axis=1)
    goal = np.where(np.arange(K.shape[1]) < C.shape[1], -1.0, 0.0)
    inner = product(np.linalg.pinv(K), np.broadcast_to(goal, K.shape[:2]))
    inner /= np.linalg.norm(inner, axis=1, keepdims=True)
    G = rng.normal(size=(batch, rng.integers(1, 7), n))
    along = product(G, inner)
    wanted = np.minimum(along, -0.3 * np.linalg.norm(G, axis=2))
    G = G + (wanted - along)[..., None] * inner[:, None]
    data = with_rows(built.data, G, product(G, built.x))
    return refer(data, built.x, built.prices, x_tol=KIND_DEGENERATE)


def dependent_equalities(rng, batch):
    """Equalities that are combinations of others, and consistent."""
    built = build(rng, batch, draw_sizes(rng, k=1))
    data, k = built.data, built.data.A.shape[1]
    mix = rng.normal(size=(batch, rng.integers(1, 4), k)) * decades(rng, -3, 3, (batch, 1, 1))
    A = mix @ data.A
    return refer(with_equalities(data, A, product(A, built.x)), built.x, built.prices)


def nearly_dependent_equalities(rng, batch):
    """An equality that differs from another one by 1e-5 to 1e-2, with prices as far beyond p.

    Rounding of either row moves x by as much as the difference is smaller.
    """
    built = build(rng, batch, draw_sizes(rng, k=1))
    data, tilt = built.data, decades(rng, -5, -2, (batch, 1, 1))
    way = rng.normal(size=(batch, 1, data.A.shape[2]))
    A, force = data.A[:, :1] + tilt * way, rng.normal(size=(batch, 1))
    data = data._replace(p=data.p - force * way[:, 0])
    lam, nu, *sides = built.prices
    nu = np.concatenate([nu, force / tilt[:, 0]], axis=1)
    nu[:, :1] -= force / tilt[:, 0]
    data = with_equalities(data, A, product(A, built.x))
    return refer(data, built.x, (lam, nu, *sides), x_tol=KIND_DEGENERATE)


KINDS = {
    kind.__name__: kind
    for kind in (
        scaled.plain, scaled.objective_units, scaled.row_units, scaled.variable_units,
        scaled.mixed_units, scaled.least_squares, scaled.diagonal, scaled.prices_linear,
        scaled.prices_quadratic, scaled.rhs_decades, scaled.penalties, low_rank, float32_gram,
        nearly_singular, circles, meeting_bounds, meeting_rows, far_limits, fixed_variables,
        repeated_rows, degenerate, dependent_equalities, nearly_dependent_equalities,
    )
}  # fmt: skip
