"""Problems without a solution, built backwards from what proves it.

Farkas: multipliers first, then one row that makes them cancel, and its limit a gap too low. A ray:
a direction first, then a Q, rows and bounds that do not stop it, and a p along which it falls.
"""

import math
from typing import NamedTuple

import numpy as np

from tests.problems import Data, Sizes, feasible, known


class Proof(NamedTuple):
    """The fields of a `kktdiff.Certificate`, of one element."""

    x: np.ndarray
    lam: np.ndarray
    nu: np.ndarray
    lam_lb: np.ndarray
    lam_ub: np.ndarray


def proof_of(certificate, index, convert=np.asarray):
    """One element's proof, in NumPy."""
    return Proof(*(convert(getattr(certificate, name))[index] for name in Proof._fields))


def stacked(draw, rng, sizes, batch):
    """A batch of what `draw(rng, sizes)` gives for one element."""
    elements = [draw(rng, sizes) for _ in range(math.prod(batch))]
    return Data(
        *(
            None if column[0] is None else np.reshape(column, batch + np.shape(column[0]))
            for column in zip(*elements, strict=True)
        )
    )


def contradictory(rng, sizes, gap=0.5):
    """One element whose rows, equalities and bounds contradict each other; its Q is singular.

    With both bounds the first variable is fixed; without rows the second one's bounds cross.
    """
    n, m, k, lower, upper, _ = sizes
    G, A, x = rng.normal(size=(m, n)), rng.normal(size=(k, n)), rng.normal(size=n)
    lam, nu, below, above = _some(rng, m), rng.normal(size=k), _some(rng, n), _some(rng, n)
    below, above = below * lower, np.where(below > 0, 0.0, above) * upper
    s, left, right = (
        np.where(v > 0, 0.0, rng.uniform(0.5, 1.5, v.size)) for v in (lam, below, above)
    )
    if m:
        lam[-1], s[-1] = 1.0, -gap
        G[-1] = below - above - G[:-1].T @ lam[:-1] - A.T @ nu
    elif k:
        nu[-1] = 1.0
        A[-1] = below - above - A[:-1].T @ nu[:-1]
    b = A @ x
    b[-1:] -= 0.0 if m else gap
    if lower and upper:
        left[0] = right[0] = 0.0
        left[1] -= 0.0 if m or k else right[1] + left[1] + gap
    return _element(
        rng, _curved(rng, np.eye(n)), (G, G @ x + s), (A, b), (x - left, x + right), sizes
    )


def conflicting(rng, sizes):
    """One element with limits at random, too low on the whole: without a solution, most often.

    What proves it needs no exact relation among the rows, so that it stays when the data move, and
    the constraints that must be shifted leave x no freedom.
    """
    n, m, k, *_ = sizes
    U = rng.normal(size=(n, n))
    rows = rng.normal(size=(m, n)), rng.normal(size=m) - 1
    equalities = rng.normal(size=(k, n)), rng.normal(size=k)
    bounds = rng.normal(size=n), rng.normal(size=n)
    return _element(rng, U @ U.T / n + np.eye(n) / 2, rows, equalities, bounds, sizes)


HALF, HALVES = Sizes(n=3, m=4, k=1, lower=True, upper=True), Sizes(6, 8, 2, True, True)


def half_conflicting(rng, sizes=HALVES):
    """One element whose first half of everything conflicts; the objective decides on the other.

    The first rows know the first variables only, so that what is shifted there is decided there.
    """
    first, second = conflicting(rng, HALF), feasible(rng, HALF)
    full = known(rng, sizes).data
    halves = {}
    for name in ("G", "A"):
        upper, lower = getattr(first, name), getattr(second, name)
        across = rng.normal(size=(len(lower), HALF.n)) / 10
        halves[name] = np.block([[upper, np.zeros(upper.shape)], [across, lower]])
    for name in ("h", "b", "lb", "ub"):
        halves[name] = np.concatenate([getattr(first, name), getattr(second, name)])
    return full._replace(p=3 * rng.normal(size=sizes.n), **halves)


def unbounded(rng, sizes):
    """One element with a feasible point and a direction that nothing stops.

    With both bounds the first variable is fixed.
    """
    n, m, k, lower, upper, _ = sizes
    x, r = rng.normal(size=n), rng.normal(size=n)
    r[0] *= 0.0 if lower and upper else 1.0
    r /= np.linalg.norm(r)
    across = np.eye(n) - np.outer(r, r)
    G = rng.normal(size=(m, n)) @ across - np.outer(rng.uniform(size=m), r)
    A = rng.normal(size=(k, n)) @ across
    room = np.where(r == 0.0, 0.0, rng.uniform(0.5, 1.5, size=n))
    bounds = np.where(r >= 0, x - room, -np.inf), np.where(r <= 0, x + room, np.inf)
    data = _element(
        rng, _curved(rng, across), (G, G @ x + rng.uniform(size=m)), (A, A @ x), bounds, sizes
    )
    return data._replace(p=across @ data.p - r)


def _curved(rng, across):
    """A positive semidefinite Q, flat across what `across` projects away."""
    U = across @ rng.normal(size=(len(across), max(1, len(across) // 2)))
    return U @ U.T / len(across)


def _element(rng, Q, rows, equalities, bounds, sizes):
    lb, ub = bounds
    return Data(
        Q,
        rng.normal(size=sizes.n),
        *(rows if sizes.m else (None, None)),
        *(equalities if sizes.k else (None, None)),
        lb if sizes.lower else None,
        ub if sizes.upper else None,
    )


def _some(rng, size):
    """About half of them positive, the others zero."""
    return np.where(rng.uniform(size=size) < 0.5, rng.uniform(0.5, 1.5, size=size), 0.0)
