"""The flat batch that is computed with: faults in its data, and variables that are fixed."""

import numpy as np
import pytest

from kktdiff._inputs import check
from kktdiff._problem import build
from kktdiff.backends.numpy import BACKEND

B, N = 3, 2
INF = np.inf


def given(**changed):
    data = {
        "Q": np.stack([np.eye(N)] * B),
        "p": np.ones((B, N)),
        "G": np.ones((B, 1, N)),
        "h": np.array([[1.0], [INF], [1e300]]),
        "A": np.ones((B, 1, N)),
        "b": np.zeros((B, 1)),
        "lb": np.array([[-1.0, -INF]] * B),
        "ub": np.array([[INF, INF], [1.0, 2.0], [1.0, INF]]),
    }
    return check(data | changed, None)


def built(**changed):
    data = given(**changed)
    with data.at_work():
        problem = build(data)
        assert problem.qp.length == B
    return problem


def with_entry(name, value):
    array = given().arrays[name].copy()
    array[1, ..., 0] = value
    return {name: array}


def test_sound_data_have_no_faults():
    problem = built()
    assert problem.faults is None
    assert problem.qp.fixed is None
    rows = [[1, 1, 0, 0, 0], [0, 1, 0, 1, 1], [0, 1, 0, 1, 0]]
    assert np.array_equal(problem.qp.present, np.array(rows, dtype=bool))


@pytest.mark.parametrize("name", ["Q", "p", "G", "A", "b"])
@pytest.mark.parametrize("value", [np.nan, INF, -INF])
def test_an_entry_that_is_not_finite_makes_its_element_invalid(name, value):
    faults = built(**with_entry(name, value)).faults
    assert faults.invalid.tolist() == [False, True, False]
    assert not faults.contradictory.any()


@pytest.mark.parametrize(
    ("name", "value"), [("h", np.nan), ("lb", np.nan), ("ub", np.nan), ("b", 1e20), ("b", -1e20)]
)
def test_a_right_hand_side_that_says_nothing_makes_its_element_invalid(name, value):
    assert built(**with_entry(name, value)).faults.invalid.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("name", "value"), [("h", -1e20), ("h", -INF), ("lb", 1e20), ("ub", -INF), ("lb", 1.5)]
)
def test_a_limit_that_nothing_meets_makes_its_element_contradictory(name, value):
    faults = built(**with_entry(name, value)).faults
    assert faults.contradictory.tolist() == [False, True, False]
    assert not faults.invalid.any()


@pytest.mark.parametrize("name", ["Q", "p", "G", "A"])
def test_a_huge_entry_is_no_fault(name):
    faults = built(**with_entry(name, 1e200)).faults
    assert faults is None or not (faults.invalid | faults.contradictory).any()


@pytest.mark.parametrize("gap", [0.0, 1e-15, -1e-15])
@pytest.mark.parametrize("at", [1.0, -1.0, 3e4])
def test_bounds_that_meet_up_to_rounding_fix_their_variable(gap, at):
    bounds = with_entry("lb", at) | with_entry("ub", at + gap * abs(at))
    fixed = built(**bounds).qp.fixed
    assert fixed.tolist() == [[False, False], [True, False], [False, False]]


def test_one_entry_is_enough_to_tell_that_arrays_are_not_bounded():
    wide = np.zeros((100, 10))
    assert BACKEND.bounded([wide], wide, 1e20)
    wide[-1, -1] = 1e20
    assert not BACKEND.bounded([wide], np.zeros(1), 1e20)
    assert BACKEND.bounded([], wide, 1e20)
    assert not BACKEND.bounded([], -wide, 1e20)
