"""Calls with arrays of any type and shape, warm starts, and calls that are interrupted."""

import re
from dataclasses import replace

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import answer_of, assert_answer, assert_near, assert_same_bits, element
from tests.problems import FULL, Answer, Data, Sizes, known
from tests.robustness.one_bad import (
    OUTPUTS,
    assert_same,
    batch_of_five,
    everything,
    solve,
)
from tests.tolerances import ANSWER, SINGLE_ANSWER


@pytest.mark.parametrize("after", [1, 3, 7])
def test_a_solve_that_was_interrupted_leaves_nothing_broken(after):
    data, seen = batch_of_five(30), []
    for array in data:
        array.flags.writeable = False
    before = everything(data)

    def interrupt(row):
        seen.append(row)
        if len(seen) == after:
            raise KeyboardInterrupt

    with np.errstate(divide="raise", over="print", under="warn", invalid="raise"):
        errors = np.geterr()
        with pytest.raises(KeyboardInterrupt):
            kktdiff.solve_qp(*data, verbose=interrupt)
        assert np.geterr() == errors
    assert len(seen) == after
    assert_same(everything(data), before)
    assert_same_bits(batch_of_five(30), data, Data._fields)


def single(data):
    return Data(*(a.astype(np.float32) for a in data))


def test_single_precision_in_single_precision_out():
    data, answer = known(np.random.default_rng(19), FULL, batch=(3,))
    solution = kktdiff.solve_qp(*single(data))
    assert np.all(solution.solved)
    for name in Answer._fields:
        assert getattr(solution, name).dtype == np.float32, name
        assert_near(getattr(solution, name), getattr(answer, name), SINGLE_ANSWER, name)
    for name in ("primal_residual", "dual_residual", "duality_gap"):
        assert getattr(solution, name).dtype == np.float32, name


def test_single_precision_gradients_are_single_precision():
    data, _ = known(np.random.default_rng(99), FULL)
    grads = kktdiff.solve_qp(*single(data)).vjp(np.ones(6, np.float32))
    exact = Data(*(a.astype(np.float64) for a in single(data)))
    expected = kktdiff.solve_qp(*exact).vjp(np.ones(6))
    for name in Data._fields:
        assert getattr(grads, name).dtype == np.float32, name
        assert_near(getattr(grads, name), getattr(expected, name), SINGLE_ANSWER, name)


@pytest.mark.parametrize(("dtype", "tol"), [(np.float32, 1e-5), (np.float64, 1e-8)])
def test_the_default_tolerance_is_that_of_the_dtype(dtype, tol):
    """x <= 0 and x >= 1e-6 as whole numbers of 2^-20 (exact in both): within 1e-5 alone."""
    gap = 2.0**-20
    data = Data(np.eye(1), np.zeros(1), np.array([[1.0], [-1.0]]), np.array([0.0, -gap]))
    data = Data(*(None if a is None else a.astype(dtype) for a in data))
    assert_same(everything(data), everything(data, tol=tol))
    expected = {np.float32: Status.SOLVED, np.float64: Status.ALMOST_SOLVED}[dtype]
    assert solve(data).status == expected


@pytest.mark.parametrize("dtype", ["float16", "bool"])
@pytest.mark.parametrize("name", Data._fields)
def test_what_is_no_float_of_32_or_64_bits_is_refused_by_name(name, dtype):
    data = known(np.random.default_rng(31), FULL).data
    data = data._replace(**{name: getattr(data, name).astype(dtype)})
    with pytest.raises(TypeError, match=rf"(?s)^{name} has dtype {dtype}\b.*float64 or float32"):
        kktdiff.solve_qp(*data)


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8"])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_integers_take_the_dtype_of_the_others(dtype, kind):
    data = known(np.random.default_rng(31), FULL).data
    data = Data(*(a.astype(kind) for a in data))
    whole = np.round(3 * np.abs(data.p)).astype(dtype)
    found, expected = (solve(data._replace(p=p)) for p in (whole, whole.astype(kind)))
    assert found.x.dtype == kind
    np.testing.assert_array_equal(found.x, expected.x)


def test_a_batch_of_any_depth_is_the_flat_batch():
    flat = known(np.random.default_rng(330), FULL, batch=(6,)).data
    expected, expected_grads = everything(flat)
    assert expected.x.shape == (6, 6)
    for batch in [(2, 3), (1, 6), (3, 1, 2)]:
        data = Data(*(a.reshape(*batch, *a.shape[1:]) for a in flat))
        solution, grads = everything(data)
        assert solution.x.shape == (*batch, 6)
        for name in OUTPUTS:
            value = getattr(expected, name)
            value = value.reshape(*batch, *value.shape[1:])
            np.testing.assert_array_equal(getattr(solution, name), value, err_msg=name)
        for gradient, value in zip(grads, expected_grads, strict=True):
            np.testing.assert_array_equal(gradient, value.reshape(gradient.shape))


