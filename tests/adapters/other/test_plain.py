"""The plain adapter: gradient functions for people without an autodiff framework."""

import numpy as np
import pytest

import kktdiff
from kktdiff.adapters import plain
from tests.checks import assert_near, assert_same_bits
from tests.problems import FULL, Data, Sizes, feasible, known, tangent
from tests.tolerances import ADJOINT, ANSWER, HAND_DERIVATIVE, SUM


def named(data):
    return {name: array for name, array in data._asdict().items() if array is not None}


@pytest.fixture(scope="module", params=[FULL, Sizes(n=4), Sizes(n=4, k=2)], ids=lambda s: s.label)
def data(request):
    return known(np.random.default_rng(160), request.param, batch=(3,)).data


def test_vjp_gives_x_and_the_solutions_own_gradients(data):
    arrays = named(data)
    x, pullback = plain.vjp(arrays.pop("Q"), arrays.pop("p"), **arrays)
    solution = kktdiff.solve_qp(*data)
    weight = np.random.default_rng(161).normal(size=x.shape)
    np.testing.assert_array_equal(x, solution.x)
    assert_same_bits(pullback(weight), solution.vjp(weight), Data._fields)


def test_a_pullback_can_be_called_again(data):
    x, pullback = plain.vjp(*data)
    first, second = pullback(np.ones(x.shape)), pullback(2 * np.ones(x.shape))
    assert_near(second.p, 2 * first.p, SUM, "p")
    assert_same_bits(pullback(np.ones(x.shape)), first, Data._fields)


def test_jvp_gives_x_and_its_tangent(data):
    direction = tangent(np.random.default_rng(162), data)
    x, x_dot = plain.jvp(named(data), direction)
    solution = kktdiff.solve_qp(*data)
    np.testing.assert_array_equal(x, solution.x)
    np.testing.assert_array_equal(x_dot, solution.jvp(**direction).x)


def test_jvp_takes_arguments_in_order_as_well(data):
    direction = tangent(np.random.default_rng(167), data)
    ordered = [direction.get(name) for name in Data._fields]
    for left, right in zip(
        plain.jvp(tuple(data), ordered), plain.jvp(named(data), direction), strict=True
    ):
        np.testing.assert_array_equal(left, right)


def test_tangents_left_out_are_zero(data):
    t = tangent(np.random.default_rng(163), data, ["p"])
    zeros = {name: np.zeros(array.shape) for name, array in named(data).items()}
    _, short = plain.jvp(named(data), t)
    _, long = plain.jvp(named(data), zeros | t)
    assert_near(short, long, SUM, "x_dot")


def test_the_two_directions_are_adjoint_on_shared_inputs():
    data = feasible(np.random.default_rng(164), FULL, {"p": (4,), "h": (2, 1)})
    direction = tangent(np.random.default_rng(165), data)
    x, pullback = plain.vjp(*data)
    _, x_dot = plain.jvp(named(data), direction)
    weight = np.random.default_rng(166).normal(size=x.shape)
    grads = pullback(weight)
    forward = np.sum(weight * x_dot)
    backward = sum(np.sum(getattr(grads, name) * t) for name, t in direction.items())
    assert abs(forward - backward) <= ADJOINT * np.linalg.norm(weight) * np.linalg.norm(x_dot)


def test_a_warning_points_at_the_caller_and_not_at_the_adapter():
    with pytest.warns(kktdiff.SolveWarning) as caught:
        plain.vjp(np.eye(1), np.full(1, np.nan))
    assert caught[0].filename == __file__


def test_prices_of_soft_rows_are_arguments_too():
    rows = {"G": np.eye(2), "h": np.array([1.0, -9.0])}
    soft = {"h": np.array([0.5, 2.0])}
    x, pullback = plain.vjp(np.eye(2), np.array([-3.0, 1.0]), **rows, soft=soft)
    assert_near(x, np.array([2.5, -3.0]), ANSWER, "x")
    assert_near(pullback(np.ones(2)).soft["h"], -np.ones(2), HAND_DERIVATIVE, "soft")
    primals = {"Q": np.eye(2), "p": np.array([-3.0, 1.0]), **rows, "soft": soft}
    x, x_dot = plain.jvp(primals, {"soft": {"h": np.array([1.0, 2.0])}})
    assert_near(x_dot, np.array([-1.0, -2.0]), HAND_DERIVATIVE, "x_dot")


def test_more_arrays_than_there_are_arguments_are_refused():
    with pytest.raises(ValueError, match="13 arrays given: expected at most 8"):
        plain.jvp([np.eye(1)] * 13, [])


def test_tensors_are_sent_to_their_adapter():
    torch = pytest.importorskip("torch")
    Q, p = torch.eye(2), torch.ones(2)
    for call in (lambda: plain.vjp(Q, p), lambda: plain.jvp({"Q": np.eye(2), "p": p}, {"p": p})):
        with pytest.raises(TypeError, match=r"is of torch: kktdiff\.adapters\.torch has"):
            call()
