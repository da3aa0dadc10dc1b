"""Build batches of QPs backwards from their minimisers, and put them into other units.

In units in which everything is of size one: x*, an active set in general position, multipliers on
it and slacks off it; then p, h, b, lb and ub follow (as in `tests.problems`, a batch at a time).
"""

from typing import NamedTuple

import numpy as np

from tests.problems import Data, Sizes
from tests.tolerances import KIND_ANSWER


class Multipliers(NamedTuple):
    """Multipliers that go with x*, not always the only ones."""

    lam: np.ndarray  # (B, m)
    nu: np.ndarray  # (B, k)
    lam_lb: np.ndarray  # (B, n)
    lam_ub: np.ndarray  # (B, n)


class Reference(NamedTuple):
    """The right answer of each element, and the units in which errors are measured."""

    truth: Data  # the problem that x solves: the data, but for the rounding of float32
    x: np.ndarray  # (B, n): the minimiser
    prices: Multipliers
    unit: np.ndarray  # (B, n): the natural size of each variable
    objective: np.ndarray  # (B,)
    size: np.ndarray  # (B,): of the objective's terms
    slack: np.ndarray  # (B,): relative error that the data's own rounding allows
    x_tol: np.ndarray  # (B,): relative to the unit; infinite where x is not unique
    almost: np.ndarray  # (B,) bool: ALMOST_SOLVED is right, too


class Built(NamedTuple):
    """Problems built backwards: the answer, and the active constraints as rows ``C x <= C x*``."""

    data: Data
    x: np.ndarray  # (B, n)
    prices: Multipliers
    C: np.ndarray  # (B, a, n)
    gain: np.ndarray  # (B,): norm of the inverse KKT matrix of the active set


def decades(rng, low, high, shape):
    """Draw powers of ten, uniform in the exponent."""
    return 10.0 ** rng.uniform(low, high, size=shape)


def product(M, v):
    """Multiply matrices (B, r, n) and vectors (B, n) in extended precision, rounded once."""
    long = M.astype(np.longdouble) * v.astype(np.longdouble)[..., None, :]
    return long.sum(axis=-1).astype(float)


def positive(rng, shape):
    return rng.uniform(0.5, 1.5, size=shape)


