"""Models as users write them, each with a draw of values for its parameters."""

from functools import partial
from typing import Any

import cvxpy as cp
import numpy as np

from benchmarks.cvxpy_layers import examples
from benchmarks.cvxpy_layers.kinds import Kind, Model
from kktdiff.bench import signals


def dense(n: int) -> Model:
    """The QP of OptNet's timing experiment; its Q goes in as a factor, as cvxpylayers wants it."""
    shapes = {"F": (n, n), "p": n, "G": (n, n), "h": n}
    F, p, G, h = (cp.Parameter(shape, name=name) for name, shape in shapes.items())
    x = cp.Variable(n)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(F @ x) / 2 + p @ x), [G @ x <= h])

    def values(rng: np.random.Generator, batch: int) -> list[Any]:
        L, G = rng.random((batch, n, n)), rng.standard_normal((batch, n, n))
        factor = np.linalg.cholesky(L @ L.mT + 1e-3 * np.eye(n)).mT
        p, z0 = rng.standard_normal((2, batch, n))
        return [factor, p, G, np.einsum("bmn,bn->bm", G, z0) + rng.random((batch, n))]

    return Model(problem, [F, p, G, h], [x], values)


def portfolio(assets: int, factors: int) -> Model:
    """Returns against factor risk and each asset's own risk; long only, fully invested."""
    w, f = cp.Variable(assets), cp.Variable(factors)
    mean, F = cp.Parameter(assets, name="mean"), cp.Parameter((factors, assets), name="F")
    aversion = cp.Parameter(nonneg=True, name="aversion")
    own = np.linspace(0.3, 1.0, assets)
    risk = aversion * cp.sum_squares(f) + cp.sum_squares(cp.multiply(own, w))
    problem = cp.Problem(cp.Maximize(mean @ w - risk), [f == F @ w, cp.sum(w) == 1, w >= 0])

    def values(rng: np.random.Generator, batch: int) -> list[Any]:
        loadings = rng.normal(size=(factors, assets))
        return [rng.normal(size=(batch, assets)), loadings, np.array(1.0)]

    return Model(problem, [mean, F, aversion], [w, f], values)


def control(steps: int) -> Model:
    """Two masses on a plane, steered to the origin: position and speed, limited force and speed."""
    x, u = cp.Variable((4, steps + 1)), cp.Variable((2, steps))
    start = cp.Parameter(4, name="start")
    weights = cp.Parameter((4, 1), nonneg=True, name="weights")
    effort = cp.Parameter((2, 1), nonneg=True, name="effort")
    A = np.eye(4) + 0.3 * np.eye(4, k=2)
    B = np.vstack([np.zeros((2, 2)), 0.3 * np.eye(2)])
    cost = cp.sum_squares(cp.multiply(weights, x[:, 1:])) + cp.sum_squares(cp.multiply(effort, u))
    rules = [x[:, 0] == start, x[:, 1:] == A @ x[:, :-1] + B @ u]
    rules += [cp.abs(u) <= 0.5, cp.abs(x[2:]) <= 1]

    def values(rng: np.random.Generator, batch: int) -> list[Any]:
        begin = rng.uniform(-0.9, 0.9, (batch, 4))
        return [begin, rng.uniform(0.5, 1.5, (4, 1)), rng.uniform(0.3, 0.6, (2, 1))]

    return Model(cp.Problem(cp.Minimize(cost), rules), [start, weights, effort], [u, x], values)


def lasso(rows: int, n: int) -> Model:
    """Sparse regression; the weight of the norm is learnt."""
    A = np.random.default_rng(0).normal(size=(rows, n)) / np.sqrt(rows)
    x, b, weight = cp.Variable(n), cp.Parameter(rows, name="b"), _weight()
    goal = cp.sum_squares(A @ x - b) / 2 + weight * cp.norm1(x)

    def values(rng: np.random.Generator, batch: int) -> list[Any]:
        return [rng.normal(size=(batch, rows)), np.array(0.2)]

    return Model(cp.Problem(cp.Minimize(goal)), [b, weight], [x], values)


def total_variation(n: int) -> Model:
    """Denoising of signals that are constant in pieces; the weight of the norm is learnt."""
    x, y, weight = cp.Variable(n), cp.Parameter(n, name="y"), _weight()
    goal = cp.sum_squares(x - y) / 2 + weight * cp.norm1(cp.diff(x))

    def values(rng: np.random.Generator, batch: int) -> list[Any]:
        return [signals(batch, rng)[0][:, :n] / 10, np.array(1.3)]

    return Model(cp.Problem(cp.Minimize(goal)), [y, weight], [x], values)


def _weight() -> Any:
    return cp.Parameter(nonneg=True, name="weight")


KINDS = {
    "qp20": Kind("dense QP, n=20, 20 inequalities", partial(dense, 20), (1, 128)),
    "qp100": Kind("dense QP, n=100, 100 inequalities", partial(dense, 100), (1, 32)),
    "portfolio": Kind("portfolio, 100 assets, 10 factors", partial(portfolio, 100, 10), (1, 32)),
    "mpc": Kind("MPC, 20 steps, 4 states, 2 inputs", partial(control, 20), (1, 32)),
    "lasso": Kind("lasso, 50 of 100 observations", partial(lasso, 100, 50), (1, 32)),
    "tv": Kind("total variation, 100 samples", partial(total_variation, 100), (1, 32)),
    "relu": Kind("ReLU, 50 entries", partial(examples.relu, 50), (1, 32)),
    "sparsemax": Kind(
        "sparsemax with limits, 30 entries", partial(examples.sparsemax, 30), (1, 32)
    ),
    "ranks": Kind("soft ranks, 6 scores", partial(examples.ranks, 6), (1, 32)),
    "isotonic": Kind("isotonic regression, 40 entries", partial(examples.isotonic, 40), (1, 32)),
    "optnet": Kind("OptNet layer, n=30, m=30, k=5", partial(examples.optnet, 30, 5), (1, 32)),
    "fit": Kind("ridge regression with bounds, 40 x 15", partial(examples.fit, 40, 15), (1, 32)),
    "allocation": Kind("allocation, 20 assets", partial(examples.allocation, 20), (1, 32)),
    "trades": Kind("trading costs, 15 assets", partial(examples.trades, 15), (1, 32)),
    "policy": Kind("policy, 4 states, 2 inputs", partial(examples.policy, 4, 2), (1, 32)),
    "supply": Kind("supply chain, 4 nodes", partial(examples.supply, 4), (1, 32)),
    "barrier": Kind(
        "barrier filter, 2 inputs, 3 obstacles", partial(examples.barrier, 2, 3), (1, 32)
    ),
}
