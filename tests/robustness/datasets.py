"""Readers of the public test data: one file per problem, P and A in compressed columns."""

import json

import numpy as np
import scipy.sparse

from tests.problems import Data


def load(path, *, sparse=False):
    """The rows of minimise 1/2 x'Px + q'x + r, l <= Ax <= u, lb <= x <= ub, as solve_qp's data."""
    with np.load(path, allow_pickle=False) as file:
        rows, n = file["shape"]
        P, A = (matrix(file, name, shape) for name, shape in (("P", (n, n)), ("A", (rows, n))))
        P, A = (P, A) if sparse else (P.toarray(), A.toarray())
        return two_sided(P, *(file[name] for name in ("q",)), A, *_limits(file))


def two_sided(P, q, A, l, u, lb=None, ub=None):
    """Rows with l == u go to A and b, the others to G and h, each side with a limit its own row."""
    equal = l == u
    above, below = ~equal & (u > -np.inf), ~equal & np.isfinite(l)
    stack = scipy.sparse.vstack if scipy.sparse.issparse(A) else np.vstack
    G, h = stack([A[above], -A[below]]), np.concatenate([u[above], -l[below]])
    blocks = (G, h) if len(h) else (None, None)
    blocks += (A[equal], u[equal]) if equal.any() else (None, None)
    return Data(P, q, *blocks, lb, ub)


def row_multipliers(data, solution, l, u):
    """The multipliers of l <= Ax <= u, positive at u and negative at l."""
    equal = l == u
    above, below = ~equal & (u > -np.inf), ~equal & np.isfinite(l)
    y = np.zeros(l.shape)
    if data.G is not None:
        upper, lower = np.split(solution.lam, [above.sum()])
        y[above] += upper
        y[below] -= lower
    if data.A is not None:
        y[equal] = solution.nu
    return y


def facts(path):
    """The tiny problems with their expectations, as (id, arrays by name, expectations)."""
    for fact in json.loads(path.read_text()):
        n = len(fact["q"])
        arrays = {name: _array(fact[name]) for name in ("P", "q", "l", "u", "lb", "ub")}
        arrays["A"] = _array(fact["A"]).reshape(-1, n)
        yield fact["id"], arrays, fact["expect"]


def _array(values):
    """Infinities are spelled out in the file."""
    return None if values is None else np.array(values, dtype=object).astype(float)


def matrix(file, name, shape):
    """A matrix of a file, by rows."""
    parts = (file[f"{name}_data"], file[f"{name}_indices"], file[f"{name}_indptr"])
    return scipy.sparse.csc_array(parts, shape=tuple(shape)).tocsr()


def _limits(file):
    return tuple(file[name] for name in ("l", "u", "lb", "ub"))
