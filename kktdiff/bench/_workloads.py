"""The workloads: each a function of batch size and generator.

Dense ones are the timing experiment of the OptNet paper (section 4.1) in other sizes: Q = L L' +
1e-3 I with L uniform in [0, 1], G and A normal, h = G z0 + s0 and b = A z0, so that all are
feasible.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from kktdiff._typing import Array
from kktdiff.bench._problem import Problem

LENGTH, NOISE, LOWEST, HIGHEST = 100, 10.0, 10, 99  # of the signals
STRENGTH = 13.0  # of total variation: the best in the paper
RIDGE = 1e-4  # on the variables that have no curvature: some solvers take no singular Q
ROWS = 40  # equality rows of the Sudoku layer


class Workload(NamedTuple):
    """One kind of problem."""

    about: str
    batch: int
    draw: Callable[[int, np.random.Generator], Problem]


def dense(batch: int, rng: np.random.Generator, n: int, m: int, k: int = 0) -> Problem:
    """Nothing shared; n variables, m inequalities, k equalities."""
    p, z0, cotangent = rng.standard_normal((3, batch, n))
    L, G = rng.random((batch, n, n)), rng.standard_normal((batch, m, n))
    data = {"Q": L @ L.transpose(0, 2, 1) + 1e-3 * np.eye(n), "p": p, "G": G}
    data["h"] = np.einsum("bmn,bn->bm", G, z0) + rng.random((batch, m))
    if k:
        A = rng.standard_normal((batch, k, n))
        data |= {"A": A, "b": np.einsum("bkn,bn->bk", A, z0)}
    return Problem("", data, cotangent)


def mini_sudoku(batch: int, rng: np.random.Generator, rows: bool = False) -> Problem:
    """The Sudoku layer at its start: A uniform, b = A z0 with z0 = 1; only p is batched."""
    size = 64
    A = rng.random((ROWS, size))
    p = -np.stack([clues(rng) for _ in range(batch)])
    data = {"Q": 0.1 * np.eye(size), "p": p, "A": A, "b": A.sum(1)}
    data |= {"G": -np.eye(size), "h": np.zeros(size)} if rows else {"lb": np.zeros(size)}
    return Problem("", data, rng.standard_normal((batch, size)))


def clues(rng: np.random.Generator) -> Array:
    """A random valid 4x4 board, one-hot, with 4 to 10 of its 16 cells visible; (64,)."""
    row, column = np.indices((4, 4))
    board = rng.permutation(4)[(2 * (row % 2) + row // 2 + column) % 4]
    shown = np.eye(4)[board[rng.permutation([[0, 1], [2, 3]]).ravel()]].reshape(16, 4)
    shown[rng.permutation(16)[rng.integers(4, 11) :]] = 0.0
    return shown.ravel()


def denoising(batch: int, rng: np.random.Generator) -> Problem:
    """Total variation as the paper's QP in x and t, |D x| <= t; only p is batched."""
    noisy, _ = signals(batch, rng)
    D, one = np.diff(np.eye(LENGTH), axis=0), np.eye(LENGTH - 1)
    curvature = np.concatenate([np.ones(LENGTH), np.full(LENGTH - 1, RIDGE)])
    prices = np.full((batch, LENGTH - 1), STRENGTH)
    data = {"Q": np.diag(curvature), "p": np.concatenate([-noisy, prices], axis=1)}
    data |= {"G": np.block([[D, -one], [-D, -one]]), "h": np.zeros(2 * LENGTH - 2)}
    return Problem("", data, rng.standard_normal((batch, 2 * LENGTH - 1)))


def signals(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Signals of 100 samples, constant on 1 to 9 segments: with noise, and without.

    The experiment of section 4.2 of the OptNet paper: heights 10 to 99, noise of deviation 10.

    Returns
    -------
    noisy, clean
        (count, 100) each.
    """
    clean = np.empty((count, LENGTH))
    for row in clean:
        jumps = np.sort(rng.choice(np.arange(1, LENGTH - 1), rng.integers(0, 9), replace=False))
        lengths = np.diff([0, *jumps, LENGTH])
        row[:] = np.repeat(rng.integers(LOWEST, HIGHEST + 1, lengths.size), lengths)
    return clean + rng.normal(scale=NOISE, size=clean.shape), clean


def one_dense(batch: int, rng: np.random.Generator, n: int) -> Problem:
    """As many inequalities as variables, a fifth as many equalities."""
    return dense(batch, rng, n, n, n // 5)


WORKLOADS = {
    "W1": Workload("the paper's: n=100, m=100", 128, partial(dense, n=100, m=100)),
    "W2": Workload("small: n=10, m=20, k=5", 1000, partial(dense, n=10, m=20, k=5)),
    "W3": Workload("mini-Sudoku: n=64, k=40, x >= 0 as bounds", 150, mini_sudoku),
    "W3G": Workload("mini-Sudoku, x >= 0 as 64 rows", 150, partial(mini_sudoku, rows=True)),
    "W4": Workload("denoising: n=199, m=198", 64, denoising),
    "W5": Workload("one dense QP: n=m=500, k=100", 1, partial(one_dense, n=500)),
    "W5L": Workload("one dense QP: n=m=1000, k=200", 1, partial(one_dense, n=1000)),
    "small": Workload("n=3, m=9, as in robotics", 256, partial(dense, n=3, m=9)),
    "single": Workload("n=3, m=9, one problem a call", 1, partial(dense, n=3, m=9)),
}
for _n in (10, 20, 50, 100, 200, 1000):
    WORKLOADS[f"n={_n}"] = Workload(
        f"one dense QP: n=m={_n}, k={_n // 5}", 1, partial(one_dense, n=_n)
    )
GROWTH = {
    "batch": [("W1", batch) for batch in (1, 8, 64, 128, 512, 2048, 8192)],
    "n": [(name, 1) for name in ("n=10", "n=20", "n=50", "n=100", "n=200", "W5", "n=1000")],
}


def make(name: str, batch: int | None = None, seed: int = 0) -> Problem:
    """Draw the problems of a workload.

    Parameters
    ----------
    name
        A key of `WORKLOADS`.
    batch
        How many; the workload's own number if None.
    seed
        The same seed, the same problems.

    Examples
    --------
    >>> from kktdiff import bench
    >>> bench.make("W4", batch=2).sizes
    {'n': 199, 'm': 198, 'k': 0}
    """
    workload = WORKLOADS[name]
    drawn = workload.draw(batch or workload.batch, np.random.default_rng(seed))
    return drawn._replace(name=name)
