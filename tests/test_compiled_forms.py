"""The forms that compiled code chooses, by the element: each is used where it serves, and right."""

import numpy as np
import pytest

import kktdiff
from kktdiff._inputs import check
from kktdiff._problem import NAMES, build
from kktdiff._scaling import equilibrate
from kktdiff._settings import HANDOVER, Settings
from kktdiff.backends import compiled
from tests.checks import assert_near, assert_same_course, grads_of
from tests.problems import Data, Sizes, known
from tests.tolerances import SHARED

pytest.importorskip("numba")
pytest.importorskip("threadpoolctl")

FEW_ROWS = Sizes(n=12, m=10)
BOUNDED = Sizes(n=12, m=4, k=2, lower=True)


def solved(data):
    """What the one compiled call makes of some problems, and their iterations."""
    given = check(dict(zip(NAMES, data, strict=True)), None)
    qp = build(given).qp
    run = compiled._load()
    return run.solve(qp, equilibrate(qp, given.backend), Settings(HANDOVER, 100, None))


def memory(data):
    """What compiled code works in on some problems."""
    from kktdiff.backends.compiled import _data, _run

    given = check(dict(zip(NAMES, data, strict=True)), None)
    qp = build(given).qp
    return _data.work_for(_run._batch(qp, equilibrate(qp, given.backend)), _run._CALL)


def assert_no_difference(without, data):
    """Not in answers, statuses and iterations, nor in gradients."""
    weight = np.random.default_rng(421).normal(size=data.p.shape)

    def use():
        solution = kktdiff.solve_qp(*data)
        return solution, grads_of(solution.vjp(weight))

    (solution, grads), (plain, plain_grads) = without(use)
    assert solution.solved.all()
    assert_same_course(solution, plain)
    for name in Data._fields:
        if getattr(grads, name) is not None:
            assert_near(getattr(grads, name), getattr(plain_grads, name), SHARED, name)


@pytest.mark.parametrize("k", [0, 3])
def test_in_the_space_of_the_rows(without, k):
    """It takes every element to the end: one that it failed would be left to the array code."""
    data = known(np.random.default_rng(420), FEW_ROWS._replace(k=k), batch=(20,)).data
    assert memory(data).M.shape == (10 + k, 10 + k)
    _, iterations = solved(data)
    assert np.all(iterations > 0)
    assert_no_difference(without, data)


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
    assert_no_difference(without, data)


def test_variables_on_their_bounds_are_left_out(without):
    data = known(np.random.default_rng(425), BOUNDED, batch=(10,)).data
    kept, iterations = solved(data)
    assert np.all(iterations > 0)
    held = kept.held.sum(axis=1)
    assert held.max() > 0
    np.testing.assert_array_equal(kept.factors.counts[:, 0], 12 - held)
    assert_no_difference(without, data)


@pytest.mark.parametrize("shared", [(), ("Q",)])
def test_the_gradient_of_Q_is_symmetric_to_the_bit(without, shared):
    data = known(np.random.default_rng(426), BOUNDED, batch=(5,), shared=shared).data
    weight = np.random.default_rng(427).normal(size=data.p.shape)
    for grad in without(lambda: kktdiff.solve_qp(*data).vjp(weight).Q):
        np.testing.assert_array_equal(grad, grad.mT)
