"""Public problem sets: predictive control as a batch, mini-Sudoku as a layer sees it."""

import numpy as np
import pytest

import kktdiff
from kktdiff.adapters import plain
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


@pytest.fixture(scope="module")
def boards(data_folder):
    with np.load(data_folder / "learning" / "sudoku4_optnet.npz", allow_pickle=False) as file:
        return file["puzzles"], file["solutions"]


def rules():
    """Each cell one digit; each digit once in every row, column and block: 64 rows, rank 40."""
    cell = np.arange(64).reshape(4, 4, 4)  # row, column, digit
    blocks = cell.reshape(2, 2, 2, 2, 4).transpose(0, 2, 4, 1, 3).reshape(-1, 4)
    groups = [cell.reshape(-1, 4), cell.transpose(0, 2, 1).reshape(-1, 4)]
    groups += [cell.transpose(1, 2, 0).reshape(-1, 4), blocks]
    return np.stack([np.isin(np.arange(64), group) for group in np.vstack(groups)]).astype(float)


def one_hot(boards):
    return (boards[..., None] == np.arange(1, 5)).astype(float).reshape(len(boards), 64)


def test_the_boards_are_loaded_and_their_solutions_keep_the_rules(boards):
    puzzles, solutions = boards
    assert puzzles.shape == solutions.shape == (10000, 4, 4)
    np.testing.assert_array_equal(puzzles[puzzles > 0], solutions[puzzles > 0])
    np.testing.assert_array_equal(one_hot(solutions) @ rules().T, 1.0)


def test_a_solved_board_is_the_answer_to_itself(boards):
    """min 0.05 |x|^2 - board'x over the rules' polytope: the board is a vertex and the optimum."""
    solved = one_hot(boards[1][:8])
    A = rules()
    x, pullback = plain.vjp(0.1 * np.eye(64), -solved, A=A, b=np.ones(64), lb=np.zeros(64))
    np.testing.assert_array_equal(np.round(x), solved)
    assert np.max(np.abs(x - solved)) <= PUBLIC_RESIDUAL
    grads = pullback(np.ones((8, 64)))
    assert grads.p.shape == (8, 64)
    assert_finite(grads)
