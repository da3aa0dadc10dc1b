"""The qpsolvers adapter, judged by qpsolvers' own residuals and by another of its solvers."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

import kktdiff
from kktdiff import kernels
from tests.checks import assert_near
from tests.problems import COMBINATIONS, FULL, known
from tests.tolerances import ANSWER, OPTIMAL, OTHER_SOLVER

qpsolvers = pytest.importorskip("qpsolvers")
from kktdiff.adapters.qpsolvers import solve_problem, solve_qp

CLARABEL = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
SPARSE = [sp.csc_matrix, sp.csr_array, sp.dia_matrix, sp.coo_array]
NAMES = ("P", "q", "G", "h", "A", "b", "lb", "ub")


def drawn(seed, sizes=FULL):
    """The arrays of a random problem by qpsolvers' names, and its answer."""
    data, answer = known(np.random.default_rng(seed), sizes)
    return dict(zip(NAMES, data, strict=True)), answer


def assert_optimal(solution):
    """By what qpsolvers computes itself."""
    assert solution.found
    assert solution.primal_residual() < OPTIMAL
    assert solution.dual_residual() < OPTIMAL
    assert solution.duality_gap() < OPTIMAL
    assert solution.is_optimal(OPTIMAL)


@pytest.mark.parametrize("sizes", COMBINATIONS, ids=lambda s: s.label)
def test_the_answer_is_the_known_one(sizes):
    arrays, answer = drawn(900, sizes)
    solution = solve_problem(qpsolvers.Problem(**arrays))
    assert_optimal(solution)
    box = answer.lam_ub - answer.lam_lb if sizes.lower or sizes.upper else np.empty(0)
    expected = {"x": answer.x, "y": answer.nu, "z": answer.lam, "z_box": box}
    for name, value in (expected | {"obj": answer.objective}).items():
        assert_near(getattr(solution, name), value, ANSWER, name)


# Without constraints qpsolvers itself solves a linear system, and no solver of its is asked.
@pytest.mark.parametrize("sizes", COMBINATIONS[1:], ids=lambda s: s.label)
def test_another_solver_of_qpsolvers_agrees(sizes):
    if "clarabel" not in qpsolvers.available_solvers:
        pytest.skip("qpsolvers has no Clarabel here")
    arrays, _ = drawn(901, sizes)
    for name in "PGA":
        if arrays[name] is not None:
            arrays[name] = sp.csc_matrix(arrays[name])
    problem = qpsolvers.Problem(**arrays)
    theirs = qpsolvers.solve_problem(problem, "clarabel", **CLARABEL)
    solution = solve_problem(problem)
    assert_near(solution.x, theirs.x, OTHER_SOLVER, "x")
    assert_near(solution.obj, theirs.obj, OTHER_SOLVER, "obj")
    for name, there in (("y", sizes.k), ("z", sizes.m), ("z_box", sizes.lower or sizes.upper)):
        if there:
            value = np.asarray(getattr(theirs, name))
            assert_near(getattr(solution, name), value, OTHER_SOLVER, name)
        else:
            assert getattr(solution, name).shape == (0,)


@pytest.mark.parametrize("form", SPARSE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["P", "G", "A"])
def test_sparse_matrices_change_no_bit(form, name):
    arrays, _ = drawn(902)
    expected = solve_qp(**arrays)
    np.testing.assert_array_equal(solve_qp(**arrays | {name: form(arrays[name])}), expected)


@pytest.mark.skipif(kernels.available() is not None, reason="dense copies would not fit")
def test_large_sparse_problems_stay_sparse():
    """Least squares on differences: dense matrices of this size would take 2 GB."""
    n = 10_000
    rng = np.random.default_rng(906)
    D = sp.diags_array([np.ones(n - 1), -np.ones(n - 1)], offsets=[0, 1], shape=(n - 1, n))
    P, q = sp.csc_matrix(sp.eye_array(n) + D.T @ D), rng.normal(size=n)
    problem = qpsolvers.Problem(
        P, q, sp.coo_matrix(D), np.full(n - 1, 0.01), sp.csr_matrix(np.ones((1, n))), np.zeros(1)
    )
    tracemalloc.start()
    solution = solve_problem(problem)
    grads = solution.extras["solution"].vjp(x=rng.normal(size=n))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_optimal(solution)
    assert peak < 4 * n * n
    for name, own in (("Q", P), ("G", problem.G), ("A", problem.A)):
        grad = getattr(grads, name)
        assert (type(grad), grad.nnz) == (type(own), own.nnz)
        assert np.all(np.isfinite(grad.data))


