"""Forms of a problem: fixed variables, absent blocks, LPs, singular and asymmetric Q."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import answer_of, assert_answer, assert_finite, assert_near
from tests.problems import FULL, Data, Sizes, known, tangent
from tests.reference import jvp
from tests.robustness.one_bad import solve
from tests.tolerances import ANSWER, DENSE_REFERENCE, HAND_DERIVATIVE, LEAST_SQUARES

# min (x0-3)^2/2 + (x1-5)^2/2 with x0 fixed at 1: x = (1, 5), the fixing force is 2
FIXED, WIDE = np.array([1.0, -9.0]), np.array([1.0, 9.0])
P = np.array([-3.0, -5.0])


def test_equal_bounds_have_the_answer_and_the_gradients_of_equalities():
    data, answer = known(np.random.default_rng(10), Sizes(n=6, m=5))
    lb, ub = np.full(6, -np.inf), np.full(6, np.inf)
    lb[:2] = ub[:2] = answer.x[:2] + 0.1
    bounds = kktdiff.solve_qp(*data._replace(lb=lb, ub=ub))
    rows = kktdiff.solve_qp(*data._replace(A=np.eye(6)[:2], b=lb[:2]))
    assert_near(bounds.x, rows.x, ANSWER, "x")
    assert_near(bounds.lam, rows.lam, ANSWER, "lam")
    assert_near((bounds.lam_ub - bounds.lam_lb)[:2], rows.nu, ANSWER, "force")
    weights = {"x": np.arange(6.0), "lam": np.ones(5), "objective": np.ones(())}
    found, expected = bounds.vjp(**weights), rows.vjp(**weights)
    for name in ("Q", "p", "G", "h"):
        assert_near(getattr(found, name), getattr(expected, name), DENSE_REFERENCE, name)
    assert_near((found.lb + found.ub)[:2], expected.b, DENSE_REFERENCE, "lb + ub")
    np.testing.assert_array_equal((found.lb, found.ub) * np.isinf(lb), 0.0)


def test_the_objective_falls_with_the_force_on_a_fixed_variable():
    """df/dx0 = Q00 x0 + p0 = -2 at x0 = 1; the force lam_ub - lam_lb = -Q00 x0 - p0 falls too."""
    solution = kktdiff.solve_qp(np.eye(2), P, lb=FIXED, ub=WIDE)
    grads = solution.vjp(objective=np.ones(()))
    assert_near(grads.lb + grads.ub, np.array([-2.0, 0.0]), HAND_DERIVATIVE, "lb + ub")
    both = {"lb": np.array([1.0, 0.0]), "ub": np.array([1.0, 0.0])}
    assert_near(solution.jvp(**both).objective, -2.0, HAND_DERIVATIVE, "objective")
    for direction in (both, {"p": np.array([1.0, 0.0])}):
        moved = solution.jvp(**direction)
        force = moved.lam_ub - moved.lam_lb
        assert_near(force, np.array([-1.0, 0.0]), HAND_DERIVATIVE, "force")


@pytest.mark.parametrize("seed", range(4))
def test_fixed_variables_stay_where_they_are_on_hard_problems_too(seed):
    """A linear program with next to no interior, in units that differ: the last resort."""
    rng = np.random.default_rng(seed)
    x, A = rng.normal(size=6), rng.normal(size=(2, 6))
    units = 10.0 ** rng.uniform(-4, 4, size=6)
    lb, ub = x - 1e-9 * rng.uniform(size=6), x + 1
    lb[:2] = ub[:2] = x[:2]
    p = rng.normal(size=6) / units
    solution = kktdiff.solve_qp(
        np.zeros((6, 6)), p, A=A / units, b=A @ x, lb=lb * units, ub=ub * units
    )
    assert solution.solved
    np.testing.assert_array_equal(solution.x[:2], lb[:2] * units[:2])


def test_both_directions_agree_on_a_fixed_variable_with_a_tight_row():
    """x = 1 is fixed, and x <= 1 a row as well: x moves by -1 on a slope of -2."""
    one = np.ones(1)
    solution = kktdiff.solve_qp(np.eye(1), -3 * one, np.eye(1), one, lb=one, ub=one)
    moved = solution.jvp(lb=-one, ub=-one)
    grads = solution.vjp(objective=np.ones(()))
    assert_near(moved.objective, np.asarray(2.0), HAND_DERIVATIVE, "objective")
    assert_near(-grads.lb - grads.ub, 2 * one, HAND_DERIVATIVE, "bounds")


def test_a_warm_start_moves_fixed_variables_to_their_new_values():
    Q, p = np.eye(2), np.ones(2)
    first = kktdiff.solve_qp(Q, p, lb=np.array([0.5, 0.0]), ub=np.array([0.5, 1.0]))
    bounds = {"lb": np.array([0.7, 0.0]), "ub": np.array([0.7, 1.0])}
    second = kktdiff.solve_qp(Q, p, **bounds, warm_start=first)
    assert second.solved
    np.testing.assert_array_equal(second.x, [0.7, 0.0])


def test_no_constraints_at_all_is_a_linear_system():
    data, _ = known(np.random.default_rng(35), Sizes(n=4), batch=(3,))
    solution = kktdiff.solve_qp(data.Q, data.p)
    expected = -np.linalg.solve(data.Q, data.p[..., None])[..., 0]
    assert_near(solution.x, expected, ANSWER, "x")
    assert solution.lam.shape == solution.s.shape == solution.nu.shape == (3, 0)
    np.testing.assert_array_equal(solution.lam_lb, np.zeros((3, 4)))
    assert_near(solution.jacobian("x", "p"), -np.linalg.inv(data.Q), DENSE_REFERENCE, "dx/dp")


def test_empty_blocks_are_absent_blocks():
    data, answer = known(np.random.default_rng(36), Sizes(n=4))
    none = np.zeros((0, 4)), np.zeros(0)
    solution = kktdiff.solve_qp(data.Q, data.p, *none, *none)
    assert_answer(solution, answer, ANSWER)
    assert solution.vjp(np.ones(4)).G.shape == (0, 4)


def test_an_optimum_that_is_not_unique_has_the_least_squares_gradient_and_a_flag():
    """min x0^2/2 - x0 over x in R^2: x1 is free, and its gradient of minimum norm is 0."""
    solution = kktdiff.solve_qp(np.diag([1.0, 0.0]), np.array([-1.0, 0.0]))
    assert solution.status == Status.SOLVED
    assert_near(solution.x[:1], np.ones(1), ANSWER, "x0")
    for mode in ("exact", "least_squares"):
        grads = solution.vjp(np.array([1.0, 1.0]), gradient=mode)
        assert_near(grads.p, np.array([-1.0, 0.0]), LEAST_SQUARES, mode)
    assert not solution.diagnostics().trustworthy
    assert np.isinf(solution.diagnostics().condition)


def test_a_free_direction_between_bounds_has_a_solution_with_finite_gradients():
    """Q = diag(1, 0) and x >= -1: the optimum is a half-line."""
    solution = kktdiff.solve_qp(np.diag([1.0, 0.0]), np.array([-1.0, 0.0]), lb=-np.ones(2))
    assert solution.status == Status.SOLVED
    assert_near(solution.x[:1], np.ones(1), ANSWER, "x0")
    assert not solution.diagnostics().trustworthy
    for mode in ("exact", "least_squares"):
        grads = solution.vjp(np.array([1.0, 0.0]), gradient=mode)
        assert_near(grads.p[:1], -np.ones(1), LEAST_SQUARES, mode)
        assert_finite(grads)


def test_an_edge_of_optima_of_a_linear_program():
    """min x0 + x1 with x0 + x1 >= 1 in the unit cube: f = h, split evenly by the least norm."""
    solution = kktdiff.solve_qp(
        np.zeros((2, 2)), np.ones(2), -np.ones((1, 2)), -np.ones(1), lb=np.zeros(2), ub=np.ones(2)
    )
    assert solution.status == Status.SOLVED
    assert_near(solution.objective, 1.0, ANSWER, "objective")
    assert not solution.diagnostics().trustworthy
    for mode in ("exact", "least_squares"):
        grads = solution.vjp(np.array([1.0, 0.0]), gradient=mode)
        assert_near(grads.h, np.array([-0.5]), LEAST_SQUARES, mode)
        assert_finite(grads)


def nearly_convex(least, size):
    """A dense Q with eigenvalues 1, 1/2, 1/5 and `least`, times `size`; x in the unit cube."""
    rng = np.random.default_rng(15)
    U = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    Q = size * U @ np.diag([1.0, 0.5, 0.2, least]) @ U.T
    return Data(Q, size * rng.normal(size=4), lb=-np.ones(4), ub=np.ones(4))


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("least", [-1e-16, -1e-12, -1e-11])
def test_a_Q_that_is_indefinite_by_rounding_is_solved(least, size):
    solution = solve(nearly_convex(least, size))
    assert solution.status == Status.SOLVED
    assert_near(solution.x, solve(nearly_convex(0.0, size)).x, ANSWER, "x")
    assert_finite(solution.vjp(np.ones(4)))


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("least", [-1.1e-10, -1e-6, -1.0])
def test_a_Q_that_is_indefinite_by_more_is_nonconvex(least, size):
    solution = solve(nearly_convex(least, size))
    assert solution.status == Status.NONCONVEX
    assert np.all(np.isnan(solution.x))
    assert solution.iterations == 0


@pytest.mark.parametrize("curvature", [-2e-10, -1.0])
@pytest.mark.parametrize("coupling", [0.0, 0.5])
@pytest.mark.parametrize("bound", [1.0, np.inf, None])
def test_a_saddle_is_never_called_a_solution(curvature, coupling, bound):
    """At x = 0 the gradient vanishes and every multiplier is 0: only the curvature tells."""
    Q = np.array([[1.0, coupling], [coupling, curvature + coupling**2]])
    limits = {} if bound is None else {"lb": np.full(2, -bound), "ub": np.full(2, bound)}
    solution = kktdiff.solve_qp(Q, np.zeros(2), **limits, on_failure="ignore")
    assert solution.status == Status.NONCONVEX
    assert np.all(np.isnan(solution.x))


@pytest.mark.parametrize(("entry", "expected"), [(-0.9e-10, "SOLVED"), (-1.1e-10, "NONCONVEX")])
def test_the_threshold_is_1e_10_of_the_largest_entry(entry, expected):
    box = {"lb": -np.ones(2), "ub": np.ones(2)}
    Q = 1e3 * np.diag([1.0, entry])
    solution = kktdiff.solve_qp(Q, np.zeros(2), **box, on_failure="ignore")
    assert solution.status == Status[expected]


def test_an_asymmetric_Q_counts_by_its_symmetric_part():
    data, answer = known(np.random.default_rng(16), FULL)
    twist = np.triu(np.random.default_rng(17).normal(size=data.Q.shape), 1)
    twisted = kktdiff.solve_qp(*data._replace(Q=data.Q + twist - twist.T))
    assert_answer(twisted, answer, ANSWER)
    direction = tangent(np.random.default_rng(18), data)
    found = answer_of(twisted.jvp(**direction))
    assert_answer(found, jvp(data, answer, direction), DENSE_REFERENCE)
    assert_near(found.objective, jvp(data, answer, direction).objective, DENSE_REFERENCE, "f")


@pytest.mark.parametrize(("n", "rank"), [(4, 2), (30, 10)])
def test_in_single_precision_a_singular_Q_is_not_called_indefinite(n, rank):
    """The zero eigenvalues of ``UU'`` come out as about -1e-7 of its largest entry."""
    rng = np.random.default_rng(85)
    U, one = rng.normal(size=(20, n, rank)).astype(np.float32), np.ones(n, np.float32)
    p = rng.normal(size=(20, n)).astype(np.float32)
    solution = kktdiff.solve_qp(U @ np.swapaxes(U, 1, 2), p, lb=-one, ub=one)
    np.testing.assert_array_equal(solution.status, [Status.SOLVED] * 20)
