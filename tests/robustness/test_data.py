"""Public problem sets: predictive control as a batch, mini-Sudoku as a layer sees it."""

import numpy as np
import pytest

import kktdiff
from tests.checks import answer_of, assert_finite, element, residuals
from tests.problems import Data
from tests.robustness.datasets import load
from tests.tolerances import PUBLIC_RESIDUAL

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def walking(data_folder):
    """The thirty walking problems, n = 16, m = 32, as one batch."""
    problems = [load(data_folder / "mpc" / f"LIPMWALK{i}.npz") for i in range(30)]
    assert all(data.A is None for data in problems)
    return Data(*(_together(arrays) for arrays in zip(*problems, strict=True)))


def _together(arrays):
    return None if arrays[0] is None else np.stack(arrays)


def test_every_walking_problem_is_solved_in_one_batch(walking):
    solution = kktdiff.solve_qp(*walking)
    np.testing.assert_array_equal(solution.status, [kktdiff.Status.SOLVED] * 30)
    for i in range(30):
        found = residuals(element(walking, i), element(answer_of(solution), i))
        assert max(found) <= PUBLIC_RESIDUAL, f"LIPMWALK{i}: {found}"


def test_the_walking_batch_has_finite_gradients(walking):
    grads = kktdiff.solve_qp(*walking).vjp(np.ones((30, 16)), gradient="least_squares")
    assert_finite(grads)


def test_the_balancing_problem_is_solved(data_folder):
    data = load(data_folder / "mpc" / "QUADCMPC3.npz")
    solution = kktdiff.solve_qp(*data)
    assert solution.status == kktdiff.Status.SOLVED
    assert max(residuals(data, solution)) <= PUBLIC_RESIDUAL
