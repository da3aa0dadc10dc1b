"""Failure as data: statuses, certificates' consequences, warnings, errors on request."""

import warnings

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import grads_of
from tests.problems import Data, Sizes, known

EYE = np.eye(2)
ZERO = np.zeros(2)
CASES = {
    "crossed rows": (Data(EYE, ZERO, np.array([[1.0, 0], [-1, 0]]), np.array([-1.0, -1])), 2),
    "crossed bounds": (Data(EYE, ZERO, lb=np.ones(2), ub=-np.ones(2)), 2),
    "inconsistent equalities": (Data(EYE, ZERO, A=np.ones((2, 2)), b=np.array([0.0, 1])), 2),
    "unbounded program": (Data(0 * EYE, np.array([-1.0, 0]), lb=ZERO), 3),
    "unbounded and free": (Data(0 * EYE, np.ones(2)), 3),
    "indefinite": (Data(np.diag([1.0, -1]), ZERO, lb=-np.ones(2), ub=np.ones(2)), 6),
    "not a number in p": (Data(EYE, np.array([0.0, np.nan])), 7),
    "infinity in Q": (Data(np.array([[np.inf, 0], [0, 1]]), ZERO), 7),
}


def test_statuses_have_their_names_in_their_order():
    assert [status.name for status in Status] == [
        "SOLVED",
        "ALMOST_SOLVED",
        "PRIMAL_INFEASIBLE",
        "DUAL_INFEASIBLE",
        "MAX_ITER",
        "NUMERICAL_ERROR",
        "NONCONVEX",
        "INVALID_DATA",
    ]


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_solved_has_its_status_and_no_x(case):
    data, status = CASES[case]
    solution = kktdiff.solve_qp(*data, on_failure="ignore")
    assert solution.status == list(Status)[status]
    assert not solution.solved
    assert np.all(np.isnan(solution.x))


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_solved_has_gradients_of_exactly_zero(case):
    data, _ = CASES[case]
    solution = kktdiff.solve_qp(*data, on_failure="ignore")
    grads = grads_of(solution.vjp(np.ones(2), objective=np.ones(())))
    for name, array in data._asdict().items():
        if array is not None:
            np.testing.assert_array_equal(getattr(grads, name), np.zeros(array.shape))


def test_what_is_not_solved_has_tangents_of_exactly_zero():
    solution = kktdiff.solve_qp(EYE, np.array([0.0, np.nan]), on_failure="ignore")
    np.testing.assert_array_equal(solution.jvp(p=np.ones(2)).x, ZERO)


def two_bad_of_five():
    p = np.zeros((5, 2))
    p[1, 0] = np.nan
    p[3, 1] = np.inf
    return EYE, p


def test_the_warning_points_at_the_caller():
    with pytest.warns(kktdiff.SolveWarning) as caught:
        kktdiff.solve_qp(*two_bad_of_five())
    assert [one.filename for one in caught] == [__file__]  # and there is one
    with pytest.raises(kktdiff.SolveError) as raised:
        kktdiff.solve_qp(*two_bad_of_five(), on_failure="raise")
    assert str(raised.value) == str(caught[0].message)


def test_ignore_is_silent():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        solution = kktdiff.solve_qp(*two_bad_of_five(), on_failure="ignore")
    assert caught == []
    np.testing.assert_array_equal(solution.solved, [True, False, True, False, True])


def test_success_is_silent_and_prints_nothing(capfd):
    data = known(np.random.default_rng(51), Sizes(n=4, m=3, k=2), batch=(3,)).data
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kktdiff.solve_qp(*data).vjp(np.ones((3, 4)))
    assert caught == []
    assert capfd.readouterr() == ("", "")
