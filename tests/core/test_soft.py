"""Soft rows: the answer is that of the problem with its violations written out as variables."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import assert_near, assert_same_bits, element
from tests.problems import FULL, Answer, Data, Sizes, known
from tests.soft import (
    FLOATS,
    INPUTS,
    SIDES,
    VIOLATIONS,
    assert_same_alone,
    cotangents,
    gradients,
    outputs,
    soft_problem,
    written,
)
from tests.tolerances import ANSWER, DENSE_REFERENCE, SINGLE_ANSWER

CHOICES = [("h",), ("b",), ("lb",), ("ub",), ("h", "b"), SIDES]
by_choice = pytest.mark.parametrize("sides", CHOICES, ids="+".join)


def rng(seed=0):
    return np.random.default_rng(7300 + seed)


def some_hard(prices, seed=1):
    """The prices with about a third of them infinite, others in each element."""
    draw = rng(seed)
    return {
        v: np.where(draw.uniform(size=np.shape(w)) < 0.35, np.inf, w) for v, w in prices.items()
    }


@by_choice
@pytest.mark.parametrize("mixed", [False, True], ids=["soft", "some hard"])
def test_outputs_and_gradients_are_those_of_the_problem_written_by_hand(sides, mixed):
    for seed in range(4):
        data, prices = soft_problem(rng(seed), sides)
        prices = some_hard(prices, seed) if mixed else prices
        by_hand = written(data, prices)
        reference = kktdiff.solve_qp(*by_hand.data, tol=1e-12, on_failure="ignore")
        solution = kktdiff.solve_qp(*data, soft=prices, on_failure="ignore")
        assert solution.status == reference.status
        if not solution.solved:  # limits pushed in and hard
            assert mixed
            continue
        for name, value in outputs(by_hand, reference, data).items():
            own = getattr(solution, name)
            assert_near(value * 0 if own is None else own, value, DENSE_REFERENCE, name)
        g = cotangents(rng(seed), solution)
        grads = solution.vjp(**g)
        for name, value in gradients(by_hand, g, data, prices).items():
            assert_near(getattr(grads, name), value, DENSE_REFERENCE, name)


def test_violations_are_those_of_x_and_the_objective_has_their_price():
    data, prices = soft_problem(rng(), batch=(5,))
    solution = kktdiff.solve_qp(*data, soft=prices)
    x = solution.x[..., None]
    rows, equal = (data.G @ x)[..., 0] - data.h, (data.A @ x)[..., 0] - data.b
    assert_near(solution.violation_h, np.maximum(rows, 0), ANSWER, "h")
    assert_near(solution.violation_b, equal, ANSWER, "b")
    assert_near(solution.violation_lb, np.maximum(data.lb - solution.x, 0), ANSWER, "lb")
    assert_near(solution.violation_ub, np.maximum(solution.x - data.ub, 0), ANSWER, "ub")
    paid = sum(np.sum(prices[v] * abs(getattr(solution, f"violation_{v}")), -1) for v in SIDES)
    own = (solution.x * ((data.Q @ x)[..., 0] / 2 + data.p)).sum(-1)
    assert_near(solution.objective, own + paid, ANSWER, "objective")
    assert all(np.any(getattr(solution, name) != 0) for name in VIOLATIONS)


def test_multipliers_are_at_most_the_price_and_equal_to_it_where_a_row_is_violated():
    data, prices = soft_problem(rng(), batch=(5,))
    solution = kktdiff.solve_qp(*data, soft=prices)
    for side, name in (("h", "lam"), ("b", "nu"), ("lb", "lam_lb"), ("ub", "lam_ub")):
        multiplier, violation = getattr(solution, name), getattr(solution, f"violation_{side}")
        assert np.all(abs(multiplier) <= prices[side] * (1 + ANSWER)), name
        off = violation != 0
        assert off.any()
        assert_near(multiplier[off], (np.sign(violation) * prices[side])[off], ANSWER, name)


def test_a_price_above_the_multipliers_changes_nothing():
    """The penalty is exact: no violation is worth more than the largest multiplier."""
    data, answer = known(rng(), FULL, batch=(4,))
    solution = kktdiff.solve_qp(*data, soft={"h": 3.0, "b": 50.0, "lb": 3.0, "ub": 3.0})
    for name in Answer._fields:
        assert_near(getattr(solution, name), getattr(answer, name), ANSWER, name)
    for name in VIOLATIONS:
        np.testing.assert_array_equal(getattr(solution, name), 0.0, err_msg=name)


def test_one_number_is_the_price_of_all_rows():
    data, _ = soft_problem(rng(), batch=(3,))
    whole = kktdiff.solve_qp(*data, soft={"h": np.full(7, 0.8), "ub": np.full((3, 6), 1.5)})
    for one in (0.8, np.asarray(0.8)):
        solution = kktdiff.solve_qp(*data, soft={"h": one, "ub": 1.5, "lb": None})
        assert_same_bits(solution, whole, FLOATS)
        grads, all_grads = (v.vjp(x=np.ones((3, 6))) for v in (solution, whole))
        assert set(grads.soft) == {"h", "ub"}
        assert grads.soft["h"].shape == ()
        assert_near(grads.soft["h"], np.sum(all_grads.soft["h"]), DENSE_REFERENCE, "h")
        assert_near(grads.soft["ub"], np.sum(all_grads.soft["ub"]), DENSE_REFERENCE, "ub")


def test_infinite_prices_are_hard_rows_to_the_bit():
    data, _ = known(rng(), FULL, batch=(3,))
    solution = kktdiff.solve_qp(*data, soft={"h": np.inf, "b": np.full(2, np.inf), "ub": 1e20})
    assert_same_bits(solution, kktdiff.solve_qp(*data), Answer._fields)
    np.testing.assert_array_equal(solution.violation_h, np.zeros((3, 7)))
    np.testing.assert_array_equal(solution.vjp(x=solution.x).soft["b"], np.zeros(2))


def test_an_element_has_the_bits_that_it_has_alone():
    """Whatever rows are soft, absent or fixed in the others."""
    data, prices = soft_problem(rng(2), batch=(6,))
    prices = some_hard(prices)
    data.h[1, :3], data.ub[2], data.lb[3, 1:] = np.inf, 1e20, -np.inf
    data.ub[4, 2] = data.lb[4, 2]
    solution = kktdiff.solve_qp(*data, soft=prices)
    g = cotangents(rng(), solution)
    grads = solution.vjp(**g)
    for i in range(6):
        assert_same_alone(i, data, prices, solution, g, grads)


def test_shared_prices_have_the_sum_of_the_gradients():
    data, prices = soft_problem(rng(3), batch=(2, 3))
    shared = {v: w[0, 0] for v, w in prices.items()} | {"lb": prices["lb"][:, :1]}
    own = {v: np.broadcast_to(w, prices[v].shape) for v, w in shared.items()}
    solution, each = (kktdiff.solve_qp(*data, soft=v) for v in (shared, own))
    assert_same_bits(solution, each, FLOATS)
    g = cotangents(rng(), solution)
    grads, sums = solution.vjp(**g).soft, each.vjp(**g).soft
    assert_near(grads["lb"], sums["lb"].sum(1, keepdims=True), DENSE_REFERENCE, "lb")
    for v in ("h", "b", "ub"):
        assert_near(grads[v], sums[v].sum((0, 1)), DENSE_REFERENCE, v)


def test_prices_may_have_batch_dimensions_that_the_data_do_not_have():
    data, prices = soft_problem(rng(4), batch=(5,))
    one = element(data, 0)
    solution = kktdiff.solve_qp(*one, soft={"h": prices["h"], "b": 1.0, "lb": 1.0, "ub": 1.0})
    assert solution.x.shape == (5, 6)
    assert solution.vjp(x=solution.x).Q.shape == (6, 6)


@pytest.mark.parametrize("decade", range(-3, 10))
@by_choice
def test_prices_of_any_size_are_solved(sides, decade):
    data, prices = soft_problem(rng(decade), sides, batch=(10,))
    unit = 10.0**decade
    solution = kktdiff.solve_qp(*data, soft={v: unit * w for v, w in prices.items()})
    np.testing.assert_array_equal(solution.status, Status.SOLVED)


def test_prices_of_many_sizes_in_one_problem_are_solved():
    data, prices = soft_problem(rng(5), batch=(50,))
    draw = rng(6)
    prices = {v: w * 10.0 ** draw.uniform(-3, 9, size=w.shape) for v, w in prices.items()}
    assert np.all(kktdiff.solve_qp(*data, soft=prices).status == Status.SOLVED)


def test_on_every_array_type(namespace):
    sizes = Sizes(n=3, m=3, k=1, lower=True, upper=True)
    data, prices = soft_problem(rng(7), batch=(2,), sizes=sizes)
    prices = some_hard(prices)
    reference = kktdiff.solve_qp(*data, soft=prices)
    own = {v: namespace.asarray(w) for v, w in prices.items()}
    solution = kktdiff.solve_qp(*namespace.data(data), soft=own)
    for name in FLOATS:
        value = namespace.to_numpy(getattr(solution, name))
        assert_near(value, getattr(reference, name), ANSWER, name)
    ones = np.ones((2, 3))
    grads = solution.vjp(violation_h=namespace.asarray(ones)).soft
    for side, value in reference.vjp(violation_h=ones).soft.items():
        assert_near(namespace.to_numpy(grads[side]), value, ANSWER, side)
    one = kktdiff.solve_qp(*namespace.data(data), soft={"h": 2.0, "lb": 1, "b": 3.0, "ub": 1.0})
    assert namespace.to_numpy(one.vjp(x=one.x).soft["h"]).shape == ()


def test_float32_comes_back_as_float32():
    data, prices = soft_problem(rng(8), batch=(3,))
    reference = kktdiff.solve_qp(*data, soft=prices)
    small = {v: w.astype(np.float32) for v, w in prices.items()}
    single = Data(*(a.astype(np.float32) for a in data))
    solution = kktdiff.solve_qp(*single, soft=small | {"h": 0.8})
    assert solution.violation_h.dtype == np.float32
    solution = kktdiff.solve_qp(*single, soft=small)
    for name in FLOATS:
        assert getattr(solution, name).dtype == np.float32
        assert_near(getattr(solution, name), getattr(reference, name), SINGLE_ANSWER, name)
    assert solution.vjp(x=solution.x).soft["b"].dtype == np.float32


@pytest.mark.parametrize("prices", [{"h": 1.0}, {"h": np.ones((0, 7)), "lb": np.ones(6)}], ids=str)
def test_an_empty_batch_has_empty_results(prices):
    data = Data(*(a[:0] for a in soft_problem(rng(), batch=(1,))[0]))
    solution = kktdiff.solve_qp(*data, soft=prices)
    assert (solution.x.shape, solution.violation_h.shape) == ((0, 6), (0, 7))
    grads = solution.vjp(x=solution.x, violation_h=solution.violation_h)
    np.testing.assert_array_equal(grads.soft["h"], np.zeros(np.shape(prices["h"])))
    assert solution.jvp(soft={"h": np.ones(np.shape(prices["h"]))}).lam.shape == (0, 7)
    assert solution.jacobian(of="violation_h", wrt="soft_h").shape == (0, 7, 7)


def test_results_hold_no_memory_of_the_variables_that_are_not_given():
    data, prices = soft_problem(rng(9), batch=(3,))
    solution = kktdiff.solve_qp(*data, soft=prices)
    grads, t = solution.vjp(x=solution.x), solution.jvp(p=data.p)
    vectors = [v for v in FLOATS if v != "objective"]
    found = [getattr(record, v) for record in (solution, t) for v in vectors]
    found += [getattr(grads, v) for v in INPUTS] + [solution.jacobian(of="lam", wrt="h")]
    for array in found:
        assert array.flags.c_contiguous
        assert array.base is None or array.base.size == array.size


def test_without_inequalities_only_equalities_are_soft():
    data, prices = soft_problem(rng(), ("b",), sizes=Sizes(n=4, k=2))
    solution = kktdiff.solve_qp(*data, soft=prices)
    x = np.linalg.solve(data.Q, -data.p - data.A.T @ solution.nu)
    assert_near(solution.x, x, ANSWER, "x")
    assert_near(solution.violation_b, data.A @ x - data.b, ANSWER, "b")
    assert (solution.lam_lb == 0).all()


@pytest.mark.parametrize("k", [0, 2])
def test_equalities_of_infinite_prices_alone_are_hard(k):
    data, _ = soft_problem(rng(), ("b",), sizes=Sizes(n=4, k=2))
    data = data._replace(A=data.A[:k], b=data.b[:k])
    hard, soft = kktdiff.solve_qp(*data), kktdiff.solve_qp(*data, soft={"b": np.full(k, np.inf)})
    np.testing.assert_array_equal(soft.violation_b, np.zeros(k))
    assert_near(soft.x, hard.x, ANSWER, "x")
    assert_near(soft.jvp(p=data.p).x, hard.jvp(p=data.p).x, ANSWER, "jvp")
    assert_near(soft.vjp(x=data.p).p, hard.vjp(x=data.p).p, ANSWER, "vjp")
    np.testing.assert_array_equal(soft.vjp(x=data.p).soft["b"], np.zeros(k))
    assert soft.diagnostics().trustworthy
