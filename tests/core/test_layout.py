"""Memory: inputs are never written, and their layout changes no bit."""

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_same_bits, grads_of
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


def healthy():
    """Four problems with every block."""
    return known(np.random.default_rng(70), FULL, batch=(4,)).data


def hard():
    """A batch in which elements end in every other way: proofs, polishing and rounds of LU."""
    data = batch_of_five(32)
    data.lb[0, 1] = data.ub[0, 1]
    data.G[1, 1], data.h[1, 1] = -data.G[1, 0], -data.h[1, 0] - 1.0
    data.A[BAD, 1], data.b[BAD, 1] = data.A[BAD, 0], data.b[BAD, 0]
    data.p[3, 0] = np.nan
    return data


CASES = {"healthy": (healthy, "report"), "hard": (hard, "report"), "closest": (hard, "closest")}
case = pytest.mark.parametrize(("draw", "infeasible"), CASES.values(), ids=CASES)


@case
def test_layout_changes_no_bit(draw, infeasible):
    data = draw()
    expected = everything(data, infeasible=infeasible)
    for layout in LAYOUTS:
        found = everything(Data(*map(layout, data)), infeasible=infeasible)
        assert_same(found, expected)


def test_the_hard_elements_end_as_they_should():
    for infeasible in ("report", "closest"):
        solution, _ = everything(hard(), infeasible=infeasible)
        assert list(solution.solved) == [True, infeasible == "closest", True, False, True]


def test_each_expanded_input_gives_the_bits_of_its_copies():
    """Stride 0, one input at a time and all at once."""
    data = known(np.random.default_rng(320), FULL).data
    expanded = Data(*(np.broadcast_to(a, (4, *a.shape)) for a in data))
    copies = Data(*(a.copy() for a in expanded))
    expected = everything(copies)
    assert_same(everything(expanded), expected)
    for name in Data._fields:
        assert_same(everything(copies._replace(**{name: getattr(expanded, name)})), expected)


@case
def test_inputs_are_never_written(draw, infeasible):
    data = draw()
    solution = kktdiff.solve_qp(*data, infeasible=infeasible, on_failure="ignore")
    weights = weights_for(solution)
    for mode in ("exact", "smoothed", "least_squares"):
        solution.vjp(**weights, gradient=mode)
        solution.jvp(**data._replace(p=np.ones(data.p.shape))._asdict(), gradient=mode)
    solution.jacobian(of="x", wrt="p")
    solution.diagnostics()
    solution.certificate()
    assert_same_bits(data, draw(), Data._fields)
    assert_same_bits(Answer(**weights), Answer(**weights_for(solution)), Answer._fields)


def test_results_share_no_memory_with_inputs():
    data = healthy()
    solution, grads = everything(data)
    results = [getattr(solution, name) for name in Answer._fields] + list(grads)
    assert not any(np.shares_memory(r, a) for r in results for a in data)


def test_the_same_call_gives_the_same_bits():
    data = healthy()
    first, second = everything(data), everything(data)
    assert_same(first, second)
    again = grads_of(first[0].vjp(**weights_for(first[0])))
    assert_same_bits(again, first[1], Data._fields)
