"""Problems built backwards from their answers.

Pick x*, an active set, multipliers > 0 on it and slacks > 0 off it; then p makes x* stationary
and h, b, lb, ub put it where the active set says. At most n active rows in general position make
the multipliers unique, and at least n - rank(Q) make x* unique.
"""

import math
from itertools import product
from typing import NamedTuple

import numpy as np


class Data(NamedTuple):
    """The arguments of solve_qp, in its order."""

    Q: np.ndarray
    p: np.ndarray
    G: np.ndarray | None = None
    h: np.ndarray | None = None
    A: np.ndarray | None = None
    b: np.ndarray | None = None
    lb: np.ndarray | None = None
    ub: np.ndarray | None = None


class Answer(NamedTuple):
    """The float outputs that have a derivative; empty or zero where a block is absent."""

    x: np.ndarray
    s: np.ndarray
    lam: np.ndarray
    nu: np.ndarray
    lam_lb: np.ndarray
    lam_ub: np.ndarray
    objective: np.ndarray


class Known(NamedTuple):
    data: Data
    answer: Answer


class Sizes(NamedTuple):
    """n variables, m rows of G, k rows of A (0: the block is absent), rank of Q (None: n)."""

    n: int
    m: int = 0
    k: int = 0
    lower: bool = False
    upper: bool = False
    rank: int | None = None

    @property
    def label(self):
        blocks = {"G": self.m, "A": self.k, "lb": self.lower, "ub": self.upper}
        text = "+".join(name for name, present in blocks.items() if present) or "unconstrained"
        return text if self.rank is None else f"{text} rank {self.rank}"


FULL = Sizes(n=6, m=7, k=2, lower=True, upper=True)  # every block present
COMBINATIONS = [
    Sizes(n=6, m=7 * g, k=2 * a, lower=lower, upper=upper)
    for g, a, lower, upper in product((0, 1), (0, 1), (False, True), (False, True))
]


def known(rng, sizes, batch=(), shared=()):
    """A batch of problems with their answers; Q, G and A may be shared: no batch dimensions."""
    common = {name: _matrix(rng, sizes, name) for name in shared}
    elements = [_element(rng, sizes, common) for _ in range(math.prod(batch))]
    data = [
        common[name] if name in shared else _stack([e.data[i] for e in elements], batch)
        for i, name in enumerate(Data._fields)
    ]
    answer = [_stack(list(a), batch) for a in zip(*(e.answer for e in elements), strict=True)]
    return Known(Data(*data), Answer(*answer))


def _stack(arrays, batch):
    return None if arrays[0] is None else np.reshape(arrays, batch + np.shape(arrays[0]))


def _matrix(rng, sizes, name):
    n, m, k, *_, rank = sizes
    if name == "Q":
        U = rng.normal(size=(n, n if rank is None else rank))
        return U @ U.T / n + (np.eye(n) if rank is None else 0.0)
    rows = {"G": m, "A": k}[name]
    return rng.normal(size=(rows, n)) / math.sqrt(n) if rows else None


def _element(rng, sizes, common):
    Q, G, A = (common[s] if s in common else _matrix(rng, sizes, s) for s in "QGA")
    x, nu = rng.normal(size=sizes.n), rng.normal(size=sizes.k)
    active = _active_set(rng, sizes)
    lam, lam_lb, lam_ub = (np.where(a, _positive(rng, a.shape), 0.0) for a in active)
    s, below, above = (np.where(a, 0.0, _positive(rng, a.shape)) for a in active)
    gradient = Q @ x - lam_lb + lam_ub
    if G is not None:
        gradient = gradient + G.T @ lam
    if A is not None:
        gradient = gradient + A.T @ nu
    data = Data(
        Q,
        -gradient,
        G,
        None if G is None else G @ x + s,
        A,
        None if A is None else A @ x,
        x - below if sizes.lower else None,
        x + above if sizes.upper else None,
    )
    objective = x @ Q @ x / 2 - gradient @ x
    return Known(data, Answer(x, s, lam, nu, lam_lb, lam_ub, objective))


def _positive(rng, shape):
    return rng.uniform(0.5, 1.5, size=shape)


def _active_set(rng, sizes):
    """Masks over rows, lower and upper bounds; never both bounds of one variable."""
    n, m, k, lower, upper, rank = sizes
    free = n - k
    wanted = max((free + 1) // 2, free - (n if rank is None else rank))
    masks = np.zeros(m, bool), np.zeros(n, bool), np.zeros(n, bool)
    present = (range(m), range(n * lower), range(n * upper))
    pool = [(block, i) for block, indices in enumerate(present) for i in indices]
    rng.shuffle(pool)
    for block, i in pool:
        if sum(mask.sum() for mask in masks) == wanted:
            break
        if block == 0 or not (masks[1][i] or masks[2][i]):
            masks[block][i] = True
    if rank is not None and sum(mask.sum() for mask in masks) < free - rank:
        raise ValueError(f"{sizes} leaves the optimum not unique")
    return masks


def feasible(rng, sizes, batches=None):
    """Problems with a strictly feasible point near 0, each array with a batch shape of its own."""
    n, m, k, lower, upper, _ = sizes
    batches = batches or {}

    def draw(name, shape):
        return rng.normal(size=tuple(batches.get(name, ())) + shape)

    U = draw("Q", (n, n))
    return Data(
        U @ np.swapaxes(U, -1, -2) / n + 0.5 * np.eye(n),
        draw("p", (n,)),
        draw("G", (m, n)) if m else None,
        0.3 + np.abs(draw("h", (m,))) / 3 if m else None,
        draw("A", (k, n)) / 10 + np.eye(k, n) if k else None,
        draw("b", (k,)) / 100 if k else None,
        -0.3 - np.abs(draw("lb", (n,))) / 3 if lower else None,
        0.3 + np.abs(draw("ub", (n,))) / 3 if upper else None,
    )


def workload(rng, batch, n=100, m=100):
    """The OptNet timing problem: Q = U'U + 1e-3 I, U uniform, G normal, h = G z0 + s0."""
    U = rng.uniform(size=(batch, n, n))
    G = rng.normal(size=(batch, m, n))
    z0, s0 = rng.normal(size=(batch, n, 1)), rng.uniform(size=(batch, m))
    Q = np.swapaxes(U, -1, -2) @ U + 1e-3 * np.eye(n)
    return Data(Q, rng.normal(size=(batch, n)), G, (G @ z0)[..., 0] + s0)


def tangent(rng, data, names=Data._fields):
    """A random direction in the named inputs, each in its input's own shape."""
    return {
        name: rng.normal(size=getattr(data, name).shape)
        for name in names
        if getattr(data, name) is not None
    }


def moved(data, direction, step):
    """The data moved by step along a direction."""
    return data._replace(**{name: getattr(data, name) + step * t for name, t in direction.items()})
