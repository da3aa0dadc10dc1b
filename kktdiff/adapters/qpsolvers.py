"""qpsolvers' interface: a `qpsolvers.Problem` in, a `qpsolvers.Solution` out.

>>> import numpy as np, qpsolvers
>>> from kktdiff.adapters.qpsolvers import solve_problem
>>> problem = qpsolvers.Problem(np.eye(2), np.array([-1.0, -3.0]), ub=np.array([2.0, 2.0]))
>>> solution = solve_problem(problem)
>>> solution.found, solution.x.round(6), solution.z_box.round(6)
(True, array([1., 2.]), array([0., 1.]))
"""

import time
from typing import Any

import numpy as np
import scipy.sparse

import kktdiff
from kktdiff import Status
from kktdiff.adapters._extras import extra

with extra("qpsolvers"):
    from qpsolvers import Problem, ProblemError, Solution

__all__ = ["solve_problem", "solve_qp"]

# qpsolvers has two names of its own; all others are kktdiff's.
_NAMES = {"P": "Q", "q": "p"} | {name: name for name in ("G", "h", "A", "b", "lb", "ub")}
_MATRICES = ("P", "G", "A")


def solve_problem(problem: Problem, **options: Any) -> Solution:
    """Solve one quadratic program of qpsolvers.

    Parameters
    ----------
    problem : qpsolvers.Problem
        Its matrices dense or sparse, as in `kktdiff.solve_qp`. The arithmetic is float64.
    **options
        As in `kktdiff.solve_qp`, for example ``tol``, ``max_iter``, ``verbose``.

    Returns
    -------
    qpsolvers.Solution
        `x`, `obj`, the multipliers `y` of the equalities, `z` of the inequalities and `z_box` of
        the bounds, negative at a lower bound and positive at an upper one; empty where there is
        no such constraint. If the problem was not solved, `found` is False and these are None.
        `extras` holds "status" (the name of a `kktdiff.Status`), "iterations",
        "primal_residual", "dual_residual", "duality_gap", and "solution", the
        `kktdiff.Solution`, which has the derivatives.

    Raises
    ------
    TypeError
        Not a `qpsolvers.Problem`, an option that does not exist.
    qpsolvers.ProblemError
        An array that is missing, or whose shape does not fit; the message names it.
    ValueError, kktdiff.SolveError
        As in `kktdiff.solve_qp`, for its options.

    Examples
    --------
    >>> import numpy as np, qpsolvers
    >>> from kktdiff.adapters.qpsolvers import solve_problem
    >>> one, limits = np.array([[1.0], [-1.0]]), np.array([-1.0, -1.0])  # x <= -1, x >= 1
    >>> problem = qpsolvers.Problem(np.eye(1), np.zeros(1), one, limits)
    >>> solution = solve_problem(problem, on_failure="ignore")
    >>> solution.found, solution.x, solution.extras["status"]
    (False, None, 'PRIMAL_INFEASIBLE')
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"problem is a {type(problem).__name__}: expected a qpsolvers.Problem")
    start = time.perf_counter()
    arrays = _arrays(problem)
    built = time.perf_counter()
    solved = kktdiff.solve_qp(**arrays, **options)
    end = time.perf_counter()
    solution = Solution(
        problem,
        extras=_extras(solved),
        found=bool(solved.solved),
        build_time=built - start,
        solve_time=end - built,
    )
    if solution.found:
        bounded = problem.lb is not None or problem.ub is not None
        solution.obj = float(solved.objective)
        solution.x, solution.y, solution.z = solved.x, solved.nu, solved.lam
        solution.z_box = solved.lam_ub - solved.lam_lb if bounded else np.empty(0)
    return solution


def solve_qp(
    P: Any,  # (n, n), dense or sparse
    q: Any,  # (n,)
    G: Any = None,  # (m, n), dense or sparse
    h: Any = None,  # (m,)
    A: Any = None,  # (k, n), dense or sparse
    b: Any = None,  # (k,)
    lb: Any = None,  # (n,)
    ub: Any = None,  # (n,)
    **options: Any,
) -> Any:  # (n,) or None
    """x, or None if the problem was not solved: `qpsolvers.solve_qp` without ``solver=``.

    Parameters
    ----------
    P, q, G, h, A, b, lb, ub
        As in `qpsolvers.solve_qp`.
    **options
        As in `kktdiff.solve_qp`.

    Raises
    ------
    TypeError, ValueError, qpsolvers.ProblemError, kktdiff.SolveError
        As in `solve_problem`.

    Examples
    --------
    >>> import numpy as np
    >>> from kktdiff.adapters.qpsolvers import solve_qp
    >>> solve_qp(np.eye(2), np.zeros(2), A=np.ones((1, 2)), b=np.ones(1))
    array([0.5, 0.5])
    """
    return solve_problem(Problem(P, q, G, h, A, b, lb, ub), **options).x


def _arrays(problem: Problem) -> dict[str, Any]:
    """Return the arguments of kktdiff.solve_qp in float64."""
    given = {name: _in_float64(getattr(problem, name)) for name in _NAMES}
    if given["P"] is None or given["q"] is None:
        raise ProblemError("P and q are required: one of them is None")
    for matrix, side in (("G", "h"), ("A", "b")):
        if (given[matrix] is None) != (given[side] is None):
            raise ProblemError(f"{matrix} and {side}: give both or neither")
    n = given["q"].size
    for name, array in given.items():
        if array is None:
            continue
        rows = given["h" if name in "Gh" else "b"].size if name in ("G", "h", "A", "b") else n
        expected = (rows, n) if name in _MATRICES else (rows,)
        if array.shape != expected:  # kktdiff would take more dimensions for a batch
            raise ProblemError(f"{name} has shape {array.shape}: expected {expected}")
    return {_NAMES[name]: array for name, array in given.items()}


def _in_float64(array: Any) -> Any:
    if array is None or scipy.sparse.issparse(array):
        return array if array is None else array.astype(np.float64)
    return np.asarray(array, dtype=np.float64)


def _extras(solved: kktdiff.Solution) -> dict[str, Any]:
    return {
        "status": Status(int(solved.status)).name,
        "iterations": int(solved.iterations),
        "primal_residual": float(solved.primal_residual),
        "dual_residual": float(solved.dual_residual),
        "duality_gap": float(solved.duality_gap),
        "solution": solved,
    }
