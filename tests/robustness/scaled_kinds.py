"""Kinds in units of their own, and over decades; `kinds` has the others and lists all."""

import numpy as np

from tests.problems import Data
from tests.robustness.backwards import (
    build,
    decades,
    draw_sizes,
    in_units,
    positive,
    product,
    refer,
    units,
    with_rows,
)
from tests.tolerances import KIND_ANSWER, KIND_PRICE

# ---- units


def plain(rng, batch):
    """Every block, any rank of Q, LPs included; everything of size one."""
    built = build(rng, batch, draw_sizes(rng))
    return refer(built.data, built.x, built.prices)


def _plain_in(rng, batch, **exponents):
    data, reference = plain(rng, batch)
    return in_units(data, reference, **units(rng, data, **exponents))


def objective_units(rng, batch):
    """Objectives of 1e-20 to 1e20."""
    return _plain_in(rng, batch, objective=20)


def row_units(rng, batch):
    """Each row of G with h, and of A with b, in a unit of its own over 20 decades."""
    return _plain_in(rng, batch, rows=10)


def variable_units(rng, batch):
    """Each variable in a unit of its own over eight decades."""
    return _plain_in(rng, batch, variables=4)


def mixed_units(rng, batch):
    """Objective, rows and variables, all in units of their own."""
    return _plain_in(rng, batch, objective=12, rows=6, variables=3)


def least_squares(rng, batch):
    """Well-conditioned F'F and F'y at any unit, inside ``x >= 0`` written as rows or bounds."""
    n = rng.integers(1, 13)
    F = rng.normal(size=(batch, 3 * n + 2, n))
    y = product(F, rng.uniform(0.5, 2, (batch, n))) + 0.1 * rng.normal(size=(batch, 3 * n + 2))
    x = product(np.linalg.pinv(F), y)
    limit = np.minimum(0.0, x - 0.1)
    data = Data(F.mT @ F, -product(F.mT, y))
    if rng.random() < 0.5:
        data = data._replace(lb=limit)
    else:
        data = with_rows(data, np.tile(-np.eye(n), (batch, 1, 1)), -limit)
    factors = units(rng, data, objective=20, rows=4)
    factors["variables"] = decades(rng, -6, 6, (batch, 1))
    return in_units(*refer(data, x), **factors)


def diagonal(rng, batch):
    """Diagonal Q, zeros among it, and bounds alone; n up to 64."""
    n = int(np.exp2(rng.uniform(0, 6)))
    x, side = rng.normal(size=(batch, n)), rng.integers(-1, 2, (batch, n))
    flat = (rng.random((batch, n)) < 0.2) & (side != 0)
    q = np.where(flat, 0.0, positive(rng, (batch, n)))
    force = -side * positive(rng, (batch, n))
    lb, ub = (np.where(side == s, x, x + s * positive(rng, x.shape)) for s in (-1, 1))
    data = Data(q[:, :, None] * np.eye(n), force - q * x, lb=lb, ub=ub)
    none = np.zeros((batch, 0))
    prices = none, none, np.maximum(force, 0), np.maximum(-force, 0)
    return in_units(*refer(data, x, prices), **units(rng, data, objective=6, variables=3))


# ---- prices and right-hand sides over decades