def test_a_bound_may_be_infinite_and_two_may_be_equal():
    P, q = np.eye(3), np.array([-2.0, 2.0, 5.0])
    lb, ub = np.array([-np.inf, -1.0, 0.5]), np.array([1.0, np.inf, 0.5])
    solution = solve_problem(qpsolvers.Problem(P, q, lb=lb, ub=ub))
    assert_near(solution.x, [1.0, -1.0, 0.5], ANSWER, "x")
    assert_near(solution.z_box, [1.0, -1.0, -5.5], ANSWER, "z_box")
    assert_optimal(solution)


def test_integers_lists_of_rows_and_float32_are_taken():
    expected = np.array([1.0, 2.0])
    for kind in (int, np.float32):
        P, q, ub = (np.array(a, dtype=kind) for a in (np.eye(2), [-1, -3], [2, 2]))
        x = solve_qp(P, q, ub=ub)
        assert x.dtype == np.float64
        assert_near(x, expected, ANSWER, "x")
    one_row = solve_qp(np.eye(2), np.zeros(2), A=np.ones(2), b=np.ones(1))  # as qpsolvers has it
    assert_near(one_row, [0.5, 0.5], ANSWER, "x")


def test_extras_are_the_cores():
    arrays, _ = drawn(903)
    solution = solve_problem(qpsolvers.Problem(**arrays))
    core = kktdiff.solve_qp(*arrays.values())
    extras = solution.extras
    assert extras["status"] == "SOLVED"
    assert type(extras["iterations"]) is int
    assert extras["solution"].solved
    for name in ("iterations", "primal_residual", "dual_residual", "duality_gap"):
        assert extras[name] == getattr(core, name)
    assert solution.build_time > 0
    assert solution.solve_time > 0


IMPOSSIBLE = {
    "PRIMAL_INFEASIBLE": {"G": np.array([[1.0], [-1.0]]), "h": np.array([-1.0, -1.0])},
    "DUAL_INFEASIBLE": {"P": np.zeros((1, 1)), "q": np.ones(1)},
    "NONCONVEX": {"P": -np.eye(1)},
    "INVALID_DATA": {"q": np.array([np.nan])},
}


@pytest.mark.parametrize("status", IMPOSSIBLE)
def test_what_has_no_solution_is_not_found(status):
    arrays = {"P": np.eye(1), "q": np.zeros(1)} | IMPOSSIBLE[status]
    solution = solve_problem(qpsolvers.Problem(**arrays), on_failure="ignore")
    assert solution.extras["status"] == status
    assert solution.found is False
    for name in ("x", "y", "z", "z_box", "obj"):
        assert getattr(solution, name) is None
    assert solution.primal_residual() == np.inf
    assert not solution.is_optimal(OPTIMAL)
    with pytest.warns(kktdiff.SolveWarning, match=status):
        assert solve_qp(**arrays) is None
    with pytest.raises(kktdiff.SolveError, match=status):
        solve_qp(**arrays, on_failure="raise")


def test_options_are_passed_on():
    arrays, _ = drawn(904)
    solution = solve_problem(qpsolvers.Problem(**arrays), max_iter=1, on_failure="ignore")
    assert (solution.found, solution.extras["status"]) == (False, "MAX_ITER")
    with pytest.raises(TypeError, match="eps_abs"):
        solve_qp(**arrays, eps_abs=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_named(name):
    arrays, _ = drawn(905)
    wrong = {"P": np.eye(5), "q": np.zeros(6)[:, None, None]}
    if name != "q":
        cut = wrong.get(name, arrays[name][..., 1:])
        blamed = {"h": "G", "b": "A"}.get(name, name)  # the side says how many rows there are
        with pytest.raises(qpsolvers.ProblemError, match=rf"^{blamed} has shape"):
            solve_qp(**arrays | {name: cut})
    if name in "GhAb":
        with pytest.raises(qpsolvers.ProblemError, match="give both or neither"):
            solve_qp(**arrays | {name: None})
    if name in "PGA":
        batch = np.stack([arrays[name]] * 2)
        with pytest.raises(qpsolvers.ProblemError, match=rf"^{name} has shape \(2, "):
            solve_qp(**arrays | {name: batch})


def test_what_is_required_and_what_is_no_problem():
    problem = qpsolvers.Problem(np.eye(1), np.zeros(1))
    problem.q = None
    with pytest.raises(qpsolvers.ProblemError, match="P and q are required"):
        solve_problem(problem)
    with pytest.raises(TypeError, match=r"problem is a ndarray: expected a qpsolvers\.Problem"):
        solve_problem(np.eye(2))
