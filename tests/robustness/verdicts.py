"""What is true of a QP with integer data, by exact arithmetic: solved, infeasible or unbounded.

With x = u - t e and u, t >= 0 the KKT conditions are a linear complementarity problem of a positive
semidefinite matrix. Lemke's method solves it in integers or ends on a ray; then two systems of
inequalities, one of the constraints, one of their unbounded directions, tell why the QP has no
solution. Each answer is verified, in integers, before it is given.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from kktdiff import Status
from tests.problems import Data
from tests.robustness.lemke import lemke, solve_linear


class Rows(NamedTuple):
    """Constraints Cx <= d, Ex = f, in integers."""

    C: np.ndarray  # G, then the finite bounds of variables that are not fixed, lower ones first
    d: np.ndarray
    E: np.ndarray  # A, then the fixed variables (equal bounds)
    f: np.ndarray


class Point(NamedTuple):
    """Numerators over one positive denominator; lam belongs to Cx <= d, nu to Ex = f."""

    x: np.ndarray
    lam: np.ndarray
    nu: np.ndarray
    denominator: int


class Verdict(NamedTuple):
    """What is true of a problem; all but `statuses` is None where it has no solution."""

    statuses: frozenset  # more than one: a problem without feasible points, and a ray beside
    point: Point | None = None
    objective: Fraction | None = None
    gradient: Data | None = None  # p, h, b of weight'x, in fractions; None: a degenerate solution


def problem(Q, p, G=None, h=None, A=None, b=None, lb=None, ub=None):
    """Return Data of Python's integers, but for the bounds: floats, since they may be infinite."""
    whole = [None if v is None else np.array(v, int).astype(object) for v in (Q, p, G, h, A, b)]
    return Data(*whole, *(None if v is None else np.array(v, float) for v in (lb, ub)))


def rows_of(data):
    """Return the constraints of a problem."""
    eye, empty = np.eye(data.p.size, dtype=object), np.zeros(0, object)
    lb = np.full(data.p.size, -np.inf) if data.lb is None else data.lb
    ub = np.full(data.p.size, np.inf) if data.ub is None else data.ub
    fixed = lb == ub
    low, high = np.isfinite(lb) & ~fixed, np.isfinite(ub) & ~fixed
    G, h = (eye[:0], empty) if data.G is None else (data.G, data.h)
    A, b = (eye[:0], empty) if data.A is None else (data.A, data.b)
    return Rows(
        np.concatenate([G, -eye[low], eye[high]]),
        np.concatenate([h, _integers(-lb[low]), _integers(ub[high])]),
        np.concatenate([A, eye[fixed]]),
        np.concatenate([b, _integers(lb[fixed])]),
    )


def _integers(values):
    return np.array([int(v) for v in values], object)


def decide(data, weight):
    """Decide a problem exactly, and differentiate weight'x at a solution that is not degenerate."""
    rows = rows_of(data)
    solved, point = _complementary(data.Q, data.p, rows)
    if solved:
        assert is_optimal(data, rows, point)
        X, D = point.x, point.denominator
        objective = Fraction(X @ data.Q @ X, 2 * D**2) + Fraction(data.p @ X, D)
        gradient = _gradient(data, rows, point, weight)
        return Verdict(frozenset([Status.SOLVED]), point, objective, gradient)
    found = {
        Status.PRIMAL_INFEASIBLE: not _meet(rows)[0],
        Status.DUAL_INFEASIBLE: _has_ray(data, rows),
    }
    assert any(found.values())
    return Verdict(frozenset(status for status, holds in found.items() if holds))


def is_optimal(data, rows, point):
    """Return True if the point satisfies the KKT conditions."""
    slack = point.denominator * rows.d - rows.C @ point.x
    force = rows.C.T @ point.lam + rows.E.T @ point.nu
    return bool(
        is_feasible(rows, point)
        and np.all(data.Q @ point.x + point.denominator * data.p + force == 0)
        and np.all(point.lam >= 0)
        and np.all(point.lam * slack == 0)
    )


def is_feasible(rows, point):
    """Return True if x satisfies the constraints."""
    x, _, _, D = point
    return bool(D > 0 and np.all(rows.C @ x <= D * rows.d) and np.all(rows.E @ x == D * rows.f))


def is_farkas(rows, point):
    """Return True if the multipliers prove that no x satisfies the constraints."""
    return bool(
        np.all(point.lam >= 0)
        and np.all(rows.C.T @ point.lam + rows.E.T @ point.nu == 0)
        and rows.d @ point.lam + rows.f @ point.nu < 0
    )


def is_ray(data, rows, x):
    """Return True if the objective falls for ever along x, from any feasible point."""
    still = np.all(data.Q @ x == 0) and np.all(rows.E @ x == 0)
    return bool(still and np.all(rows.C @ x <= 0) and data.p @ x < 0)


def _complementary(Q, p, rows):
    """Return True and a KKT point, or False and what Lemke's method ends on."""
    n, last = p.size, min(1, len(rows.f))  # Ex = f: Ex <= f and the sum of Ex >= the sum of f
    T = np.column_stack([np.eye(n, dtype=object), np.full(n, -1)])
    C = np.concatenate([rows.C, rows.E, -rows.E.sum(axis=0, keepdims=True)[:last]])
    d = np.concatenate([rows.d, rows.f, -rows.f.sum(keepdims=True)[:last]])
    M = np.block([[T.T @ Q @ T, T.T @ C.T], [-C @ T, np.zeros((len(d), len(d)), object)]])
    solved, z, denominator = lemke(M, np.concatenate([T.T @ p, d]))
    x, lam, nu, total = np.split(z, np.cumsum([n + 1, len(rows.d), len(rows.f)]))
    return solved, Point(x[:n] - x[n], lam, nu - total.sum(), denominator)


def _meet(rows):
    """Return True and a feasible point, or False and a Farkas proof."""
    n = rows.C.shape[1]
    feasible, point = _complementary(np.zeros((n, n), object), np.zeros(n, object), rows)
    assert is_feasible(rows, point) if feasible else is_farkas(rows, point)
    return feasible, point


def _has_ray(data, rows):
    """Return True if a direction of no curvature descends for ever within the constraints."""
    cone = Rows(
        np.concatenate([rows.C, data.p[None]]),
        np.append(0 * rows.d, -1),
        np.concatenate([rows.E, data.Q]),
        np.zeros(len(rows.f) + len(data.Q), object),
    )
    found, point = _meet(cone)
    assert not found or is_ray(data, rows, point.x)
    return found


def _gradient(data, rows, point, weight):
    """Return the derivatives of weight'x by p, h and b, or None at a degenerate solution.

    Strict complementarity with a regular KKT matrix makes the point the only one, so that where
    this one lacks them, every other does.
    """
    active = rows.C @ point.x == point.denominator * rows.d
    if np.any(active != (point.lam > 0)):
        return None
    J = np.concatenate([rows.C[active], rows.E])
    K = np.block([[data.Q, J.T], [J, np.zeros((len(J), len(J)), object)]])
    rhs = np.append(-weight, np.zeros(len(J), object))
    u = solve_linear(K, rhs)
    if u is None:
        return None
    assert np.all(K @ u == rhs)
    dp, force, db = np.split(u, np.cumsum([len(weight), active.sum()]))
    dh = np.zeros(len(active), object)
    dh[active] = -force
    none = Data(*[None] * len(Data._fields))
    return none._replace(
        p=dp,
        h=None if data.h is None else dh[: data.h.size],
        b=None if data.b is None else -db[: data.b.size],
    )
