"""Rows and bounds of a special kind: fixed, infinite, zero, redundant, absent."""

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_answer, assert_finite, assert_near
from tests.problems import FULL, Sizes, known
from tests.tolerances import ANSWER, HAND_DERIVATIVE


def spread(problem, rows):
    """The problem with rows of zeros' worth of room: new rows of G at the given places."""
    data, answer = problem
    G = np.insert(data.G, rows, np.ones(data.p.shape), axis=0)
    return data._replace(G=G), answer._replace(lam=np.insert(answer.lam, rows, 0.0))


@pytest.mark.parametrize("infinite", [np.inf, 1e20, 3e25])
def test_rows_without_a_limit_are_absent_and_their_multiplier_is_exactly_zero(infinite):
    data, answer = spread(known(np.random.default_rng(30), FULL), [0, 4, 7])
    h = np.insert(data.h, [0, 4, 7], infinite)
    solution = kktdiff.solve_qp(*data._replace(h=h))
    assert_near(solution.x, answer.x, ANSWER, "x")
    assert_near(solution.lam, answer.lam, ANSWER, "lam")
    np.testing.assert_array_equal(solution.lam[h >= 1e20], 0.0)


@pytest.mark.parametrize("infinite", [np.inf, 1e20, 3e25])
def test_rows_without_a_limit_have_gradients_of_exactly_zero(infinite):
    data, _ = spread(known(np.random.default_rng(31), FULL), [0, 4, 7])
    h = np.insert(data.h, [0, 4, 7], infinite)
    solution = kktdiff.solve_qp(*data._replace(h=h))
    grads = solution.vjp(np.ones(6), lam=np.ones(10))
    np.testing.assert_array_equal(grads.h[h >= 1e20], 0.0)
    np.testing.assert_array_equal(grads.G[h >= 1e20], 0.0)
    assert np.all(np.isfinite(grads.G))
    assert np.all(grads.h[solution.lam > 0.1] != 0.0)


@pytest.mark.parametrize("infinite", [np.inf, 1e20, 3e25])
def test_infinite_bounds_are_absent_and_their_multipliers_exactly_zero(infinite):
    data, answer = known(np.random.default_rng(32), FULL)
    lb = np.where(answer.lam_lb > 0, data.lb, -infinite)
    ub = np.where(answer.lam_ub > 0, data.ub, infinite)
    solution = kktdiff.solve_qp(*data._replace(lb=lb, ub=ub))
    assert_answer(solution, answer, ANSWER)
    np.testing.assert_array_equal(solution.lam_lb[lb <= -1e20], 0.0)
    np.testing.assert_array_equal(solution.lam_ub[ub >= 1e20], 0.0)


def test_infinite_bounds_have_gradients_of_exactly_zero():
    data, answer = known(np.random.default_rng(33), FULL)
    lb = np.where(answer.lam_lb > 0, data.lb, -np.inf)
    ub = np.where(answer.lam_ub > 0, data.ub, np.inf)
    solution = kktdiff.solve_qp(*data._replace(lb=lb, ub=ub))
    grads = solution.vjp(np.ones(6), lam_lb=np.ones(6), lam_ub=np.ones(6))
    np.testing.assert_array_equal(grads.lb[np.isinf(lb)], 0.0)
    np.testing.assert_array_equal(grads.ub[np.isinf(ub)], 0.0)
    assert np.all(np.isfinite(grads.Q))


def test_bounds_infinite_throughout_are_no_bounds_at_all():
    sizes = Sizes(n=5, m=6, k=1)
    data, answer = known(np.random.default_rng(34), sizes)
    free = data._replace(lb=np.full(5, -np.inf), ub=np.full(5, np.inf))
    assert_answer(kktdiff.solve_qp(*free), answer, ANSWER)


def test_fixed_variables_are_equalities():
    """min (x0-3)^2/2 + (x1-5)^2/2 with x0 fixed at 1: x = (1, 5), the fixing force is 2."""
    fixed, wide = np.array([1.0, -9.0]), np.array([1.0, 9.0])
    solution = kktdiff.solve_qp(np.eye(2), np.array([-3.0, -5.0]), lb=fixed, ub=wide)
    assert solution.status == kktdiff.Status.SOLVED
    assert_near(solution.x, np.array([1.0, 5.0]), ANSWER, "x")
    assert_near(solution.lam_ub - solution.lam_lb, np.array([2.0, 0.0]), ANSWER, "force")
    assert np.all(solution.lam_lb >= 0)
    assert np.all(solution.lam_ub >= 0)


@pytest.mark.parametrize("seed", range(4))
def test_fixed_variables_stay_where_they_are_on_hard_problems_too(seed):
    """A linear program with next to no interior, in units that differ: the last resort."""
    rng = np.random.default_rng(seed)
    x, A = rng.normal(size=6), rng.normal(size=(2, 6))
    units = 10.0 ** rng.uniform(-4, 4, size=6)
    lb, ub = x - 1e-9 * rng.uniform(size=6), x + 1
    lb[:2] = ub[:2] = x[:2]
    solution = kktdiff.solve_qp(
        np.zeros((6, 6)),
        rng.normal(size=6) / units,
        A=A / units,
        b=A @ x,
        lb=lb * units,
        ub=ub * units,
    )
    assert solution.solved
    np.testing.assert_array_equal(solution.x[:2], lb[:2] * units[:2])


