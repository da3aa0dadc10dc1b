"""Solutions: known answers, residuals, signs, iteration counts, for every combination of blocks."""

import numpy as np
import pytest

import kktdiff
from tests.checks import answer_of, assert_answer, assert_finite, assert_near, element, residuals
from tests.problems import COMBINATIONS, FULL, Sizes, known, workload
from tests.tolerances import (
    ANSWER,
    COMPLEMENTARITY,
    ITERATIONS_MOST,
    ITERATIONS_W1_MEAN,
    RESIDUAL_ROUNDING,
    STATIONARITY,
)

SINGULAR = [
    Sizes(n=6, m=8, k=2, rank=3),
    Sizes(n=6, m=4, lower=True, upper=True, rank=2),
    Sizes(n=5, m=9, rank=0),
    Sizes(n=5, k=2, lower=True, upper=True, rank=0),
    Sizes(n=5, m=6, k=1, lower=True, rank=0),
]
SCALARS = ("primal_residual", "dual_residual", "duality_gap")


def label(sizes):
    return sizes.label


@pytest.mark.parametrize("sizes", COMBINATIONS, ids=label)
def test_every_combination_of_blocks_gives_its_known_answer(sizes, namespace):
    problem = known(np.random.default_rng(10), sizes, batch=(3,))
    solution = kktdiff.solve_qp(*namespace.data(problem.data))
    assert_answer(answer_of(solution, namespace), problem.answer, ANSWER)
    np.testing.assert_array_equal(namespace.to_numpy(solution.solved), [True] * 3)


@pytest.mark.parametrize("sizes", SINGULAR, ids=label)
def test_singular_Q_and_linear_programs_give_their_unique_answer(sizes, namespace):
    problem = known(np.random.default_rng(11), sizes, batch=(3,))
    solution = kktdiff.solve_qp(*namespace.data(problem.data))
    assert_answer(answer_of(solution, namespace), problem.answer, ANSWER)
    np.testing.assert_array_equal(namespace.to_numpy(solution.status), [kktdiff.Status.SOLVED] * 3)


@pytest.mark.parametrize("sizes", COMBINATIONS, ids=label)
def test_an_unbatched_problem_has_unbatched_results(sizes):
    problem = known(np.random.default_rng(12), sizes)
    solution = kktdiff.solve_qp(*problem.data)
    assert_answer(solution, problem.answer, ANSWER)
    for name in ("objective", "status", "solved", "iterations", *SCALARS):
        assert np.shape(getattr(solution, name)) == (), name
    grads = solution.vjp(np.ones(6), lam_lb=np.ones(6), objective=np.ones(()))
    for name, array in problem.data._asdict().items():  # an absent block has no gradient
        assert (getattr(grads, name) is None) == (array is None), name
    assert_finite(grads)


@pytest.mark.parametrize("sizes", COMBINATIONS + SINGULAR, ids=label)
def test_reported_residuals_are_those_of_the_arrays(sizes):
    problem = known(np.random.default_rng(13), sizes, batch=(4,))
    solution = kktdiff.solve_qp(*problem.data)
    for i in range(4):
        found = residuals(element(problem.data, i), element(answer_of(solution), i))
        for name, value in zip(SCALARS, found, strict=True):
            assert_near(getattr(solution, name)[i], value, RESIDUAL_ROUNDING, name)


@pytest.mark.parametrize("sizes", COMBINATIONS, ids=label)
def test_multipliers_have_their_signs_and_the_lagrangian_is_stationary(sizes):
    data = known(np.random.default_rng(14), sizes, batch=(4,)).data
    solution = kktdiff.solve_qp(*data)
    gradient = (
        np.einsum("bij,bj->bi", data.Q, solution.x) + data.p - solution.lam_lb + solution.lam_ub
    )
    if data.G is not None:
        gradient += np.einsum("bi,bij->bj", solution.lam, data.G)
        assert np.sum(solution.lam * solution.s, axis=-1).max() <= COMPLEMENTARITY
    if data.A is not None:
        gradient += np.einsum("bi,bij->bj", solution.nu, data.A)
    assert np.abs(gradient).max() <= STATIONARITY
    for multiplier in (solution.lam, solution.s, solution.lam_lb, solution.lam_ub):
        assert np.all(multiplier >= 0)


@pytest.mark.parametrize("tol", [1e-8, 1e-10])
@pytest.mark.parametrize("n", [1, 2, 10, 50, 200])
def test_residuals_are_within_tol_and_iterations_few(n, tol):
    sizes = Sizes(n=n, m=n, k=n // 5, lower=True, upper=True)
    data = known(np.random.default_rng(n), sizes, batch=(2,)).data
    solution = kktdiff.solve_qp(*data, tol=tol)
    np.testing.assert_array_equal(solution.status, [kktdiff.Status.SOLVED] * 2)
    for i in range(2):
        assert max(residuals(element(data, i), element(answer_of(solution), i))) <= tol
    assert np.max(solution.iterations) <= ITERATIONS_MOST


def test_the_published_workload_takes_few_iterations():
    solution = kktdiff.solve_qp(*workload(np.random.default_rng(15), batch=16))
    assert np.all(solution.status == kktdiff.Status.SOLVED)
    assert np.mean(solution.iterations) <= ITERATIONS_W1_MEAN
    assert np.max(solution.iterations) <= ITERATIONS_MOST


@pytest.mark.parametrize("batch", [(), (3,), (2, 2)])
def test_writing_on_results_changes_no_gradient(batch):
    data = known(np.random.default_rng(16), FULL, batch=batch).data
    solution = kktdiff.solve_qp(*data)
    g = np.ones(solution.x.shape)
    before = vars(solution.vjp(x=g))
    for name in ("x", "s", "lam", "nu", "lam_lb", "lam_ub"):
        getattr(solution, name)[...] = 0.0
    after = vars(solution.vjp(x=g))
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)
