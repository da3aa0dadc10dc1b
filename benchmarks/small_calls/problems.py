"""Batches of small QPs, and the run of a safety filter."""

from typing import NamedTuple

import numpy as np

from kktdiff._typing import Array

SIZES = (2, 3, 6, 12)  # variables
PLANES = (2, 4, 6, 12)  # variables of the filter: the velocities of one, two, three and six robots
APART, REACH, RATE = 0.3, 1.0, 5.0  # least distance; largest speed in a direction; of the barrier
STEP = 1e-3  # seconds


class Rows(NamedTuple):
    """A QP with inequalities alone; every array may have a batch."""

    Q: Array
    p: Array
    G: Array
    h: Array


def drawn(n: int, batch: int, seed: int = 0) -> Rows:
    """Return random feasible problems with 3n inequalities, as in the paper's timing experiment."""
    rng = np.random.default_rng(seed)
    L, G = rng.random((batch, n, n)), rng.standard_normal((batch, 3 * n, n))
    h = np.einsum("bmn,bn->bm", G, rng.standard_normal((batch, n))) + rng.random((batch, 3 * n))
    return Rows(L @ L.mT + 1e-1 * np.eye(n), rng.standard_normal((batch, n)), G, h)


def filtered(n: int, steps: int) -> list[Rows]:
    """Return the problems of robots that cross the plane, among obstacles and each other.

    The control barrier function of a pair at a distance d is ``|d|^2 - APART^2``: the filter finds
    the velocities nearest to the wanted ones at which it decays no faster than at `RATE`. The last
    2n rows are the largest speeds.
    """
    robots, rng = n // 2, np.random.default_rng(n)
    angle = 2 * np.pi * np.arange(robots) / robots
    place = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    goal, still = -place + 0.01 * rng.standard_normal(place.shape), np.array([[0.0, 0.1]])
    found = []
    for _ in range(steps):
        wanted = np.clip(2 * (goal - place), -REACH, REACH).ravel()
        rows = _limits(place, still)
        found.append(rows._replace(p=-wanted))
        place = place + STEP * _safe(found[-1]).reshape(-1, 2)
    return found


def _limits(place: Array, still: Array) -> Rows:
    robots, n = len(place), place.size
    G, h = [], []
    for i in range(robots):
        others = [(j, place[j]) for j in range(i + 1, robots)] + [(None, at) for at in still]
        for j, at in others:
            d, row = place[i] - at, np.zeros((robots, 2))
            row[i] = -2 * d
            if j is not None:
                row[j] = 2 * d
            G.append(row.ravel())
            h.append(RATE * (d @ d - APART**2))
    eye, most = np.eye(n), np.full(n, REACH)
    return Rows(eye, np.zeros(n), np.concatenate([G, eye, -eye]), np.concatenate([h, most, most]))


def _safe(rows: Rows) -> Array:
    import kktdiff

    return kktdiff.solve_qp(*rows, on_failure="raise").x


def errors(rows: Rows, x: Array, by_p: Array | None = None) -> tuple[float, float]:
    """Return the relative errors of x, and of the gradient of its sum in p; the largest of a batch.

    By an active-set method of our own: the rows that x meets with equality, up to 1e-4, are made
    equalities, and those with a multiplier below zero are dropped.
    """
    found = [0.0, 0.0]
    lead = rows.p.shape[:-1]
    for index in np.ndindex(*lead):
        exact = _exact(*(v[index] for v in rows), x[index])
        given = (x[index], exact[1] if by_p is None else by_p[index])
        for i in (0, 1):
            size = 1 + np.abs(exact[i]).max()
            found[i] = max(found[i], float(np.abs(given[i] - exact[i]).max() / size))
    return found[0], found[1]


def _exact(Q: Array, p: Array, G: Array, h: Array, x: Array) -> tuple[Array, Array]:
    n, active = len(p), np.flatnonzero(h - G @ x < 1e-4 * (1 + np.abs(h)))
    while True:
        C = G[active]
        K = np.block([[Q, C.T], [C, np.zeros((len(C), len(C)))]])
        rhs = np.stack([np.append(-p, h[active]), np.append(-np.ones(n), np.zeros(len(C)))], axis=1)
        found = np.linalg.lstsq(K, rhs, rcond=None)[0]
        at, lam = found[:n, 0], found[n:, 0]
        if not len(lam) or lam.min() >= -1e-9:
            met = (G @ at - h).max() < 1e-6
            return at if met else np.full_like(at, np.inf), found[:n, 1]
        active = np.delete(active, lam.argmin())
