"""Models in cvxpy that are QPs, each with a draw of values for its parameters.

`problem` and `values` by name: values(rng) gives one array per parameter, in the order of
`parameters`, such that the solution is unique.
"""

from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np


class Model(NamedTuple):
    problem: Any
    parameters: list
    variables: list
    values: Any  # rng -> list of arrays


def least_squares():
    x, A, b = cp.Variable(4), cp.Parameter((6, 4)), cp.Parameter(6)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(A @ x - b)))
    return Model(problem, [A, b], [x], lambda r: [r.normal(size=(6, 4)), r.normal(size=6)])


def lasso():
    x, b, weight = cp.Variable(4), cp.Parameter(6), cp.Parameter(nonneg=True)
    A = np.random.default_rng(1).normal(size=(6, 4))
    problem = cp.Problem(cp.Minimize(cp.sum_squares(A @ x - b) + weight * cp.norm1(x)))
    return Model(problem, [b, weight], [x], lambda r: [r.normal(size=6), r.uniform(0.1, 0.5)])


def portfolio():
    w, f = cp.Variable(6), cp.Variable(2)
    mean, F, risk = cp.Parameter(6), cp.Parameter((2, 6)), cp.Parameter(nonneg=True)
    cost = cp.sum_squares(f) + cp.sum_squares(cp.multiply(np.sqrt(np.arange(1, 7) / 5), w))
    goal = cp.Maximize(mean @ w - risk * cost)
    problem = cp.Problem(goal, [f == F @ w, cp.sum(w) == 1, w >= 0])
    return Model(
        problem,
        [mean, F, risk],
        [w, f],
        lambda r: [r.normal(size=6), r.normal(size=(2, 6)), r.uniform(0.5, 1.5)],
    )


def control():
    x, u = cp.Variable((2, 5)), cp.Variable((1, 4))
    start, A, limit = cp.Parameter(2), cp.Parameter((2, 2)), cp.Parameter(nonneg=True)
    rules = [x[:, 0] == start, cp.abs(u) <= limit]
    rules += [x[:, t + 1] == A @ x[:, t] + np.array([0.0, 1.0]) * u[0, t] for t in range(4)]
    problem = cp.Problem(cp.Minimize(cp.sum_squares(x) + 0.1 * cp.sum_squares(u)), rules)
    step = np.array([[1.0, 0.5], [0.0, 1.0]])
    return Model(
        problem,
        [start, A, limit],
        [u, x],
        lambda r: [r.normal(size=2), step + r.normal(size=(2, 2)) / 10, r.uniform(0.2, 0.4)],
    )


def support_vectors():
    w, c = cp.Variable(3), cp.Variable()
    X, penalty = cp.Parameter((8, 3)), cp.Parameter(nonneg=True)
    label = np.sign(np.arange(8) - 3.5)
    losses = cp.pos(1 - cp.multiply(label, X @ w + c))
    problem = cp.Problem(cp.Minimize(penalty * cp.sum_squares(w) + 0.1 * c**2 + cp.sum(losses)))
    return Model(
        problem, [X, penalty], [w, c], lambda r: [r.normal(size=(8, 3)), r.uniform(0.5, 1)]
    )


def isotonic():
    x, y = cp.Variable(7), cp.Parameter(7)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(x - y)), [cp.diff(x) >= 0])
    return Model(problem, [y], [x], lambda r: [r.normal(size=7)])


def bounds():
    """Every way to write a bound, two on one variable, and a coefficient that is no constant."""
    high, low, slope = cp.Parameter(3), cp.Parameter(), cp.Parameter()
    a, b = cp.Variable(3, nonneg=True), cp.Variable(3, bounds=[-1.0, high])
    c, d = cp.Variable(3), cp.Variable(3, nonpos=True)
    e = cp.Variable((2, 2), bounds=[None, np.array([[0.1, 0.2], [0.3, np.inf]])])
    goal = sum(cp.sum_squares(v - t) for v, t in ((a, -1), (b, 3), (c, -2), (d, 1)))
    rules = [3 * c >= low, -2 * c >= -high, c >= low - 0.1, a <= high, -e[0, 0] <= 0.5, e >= -2]
    rules += [(1 + slope) * e[1, 1] <= 0.1, cp.sum(c) >= -2]
    goal = cp.Minimize(goal + cp.sum_squares(e - 0.15) + cp.sum(a) * 0.1)
    return Model(
        cp.Problem(goal, rules),
        [high, low, slope],
        [a, b, c, d, e],
        lambda r: [r.uniform(1, 2, size=3), r.uniform(-1, -0.5), r.uniform(0.5, 1)],
    )


def quadratic_form():
    x, q = cp.Variable(3), cp.Parameter(3)
    S, P = cp.Parameter((3, 3), PSD=True), np.diag([1.0, 0.0, 2.0])
    goal = cp.quad_form(x, S) + cp.quad_form(x, P) + q @ x
    problem = cp.Problem(cp.Minimize(goal), [x <= 0.5, cp.sum(x) >= -0.2])

    def values(r):
        U = r.normal(size=(3, 3))
        return [U @ U.T + np.eye(3), r.normal(size=3)]

    return Model(problem, [S, q], [x], values)


def structured():
    """Symmetric, diagonal and sparse variables and parameters."""
    place = ([0, 1, 2, 2], [1, 1, 0, 2])
    Y, D = cp.Variable((3, 3), symmetric=True), cp.Variable((3, 3), diag=True)
    Z = cp.Variable((3, 3), sparsity=place)
    T, E = cp.Parameter((3, 3), symmetric=True), cp.Parameter((3, 3), diag=True)
    goal = cp.sum_squares(Y - T) + cp.sum_squares(D - E) + cp.sum_squares(Z - T - D)
    problem = cp.Problem(cp.Minimize(goal), [cp.trace(Y) == 1, cp.sum(Z) <= 1])

    def values(r):
        U = r.normal(size=(3, 3))
        return [U + U.T, np.diag(r.normal(size=3))]

    return Model(problem, [T, E], [Y, D, Z], values)