def draw_sizes(rng, *, most=12, active=0, k=0, rank=None, **bounds):
    """Draw sizes, mostly small, of a problem with a unique minimiser and `active` rows or more."""
    n = min(most, max(k + active, 1) + rng.geometric(0.3) - 1)
    k = rng.integers(k, max(k, (n - active) // 2) + 1)
    lower, upper = (bounds.get(side, rng.random() < 0.5) for side in ("lower", "upper"))
    m = max(rng.integers(0, 2 * n + 1), 0 if lower or upper else active)
    if rank is None and rng.random() < 0.5:
        rank = rng.integers(0, n + 1)
    if rank is not None:
        rank = max(rank, n - k - m - (n if lower or upper else 0), 0)
    return Sizes(n, m, k, bool(lower), bool(upper), rank)


def _curve(rng, count, sizes):
    """Draw Q (count, n, n) of the wanted rank, and x; return Q, x and Q x."""
    n, rank = sizes.n, sizes.rank
    U = rng.normal(size=(count, n, n if rank is None else rank))
    Q = U @ U.mT / n + (np.eye(n) if rank is None else 0.0)
    x = rng.normal(size=(count, n))
    return Q, x, product(Q, x)


def _active(rng, count, sizes, least, bounds_first):
    """Draw constraints that are active: as many of each element, in its own order (count, a)."""
    n, m, k, lower, upper, rank = sizes
    pool = rng.random((count, m + n))
    pool[:, m:] += np.inf if not (lower or upper) else -bounds_first
    available = m + n * (lower or upper)
    need = max(least, 0 if rank is None else n - k - rank)
    a = min(rng.integers(need, max(need, n - k) + 1), available)
    return np.argsort(pool, axis=1)[:, :a]


def build(rng, batch, sizes, *, least=0, bounds_first=False, curve=_curve):
    """Build a batch backwards; of half as many again, keep those of good condition."""
    n, m, k, lower, upper, _ = sizes
    count = batch + batch // 2 + 2
    Q, x, Qx = curve(rng, count, sizes)
    G, A = (rng.normal(size=(count, r, n)) / np.sqrt(n) for r in (m, k))
    up = (rng.random((count, n)) < 0.5 if lower else np.ones((count, n), bool)) & upper
    rows = np.concatenate([G, np.eye(n) * np.where(up, 1.0, -1.0)[..., None]], axis=1)
    which = _active(rng, count, sizes, least, bounds_first)
    on = np.zeros((count, m + n), bool)
    np.put_along_axis(on, which, True, axis=1)
    lam, room = positive(rng, on.shape) * on, positive(rng, on.shape)
    price, nu = np.where(up, 1, -1) * lam[:, m:], rng.normal(size=(count, k))
    p = -(Qx + product(G.mT, lam[:, :m]) + product(A.mT, nu) + price)
    below, above = (np.where(on[:, m:] & side, 0.0, positive(rng, up.shape)) for side in (~up, up))
    data = Data(
        Q,
        p,
        *((G, product(G, x) + np.where(on, 0.0, room)[:, :m]) if m else (None, None)),
        *((A, product(A, x)) if k else (None, None)),
        x - below if lower else None,
        x + above if upper else None,
    )
    C = np.take_along_axis(rows, which[..., None], axis=1)
    gain = _gain(Q, np.concatenate([C, A], axis=1))
    prices = Multipliers(lam[:, :m], nu, np.maximum(-price, 0), np.maximum(price, 0))
    built = Built(data, x, prices, C, gain)
    return _picked(built, np.argsort(np.maximum(gain, 1e3), kind="stable")[:batch])


def _gain(Q, C):
    """Return the 2-norm of the inverse of ``[Q C'; C 0]``, Q of size one at most."""
    Q = Q / np.maximum(1.0, np.abs(Q).max(axis=(1, 2), keepdims=True))
    K = np.block([[Q, C.mT], [C, np.zeros((len(Q), C.shape[1], C.shape[1]))]])
    least = np.linalg.svd(K, compute_uv=False)[:, -1]
    return 1 / np.maximum(least, np.finfo(float).tiny)


def _picked(built, index):
    def pick(array):
        return None if array is None else array[index]

    records = (type(record)(*map(pick, record)) for record in (built.data, built.prices))
    data, prices = records
    return Built(data, pick(built.x), prices, pick(built.C), pick(built.gain))


def refer(
    data,
    x,
    prices=None,
    *,
    unit=1.0,
    size=None,
    truth=None,
    slack=0.0,
    x_tol=KIND_ANSWER,
    almost=False,
):
    """Return the data and their reference; by default in units of one, and x unique.

    Multipliers that are not given, and of rows that were added, are zero.
    """
    truth, batch = truth or data, len(x)
    unit = np.broadcast_to(unit, x.shape)
    bend = np.einsum("bi,bi->b", x, product(truth.Q, x)) / 2
    if size is None:
        size = np.abs(bend) + (np.abs(truth.p) * np.maximum(np.abs(x), unit)).sum(axis=1)
    each = (np.broadcast_to(value, (batch,)) for value in (size, slack, x_tol, almost))
    objective = bend + product(truth.p[:, None], x)[:, 0]
    return data, Reference(truth, x, _padded(truth, prices), unit, objective, *each)


def _padded(data, prices):
    batch, n = data.p.shape
    lengths = (0 if v is None else v.shape[1] for v in (data.h, data.b))
    padded = [np.zeros((batch, length)) for length in (*lengths, n, n)]
    for array, given in zip(padded, prices or (), strict=False):
        array[:, : given.shape[1]] = given
    return Multipliers(*padded)


def with_rows(data, G, h):
    """Append inequalities (B, r, n), (B, r)."""
    if data.G is not None:
        G, h = np.concatenate([data.G, G], axis=1), np.concatenate([data.h, h], axis=1)
    return data._replace(G=G, h=h)


def with_equalities(data, A, b):
    """Append equalities (B, r, n), (B, r)."""
    if data.A is not None:
        A, b = np.concatenate([data.A, A], axis=1), np.concatenate([data.b, b], axis=1)
    return data._replace(A=A, b=b)


def in_units(data, reference, *, objective=1.0, rows=1.0, equalities=1.0, variables=1.0):
    """Multiply the objective (B,), rows (B, m), equalities (B, k) and x (B, n) by these."""
    w, c, e, u = (np.asarray(v) for v in (objective, rows, equalities, variables))
    w = np.broadcast_to(w, len(reference.x))
    u = np.broadcast_to(u, reference.x.shape)

    def by(factor, array):
        return None if array is None else np.asarray(factor * array)

    data = Data(
        w[:, None, None] * data.Q / u[:, :, None] / u[:, None, :],
        w[:, None] * data.p / u,
        by(c[..., None], None if data.G is None else data.G / u[:, None, :]),
        by(c, data.h),
        by(e[..., None], None if data.A is None else data.A / u[:, None, :]),
        by(e, data.b),
        by(u, data.lb),
        by(u, data.ub),
    )
    return data, reference._replace(
        truth=data,
        x=u * reference.x,
        prices=_prices_in_units(reference.prices, w[:, None], c, e, u),
        unit=u * reference.unit,
        objective=w * reference.objective,
        size=w * reference.size,
    )


def _prices_in_units(prices, w, c, e, u):
    lam, nu, lam_lb, lam_ub = prices
    return Multipliers(w * lam / c, w * nu / e, w * lam_lb / u, w * lam_ub / u)


def units(rng, data, *, objective=0, rows=0, variables=0):
    """Draw factors for `in_units`, so many decades each way."""
    batch, n = data.p.shape
    m, k = (0 if v is None else v.shape[1] for v in (data.h, data.b))
    return {
        "objective": decades(rng, -objective, objective, batch),
        "rows": decades(rng, -rows, rows, (batch, m)),
        "equalities": decades(rng, -rows, rows, (batch, k)),
        "variables": decades(rng, -variables, variables, (batch, n)),
    }
