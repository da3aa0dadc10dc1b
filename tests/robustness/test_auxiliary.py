"""Variables that equalities define, as modelling languages make them: no detour on the way."""

import numpy as np
import pytest

import kktdiff
from tests.problems import Data
from tests.tolerances import ITERATIONS_MOST

TINY = 3e-4  # size of F from which rounding leaves too much for polishing


def least_squares(rng, batch, size=1.0, n=10):
    """Of F x - b, as modelling languages write it: the objective is y'y/2, and y = F x - b a row.

    Alone x has no curvature: rounding leaves more than elsewhere.
    """
    F, b = size * rng.normal(size=(batch, n, n)), size * rng.normal(size=(batch, n))
    G, p = rng.normal(size=(batch, n, n)), rng.normal(size=(batch, n))
    h = np.einsum("bij,bj->bi", G, rng.normal(size=(batch, n))) + rng.random((batch, n))
    none, eye = np.zeros((n, n)), np.eye(n)
    A = np.concatenate([F, np.broadcast_to(-eye, F.shape)], axis=2)
    G, p = np.concatenate([G, 0 * G], axis=2), np.concatenate([p, 0 * p], axis=1)
    return Data(np.block([[none, none], [none, eye]]), p, G, h, A, b)


def test_no_element_takes_more_than_the_plain_number_of_iterations():
    data = least_squares(np.random.default_rng(911), 60)
    assert kktdiff.solve_qp(**data._asdict()).iterations.max() <= ITERATIONS_MOST


@pytest.mark.parametrize("size", [1.0, TINY])
def test_all_are_solved_with_the_bits_that_each_has_alone(size):
    data = least_squares(np.random.default_rng(914), 12, size)
    together = kktdiff.solve_qp(**data._asdict())
    assert together.solved.all()
    for i in (0, 5, 11):
        rest = (v if v.ndim < 3 and v.shape == (20, 20) else v[i] for v in data if v is not None)
        alone = kktdiff.solve_qp(*rest)
        np.testing.assert_array_equal(alone.x, together.x[i])
        np.testing.assert_array_equal(alone.nu, together.nu[i])


def test_a_report_changes_no_bit():
    data = least_squares(np.random.default_rng(915), 12, TINY)
    quiet, told = kktdiff.solve_qp(**data._asdict()), []
    loud = kktdiff.solve_qp(**data._asdict(), verbose=told.append)
    assert told
    np.testing.assert_array_equal(quiet.x, loud.x)