def linear_program():
    x, price, G = cp.Variable(3), cp.Parameter(3), cp.Parameter((2, 3))
    problem = cp.Problem(cp.Minimize(price @ x), [G @ x >= 1, x >= 0])
    return Model(
        problem,
        [price, G],
        [x],
        lambda r: [r.uniform(1, 2, size=3), r.uniform(0.5, 2, size=(2, 3))],
    )


def largest():
    """A piecewise linear objective, in matrices, with an equality in a parameter."""
    X, C = cp.Variable((2, 3)), cp.Parameter((2, 3))
    total = cp.Parameter(3)
    goal = cp.max(X - C) + cp.sum_squares(X) / 2 + cp.sum(cp.maximum(X, 2 * X))
    problem = cp.Problem(cp.Minimize(goal), [cp.sum(X, axis=0) == total])
    return Model(problem, [C, total], [X], lambda r: [r.normal(size=(2, 3)), r.normal(size=3)])


def robust_fit():
    x, b = cp.Variable(2), cp.Parameter(6)
    A = np.random.default_rng(2).normal(size=(6, 2))
    problem = cp.Problem(cp.Minimize(cp.sum(cp.huber(A @ x - b, 0.5))))
    return Model(problem, [b], [x], lambda r: [r.normal(size=6)])


MODELS = [
    least_squares,
    lasso,
    portfolio,
    control,
    support_vectors,
    isotonic,
    bounds,
    quadratic_form,
    structured,
    linear_program,
    largest,
    robust_fit,
]


# Models in spellings that cvxpy's own QP would not take, or not with parameters.


def norms():
    """Squares of norms, rearranged, weighted, divided, with parameters inside and outside."""
    x, X = cp.Variable(3), cp.Variable((2, 2))
    r, a = cp.Parameter(3), cp.Parameter(nonneg=True)
    goal = cp.norm(x - r, 2) ** 2 * 0.5 + a * cp.square(cp.norm(x)) + (a * cp.norm(x - 2 * r)) ** 2
    goal += cp.quad_over_lin(cp.norm(X - a, "fro"), 2.0) + (cp.norm(X[0]) / 2) ** 2
    goal += cp.sum_squares(cp.norm(X, axis=1)) + cp.sum(cp.power(3 * cp.norm(X - 1, axis=0), 2))
    goal += cp.sum_squares(cp.hstack([cp.norm(x[:2]), cp.norm(x[1:] - r[1:]), cp.abs(x[0] - 1)]))
    goal += cp.norm(cp.hstack([cp.norm(x + 1), cp.norm(X - a, "fro")])) ** 2
    problem = cp.Problem(cp.Minimize(goal), [cp.sum(x) == 1, X >= 0.2])
    return Model(problem, [r, a], [x, X], lambda g: [g.normal(size=3), g.uniform(0.5, 1.5)])


def tracking():
    """Quadratic forms around a parameter, with a matrix that is one, too."""
    x, ref = cp.Variable(3), cp.Parameter(3)
    S, a = cp.Parameter((3, 3), PSD=True), cp.Parameter(nonneg=True)
    B, P = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]]), np.array([[2.0, 1.0], [1.0, 1.0]])
    goal = cp.quad_form(x - ref, S) + a * cp.quad_form(B @ x - ref[:2], P)
    problem = cp.Problem(cp.Minimize(goal), [x >= 0, cp.sum(x) <= 2])

    def values(g):
        U = g.normal(size=(3, 3))
        return [g.normal(size=3), U @ U.T + np.eye(3), g.uniform(0.5, 1)]

    return Model(problem, [ref, S, a], [x], values)


def costs():
    """A learnt cost of what is traded, in the objective and in a constraint; a product of two."""
    x, held, cost = cp.Variable(4), cp.Parameter(4), cp.Parameter(nonneg=True)
    W, v = cp.Parameter((4, 2)), cp.Parameter(2)
    traded = cost * cp.norm1(x - held)
    goal = cp.sum_squares(x - W @ v) + traded
    problem = cp.Problem(cp.Minimize(goal), [cp.sum(x) + traded <= 1, x >= -1])
    return Model(
        problem,
        [held, cost, W, v],
        [x],
        lambda g: [g.normal(size=4), g.uniform(0.1, 0.3), *(g.normal(size=s) for s in ((4, 2), 2))],
    )


def lifted():
    """Variables that parameters fix, one after the other, in every block and among the results."""
    x, W, y, z = cp.Variable(3), cp.Variable((3, 2)), cp.Variable(2), cp.Variable(3)
    W_, v, b, S = cp.Parameter((3, 2)), cp.Parameter(2), cp.Parameter(3), cp.Parameter((2, 2))
    goal = cp.sum_squares(x - W @ v - b) + cp.sum_squares(x + z) + v @ y + cp.sum(cp.abs(x - W @ v))
    rules = [2 * W == W_, y == S @ v + 1, z[0] == v @ y, x >= W @ v - 1, cp.sum(z) == 1]
    rules += [v[0] * W[0, 0] + x[0] + z[1] <= 3, z[2] <= 2]
    problem = cp.Problem(cp.Minimize(goal), rules)
    sizes = ((3, 2), 2, 3, (2, 2))
    return Model(
        problem, [W_, v, b, S], [x, W, y, z], lambda g: [g.normal(size=s) / 2 for s in sizes]
    )


REWRITTEN = [norms, tracking, costs, lifted]
