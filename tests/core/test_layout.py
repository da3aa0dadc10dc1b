"""Memory: inputs are never written, and their layout changes no bit, of hard elements neither."""

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_same_bits
from tests.problems import FULL, Answer, Data, known
from tests.robustness.one_bad import BAD, assert_same, batch_of_five, everything, weights_for


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


LAYOUTS = [np.asfortranarray, reversed_twice, every_other, read_only]


def hard():
    """A batch in which elements end in every other way: proofs, polishing and rounds of LU."""
    data = batch_of_five(32)
    data.lb[0, 1] = data.ub[0, 1]
    data.G[1, 1], data.h[1, 1] = -data.G[1, 0], -data.h[1, 0] - 1.0
    data.A[BAD, 1], data.b[BAD, 1] = data.A[BAD, 0], data.b[BAD, 0]
    data.p[3, 0] = np.nan
    return data


case = pytest.mark.parametrize("infeasible", ["report", "closest"])


@case
def test_layout_changes_no_bit(infeasible):
    data = hard()
    expected = everything(data, infeasible=infeasible)
    for layout in LAYOUTS:
        found = everything(Data(*map(layout, data)), infeasible=infeasible)
        assert_same(found, expected)


def test_the_hard_elements_end_as_they_should():
    for infeasible in ("report", "closest"):
        solution, _ = everything(hard(), infeasible=infeasible)
        assert list(solution.solved) == [True, infeasible == "closest", True, False, True]


@case
def test_inputs_are_never_written(infeasible):
    data = hard()
    solution = kktdiff.solve_qp(*data, infeasible=infeasible, on_failure="ignore")
    weights = weights_for(solution)
    for mode in ("exact", "smoothed", "least_squares"):
        solution.vjp(**weights, gradient=mode)
        solution.jvp(**data._replace(p=np.ones(data.p.shape))._asdict(), gradient=mode)
    solution.jacobian(of="x", wrt="p")
    solution.diagnostics()
    solution.certificate()
    assert_same_bits(data, hard(), Data._fields)
    assert_same_bits(Answer(**weights), Answer(**weights_for(solution)), Answer._fields)


def test_results_share_no_memory_with_inputs():
    data = known(np.random.default_rng(70), FULL, batch=(4,)).data
    solution, grads = everything(data)
    results = [getattr(solution, name) for name in Answer._fields] + list(grads)
    assert not any(np.shares_memory(r, a) for r in results for a in data)