def test_one_problem_has_no_batch_dimension_and_a_batch_of_one_has():
    data, answer = known(np.random.default_rng(331), FULL)
    solution, grads = everything(data)
    assert_answer(solution, answer, ANSWER)
    assert np.shape(solution.status) == np.shape(solution.objective) == ()
    of_one, grads_of_one = everything(Data(*(a[None] for a in data)))
    assert_same_bits(element(answer_of(of_one), 0), answer_of(solution), Answer._fields)
    assert_same_bits(element(grads_of_one, 0), grads, Data._fields)


def test_a_batch_of_none_has_results_of_none():
    data = known(np.random.default_rng(63), FULL, batch=(1,)).data
    solution = kktdiff.solve_qp(*element(data, slice(0, 0)))
    assert solution.x.shape == (0, 6)
    assert solution.lam.shape == (0, 7)
    assert solution.status.shape == solution.solved.shape == (0,)
    assert solution.vjp(np.zeros((0, 6))).G.shape == (0, 7, 6)
    assert solution.jvp(p=np.zeros((0, 6))).x.shape == (0, 6)


def test_a_batch_of_none_gives_shared_inputs_a_zero_gradient():
    data = known(np.random.default_rng(64), FULL).data
    solution = kktdiff.solve_qp(*data._replace(p=np.zeros((0, 6))))
    np.testing.assert_array_equal(solution.vjp(np.zeros((0, 6))).Q, np.zeros((6, 6)))


ONE_VARIABLE = [
    Sizes(n=1),
    Sizes(n=1, m=1),
    Sizes(n=1, k=1),
    Sizes(n=1, m=3, lower=True, upper=True),
]


@pytest.mark.parametrize("sizes", ONE_VARIABLE, ids=lambda s: s.label)
def test_one_variable_is_enough(sizes):
    problem = known(np.random.default_rng(65), sizes, batch=(4,))
    assert_answer(answer_of(kktdiff.solve_qp(*problem.data)), problem.answer, ANSWER)


@pytest.mark.parametrize("name", Data._fields)
def test_a_wrong_shape_names_its_array(name):
    """More of these: tests/test_errors.py."""
    data = known(np.random.default_rng(332), FULL).data
    wrong = np.zeros((*getattr(data, name).shape[:-1], 5))
    with pytest.raises(ValueError, match=re.escape(f"{name} has shape {wrong.shape}")):
        kktdiff.solve_qp(*data._replace(**{name: wrong}))


@pytest.fixture(scope="module")
def problem():
    return known(np.random.default_rng(170), FULL, batch=(20,))


@pytest.fixture(scope="module")
def cold(problem):
    return kktdiff.solve_qp(*problem.data)


def assert_warm(warm, answer):
    np.testing.assert_array_equal(warm.status, [Status.SOLVED] * 20)
    assert_answer(warm, answer, ANSWER)


def test_a_warm_start_at_the_optimum_gives_the_answer_sooner(problem, cold):
    warm = kktdiff.solve_qp(*problem.data, warm_start=cold)
    assert_warm(warm, problem.answer)
    assert np.all(warm.iterations < cold.iterations)


def test_a_warm_start_from_a_nearby_problem_gives_the_answer_no_slower(problem, cold):
    near = problem.data._replace(p=problem.data.p + 1e-3)
    warm, again = kktdiff.solve_qp(*near, warm_start=cold), kktdiff.solve_qp(*near)
    assert_warm(warm, again)
    assert np.all(warm.iterations <= again.iterations)


def test_a_warm_start_from_another_problem_gives_the_answer_no_slower(problem, cold):
    other = kktdiff.solve_qp(*known(np.random.default_rng(171), FULL, batch=(20,)).data)
    warm = kktdiff.solve_qp(*problem.data, warm_start=other)
    assert_warm(warm, problem.answer)
    assert np.all(warm.iterations <= cold.iterations)


@pytest.mark.parametrize("how", ["invalid", "infeasible", "max_iter"])
def test_a_warm_start_from_a_failure_gives_the_answer_no_slower(problem, cold, how):
    broken = {
        "invalid": {"p": np.full((20, 6), np.nan)},
        "infeasible": {"lb": problem.data.ub, "ub": problem.data.lb},
        "max_iter": {},
    }[how]
    limit = {"max_iter": 0} if how == "max_iter" else {}
    failed = solve(problem.data._replace(**broken), **limit)
    assert not np.any(failed.solved)
    warm = kktdiff.solve_qp(*problem.data, warm_start=failed)
    assert_warm(warm, problem.answer)
    assert np.all(warm.iterations <= cold.iterations)


@pytest.mark.parametrize("name", ["x", "lam", "nu", "lam_lb", "lam_ub"])
def test_a_warm_start_with_a_nan_somewhere_gives_the_answer_no_slower(problem, cold, name):
    value = getattr(cold, name).copy()
    value[:, 1] = np.nan
    warm = kktdiff.solve_qp(*problem.data, warm_start=replace(cold, **{name: value}))
    assert_warm(warm, problem.answer)
    assert np.all(warm.iterations <= cold.iterations)


def test_a_warm_start_of_another_size_is_refused(cold):
    with pytest.raises(ValueError, match="warm_start"):
        kktdiff.solve_qp(np.eye(2), np.zeros(2), warm_start=cold)
