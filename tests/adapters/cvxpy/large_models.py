"""Models of any size with few entries, as those of `models`."""

import cvxpy as cp
import numpy as np

from tests.adapters.cvxpy.models import Model


def control(steps):
    """A horizon of 6 states and 3 controls, whose dynamics are a parameter."""
    states, forces = cp.Variable((6, steps + 1)), cp.Variable((3, steps))
    start, A = cp.Parameter(6), cp.Parameter((6, 6))
    B = np.random.default_rng(0).normal(size=(6, 3))
    rules = [states[:, 0] == start, states[:, 1:] == A @ states[:, :-1] + B @ forces]
    rules += [cp.abs(forces) <= 0.3, cp.abs(states[:, 1:]) <= 4]
    goal = cp.Minimize(cp.sum_squares(states) + 0.1 * cp.sum_squares(forces))
    return Model(
        cp.Problem(goal, rules),
        [start, A],
        [forces, states],
        lambda g: [g.normal(size=6) / 2, 0.8 * np.eye(6) + g.normal(size=(6, 6)) / 20],
    )


def smooth(n):
    """Total variation with a learnt weight, and the multipliers of a constraint."""
    x, target, weight = cp.Variable(n), cp.Parameter(n), cp.Parameter(nonneg=True)
    total = cp.sum(x) <= 1
    goal = cp.sum_squares(x - target) + weight * cp.norm1(cp.diff(x)) + cp.sum_squares(cp.diff(x))
    return Model(
        cp.Problem(cp.Minimize(goal), [total]),
        [target, weight],
        [x, total.dual_variables[0]],
        lambda g: [g.normal(size=n), np.array(0.3)],
    )


def simplex(n):
    x, target = cp.Variable(n), cp.Parameter(n)
    rules = [cp.sum(x) == 1, x >= 0]
    problem = cp.Problem(cp.Minimize(cp.sum_squares(x - target)), rules)
    return Model(problem, [target], [x], lambda g: [g.normal(size=n)])


def factors(n):
    """Risk by factors: the squares of a few sums over all variables."""
    w, mean = cp.Variable(n), cp.Parameter(n)
    F = np.random.default_rng(1).normal(size=(5, n))
    risk = cp.sum_squares(F @ w) + cp.sum_squares(w)
    problem = cp.Problem(cp.Minimize(risk - mean @ w), [cp.sum(w) == 1, w >= 0])
    return Model(problem, [mean], [w], lambda g: [g.normal(size=n)])
