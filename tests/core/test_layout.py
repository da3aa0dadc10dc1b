"""Memory: inputs are never written, and their layout changes no bit."""

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_same_bits, grads_of
from tests.problems import FULL, Answer, Data, known

B = 4


def fortran(array):
    return np.asfortranarray(array)


def reversed_twice(array):
    """Every axis with a negative stride."""
    flip = tuple(slice(None, None, -1) for _ in array.shape)
    return array[flip].copy()[flip]


def every_other(array):
    wide = np.repeat(array, 2, axis=-1)
    return wide[..., ::2]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = [fortran, reversed_twice, every_other, read_only]


def use(data, weights):
    """Everything that reads the inputs: solving and each derivative."""
    solution = kktdiff.solve_qp(*data)
    grads = grads_of(solution.vjp(weights))
    moved = solution.jvp(p=np.ones(data.p.shape))
    solution.jacobian(of="x", wrt="p")
    return solution, grads, moved


@pytest.fixture(scope="module")
def case():
    data = known(np.random.default_rng(70), FULL, batch=(B,)).data
    weights = np.random.default_rng(71).normal(size=(B, 6))
    return data, weights, *use(data, weights)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
def test_layout_changes_no_bit(case, layout):
    data, weights, solution, grads, moved = case
    again = use(Data(*(layout(a) for a in data)), layout(weights))
    assert_same_bits(again[0], solution, (*Answer._fields, "iterations"))
    assert_same_bits(again[1], grads, Data._fields)
    assert_same_bits(again[2], moved, Answer._fields)


def test_expanded_inputs_give_the_bits_of_their_copies():
    data = known(np.random.default_rng(72), FULL).data
    weights = np.random.default_rng(73).normal(size=(B, 6))
    expanded = Data(*(np.broadcast_to(a, (B, *a.shape)) for a in data))
    solution, grads, moved = use(expanded, weights)
    again = use(Data(*(a.copy() for a in expanded)), weights)
    assert_same_bits(again[0], solution, Answer._fields)
    assert_same_bits(again[1], grads, Data._fields)
    assert_same_bits(again[2], moved, Answer._fields)


def test_inputs_are_never_written(case):
    data, weights, *_ = case
    mine = Data(*(a.copy() for a in data))
    use(mine, weights)
    assert_same_bits(mine, data, Data._fields)


def test_results_share_no_memory_with_inputs(case):
    data, _, solution, grads, _ = case
    results = [getattr(solution, name) for name in Answer._fields] + list(grads)
    assert not any(np.shares_memory(r, a) for r in results for a in data)


def test_the_same_call_gives_the_same_bits(case):
    data, weights, solution, grads, _ = case
    again = use(data, weights)
    assert_same_bits(again[0], solution, Answer._fields)
    assert_same_bits(again[1], grads, Data._fields)


def test_asking_twice_for_a_gradient_gives_the_same_bits(case):
    _, weights, solution, grads, _ = case
    assert_same_bits(grads_of(solution.vjp(weights)), grads, Data._fields)
