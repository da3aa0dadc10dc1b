"""Small models as the examples of cvxpylayers have them: projections, allocation, controllers."""

from typing import Any

import cvxpy as cp
import numpy as np

from benchmarks.cvxpy_layers.kinds import Model

Rng = np.random.Generator


def relu(n: int) -> Model:
    """The positive part, as a projection."""
    y, x = cp.Variable(n), cp.Parameter(n, name="x")
    problem = cp.Problem(cp.Minimize(cp.sum_squares(y - x)), [y >= 0])
    return Model(problem, [x], [y], lambda rng, batch: [rng.normal(size=(batch, n))])


def sparsemax(n: int) -> Model:
    """The projection onto the simplex with limits, of scores."""
    y, x, most = cp.Variable(n), cp.Parameter(n, name="x"), cp.Parameter(n, name="most")
    goal = cp.Minimize(cp.sum_squares(x - y))
    problem = cp.Problem(goal, [cp.sum(y) == 1, y >= 0, y <= most])

    def values(rng: Rng, batch: int) -> list[Any]:
        return [2 * rng.normal(size=(batch, n)), rng.uniform(0.2, 0.4, n)]

    return Model(problem, [x, most], [y], values)


def ranks(n: int) -> Model:
    """The doubly stochastic matrix closest to scores: a soft order."""
    P, scores = cp.Variable((n, n)), cp.Parameter((n, n), name="scores")
    rules = [cp.sum(P, axis=0) == 1, cp.sum(P, axis=1) == 1, P >= 0]
    problem = cp.Problem(cp.Minimize(cp.sum_squares(P - scores)), rules)
    return Model(problem, [scores], [P], lambda rng, batch: [rng.normal(size=(batch, n, n))])


def isotonic(n: int) -> Model:
    """The closest sequence that never falls."""
    y, x = cp.Variable(n), cp.Parameter(n, name="x")
    problem = cp.Problem(cp.Minimize(cp.sum_squares(y - x)), [cp.diff(y) >= 0])

    def values(rng: Rng, batch: int) -> list[Any]:
        return [np.linspace(0, 2, n) + rng.normal(size=(batch, n))]

    return Model(problem, [x], [y], values)


def optnet(n: int, k: int) -> Model:
    """A layer of a network: one learnt QP for all, its linear part put out by the layer before."""
    x, p = cp.Variable(n), cp.Parameter(n, name="p")
    F, G = cp.Parameter((n, n), name="F"), cp.Parameter((n, n), name="G")
    h, A, b = cp.Parameter(n, name="h"), cp.Parameter((k, n), name="A"), cp.Parameter(k, name="b")
    goal = cp.Minimize(cp.sum_squares(F @ x) / 2 + p @ x)
    problem = cp.Problem(goal, [G @ x <= h, A @ x == b])

    def values(rng: Rng, batch: int) -> list[Any]:
        A, G, point = rng.normal(size=(k, n)), rng.normal(size=(n, n)), rng.normal(size=n)
        F = np.eye(n) + np.tril(rng.normal(size=(n, n))) / 5
        return [rng.normal(size=(batch, n)), F, G, G @ point + rng.random(n), A, A @ point]

    return Model(problem, [p, F, G, h, A, b], [x], values)


def fit(rows: int, n: int) -> Model:
    """Ridge regression with bounds, of learnt data."""
    x, A, b = cp.Variable(n), cp.Parameter((rows, n), name="A"), cp.Parameter(rows, name="b")
    ridge = cp.Parameter(nonneg=True, name="ridge")
    goal = cp.Minimize(cp.sum_squares(A @ x - b) + ridge * cp.sum_squares(x))
    problem = cp.Problem(goal, [x >= -0.5, x <= 0.5])

    def values(rng: Rng, batch: int) -> list[Any]:
        A = rng.normal(size=(batch, rows, n)) / np.sqrt(rows)
        return [A, rng.normal(size=(batch, rows)), np.array(0.1)]

    return Model(problem, [A, b, ridge], [x], values)


def allocation(assets: int) -> Model:
    """A portfolio of learnt returns and covariance, each weight limited."""
    w, mean = cp.Variable(assets), cp.Parameter(assets, name="mean")
    root = cp.Parameter((assets, assets), name="root")
    spread = cp.Parameter(nonneg=True, name="spread")
    cost = cp.sum_squares(root @ w) + spread * cp.sum_squares(w)
    problem = cp.Problem(cp.Maximize(mean @ w - cost), [cp.sum(w) == 1, w >= 0, w <= 0.3])

    def values(rng: Rng, batch: int) -> list[Any]:
        root = np.eye(assets) / 2 + rng.normal(size=(batch, assets, assets)) / 8
        return [rng.normal(size=(batch, assets)) / 2, root, np.array(0.5)]

    return Model(problem, [mean, root, spread], [w], values)