def _tiered(rng, batch, *, price=(0, 0), size=(0, 0), curved=0.0):
    """Build covering problems ``G x >= h, x >= 0`` whose prices, or sizes of x, span decades.

    Each of r rows has its own basic variable; other variables are at zero or, where Q has
    curvature for them, inside. A row holds no variable that is cheaper or larger than its own,
    so that each multiplier and each variable can be told at its own size.
    """
    r, more = rng.integers(1, 5), rng.integers(0, 5)
    n = r + more
    prices, sizes = (
        decades(rng, *span, (batch, n)) * positive(rng, (batch, n)) for span in (price, size)
    )
    inside = rng.random((batch, n)) < curved
    inside[:, :r] = True
    q = np.where((rng.random((batch, n)) < curved) | (inside & (np.arange(n) >= r)), 1.0, 0.0)
    q *= prices / sizes * rng.uniform(0.1, 0.5, (batch, n))
    x, lam = np.where(inside, sizes, 0.0), prices[:, :r]
    held = (prices[:, None] >= lam[..., None]) & (sizes[:, None] <= sizes[:, :r, None])
    G = held * rng.uniform(0, 0.5 / n, (batch, r, n))
    G[:, np.arange(r), np.arange(r)] = positive(rng, (batch, r))
    lam_lb = np.where(inside, 0.0, prices)
    p = product(G.mT, lam) - q * x + lam_lb
    data = Data(q[:, :, None] * np.eye(n), p, -G, -product(G, x), lb=np.zeros((batch, n)))
    terms = (q * x**2 / 2 + np.abs(p) * x).sum(axis=1)
    spread = prices.max(axis=1) / prices.min(axis=1)
    x_tol = KIND_ANSWER + KIND_PRICE * spread
    return refer(data, x, (lam, p[:, :0], lam_lb), unit=sizes, size=terms, x_tol=x_tol)


def prices_linear(rng, batch):
    """LPs with prices over twelve decades."""
    return _tiered(rng, batch, price=(-8, 4))


def prices_quadratic(rng, batch):
    """QPs with singular Q and prices over twelve decades."""
    return _tiered(rng, batch, price=(-8, 4), curved=0.5)


def rhs_decades(rng, batch):
    """Right-hand sides over eight decades, since x is; Q singular or zero."""
    return _tiered(rng, batch, size=(-4, 4), curved=rng.choice([0.0, 0.5]))


def penalties(rng, batch):
    """Soft rows at a price of 1e3 to 1e9: slack variables beside x; the hard rows may conflict.

    Rows that are violated are nonnegative combinations of tight ones with the other sign, so that
    their price is met by multipliers below it.
    """
    n = rng.integers(1, 7)
    tight, broken, spare = rng.integers(1, n + 1), rng.integers(0, 3), rng.integers(0, 4)
    m, price = tight + broken + spare, decades(rng, 3, 9, (batch, 1))
    x, own = rng.normal(size=(batch, n)), positive(rng, (batch, tight))
    hold = rng.normal(size=(batch, tight, n)) / np.sqrt(n) + np.eye(tight, n)
    share = rng.uniform(0.1, 0.4, (batch, broken, tight))
    rows = rng.normal(size=(batch, spare, n))
    rows = np.concatenate([hold, -share @ hold, rows], axis=1)
    lam = np.zeros((batch, m))
    lam[:, :tight] = price * share.sum(axis=1) + own
    lam[:, tight : tight + broken] = price
    e, s = np.zeros((2, batch, m))
    e[:, tight : tight + broken] = positive(rng, (batch, broken))
    s[:, tight + broken :] = positive(rng, (batch, spare))
    zeros = np.zeros((batch, m, m))
    flat = np.zeros((batch, n, m))
    Q = np.block([[np.tile(np.eye(n), (batch, 1, 1)), flat], [flat.mT, zeros]])
    p = np.concatenate([-product(rows.mT, lam) - x, np.tile(price, (1, m))], axis=1)
    data = Data(Q, p, np.concatenate([rows, zeros - np.eye(m)], axis=2), product(rows, x) - e + s)
    data = data._replace(lb=np.tile(np.r_[np.full(n, -np.inf), np.zeros(m)], (batch, 1)))
    z = np.concatenate([x, e], axis=1)
    terms = np.abs(p * z).sum(axis=1) + (x**2).sum(axis=1) / 2
    prices = lam, p[:, :0], np.concatenate([0 * x, price - lam], axis=1)
    return refer(data, z, prices, size=terms, x_tol=KIND_ANSWER + 1e-14 * price[:, 0])
