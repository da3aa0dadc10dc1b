"""`solve_qp`, the front door: check, solve chunk by chunk, put the answer together."""

import importlib
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Never

from kktdiff import _settings as settings_
from kktdiff._arrays import namespace, placed, take
from kktdiff._device.solve import solve as solve_on_device
from kktdiff._errors import unknown_names
from kktdiff._failures import report_failures
from kktdiff._given import Given
from kktdiff._infeasibility.classify import classify
from kktdiff._infeasibility.closest import elements
from kktdiff._infeasibility.closest_derivatives import ClosestEngine
from kktdiff._infeasibility.repair import Known, nearly_feasible_elements, repaired_elements
from kktdiff._inputs import check, check_weights, framework
from kktdiff._interior_point.batching import BatchResult, run
from kktdiff._interior_point.gather import without_points
from kktdiff._interior_point.reports import Table
from kktdiff._layout import PRICES
from kktdiff._prices import price_arguments
from kktdiff._problem import Problem, build
from kktdiff._records import Point
from kktdiff._results import Derivatives
from kktdiff._sensitivity.derivatives import Engine
from kktdiff._settings import ENOUGH_ITERATIONS, INNER_ITER, INNER_TOL, Settings, one_of
from kktdiff._soft.solve import solve_soft
from kktdiff._solution import Solution
from kktdiff._status import Status
from kktdiff._typing import Array, Infeasible, OnFailure
from kktdiff._warm_start import nearby_point

__all__ = ["solve_qp"]