def test_a_warm_start_moves_fixed_variables_to_their_new_values():
    Q, p = np.eye(2), np.ones(2)
    first = kktdiff.solve_qp(Q, p, lb=np.array([0.5, 0.0]), ub=np.array([0.5, 1.0]))
    second = kktdiff.solve_qp(
        Q, p, lb=np.array([0.7, 0.0]), ub=np.array([0.7, 1.0]), warm_start=first
    )
    assert second.solved
    np.testing.assert_array_equal(second.x, [0.7, 0.0])


def test_moving_a_fixed_variable_moves_x_with_it():
    """x0 = lb0 = ub0: the gradients of lb and ub together carry dx0 = 1."""
    fixed, wide = np.array([1.0, -9.0]), np.array([1.0, 9.0])
    Q = np.array([[2.0, 1.0], [1.0, 2.0]])
    solution = kktdiff.solve_qp(Q, np.array([-3.0, -5.0]), lb=fixed, ub=wide)
    grads = solution.vjp(np.array([0.0, 1.0]))
    assert_near(grads.lb[0] + grads.ub[0], -0.5, HAND_DERIVATIVE, "dx1/dx0 = -Q10 / Q11")
    moved = solution.jvp(lb=np.array([1.0, 0.0]), ub=np.array([1.0, 0.0]))
    assert_near(moved.x, np.array([1.0, -0.5]), HAND_DERIVATIVE, "x")


def test_the_objective_falls_with_the_force_on_a_fixed_variable():
    """df/dx0 = Q00 x0 + p0 = -2 at x0 = 1; the force lam_ub - lam_lb = -Q00 x0 - p0 falls too."""
    fixed, wide = np.array([1.0, -9.0]), np.array([1.0, 9.0])
    solution = kktdiff.solve_qp(np.eye(2), np.array([-3.0, -5.0]), lb=fixed, ub=wide)
    grads = solution.vjp(objective=np.ones(()))
    assert_near(grads.lb + grads.ub, np.array([-2.0, 0.0]), HAND_DERIVATIVE, "lb + ub")
    both = {"lb": np.array([1.0, 0.0]), "ub": np.array([1.0, 0.0])}
    assert_near(solution.jvp(**both).objective, -2.0, HAND_DERIVATIVE, "objective")
    for direction in (both, {"p": np.array([1.0, 0.0])}):
        moved = solution.jvp(**direction)
        force = moved.lam_ub - moved.lam_lb
        assert_near(force, np.array([-1.0, 0.0]), HAND_DERIVATIVE, "force")


def test_no_constraints_at_all_is_a_linear_system():
    data, _ = known(np.random.default_rng(35), Sizes(n=4), batch=(3,))
    solution = kktdiff.solve_qp(data.Q, data.p)
    expected = -np.linalg.solve(data.Q, data.p[..., None])[..., 0]
    assert_near(solution.x, expected, ANSWER, "x")
    assert solution.lam.shape == solution.s.shape == solution.nu.shape == (3, 0)
    np.testing.assert_array_equal(solution.lam_lb, np.zeros((3, 4)))


def test_empty_blocks_are_absent_blocks():
    data, answer = known(np.random.default_rng(36), Sizes(n=4))
    none = np.zeros((0, 4)), np.zeros(0)
    assert_answer(kktdiff.solve_qp(data.Q, data.p, *none, *none), answer, ANSWER)


def test_a_zero_row_that_allows_everything_changes_nothing():
    problem = known(np.random.default_rng(37), FULL)
    data, answer = problem
    G, h = np.vstack([data.G, np.zeros(6)]), np.append(data.h, 1.0)
    solution = kktdiff.solve_qp(*data._replace(G=G, h=h))
    assert_near(solution.x, answer.x, ANSWER, "x")
    assert_near(solution.lam, np.append(answer.lam, 0.0), ANSWER, "lam")


@pytest.mark.parametrize("block", ["G", "A"])
def test_a_zero_row_that_forbids_everything_is_infeasible(block):
    data = known(np.random.default_rng(38), FULL).data
    right = {"G": "h", "A": "b"}[block]
    rows = np.vstack([getattr(data, block), np.zeros(6)])
    limits = np.append(getattr(data, right), -1.0)
    broken = data._replace(**{block: rows, right: limits})
    solution = kktdiff.solve_qp(*broken, on_failure="ignore")
    assert solution.status == kktdiff.Status.PRIMAL_INFEASIBLE
    assert np.all(np.isnan(solution.x))


def test_redundant_equalities_give_x_and_finite_multipliers_and_gradients():
    data, answer = known(np.random.default_rng(39), FULL)
    twice = data._replace(A=np.vstack([data.A, data.A]), b=np.append(data.b, data.b))
    solution = kktdiff.solve_qp(*twice)
    assert solution.solved
    assert_near(solution.x, answer.x, ANSWER, "x")
    assert_near(solution.nu[:2] + solution.nu[2:], answer.nu, ANSWER, "nu")
    assert_finite(solution.vjp(np.ones(6), gradient="least_squares"))


def test_an_empty_interior_is_no_obstacle():
    """Gx <= h and -Gx <= -h: an equality in two rows."""
    data, answer = known(np.random.default_rng(40), Sizes(n=5, k=2))
    pair = np.vstack([data.A, -data.A]), np.append(data.b, -data.b)
    solution = kktdiff.solve_qp(data.Q, data.p, *pair)
    assert solution.solved
    assert_near(solution.x, answer.x, ANSWER, "x")
    assert_near(solution.lam[:2] - solution.lam[2:], answer.nu, ANSWER, "nu")
