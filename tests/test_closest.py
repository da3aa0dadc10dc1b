"""infeasible="closest": the QP whose constraints are shifted as little as makes them meet."""

import numpy as np
import pytest

import kktdiff
from tests.checks import answer_of, assert_answer, assert_near
from tests.problems import FULL, Data, known
from tests.tolerances import ANSWER


def closest(data):
    return kktdiff.solve_qp(*data, infeasible="closest", on_failure="ignore")


def test_crossed_rows_meet_in_the_middle():
    """x <= -1 and x >= 2: shifting both by 3/2 is the least, and x = 1/2 whatever the objective."""
    data = Data(np.eye(1), np.array([7.0]), np.array([[1.0], [-1.0]]), np.array([-1.0, -2.0]))
    solution = closest(data)
    assert solution.solved
    assert_near(solution.x, np.array([0.5]), ANSWER, "x")


def test_contradicting_equalities_have_their_least_squares_solution():
    """x0 = 0 and x0 = 1 give x0 = 1/2; the objective (x1 - 3)^2/2 decides x1."""
    data = Data(
        np.eye(2), np.array([0.0, -3.0]), A=np.array([[1.0, 0], [1, 0]]), b=np.array([0.0, 1])
    )
    assert_near(closest(data).x, np.array([0.5, 3.0]), ANSWER, "x")


def test_the_objective_decides_among_the_closest_points():
    """Rows on x0 only contradict each other; x1 stays free for the objective and its bound."""
    G = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    data = Data(np.eye(2), np.array([0.0, -3.0]), G, np.array([-1.0, -1.0, 2.0]))
    assert_near(closest(data).x, np.array([0.0, 2.0]), ANSWER, "x")


def test_its_gradient_is_that_of_the_closest_point():
    """x = (h0 - h1)/2 for x <= h0, -x <= h1: dx/dh = (1/2, -1/2), dx/dp = 0."""
    data = Data(np.eye(1), np.array([7.0]), np.array([[1.0], [-1.0]]), np.array([-1.0, -2.0]))
    grads = closest(data).vjp(np.ones(1))
    assert_near(grads.h, np.array([0.5, -0.5]), ANSWER, "h")
    assert_near(grads.p, np.zeros(1), ANSWER, "p")


@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_feasible_problems_keep_their_answer(batch):
    data, answer = known(np.random.default_rng(190), FULL, batch=batch)
    assert_answer(answer_of(closest(data)), answer, ANSWER)


def test_only_the_infeasible_elements_are_shifted():
    """Row limits that meet in element 0 and cross in element 1."""
    h = np.array([[2.0, 1.0], [-1.0, -2.0]])
    data = Data(np.eye(1), np.zeros(1), np.array([[1.0], [-1.0]]), h)
    assert_near(closest(data).x, np.array([[0.0], [0.5]]), ANSWER, "x")
