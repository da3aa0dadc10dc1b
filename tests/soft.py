"""Problems with soft rows, written out by hand with a variable for each unit of violation."""

from typing import NamedTuple

import numpy as np

import kktdiff
from tests.checks import element
from tests.problems import FULL, Answer, Data, known

SIDES = ("h", "b", "lb", "ub")
VIOLATIONS = tuple(f"violation_{side}" for side in SIDES)
FLOATS = (*Answer._fields, *VIOLATIONS)
INPUTS = (*Data._fields, *(f"soft_{side}" for side in SIDES))


class Written(NamedTuple):
    """One element's problem in (x, t), and the row and variable of each slack."""

    data: Data
    rows: dict  # side -> {entry: row of G or A}
    slacks: dict  # side -> {entry: variable}, of "b" a pair


def soft_problem(rng, sides=SIDES, batch=(), sizes=FULL):
    """Return data with the limits `sides` pushed in, and prices about as large as multipliers.

    The hard limits alone have an interior: it is where the answer was before the push.
    """
    data = known(rng, sizes, batch=batch).data
    push = {"h": -0.4, "lb": 0.4, "ub": -0.4, "b": 0.2}
    data = data._replace(**{v: getattr(data, v) + push[v] for v in sides})
    prices = {v: rng.uniform(0.3, 1.5, size=getattr(data, v).shape) for v in sides}
    return data, prices


def written(data, prices):
    """Write out one element's problem; entries of infinite price stay as they are."""
    n = data.p.shape[0]
    entries = [
        (side, i)
        for side in SIDES
        for i, w in enumerate(prices.get(side, ()))
        if np.isfinite(w)
        for _ in range(2 if side == "b" else 1)
    ]
    q = len(entries)
    Q = np.zeros((n + q, n + q))
    Q[:n, :n] = data.Q
    p = np.append(data.p, [prices[side][i] for side, i in entries])
    G = np.hstack([data.G, np.zeros((data.G.shape[0], q))])
    A = np.hstack([data.A, np.zeros((data.A.shape[0], q))])
    h, lb = data.h, np.append(data.lb, np.zeros(q))
    ub = np.append(data.ub, np.full(q, np.inf))
    rows, slacks = ({side: {} for side in SIDES} for _ in range(2))
    for column, (side, i) in enumerate(entries, start=n):
        if side == "b":
            first = i not in slacks["b"]
            A[i, column] = -1 if first else 1
            slacks["b"][i] = (column,) if first else (*slacks["b"][i], column)
            continue
        slacks[side][i] = column
        rows[side][i] = i
        if side != "h":
            G = np.vstack([G, np.zeros(n + q)])
            G[-1, i] = 1 if side == "ub" else -1
            h = np.append(h, ub[i] if side == "ub" else -lb[i])
            (ub if side == "ub" else lb)[i] = np.inf if side == "ub" else -np.inf
            rows[side][i] = G.shape[0] - 1
        G[rows[side][i], column] = -1
    return Written(Data(Q, p, G, h, A, data.b, lb, ub), rows, slacks)


def outputs(w, solution, data):
    """Return the outputs of the given problem, by name, from the solution in (x, t)."""
    (m, n), k = data.G.shape, data.A.shape[0]
    out = {"x": solution.x[:n], "s": solution.s[:m], "lam": solution.lam[:m]}
    out |= {"nu": solution.nu, "objective": solution.objective}
    for side in ("lb", "ub"):
        own = out[f"lam_{side}"] = getattr(solution, f"lam_{side}")[:n].copy()
        for i, row in w.rows[side].items():
            own[i] = solution.lam[row]
    for side, size in zip(SIDES, (m, k, n, n), strict=True):
        own = out[f"violation_{side}"] = np.zeros(size)
        for i, column in w.slacks[side].items():
            t = solution.x[list(column)] if side == "b" else solution.x[column]
            own[i] = t[0] - t[1] if side == "b" else t
    return out


def gradients(w, g, data, prices):
    """Return the gradients in the data and prices for cotangents `g` of `outputs`, by name."""
    n, m = data.p.shape[0], data.G.shape[0]
    solution = kktdiff.solve_qp(*w.data, tol=1e-12)
    own = {name: np.zeros(getattr(solution, name).shape) for name in Answer._fields}
    own["objective"] = g["objective"]
    own["x"][:n], own["s"][:m], own["lam"][:m], own["nu"][:] = g["x"], g["s"], g["lam"], g["nu"]
    for side in ("lb", "ub"):
        name = f"lam_{side}"
        for i in range(n):
            target = (own["lam"], w.rows[side][i]) if i in w.rows[side] else (own[name], i)
            target[0][target[1]] = g[name][i]
    for side in prices:
        for i, column in w.slacks[side].items():
            value = g[f"violation_{side}"][i]
            own["x"][np.array(column)] = np.array([value, -value]) if side == "b" else value
    found = solution.vjp(**own)
    out = {"Q": found.Q[:n, :n], "p": found.p[:n], "G": found.G[:m, :n], "h": found.h[:m]}
    out |= {"A": found.A[:, :n], "b": found.b, "lb": found.lb[:n].copy(), "ub": found.ub[:n].copy()}
    for side, sign in (("lb", -1), ("ub", 1)):
        for i, row in w.rows[side].items():
            out[side][i] = sign * found.h[row]
    for side, price in prices.items():
        own = out[f"soft_{side}"] = np.zeros(price.shape)
        for i, column in w.slacks[side].items():
            own[i] = np.sum(found.p[np.array(column)])
    return out


def cotangents(rng, solution):
    """Return a random cotangent of every output that there is, by name."""
    names = [v for v in (*Answer._fields, *VIOLATIONS) if getattr(solution, v) is not None]
    return {v: rng.normal(size=getattr(solution, v).shape) for v in names}


def direction(rng, data, prices):
    """Return a random tangent of every input, for `jvp`."""
    d = {v: rng.normal(size=a.shape) for v, a in data._asdict().items() if a is not None}
    return d | {"soft": {side: rng.normal(size=np.shape(w)) for side, w in prices.items()}}


def assert_same_alone(i, data, prices, solution, g, grads):
    """One element's outputs and gradients have the same bits without its batch."""
    own = {v: w[i] for v, w in prices.items()}
    alone = kktdiff.solve_qp(*element(data, i), soft=own)
    found = alone.vjp(**{v: w[i] for v, w in g.items()})
    for name in FLOATS:
        np.testing.assert_array_equal(getattr(alone, name), getattr(solution, name)[i])
    for name in INPUTS:
        np.testing.assert_array_equal(getattr(found, name), getattr(grads, name)[i])
