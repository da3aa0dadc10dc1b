"""Soft rows: derivatives of all outputs in all inputs, prices too, in every mode and order."""

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_near, element
from tests.core.test_soft import some_hard
from tests.problems import Answer, Data, Sizes
from tests.reference import CENTRAL, STEP, weighted
from tests.soft import FLOATS, SIDES, cotangents, direction, soft_problem, written
from tests.tolerances import ADJOINT, DENSE_REFERENCE, DIFFERENCE, LEAST_SQUARES, SMOOTHED

INPUTS = (*Data._fields, *(f"soft_{side}" for side in SIDES))
SMALL = Sizes(n=4, m=5, k=2, lower=True, upper=True)
TIGHT = 1e-12  # the differences divide what is left of the solver's error by their step


def rng(seed=0):
    return np.random.default_rng(7400 + seed)


@pytest.fixture(scope="module", params=[False, True], ids=["soft", "some hard"])
def case(request):
    """(data, prices, solution, a direction of the inputs, cotangents), away from kinks."""
    data, prices = soft_problem(rng(), batch=(4,), sizes=SMALL)
    prices = some_hard(prices) if request.param else prices
    solution = kktdiff.solve_qp(*data, soft=prices, tol=TIGHT)
    assert solution.diagnostics().trustworthy.all(), "a kink is near"
    return data, prices, solution, direction(rng(1), data, prices), cotangents(rng(2), solution)


def moved(data, prices, d, step):
    """The solution of the problem moved by step along a direction."""
    own = data._replace(**{v: getattr(data, v) + step * d[v] for v in Data._fields})
    soft = {v: w + step * d["soft"][v] for v, w in prices.items()}
    return kktdiff.solve_qp(*own, soft=soft, tol=TIGHT)


def difference(data, prices, d, read):
    """Fourth-order differences of what `read` gives of the solution, by name."""
    found = [read(moved(data, prices, d, place * STEP)) for place in CENTRAL]
    return {v: weighted(CENTRAL, [one[v] for one in found], STEP) for v in found[0]}


def fields(record, names=FLOATS):
    return {v: getattr(record, v) for v in names}


def assert_all_near(record, expected, tol):
    for name, value in expected.items():
        assert_near(getattr(record, name), value, tol, name)


def test_forward_mode_against_differences(case):
    data, prices, solution, d, _ = case
    assert_all_near(solution.jvp(**d), difference(data, prices, d, fields), DIFFERENCE)


def test_reverse_mode_is_the_adjoint_of_forward_mode(case):
    _, _, solution, d, g = case
    t, grads = solution.jvp(**d), solution.vjp(**g)
    flat = d | {f"soft_{side}": v for side, v in d["soft"].items()}
    forward = sum(np.sum(g[v] * getattr(t, v)) for v in FLOATS)
    backward = sum(np.sum(flat[v] * getattr(grads, v)) for v in INPUTS)
    assert abs(forward - backward) <= ADJOINT * (1 + abs(forward))


def test_the_jacobian_has_the_gradient_of_every_output_in_every_input(case):
    data, prices, solution, _, g = case
    i = 1
    own = {v: w[i] for v, w in prices.items()}
    alone = kktdiff.solve_qp(*element(data, i), soft=own, tol=TIGHT)
    for of in FLOATS:
        weight = g[of][i]
        grads = alone.vjp(**{of: weight})
        for wrt in INPUTS:
            J = alone.jacobian(of=of, wrt=wrt)
            total = np.tensordot(weight, J, axes=weight.ndim)
            assert_near(total, getattr(grads, wrt), DENSE_REFERENCE, f"{of} by {wrt}")
            if of in ("violation_b", "lam_ub"):
                batched = solution.jacobian(of=of, wrt=wrt)[i]
                assert_near(batched, J, DENSE_REFERENCE, f"{of} by {wrt}, batched")


def test_second_order_reverse_against_differences(case):
    data, prices, solution, d, g = case
    expected = difference(data, prices, d, lambda s: fields(s.vjp(**g), INPUTS))
    assert_all_near(solution.hvp(g, d), expected, DIFFERENCE)


def test_second_order_forward_against_differences(case):
    data, prices, solution, d, _ = case
    e = direction(rng(3), data, prices)
    expected = difference(data, prices, e, lambda s: fields(s.jvp(**d)))
    assert_all_near(solution.second_jvp(d, e), expected, DIFFERENCE)


def test_flat_names_of_prices_are_taken_too(case):
    _, _, solution, d, g = case
    flat = {v: w for v, w in d.items() if v != "soft"}
    flat |= {f"soft_{side}": w for side, w in d["soft"].items()}
    grads = solution.hvp(g, flat)
    assert_all_near(grads, fields(solution.hvp(g, d), INPUTS), 0.0)


def test_the_optimal_value_moves_by_the_violation_for_a_unit_of_the_price(case):
    _, _, solution, _, _ = case
    grads = solution.vjp(objective=np.ones(4)).soft
    for side in SIDES:
        assert_near(grads[side], abs(getattr(solution, f"violation_{side}")), DENSE_REFERENCE, side)


def test_only_what_is_wanted_is_given(case):
    _, _, solution, _, g = case
    whole, some = solution.vjp(**g), solution.vjp(**g, wrt=("lb", "soft_b"))
    for name in ("lb", "soft_b"):
        np.testing.assert_array_equal(getattr(some, name), getattr(whole, name))
    assert all(getattr(some, v) is None for v in INPUTS if v not in ("lb", "soft_b"))
    plain = kktdiff.solve_qp(np.eye(2), np.ones(2))
    assert plain.vjp(np.ones(2), wrt=("p", "soft_h")).soft == {}


def test_least_squares_gradients_are_the_same_where_the_solution_is_unique(case):
    _, _, solution, _, g = case
    exact, least = solution.vjp(**g), solution.vjp(**g, gradient="least_squares")
    assert_all_near(least, fields(exact, INPUTS), LEAST_SQUARES)


def test_smoothed_gradients_are_those_of_the_problem_written_by_hand():
    data, prices = soft_problem(rng(5), ("h",), sizes=SMALL)
    by_hand = written(data, prices)
    reference = kktdiff.solve_qp(*by_hand.data)
    solution = kktdiff.solve_qp(*data, soft=prices)
    how = {"gradient": "smoothed", "smoothing": 1e-2}
    expected = reference.vjp(x=np.append(np.ones(4), np.zeros(5)), **how)
    grads = solution.vjp(x=np.ones(4), **how)
    assert_near(grads.soft["h"], expected.p[4:], SMOOTHED, "h")
    assert_near(grads.p, expected.p[:4], SMOOTHED, "p")


def test_one_price_for_all_moves_as_one():
    data, _ = soft_problem(rng(6), ("h",), batch=(3,), sizes=SMALL)
    one, whole = (kktdiff.solve_qp(*data, soft={"h": w}) for w in (0.7, np.full(5, 0.7)))
    t, each = one.jvp(soft={"h": np.asarray(2.0)}), whole.jvp(soft={"h": np.full(5, 2.0)})
    for name in (*Answer._fields, "violation_h"):
        assert_near(getattr(t, name), getattr(each, name), DENSE_REFERENCE, name)
    assert t.violation_b is None
    J = one.jacobian(of="x", wrt="soft_h")
    assert_near(J.sum(-1) * 2, t.x, DENSE_REFERENCE, "by all rows")
