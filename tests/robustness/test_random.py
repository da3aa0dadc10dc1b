"""Random problems by the thousand, and what was found among them."""

import numpy as np

import kktdiff
from kktdiff import Status
from tests.checks import assert_near
from tests.tolerances import ITERATIONS_MOST, LOOK


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
