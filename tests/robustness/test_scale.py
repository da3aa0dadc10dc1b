"""Data of any scale, elements that take long, and running out of iterations."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import answer_of, assert_answer, assert_near, element, grads_of, residuals
from tests.problems import FULL, Data, Sizes, known, tangent
from tests.reference import jvp
from tests.robustness.one_bad import BAD, OUTPUTS, assert_isolated, batch_of_five, solve
from tests.robustness.units import Units
from tests.tolerances import (
    ANSWER,
    DENSE_REFERENCE,
    RESIDUAL_ROUNDING,
    SCALED_ANSWER,
    TERM_ROUNDING,
)

SCALARS = ("primal_residual", "dual_residual", "duality_gap")


ONES = Units(np.ones(6), np.ones(7), np.ones(2), 1.0)  # of FULL


@pytest.mark.parametrize("seed", range(3))
def test_variables_across_sixteen_orders_of_magnitude(seed):
    data, answer = known(np.random.default_rng(202 + seed), FULL)
    c = 10.0 ** np.linspace(-8, 8, 6)
    solution = kktdiff.solve_qp(*ONES._replace(u=1 / c).data(data))
    assert solution.status == Status.SOLVED
    assert_near(solution.x * c, answer.x, SCALED_ANSWER, "x")
    assert_near(solution.lam, answer.lam, SCALED_ANSWER, "lam")
    found, expected = solution.vjp(c), kktdiff.solve_qp(*data).vjp(np.ones(6))
    assert_near(found.p * c, expected.p, DENSE_REFERENCE, "p")
    assert_near(found.G * c, expected.G, DENSE_REFERENCE, "G")
    assert_near(found.h, expected.h, DENSE_REFERENCE, "h")
    assert_near(found.lb / c, expected.lb, DENSE_REFERENCE, "lb")


@pytest.mark.parametrize("seed", range(3))
def test_rows_across_sixteen_orders_of_magnitude(seed):
    rng = np.random.default_rng(25 + seed)
    data, answer = known(rng, FULL)
    g, a = rng.permutation(10.0 ** np.linspace(-8, 8, 7)), np.array([1e8, 1e-8])
    solution = kktdiff.solve_qp(*ONES._replace(c=g, e=a).data(data))
    assert solution.status == Status.SOLVED
    assert_near(solution.x, answer.x, SCALED_ANSWER, "x")
    assert_near(solution.lam * g, answer.lam, SCALED_ANSWER, "lam")
    assert_near(solution.nu * a, answer.nu, SCALED_ANSWER, "nu")


@pytest.mark.parametrize("spread", [3, 8])
def test_residuals_are_reported_unscaled(spread):
    """At an iterate that is far from the solution, so that they are no rounding."""
    data = known(np.random.default_rng(251), FULL).data
    units = 10.0 ** np.linspace(-spread, spread, 6)
    g = 10.0 ** np.linspace(spread, -spread, 7)
    scaled = ONES._replace(u=1 / units, c=g).data(data)
    solution = solve(scaled, max_iter=1)
    assert solution.status == Status.MAX_ITER
    for name, value in zip(SCALARS, residuals(scaled, solution), strict=True):
        assert value > 0
        assert_near(getattr(solution, name) / value, 1.0, RESIDUAL_ROUNDING, name)


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
    assert_near(solution.x, answer.x, max(ANSWER, weight * TERM_ROUNDING), "x")
    direction = tangent(rng, data, ["p", "G", "h", "A", "b"])
    rounding = max(DENSE_REFERENCE, weight * TERM_ROUNDING)
    assert_answer(solution.jvp(**direction), jvp(data, answer, direction), rounding)


@pytest.mark.parametrize("size", [0.0, 1e-11, 1e11])
def test_an_objective_of_any_size_is_met(size):
    """min |x|^2/2 with x0 = sqrt(2 size): df/db = x0."""
    A, b = np.array([[1.0, 0.0]]), np.array([np.sqrt(2 * size)])
    for limits in ({}, {"lb": np.full(2, -1e7)}):
        solution = kktdiff.solve_qp(np.eye(2), np.zeros(2), A=A, b=b, **limits)
        assert solution.status == Status.SOLVED
        assert_near(solution.objective, size, SCALED_ANSWER, "objective")
        assert_near(solution.vjp(objective=np.ones(())).b, b, DENSE_REFERENCE, "b")


@pytest.mark.parametrize("size", [1e-5, 1.0, 1e5, 1e6])
def test_a_problem_of_any_size_is_solved(size):
    """x, h, b, lb and ub times `size`: the objective times its square, 1e-10 to 1e12."""
    data, answer = known(np.random.default_rng(260), FULL)
    limits = {name: size * getattr(data, name) for name in ("p", "h", "b", "lb", "ub")}
    solution = kktdiff.solve_qp(*data._replace(**limits))
    assert solution.status == Status.SOLVED
    assert_near(solution.objective / size**2, answer.objective, ANSWER, "objective")
    assert_near(solution.x / size, answer.x, ANSWER, "x")
    assert_near(solution.lam / size, answer.lam, ANSWER, "lam")


@pytest.mark.parametrize("limits", [{}, {"lb": -np.ones(2)}, {"ub": np.zeros(2)}], ids=list)
def test_an_optimum_of_exactly_zero_is_met(limits):
    """min |x|^2/2 at x = 0: every term is 0, and nothing is relative to it."""
    solution = kktdiff.solve_qp(np.eye(2), np.zeros(2), **limits)
    assert solution.status == Status.SOLVED
    assert_near(solution.x, np.zeros(2), ANSWER, "x")
    assert_near(solution.objective, 0.0, ANSWER, "objective")


def test_an_objective_of_zero_everywhere_is_met_at_any_feasible_point():
    data = known(np.random.default_rng(26), FULL).data
    nothing = data._replace(Q=np.zeros((6, 6)), p=np.zeros(6))
    solution = kktdiff.solve_qp(*nothing)
    assert solution.status == Status.SOLVED
    assert solution.objective == 0.0
    assert residuals(nothing, solution)[0] <= ANSWER


@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
def test_a_scaled_objective_scales_the_multipliers_and_moves_nothing(factor):
    data, answer = known(np.random.default_rng(22), FULL)
    solution = kktdiff.solve_qp(*data._replace(Q=factor * data.Q, p=factor * data.p))
    assert_near(solution.x, answer.x, ANSWER, "x")
    for name in ("lam", "nu", "lam_lb", "lam_ub"):
        assert_near(getattr(solution, name) / factor, getattr(answer, name), ANSWER, name)
    found, expected = solution.vjp(np.ones(6)), kktdiff.solve_qp(*data).vjp(np.ones(6))
    for name in Data._fields:
        scale = factor if name in ("Q", "p") else 1.0
        value = scale * getattr(found, name)
        assert_near(value, getattr(expected, name), DENSE_REFERENCE, name)


def test_scaled_rows_leave_x_where_it_is_and_scale_their_gradients():
    """(cG, ch) for (G, h): the same x, and the gradients of G and h divided by c."""
    data, answer = known(np.random.default_rng(23), FULL)
    g, a = 10.0 ** np.linspace(-5, 5, 7), np.array([1e-3, 1e3])
    solution = kktdiff.solve_qp(*ONES._replace(c=g, e=a).data(data))
    assert_near(solution.x, answer.x, ANSWER, "x")
    assert_near(solution.lam * g, answer.lam, ANSWER, "lam")
    assert_near(solution.nu * a, answer.nu, ANSWER, "nu")
    found, expected = solution.vjp(np.ones(6)), kktdiff.solve_qp(*data).vjp(np.ones(6))
    scales = {"G": g[:, None], "h": g, "A": a[:, None], "b": a}
    for name in Data._fields:
        value = getattr(found, name) * scales.get(name, 1.0)
        assert_near(value, getattr(expected, name), DENSE_REFERENCE, name)


def with_a_slow_element():
    """Element 2 is a linear program with next to no interior, in units that differ."""
    sizes = Sizes(n=6, k=2, lower=True, upper=True)
    data = known(np.random.default_rng(28), sizes, batch=(5,)).data
    rng = np.random.default_rng(15)
    x, A, units = rng.normal(size=6), rng.normal(size=(2, 6)), 10.0 ** rng.uniform(-4, 4, size=6)
    data.Q[BAD], data.p[BAD] = 0.0, rng.normal(size=6) / units
    data.A[BAD], data.b[BAD] = A / units, A @ x
    data.lb[BAD], data.ub[BAD] = (x - 1e-9 * rng.uniform(size=6)) * units, (x + 1) * units
    return data


def test_a_slow_element_is_solved_and_changes_no_bit_of_the_others():
    data = with_a_slow_element()
    solution = solve(data)
    others = np.delete(solution.iterations, BAD)
    assert solution.iterations[BAD] > others.max(), "the element must be slower than the others"
    assert solution.status[BAD] == Status.SOLVED
    assert_isolated(data)


def test_an_element_that_runs_out_of_iterations_stops_alone():
    """Its rows contradict each other by a little, which takes longer to prove than a solve."""
    data = batch_of_five(28)
    data.G[BAD, 1], data.h[BAD, 1] = -data.G[BAD, 0], -data.h[BAD, 0] - 0.01
    others = np.delete(np.arange(5), BAD)
    enough = solve(data)
    solution = solve(data, max_iter=int(enough.iterations[others].max()))
    expected = np.where(np.arange(5) == BAD, Status.MAX_ITER, Status.SOLVED)
    np.testing.assert_array_equal(solution.status, expected)
    for name in OUTPUTS:
        found, full = getattr(solution, name)[others], getattr(enough, name)[others]
        np.testing.assert_array_equal(found, full, err_msg=name)


def test_finished_elements_do_not_drift():
    """One is done before the nine others, too few to be taken out; or all are stopped early."""
    data = known(np.random.default_rng(280), FULL, batch=(60,)).data
    order = np.argsort(solve(data).iterations)
    data = element(data, [order[0], *order[-9:]])
    spent = solve(data).iterations
    assert spent[0] < spent[1:].min(), "the first element must be the fastest"
    for limit in (3, 4, 5, 100):
        together = solve(data, max_iter=limit)
        for i in range(10):
            alone = solve(element(data, i), max_iter=limit)
            for name in OUTPUTS:
                found = getattr(together, name)[i]
                np.testing.assert_array_equal(found, getattr(alone, name), err_msg=name)


def test_max_iter_zero_stops_at_once_and_says_so():
    data = known(np.random.default_rng(20), FULL).data
    solution = solve(data, max_iter=0)
    assert solution.status == Status.MAX_ITER
    assert not solution.solved
    assert solution.iterations == 0
    for name, value in answer_of(solution)._asdict().items():
        assert np.all(np.isfinite(value)), name
    for gradient in grads_of(solution.vjp(np.ones(6))):
        np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
def test_max_iter_reports_the_residuals_of_the_iterate_it_returns(limit):
    data = known(np.random.default_rng(21), FULL).data
    solution = solve(data, max_iter=limit)
    assert solution.status == Status.MAX_ITER
    assert solution.iterations == limit
    for name, value in zip(SCALARS, residuals(data, solution), strict=True):
        assert_near(getattr(solution, name), value, RESIDUAL_ROUNDING, name)


def test_the_iterate_returned_is_the_best_and_not_the_last():
    """Two rows contradict each other: the multipliers run off, and with them the gap."""
    data = known(np.random.default_rng(4), Sizes(n=4, m=6, k=1, lower=True)).data
    G, h = np.vstack([data.G, -data.G[:1]]), np.append(data.h, -data.h[0] - 0.1)
    seen = []
    solution = solve(data._replace(G=G, h=h), max_iter=5, verbose=seen.append)
    assert solution.status == Status.MAX_ITER
    found = [getattr(solution, name) for name in SCALARS]
    rows = [[row[name] for name in ("primal", "dual", "gap")] for row in seen]
    assert found in rows
    assert max(row[2] for row in rows) > 2 * found[2]
