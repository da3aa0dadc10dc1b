"""Calls with arrays of any type and shape, warm starts, and calls that are interrupted."""

from dataclasses import replace

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import assert_answer, assert_same_bits, element
from tests.problems import FULL, Data, known
from tests.robustness.one_bad import assert_same, batch_of_five, everything, solve
from tests.tolerances import ANSWER


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


@pytest.mark.parametrize(("dtype", "tol"), [(np.float32, 1e-5), (np.float64, 1e-8)])
def test_the_default_tolerance_is_that_of_the_dtype(dtype, tol):
    """x <= 0 and x >= 1e-6 as whole numbers of 2^-20 (exact in both): within 1e-5 alone."""
    gap = 2.0**-20
    data = Data(np.eye(1), np.zeros(1), np.array([[1.0], [-1.0]]), np.array([0.0, -gap]))
    data = Data(*(None if a is None else a.astype(dtype) for a in data))
    assert_same(everything(data), everything(data, tol=tol))
    expected = {np.float32: Status.SOLVED, np.float64: Status.ALMOST_SOLVED}[dtype]
    assert solve(data).status == expected


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8"])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_integers_take_the_dtype_of_the_others(dtype, kind):
    data = known(np.random.default_rng(31), FULL).data
    data = Data(*(a.astype(kind) for a in data))
    whole = np.round(3 * np.abs(data.p)).astype(dtype)
    found, expected = (solve(data._replace(p=p)) for p in (whole, whole.astype(kind)))
    assert found.x.dtype == kind
    np.testing.assert_array_equal(found.x, expected.x)


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


def from_elsewhere(problem, cold):
    """Solutions that are no help: of another problem, of failures, and with NaN somewhere."""
    data = problem.data
    yield kktdiff.solve_qp(*known(np.random.default_rng(171), FULL, batch=(20,)).data)
    yield solve(data._replace(p=np.full((20, 6), np.nan)))
    yield solve(data._replace(lb=data.ub, ub=data.lb))
    yield solve(data, max_iter=0)
    for name in ("x", "lam", "nu", "lam_lb", "lam_ub"):
        value = getattr(cold, name).copy()
        value[:, 1] = np.nan
        yield replace(cold, **{name: value})


def test_a_warm_start_from_elsewhere_gives_the_answer_no_slower(problem, cold):
    for start in from_elsewhere(problem, cold):
        warm = kktdiff.solve_qp(*problem.data, warm_start=start)
        assert_warm(warm, problem.answer)
        assert np.all(warm.iterations <= cold.iterations)


def test_a_warm_start_of_another_size_is_refused(cold):
    with pytest.raises(ValueError, match="warm_start"):
        kktdiff.solve_qp(np.eye(2), np.zeros(2), warm_start=cold)