def solve_qp(
    Q: Array | None = None,  # (..., n, n)
    p: Array | None = None,  # (..., n)
    G: Array | None = None,  # (..., m, n)
    h: Array | None = None,  # (..., m)
    A: Array | None = None,  # (..., k, n)
    b: Array | None = None,  # (..., k)
    lb: Array | None = None,  # (..., n)
    ub: Array | None = None,  # (..., n)
    *,
    backend: str | None = None,
    soft: Mapping[str, Array | float | None] | None = None,
    tol: float | None = None,
    max_iter: int = 100,
    warm_start: Solution | None = None,
    infeasible: Infeasible = "report",
    shift_weights: Mapping[str, Array] | None = None,
    on_failure: OnFailure = "warn",
    verbose: bool | Callable[[dict[str, Any]], None] = False,
    **unknown: Never,
) -> Solution:
    """Solve a batch of convex quadratic programs, differentiably.

        minimise    1/2 x'Qx + p'x
        subject to  Gx <= h,   Ax = b,   lb <= x <= ub

    Every array may have leading batch dimensions; they broadcast against each other, array by
    array, and shared arrays are not copied. Results live where the inputs live: array type,
    device and dtype. Lists, integers and tables of pandas become NumPy arrays of float64, or of
    the dtype of the other arrays. Q, G and A may be matrices of `scipy.sparse` or CuPy's, or a
    `kktdiff.Sparse` for batches with one pattern; their gradients are sparse, too. Tensors of
    torch and arrays of JAX are passed to `solve_qp` of `kktdiff.adapters.torch` or
    `kktdiff.adapters.jax`, whose result the framework differentiates.

    Parameters
    ----------
    Q : (..., n, n), optional
        Positive semidefinite; only ``(Q + Q')/2`` counts. None is zero: a linear program.
    p : (..., n), optional
        Linear term; None is zero.
    G, h : (..., m, n), (..., m), optional
        Inequalities; a row with h of 1e20 or more is absent. One number for h is for all rows.
    A, b : (..., k, n), (..., k), optional
        Equalities; dependent rows are allowed. One number for b is for all rows.
    lb, ub : (..., n), optional
        Bounds; 1e20 and beyond is absent, ``lb == ub`` fixes the variable. One number is for all
        variables.
    backend : str, optional
        Library that does the work; None: the arrays' own library.
    soft : dict of str to array or number, optional
        The price per unit of violation of the rows of "h", "b", "lb" or "ub": positive, infinite
        for a hard row; one number, or an array that broadcasts as the right-hand side does. The
        objective grows by the sum of the prices times the violations. Differentiable.
    tol : float, optional
        Bound on the absolute, unscaled primal residual, dual residual and duality gap; 1e-8 if
        not given, 1e-5 for float32 inputs. The arithmetic is float64 in either case.
    max_iter : int
        Interior-point iterations, at most.
    warm_start : Solution, optional
        The solution of a nearby problem of the same shapes.
    infeasible : {"report", "closest"}
        "closest" solves the closest feasible problem instead of reporting PRIMAL_INFEASIBLE:
        h, b, lb and ub are shifted by the least amount, in the least-squares sense.
    shift_weights : dict of str to array, optional
        For ``infeasible="closest"``: the cost of a shift of each entry of "h", "b", "lb" or "ub",
        positive, broadcasting to the right-hand side; 1 where not given. The sum of the weights
        times the squared shifts is minimised.
    on_failure : {"warn", "raise", "ignore"}
        What to do when some elements are not solved: one `SolveWarning`, a `SolveError`, or
        nothing. Each element's `status` tells in any case.
    verbose : bool or callable
        True prints a table: a row for each iteration and one for each polishing, with the
        number of unfinished elements and the largest of each residual. A callable gets each
        row as a dict with the table's headings as keys.

    Returns
    -------
    Solution
        It may refer to the given arrays without a copy: do not change them in place while you
        need its derivatives.

    Raises
    ------
    TypeError
        Not an array, a masked one, or a sparse p, h, b, lb or ub; mixed array libraries, dtypes or
        devices; booleans, complex numbers, objects; an option that does not exist.
    ValueError
        Shapes that do not fit (the message names the array), an unknown value of an option.
    SolveError
        With ``on_failure="raise"``, if an element is not solved.

    Notes
    -----
    A proximal-regularised Mehrotra predictor-corrector (Mehrotra 1992; Schwan et al. 2023,
    arXiv 2304.00290) followed by a solve for the active set, whose KKT system gives the
    derivatives (Amos & Kolter 2017, arXiv 1703.00443).

    Examples
    --------
    >>> import numpy as np, kktdiff
    >>> sol = kktdiff.solve_qp(np.eye(2), np.array([-1.0, -3.0]), ub=np.array([2.0, 2.0]))
    >>> sol.x.round(6)
    array([1., 2.])
    >>> sol.lam_ub.round(6)
    array([0., 1.])

    A bound that may be violated, for 0.4 a unit:

    >>> ub, soft = np.array([2.0, 2.0]), {"ub": 0.4}
    >>> sol = kktdiff.solve_qp(np.eye(2), np.array([-1.0, -3.0]), ub=ub, soft=soft)
    >>> sol.x.round(6), sol.violation_ub.round(6)
    (array([1. , 2.6]), array([0. , 0.6]))
    >>> kktdiff.solve_qp(p=[1, 2], A=[[1, 1]], b=1, lb=0).x.round(6)  # a linear program
    array([1., 0.])
    """
    arrays = {"Q": Q, "p": p, "G": G, "h": h, "A": A, "b": b, "lb": lb, "ub": ub}
    owner = framework(arrays)
    if owner is not None:
        asked: dict[str, Any] = {
            "backend": backend,
            "soft": soft,
            "tol": tol,
            "max_iter": max_iter,
            "warm_start": warm_start,
        }
        asked |= {"infeasible": infeasible, "shift_weights": shift_weights}
        asked |= {"on_failure": on_failure, "verbose": verbose}
        return _by_adapter(owner, arrays, asked | unknown)
    if unknown:
        raise TypeError(unknown_names(list(unknown), [*arrays, *_OPTIONS]))
    one_of("infeasible", infeasible, ("report", "closest"))
    one_of("on_failure", on_failure, ("warn", "raise", "ignore"))
    prices = price_arguments(soft, arrays)
    given = check(arrays | prices, backend, by_arrays=infeasible == "closest", soft=bool(prices))
    if not (isinstance(verbose, bool) or callable(verbose)):
        raise TypeError(f"verbose={verbose!r}: expected True, False or a callable")
    if warm_start is not None and not isinstance(warm_start, Solution):
        raise TypeError(_no_start(warm_start))
    if shift_weights is not None and infeasible != "closest":
        raise ValueError('shift_weights was given: expected infeasible="closest" with it')
    report = Table() if verbose is True else (verbose or None)
    settings = settings_.checked(tol, max_iter, given.dtype, report)
    with given.at_work():
        weights = None if infeasible == "report" else check_weights(given, shift_weights or {})
        if given.backend.host is given.backend:
            fields, engine, solved = _on_host(given, warm_start, weights, settings)
        else:
            if on_failure != "ignore" and not given.backend.may_wait():
                raise ValueError(
                    f"on_failure={on_failure!r} while a CUDA graph is captured: expected "
                    '"ignore", as nothing is known of the elements before it runs'
                )
            fields, engine, solved = solve_on_device(given, warm_start, weights, settings, _on_host)
        solution = Solution(**given.give_all(fields), _engine=engine)
        if not solved:
            report_failures(given, fields, engine, solution, on_failure)
    return solution


_OPTIONS: dict[str, Any] = dict(solve_qp.__kwdefaults__ or {})  # and their defaults


