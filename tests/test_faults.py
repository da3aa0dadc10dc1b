"""Data that other solvers trip over: degenerate, nearly infeasible, badly scaled."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import assert_answer, assert_finite, assert_near
from tests.problems import FULL, Data, Sizes, known, tangent
from tests.reference import jvp
from tests.tolerances import (
    ANSWER,
    DENSE_REFERENCE,
    HAND_DERIVATIVE,
    ITERATIONS_MOST,
    LOOK,
    SCALED_ANSWER,
)


def test_a_weakly_active_row_has_a_gradient_from_the_generalised_jacobian():
    """min (x-1)^2/2 with x <= 1: dx/dp is 0 or -1 or between, and dx/dh = 1 + dx/dp."""
    solution = kktdiff.solve_qp(np.eye(1), -np.ones(1), np.eye(1), np.ones(1))
    grads = solution.vjp(np.ones(1))
    assert_near(solution.x, np.ones(1), ANSWER, "x")
    assert -1 - HAND_DERIVATIVE <= grads.p[0] <= HAND_DERIVATIVE
    assert_near(grads.h, 1 + grads.p, HAND_DERIVATIVE, "h")


def test_a_free_direction_has_a_solution_with_finite_gradients():
    """Q = diag(1, 0) without constraints on x1: the optimum is a line."""
    solution = kktdiff.solve_qp(np.diag([1.0, 0.0]), np.array([-1.0, 0.0]), lb=-np.ones(2))
    assert solution.solved
    assert_near(solution.x[:1], np.ones(1), ANSWER, "x0")
    assert_finite(solution.vjp(np.ones(2), gradient="least_squares"))


def test_a_variable_that_appears_nowhere_is_left_in_peace():
    data, answer = known(np.random.default_rng(200), Sizes(n=4, m=5, k=1))
    wide = [np.pad(a, (*[(0, 0)] * (a.ndim - 1), (0, 1))) for a in (data.G, data.A)]
    Q, p = np.pad(data.Q, (0, 1)), np.pad(data.p, (0, 1))
    solution = kktdiff.solve_qp(Q, p, wide[0], data.h, wide[1], data.b)
    assert solution.solved
    assert_near(solution.x[:4], answer.x, ANSWER, "x")


def test_more_consistent_equalities_than_variables_are_solved():
    A = np.random.default_rng(201).normal(size=(7, 3))
    x = np.array([1.0, -2.0, 3.0])
    solution = kktdiff.solve_qp(np.eye(3), np.zeros(3), A=A, b=A @ x)
    assert solution.solved
    assert_near(solution.x, x, ANSWER, "x")
    assert_finite(solution.vjp(np.ones(3), gradient="least_squares"))


def test_rows_that_disagree_by_rounding_are_solved_at_the_least_infeasible_point():
    """x <= 1 and x >= 1 + 1e-6: sums taken in single precision disagree that much."""
    G, h = np.array([[1.0], [-1.0]]), np.array([1.0, -1.0 - 1e-6])
    solution = kktdiff.solve_qp(np.eye(1), np.zeros(1), G, h)
    assert solution.solved
    assert solution.status == Status.ALMOST_SOLVED
    assert np.abs(solution.x[0] - 1) <= 2e-6
    assert_finite(solution.vjp(np.ones(1), gradient="least_squares"))


@pytest.mark.parametrize("weight", [1e3, 1e5, 1e7])
def test_large_terms_that_cancel_cost_no_accuracy(weight):
    """Q + weight ww' with w'x = 0 has the same solution; rounding leaves weight times as much."""
    rng = np.random.default_rng(206)
    data, answer = known(rng, Sizes(n=30, m=30, k=3))
    w = rng.normal(size=30)
    w -= w @ answer.x / (answer.x @ answer.x) * answer.x
    data = data._replace(Q=data.Q + weight * np.outer(w, w))
    solution = kktdiff.solve_qp(*data)
    assert solution.status == Status.SOLVED
    assert_near(solution.x, answer.x, ANSWER, "x")
    direction = tangent(rng, data, ["p", "G", "h", "A", "b"])
    assert_answer(solution.jvp(**direction), jvp(data, answer, direction), DENSE_REFERENCE)


def test_coefficients_across_sixteen_orders_of_magnitude_are_solved():
    """Variables in other units: x_i = c_i y_i."""
    data, answer = known(np.random.default_rng(202), FULL)
    c = 10.0 ** np.linspace(-4, 4, 6)
    scaled = Data(
        data.Q * c * c[:, None],
        data.p * c,
        data.G * c,
        data.h,
        data.A * c,
        data.b,
        data.lb / c,
        data.ub / c,
    )
    solution = kktdiff.solve_qp(*scaled)
    assert solution.solved
    assert_near(solution.x * c, answer.x, SCALED_ANSWER, "x")


@pytest.mark.parametrize("size", [0.0, 1e11])
def test_an_objective_of_any_size_is_met(size):
    """min |x|^2/2 with x0 = sqrt(2 size)."""
    A, b = np.array([[1.0, 0.0]]), np.array([np.sqrt(2 * size)])
    solution = kktdiff.solve_qp(np.eye(2), np.zeros(2), A=A, b=b)
    assert solution.solved
    assert_near(solution.objective, size, SCALED_ANSWER, "objective")


def test_permuted_variables_and_rows_permute_the_answer():
    data, answer = known(np.random.default_rng(203), FULL)
    rng = np.random.default_rng(204)
    v, r = rng.permutation(6), rng.permutation(7)
    mixed = Data(
        data.Q[np.ix_(v, v)],
        data.p[v],
        data.G[np.ix_(r, v)],
        data.h[r],
        data.A[:, v],
        data.b,
        data.lb[v],
        data.ub[v],
    )
    solution = kktdiff.solve_qp(*mixed)
    assert_near(solution.x, answer.x[v], ANSWER, "x")
    assert_near(solution.lam, answer.lam[r], ANSWER, "lam")


def test_dummy_rows_of_zeros_are_no_constraint():
    """G = 0, h = 0 is how some callers spell "no inequalities"; it has no interior."""
    data, answer = known(np.random.default_rng(205), Sizes(n=4, k=1))
    solution = kktdiff.solve_qp(*data._replace(G=np.zeros((1, 4)), h=np.zeros(1)))
    assert solution.solved
    assert_near(solution.x, answer.x, ANSWER, "x")
    assert_finite(solution.vjp(np.ones(4), gradient="least_squares"))


def test_an_unbounded_linear_program_is_never_called_solved():
    """min -x0 - x1 with x0 - x1 <= 1, x >= 0: both grow together."""
    solution = kktdiff.solve_qp(
        np.zeros((2, 2)),
        -np.ones(2),
        np.array([[1.0, -1.0]]),
        np.ones(1),
        lb=np.zeros(2),
        on_failure="ignore",
    )
    assert solution.status == Status.DUAL_INFEASIBLE


def test_a_problem_on_which_the_plain_predictor_corrector_cycles_is_solved():
    """Found by drawing problems at random, one in five thousand; its data are benign."""
    Q = np.array([[2.34, -0.11, 0.4], [-0.11, 1.5, -0.63], [0.4, -0.63, 1.85]])
    p = np.array([-2.92, 0.33, -5.21])
    G = np.array(
        [
            [0.47, 0.09, 0.52],
            [1.07, 0.43, 0.81],
            [-0.04, 0.55, 0.92],
            [0.03, 0.32, 1.44],
            [-0.69, -0.22, 0.19],
        ]
    )
    solution = kktdiff.solve_qp(Q, p, G, np.array([2.57, 3.2, 1.11, 1.89, 0.37]))
    assert solution.status == Status.SOLVED
    assert solution.iterations <= ITERATIONS_MOST
    assert_near(solution.x, np.array([1.01, -0.09, 1.31]), LOOK, "x")


@pytest.mark.parametrize("n", [2, 3, 6])
def test_thousands_of_random_problems_are_all_solved(n):
    problem = known(np.random.default_rng(n), Sizes(n=n, m=2 * n, lower=True), batch=(3000,))
    solution = kktdiff.solve_qp(*problem.data)
    assert np.all(solution.solved)
    assert_near(solution.x, problem.answer.x, ANSWER, "x")


def test_a_mean_loss_over_a_batch_with_one_failure_has_a_finite_gradient():
    h = np.array([[1.0, 1.0], [1.0, -2.0], [2.0, 0.5]])
    G = np.array([[1.0], [-1.0]])
    solution = kktdiff.solve_qp(np.eye(1), np.zeros(1), G, h, on_failure="ignore")
    np.testing.assert_array_equal(solution.solved, [True, False, True])
    assert_finite(solution.vjp(np.full((3, 1), 1 / 3)))


def test_a_hopeless_element_does_not_stop_or_move_the_others():
    data = known(np.random.default_rng(206), FULL, batch=(4,)).data
    alone = kktdiff.solve_qp(*data)
    data.h[1] = -1e3 * np.abs(data.h[1]) - 1
    together = kktdiff.solve_qp(*data, on_failure="ignore")
    for i in (0, 2, 3):
        np.testing.assert_array_equal(together.x[i], alone.x[i])
        np.testing.assert_array_equal(together.iterations[i], alone.iterations[i])
