"""infeasible="closest": the QP whose constraints are shifted as little as makes them meet."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import answer_of, assert_answer, assert_near, assert_same_bits, element, grads_of
from tests.problems import FULL, Answer, Data, Sizes, known
from tests.tolerances import ANSWER, SINGLE_ANSWER
from tests.unsolvable import conflicting, unbounded

OUTPUTS = (*Answer._fields, "status", "iterations", "primal_residual", "duality_gap")
SMALL = Sizes(n=4, m=6, k=2, lower=True, upper=True)


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


def mixed(rng):
    """Known, conflicting, known, unbounded, not a number, not convex, conflicting, known."""
    good = [known(rng, SMALL).data for _ in range(5)]
    good[2].p[0] = np.nan
    good[3] = good[3]._replace(Q=-good[3].Q)
    bad = [conflicting(rng, SMALL), unbounded(rng, SMALL), conflicting(rng, SMALL)]
    parts = good[0], bad[0], good[1], bad[1], good[2], good[3], bad[2], good[4]
    return Data(*map(np.stack, zip(*parts, strict=True)))


def derivatives(solution, weights):
    grads = grads_of(solution.vjp(**weights))
    return grads, solution.jvp(p=np.ones(solution.x.shape)), solution.jacobian(wrt="G")


@pytest.fixture(scope="module")
def batch():
    """(data, cotangents, what is reported, what is closest)."""
    rng = np.random.default_rng(191)
    data = mixed(rng)
    reported = kktdiff.solve_qp(*data, on_failure="ignore")
    shapes = {f: v.shape for f, v in answer_of(reported)._asdict().items()}
    weights = {f: rng.normal(size=shape) for f, shape in shapes.items()}
    return data, weights, reported, closest(data)


def test_elements_that_fail_for_other_reasons_keep_their_status(batch):
    _, weights, reported, solution = batch
    np.testing.assert_array_equal(reported.status, [0, 2, 0, 3, 7, 6, 2, 0])
    np.testing.assert_array_equal(solution.status, [0, 0, 0, 3, 7, 6, 0, 0])
    failed = slice(3, 6)
    assert np.all(np.isnan(solution.x[failed]))
    for name, gradient in grads_of(solution.vjp(**weights))._asdict().items():
        np.testing.assert_array_equal(gradient[failed], 0.0, err_msg=name)
    np.testing.assert_array_equal(solution.jvp(p=np.ones((8, 4))).x[failed], 0.0)


def test_no_other_element_changes_by_a_bit_in_answer_or_derivative(batch):
    _, weights, reported, solution = batch
    others = np.array([0, 2, 3, 4, 5, 7])
    for name in OUTPUTS:
        left, right = (getattr(s, name)[others] for s in (solution, reported))
        np.testing.assert_array_equal(left, right, err_msg=name)
    left, right = (derivatives(s, weights) for s in (solution, reported))
    assert_same_bits(element(left[0], others), element(right[0], others), Data._fields)
    for name in Answer._fields:
        np.testing.assert_array_equal(
            getattr(left[1], name)[others], getattr(right[1], name)[others], err_msg=name
        )
    np.testing.assert_array_equal(left[2][others], right[2][others])


@pytest.mark.parametrize("i", range(8))
def test_elements_have_the_bits_that_they_have_alone(batch, i):
    data, weights, _, solution = batch
    alone = closest(element(data, i))
    for name in (*OUTPUTS, "shift_h", "shift_b", "shift_lb", "shift_ub"):
        left, right = getattr(alone, name), getattr(solution, name)[i]
        np.testing.assert_array_equal(left, right, err_msg=name)
    whole = grads_of(solution.vjp(**weights))
    own = grads_of(alone.vjp(**{name: w[i] for name, w in weights.items()}))
    assert_same_bits(own, element(whole, i), Data._fields)


def test_a_limit_that_no_shift_meets_stays_infeasible():
    data = known(np.random.default_rng(192), SMALL, batch=(2,)).data
    data.h[0, 0] = -np.inf
    solution = closest(data)
    np.testing.assert_array_equal(solution.status, [Status.PRIMAL_INFEASIBLE, Status.SOLVED])
    assert np.all(np.isnan(solution.x[0]))
    grads = grads_of(solution.vjp(np.ones((2, 4))))
    for name, gradient in grads._asdict().items():
        np.testing.assert_array_equal(gradient[0], 0.0, err_msg=name)
    assert np.any(grads.p[1] != 0.0)


def test_a_closest_problem_can_be_unbounded():
    """x0 <= -1 and x0 >= 1, and x1 falls for ever."""
    G, h = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([-1.0, -1.0])
    solution = closest(Data(np.zeros((2, 2)), np.array([0.0, 1.0]), G, h))
    assert solution.status == Status.DUAL_INFEASIBLE
    np.testing.assert_array_equal(solution.vjp(np.ones(2)).h, np.zeros(2))


def test_what_is_solved_is_the_shifted_problem():
    """Multipliers and objective are those of the shifted problem: it is stationary at x."""
    data = conflicting(np.random.default_rng(193), SMALL)
    found = closest(data)
    force = data.G.T @ found.lam + data.A.T @ found.nu - found.lam_lb + found.lam_ub
    assert_near(data.Q @ found.x + data.p + force, np.zeros(4), ANSWER, "stationarity")
    assert_near(found.objective, found.x @ data.Q @ found.x / 2 + data.p @ found.x, ANSWER)
    slack = data.h + found.shift_h - data.G @ found.x
    assert_near(found.s, slack, ANSWER, "s")
    assert_near(found.lam * slack, np.zeros(6), ANSWER, "complementarity")


def test_certificates_are_those_of_the_problem_as_it_was_given(batch):
    _, _, reported, solution = batch
    left, right = reported.certificate(), solution.certificate()
    for name in ("x", "lam", "nu", "lam_lb", "lam_ub"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
    assert np.all(np.isfinite(right.lam[[1, 6]]))


def test_shifted_elements_are_not_trusted_and_the_others_as_before(batch):
    _, _, reported, solution = batch
    left, right = reported.diagnostics(), solution.diagnostics()
    np.testing.assert_array_equal(left.trustworthy, right.trustworthy)
    np.testing.assert_array_equal(right.trustworthy, [1, 0, 1, 0, 0, 0, 0, 1])


def test_single_precision_is_the_closest_problem_in_single_precision():
    single = Data(*(a.astype(np.float32) for a in conflicting(np.random.default_rng(194), SMALL)))
    found, exact = closest(single), closest(Data(*(a.astype(np.float64) for a in single)))
    assert found.x.dtype == found.shift_b.dtype == np.float32
    assert_near(found.x, exact.x, SINGLE_ANSWER, "x")
    grads, expected = found.vjp(np.ones(4, np.float32)), exact.vjp(np.ones(4))
    for name in Data._fields:
        assert getattr(grads, name).dtype == np.float32, name
        assert_near(getattr(grads, name), getattr(expected, name), SINGLE_ANSWER, name)