def trades(assets: int) -> Model:
    """What to trade from what is held, at a cost, with borrowing limited."""
    w, held = cp.Variable(assets), cp.Parameter(assets, name="held")
    mean, root = cp.Parameter(assets, name="mean"), cp.Parameter((assets, assets), name="root")
    cost = cp.sum_squares(root @ w) + 0.1 * cp.norm1(w - held)
    problem = cp.Problem(cp.Maximize(mean @ w - cost), [cp.sum(w) == 1, cp.norm1(w) <= 1.5])

    def values(rng: Rng, batch: int) -> list[Any]:
        held = rng.dirichlet(np.ones(assets), size=batch)
        root = np.eye(assets) / 2 + rng.normal(size=(assets, assets)) / 8
        return [held, rng.normal(size=(batch, assets)) / 3, root]

    return Model(problem, [held, mean, root], [w], values)


def policy(states: int, inputs: int) -> Model:
    """A controller: this step's cost and a learnt quadratic value of the next state."""
    u, after = cp.Variable(inputs), cp.Variable(states)
    x, root = cp.Parameter(states, name="x"), cp.Parameter((states, states), name="root")
    q, rng = cp.Parameter(states, name="q"), np.random.default_rng(0)
    A = np.eye(states) + rng.normal(size=(states, states)) / 10
    B = rng.normal(size=(states, inputs))
    cost = cp.sum_squares(u) + cp.sum_squares(root @ after) + q @ after
    problem = cp.Problem(cp.Minimize(cost), [after == A @ x + B @ u, cp.norm_inf(u) <= 0.5])

    def values(rng: Rng, batch: int) -> list[Any]:
        root = np.eye(states) + rng.normal(size=(states, states)) / 10
        return [rng.normal(size=(batch, states)), root, rng.normal(size=states) / 10]

    return Model(problem, [x, root, q], [u, after], values)


def supply(nodes: int) -> Model:
    """Buy, ship and sell along a ring, with a learnt quadratic value of what stays in stock."""
    flows, after = cp.Variable((3, nodes), nonneg=True), cp.Variable(nodes)
    buy, ship, sell = flows
    names = ("stock", "price", "demand")
    stock, price, demand = (cp.Parameter(nodes, name=name) for name in names)
    root = cp.Parameter((nodes, nodes), name="root")
    ring = np.roll(np.eye(nodes), 1, axis=0) - np.eye(nodes)
    cost = (
        price @ buy
        + 0.02 * cp.sum(ship)
        - 0.5 * cp.sum(after)
        - 1.5 * cp.sum(sell)
        + cp.sum_squares(root @ after)
    )
    rules = [after == stock + buy + ring @ ship - sell, sell <= demand, buy <= 2, ship <= 1]
    rules += [after >= 0, after <= 3, ship + sell <= stock]
    goal = cp.Minimize(cost + 0.05 * (cp.sum_squares(buy) + cp.sum_squares(ship)))

    def values(rng: Rng, batch: int) -> list[Any]:
        stock, demand = rng.uniform(0.5, 1.5, (2, batch, nodes))
        price = rng.uniform(0.1, 1.3, (batch, nodes))
        return [stock, price, demand, np.eye(nodes) / 2 + rng.normal(size=(nodes, nodes)) / 10]

    return Model(cp.Problem(goal, rules), [stock, price, demand, root], [flows, after], values)


def barrier(inputs: int, obstacles: int) -> Model:
    """A safety filter: the input closest to the wanted one that keeps off and still gets closer."""
    u, slack = cp.Variable(inputs), cp.Variable()
    wanted, b = cp.Parameter(inputs, name="wanted"), cp.Parameter(obstacles, name="b")
    A = cp.Parameter((obstacles, inputs), name="A")
    descent, decay = cp.Parameter(inputs, name="descent"), cp.Parameter(name="decay")
    goal = cp.sum_squares(u - wanted) + 10 * cp.square(slack)
    rules = [A @ u + b >= 0, descent @ u + decay <= slack, u <= 2, u >= -2]

    def values(rng: Rng, batch: int) -> list[Any]:
        A, descent = rng.normal(size=(batch, obstacles, inputs)), rng.normal(size=(batch, inputs))
        b, decay = rng.uniform(0.1, 1, (batch, obstacles)), rng.uniform(0.1, 1, batch)
        return [rng.normal(size=(batch, inputs)), A, b, descent, decay]

    problem = cp.Problem(cp.Minimize(goal), rules)
    return Model(problem, [wanted, A, b, descent, decay], [u, slack], values)
