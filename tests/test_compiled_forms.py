"""The forms that compiled code chooses, by the element: each is used where it serves, and right."""

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_no_difference
from tests.one_call import scaled, solved
from tests.problems import Data, Sizes, known

pytest.importorskip("numba")
pytest.importorskip("threadpoolctl")

FEW_ROWS = Sizes(n=12, m=10)
BOUNDED = Sizes(n=12, m=4, k=2, lower=True)


def memory(data):
    """What compiled code works in on some problems."""
    from kktdiff.backends.compiled import _data, _run

    return _data.work_for(_run._batch(*scaled(data)), _run._CALL)


@pytest.mark.parametrize("k", [0, 3])
def test_in_the_space_of_the_rows(without, k):
    """It takes every element to the end: one that it failed would be left to the array code."""
    data = known(np.random.default_rng(420), FEW_ROWS._replace(k=k), batch=(20,)).data
    assert memory(data).M.shape == (10 + k, 10 + k)
    _, iterations = solved(data)
    assert np.all(iterations > 0)
    assert_no_difference(without, data, 421)


def test_not_with_bounds_nor_where_there_are_many_rows():
    for sizes in (BOUNDED, Sizes(n=4, m=40)):
        data = known(np.random.default_rng(422), sizes, batch=(2,)).data
        assert memory(data).M.shape == (0, 0)


def test_in_blocks_where_the_objective_alone_is_well_conditioned(without):
    """A flat objective is left to LU with pivoting, in the same batch."""
    sizes, rng = Sizes(n=12, m=10, k=2), np.random.default_rng(423)
    regular, flat = (known(rng, sizes._replace(rank=rank), (3,)).data for rank in (None, 9))
    pairs = zip(regular, flat, strict=True)
    data = Data(*(None if v is None else np.concatenate([v, w]) for v, w in pairs))
    kept, iterations = solved(data)
    assert np.all(iterations > 0)
    np.testing.assert_array_equal(kept.factors.counts[:, 2], [1, 1, 1, 0, 0, 0])
    assert_no_difference(without, data, 421)


def test_variables_on_their_bounds_are_left_out(without):
    data = known(np.random.default_rng(425), BOUNDED, batch=(10,)).data
    kept, iterations = solved(data)
    assert np.all(iterations > 0)
    held = kept.held.sum(axis=1)
    assert held.max() > 0
    np.testing.assert_array_equal(kept.factors.counts[:, 0], 12 - held)
    assert_no_difference(without, data, 421)


@pytest.mark.parametrize("shared", [(), ("Q",)])
def test_the_gradient_of_Q_is_symmetric_to_the_bit(without, shared):
    data = known(np.random.default_rng(426), BOUNDED, batch=(5,), shared=shared).data
    weight = np.random.default_rng(427).normal(size=data.p.shape)
    for grad in without(lambda: kktdiff.solve_qp(*data).vjp(weight).Q):
        np.testing.assert_array_equal(grad, grad.mT)
