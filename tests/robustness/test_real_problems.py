"""The public problem sets at high accuracy: answers, proofs, gradients, warm starts."""

import numpy as np
import pytest

import kktdiff
from benchmarks.problem_sets import farkas_error, problems, quality, rows_of
from kktdiff import Status, kernels
from tests.checks import assert_near
from tests.robustness.datasets import load
from tests.tolerances import (
    CERTIFICATE,
    DATA_GRADIENT,
    DATA_OBJECTIVE,
    HIGH_ACCURACY,
    PUBLIC_RESIDUAL,
)

pytestmark = [pytest.mark.data, pytest.mark.slow]

NONCONVEX = "VALUES"  # its Q has an eigenvalue of -1.3e-5
UNSOLVED = {NONCONVEX, "QPILOTNO", "YAO"}  # of those with up to 6000 unknowns and rows
SMALL = 700  # unknowns and rows of the problems that are solved in well under a second
INFEASIBLE = {"bgdbg1", "box1", "ex73a", "galenet", "itest2", "klein1", "qual", "woodinfe"}


def solved(problem):
    return kktdiff.solve_qp(*problem.data, max_iter=200, on_failure="ignore")


@pytest.mark.parametrize(("name", "most"), [("maros_meszaros", None), ("netlib_lp", SMALL)])
def test_every_problem_is_solved_to_high_accuracy_with_the_known_objective(data_folder, name, most):
    for problem in problems(data_folder, name, most):
        if problem.name == NONCONVEX:
            continue
        solution = solved(problem)
        assert solution.status == Status.SOLVED, problem.name
        found = quality(problem, solution)
        assert found.relative <= HIGH_ACCURACY, (problem.name, found)
        assert found.objective_error <= DATA_OBJECTIVE, (problem.name, found)


@pytest.mark.skipif(kernels.available() is not None, reason="dense copies would take minutes")
@pytest.mark.parametrize(("name", "most"), [("maros_meszaros", 6000), ("netlib_lp", None)])
def test_so_it_is_at_full_size_on_sparse_matrices(data_folder, name, most):
    found = [p for p in problems(data_folder, name, most, whole=True) if p.name not in UNSOLVED]
    assert len(found) > 20
    for problem in found:
        solution = solved(problem)
        assert solution.status == Status.SOLVED, problem.name
        own = quality(problem, solution)
        assert own.relative <= HIGH_ACCURACY, (problem.name, own)
        assert own.objective_error <= DATA_OBJECTIVE, (problem.name, own)


def test_the_problem_that_is_not_convex_is_not_called_solved(data_folder):
    (problem,) = (p for p in problems(data_folder, "maros_meszaros") if p.name == NONCONVEX)
    assert solved(problem).status == Status.NONCONVEX


def test_infeasible_problems_are_proven_so(data_folder):
    found = [p for p in problems(data_folder, "netlib_infeas", 1000) if p.name in INFEASIBLE]
    assert {problem.name for problem in found} == INFEASIBLE
    for problem in found:
        solution = solved(problem)
        assert solution.status == Status.PRIMAL_INFEASIBLE, problem.name
        assert farkas_error(problem.data, solution.certificate()) <= CERTIFICATE, problem.name


@pytest.mark.parametrize("name", ["adlittle", "agg"])
def test_multipliers_do_not_run_off_where_constraints_have_no_interior(data_folder, name):
    """An interior point's multipliers reach 1e12 here, and rounding leaves as much of them."""
    (problem,) = (p for p in problems(data_folder, "netlib_lp", SMALL) if p.name == name)
    solution = solved(problem)
    assert quality(problem, solution).dual <= PUBLIC_RESIDUAL
    assert np.max(np.abs(solution.nu)) <= 1e6


def dense_gradient(data, solution, cotangent):
    """``-Z (Z'QZ)^-1 Z'g``, Z a basis of the active rows' null space: the gradient in p."""
    active = [
        C[(multipliers > d - C @ solution.x) | equal]
        for C, d, multipliers, equal in rows_of(data, solution)
    ]
    E = np.vstack(active)
    _, sizes, V = np.linalg.svd(E / np.linalg.norm(E, axis=1, keepdims=True))
    assert sizes.shape[0] == len(E)
    assert sizes[-1] > 1e-7 * sizes[0]
    Z = V[len(E) :].T
    return -Z @ np.linalg.solve(Z.T @ data.Q @ Z, Z.T @ cotangent)


def test_trusted_gradients_are_those_of_a_dense_active_set_solve(data_folder):
    trusted = []
    for name in ("maros_meszaros", "mpc"):
        for problem in problems(data_folder, name, SMALL):
            solution = solved(problem)
            if not solution.diagnostics().trustworthy:
                continue
            trusted.append(problem.name)
            cotangent = np.random.default_rng(400).normal(size=len(problem.data.p))
            expected = dense_gradient(problem.data, solution, cotangent)
            assert_near(solution.vjp(cotangent).p, expected, DATA_GRADIENT, problem.name)
    assert len(trusted) >= 30, trusted


def test_the_walking_sequence_is_solved_from_step_to_step(data_folder):
    """Two thirds of its steps need no iteration at all, and none needs more than from cold."""
    steps = [load(data_folder / "mpc" / f"LIPMWALK{i}.npz") for i in range(30)]
    before, cold, warm = kktdiff.solve_qp(*steps[0]), [], []
    for data in steps[1:]:
        solution = kktdiff.solve_qp(*data, warm_start=before)
        before = kktdiff.solve_qp(*data)
        assert_near(solution.x, before.x, PUBLIC_RESIDUAL, "x")
        cold.append(int(before.iterations))
        warm.append(int(solution.iterations))
    assert all(w <= c for w, c in zip(warm, cold, strict=True)), (warm, cold)
    assert warm.count(0) >= 20, warm
