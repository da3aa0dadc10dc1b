"""Reference x and gradients of a workload by dense linear algebra, and errors against them.

Where the active set is known, the solution is that of a linear system, and so is its derivative.
Who names the active set does not matter: x solves the problem if it is feasible and the
multipliers are not negative, and that is checked here on the data. The derivative exists if,
besides, no constraint is weakly active and the system is regular; elements without one are left
out.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kktdiff._typing import Array
from kktdiff.bench._problem import Arrays, Problem

VIOLATION = 1e-8  # of an optimality condition, relative to the terms; above, no reference
WEAK = 1e-7  # a row of smaller slack and multiplier is weakly active, or one has the wrong sign
NOTHING = 1e-9  # of the largest gradient: a gradient so small is zero but for rounding
CONDITION = 1e13  # of the KKT matrix; above, there is no gradient to be right about


class Reference(NamedTuple):
    """Reference solutions and gradients of a batch."""

    exact: Arrays  # x (B, n), and each gradient by its input's name, in its input's shape
    known: Array  # (B,): has a solution that is proven and a derivative
    violation: float  # the worst of any optimality condition, over the known ones


def reference(problem: Problem, active: Callable[[int], Array]) -> Reference:
    """Solve the KKT system of each element.

    Parameters
    ----------
    problem
        In float64.
    active
        From an element's number to a guess of its active rows, (m,), True or False.
    """
    solved = [
        _solve(problem.element(i), active(i), problem.cotangent[i]) for i in range(problem.batch)
    ]
    known = np.array([one is not None for one in solved])
    kept = [one for one in solved if one is not None]
    if not kept:
        return Reference({}, known, np.nan)
    exact = {}
    for name in ("x", *problem.data):
        values = np.stack([found[name] for found, _ in kept])
        exact[name] = values.sum(0) if name in problem.shared() else values
    return Reference(exact, known, max(violation for _, violation in kept))


def _solve(element: Arrays, active: Array, cotangent: Array) -> tuple[Arrays, float] | None:
    """x, gradients and the worst violation of one element, if they can be known."""
    Q, G, h, A = (element[name] for name in "QGhA")
    n, k = len(Q), len(A)
    E = np.vstack([G[active], A])
    K = np.block([[(Q + Q.T) / 2, E.T], [E, np.zeros((len(E), len(E)))]])
    rhs = np.zeros((len(K), 2))
    rhs[:, 0] = np.concatenate([-element["p"], h[active], element["b"]])
    rhs[:n, 1] = -cotangent
    if len(E) > n or np.linalg.cond(K, 1) > CONDITION:
        return None
    both = np.linalg.solve(K, rhs)
    both += np.linalg.solve(K, rhs - K @ both)
    (x, ux), (nu, unu) = both[:n].T, both[len(K) - k :].T
    lam, ulam = np.zeros((2, len(h)))
    lam[active], ulam[active] = both[n : len(K) - k].T
    slack = np.where(active, 0.0, h - G @ x)
    residual = np.abs(K @ both - rhs)[:, 0].max()
    size = 1 + max(np.abs(rhs[:, 0]).max(), np.abs(lam).max(initial=0.0))
    worst = max(residual, -slack.min(initial=0.0), -lam.min(initial=0.0)) / size
    weak = bool(np.any(np.maximum(lam, slack) < WEAK))
    if worst > VIOLATION or weak:
        return None
    return _gradients(x, ux, lam, ulam, nu, unu), float(worst)


def _gradients(x: Array, ux: Array, lam: Array, ulam: Array, nu: Array, unu: Array) -> Arrays:
    found = {"x": x, "p": ux, "h": -ulam, "b": -unu, "lb": ulam}  # lb: h = -lb
    found["Q"] = (np.outer(ux, x) + np.outer(x, ux)) / 2
    found["G"] = np.outer(lam, ux) + np.outer(ulam, x)
    found["A"] = np.outer(nu, ux) + np.outer(unu, x)
    return found


def errors(problem: Problem, right: Reference, found: Arrays) -> dict[str, list[float] | None]:
    """Relative errors of x and of each gradient: in the infinity norm, one for each element.

    A gradient in Q is compared by its symmetric part, the only one that has a meaning. One that is
    zero, as dp is at a vertex, is compared with the largest of the element's gradients. None stands
    for what has no reference: the gradient of a shared array, if an element's is not known.
    """
    result: dict[str, list[float] | None] = {}
    largest = _largest(problem, right)
    for name in ("x", *problem.data):
        if name not in found:
            continue
        shared = name in problem.shared()
        if name not in right.exact or (shared and not right.known.all()):
            result[name] = None
            continue
        truth, value = right.exact[name], np.asarray(found[name], dtype=np.float64)
        if name == "Q":
            value = (value + np.swapaxes(value, -1, -2)) / 2
        value = value if shared else value[: len(right.known)][right.known]
        count = 1 if shared else len(truth)
        gap, size = _sizes(value.reshape(truth.shape) - truth, count), _sizes(truth, count)
        if name != "x":
            size = np.where(size > NOTHING * largest, size, largest)
        relative = gap / size
        result[name] = np.where(np.isfinite(relative), relative, np.inf).tolist()
    return result


def _largest(problem: Problem, right: Reference) -> Array:
    """The largest entry of all gradients: of each element, where none is shared."""
    shared = bool(problem.shared())
    count = 1 if shared else int(right.known.sum())
    names = [name for name in problem.data if name in right.exact]
    each = [_sizes(right.exact[name], count) for name in names]
    return np.max(each, axis=0) if each else np.ones(count)


def _sizes(array: Array, count: int) -> Array:
    """Largest entry of each of `count` parts."""
    return np.abs(array).reshape(count, -1).max(1)