def _no_start(value: Any) -> str:
    """Return the message for what is no solution of arrays, perhaps one of a framework's."""
    kind = type(value)
    if kind.__name__ != "Solution":
        return f"warm_start={value!r:.60}: expected a kktdiff.Solution or None"
    home = kind.__module__.partition("._")[0]
    return (
        f"warm_start is a {home}.Solution: expected a kktdiff.Solution or None, as the arrays are"
    )


def _by_adapter(owner: str, arrays: dict[str, Array], options: dict[str, Any]) -> Any:
    """Call the adapter of the framework that the arrays are of, which stands above this module."""
    asked = {name: v for name, v in options.items() if v is not _OPTIONS.get(name, _OPTIONS)}
    name = f"kktdiff.adapters.{owner}"
    adapter = sys.modules.get(name) or importlib.import_module(name)  # torch.compile imports none
    return adapter.solve_qp(**arrays, **asked)


def _on_host(
    given: Given, near: Solution | None, weights: dict[str, Array] | None, settings: Settings
) -> tuple[dict[str, Array], Derivatives, bool]:
    """Return what `_solve` does, for problems with prices too; near: of a nearby problem."""
    if any(name in given.arrays for name in PRICES):
        solve = partial(_solve, settings=settings)
        return solve_soft(given, near, weights, settings, solve)
    problem = build(given)
    warm = None if near is None else nearby_point(problem, near)
    return _solve(problem, warm, weights, settings)


def _solve(
    problem: Problem, warm: Point | None, weights: dict[str, Array] | None, settings: Settings
) -> tuple[dict[str, Array], Derivatives, bool]:
    """Return the fields of a solution, its derivatives, and True if all elements are solved."""
    found = run(problem, warm, settings)
    if weights is not None or not found.solved:
        return *_classified(problem, found, weights, settings), found.solved
    engine = Engine(problem, found.fields["status"], found.kept, found.proofs)
    return found.fields, engine, True


def _stalled(fields: dict[str, Array]) -> Array:  # (B,) bool
    """Return True for elements that made no progress, or not enough in many iterations."""
    status = fields["status"]
    slow = (status == int(Status.MAX_ITER)) & (fields["iterations"] >= ENOUGH_ITERATIONS)
    return slow | (status == int(Status.NUMERICAL_ERROR))


def _unsettled(fields: dict[str, Array]) -> Array:  # (B,) bool
    """Return True for elements that stalled, or ended at an inaccurate point, and are violated."""
    loose = fields["status"] == int(Status.ALMOST_SOLVED)
    return (loose | _stalled(fields)) & (fields["primal_residual"] > 0)


def _classified(
    problem: Problem, found: BatchResult, weights: dict[str, Array] | None, settings: Settings
) -> tuple[dict[str, Array], Engine | ClosestEngine]:
    """Analyse the elements that are not solved; return the fields and the engine after that.

    With `weights`, those that are infeasible are replaced by the closest feasible ones.
    """
    inner = settings._replace(tol=min(settings.tol, INNER_TOL), max_iter=INNER_ITER, report=None)
    if problem.data.is_large:
        return found.fields, Engine(problem, found.fields["status"], found.kept, found.proofs)
    fields, engine, shifts = _with_proofs(problem, found, inner)
    if problem.data.structure is not None:
        return fields, engine
    stuck = namespace(fields["x"]).nonzero(_unsettled(fields))[0]
    if weights is not None:
        return repaired_elements(problem, fields, engine, stuck, weights, inner)
    return nearly_feasible_elements(problem, fields, engine, stuck, shifts, inner, settings.tol)


def _with_proofs(
    problem: Problem, found: BatchResult, settings: Settings
) -> tuple[dict[str, Array], Engine, Known | None]:
    """Classify stalled elements; return the fields, the engine with their proofs, and shifts."""
    fields, status, proofs = found.fields, found.fields["status"], found.proofs
    known = None
    xp = namespace(status)
    stalled = _stalled(fields)
    some = xp.nonzero(stalled | _unsettled(fields))[0]
    if bool(xp.any(stalled)):
        data, x = elements(problem, some), take(fields["x"], some)
        verdict, shifts = classify(data, settings, x, take(stalled, some))
        known = None if shifts is None else Known(some, shifts)
        found_one = verdict.status != int(Status.NUMERICAL_ERROR)
        status = placed(some, xp.where(found_one, verdict.status, take(status, some)), status)
        proven = xp.nonzero(found_one)[0]
        proofs = (*proofs, (take(some, proven), verdict.proof.take(proven)))
        fields = without_points(fields | {"status": status}, take(some, proven))
    return fields, Engine(problem, status, found.kept, proofs), known
