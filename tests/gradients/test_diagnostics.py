"""diagnostics() tells which gradients are derivatives and which are a choice."""

import numpy as np
import pytest

import kktdiff
from tests.problems import FULL, known


def row(p, h):
    """min x^2/2 + px with x <= h, one element per entry of h."""
    limits = np.array(h)[:, None]
    return kktdiff.solve_qp(np.eye(1), np.array([float(p)]), np.eye(1), limits)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
def test_every_field_has_the_batch_shape(batch):
    found = kktdiff.solve_qp(*known(np.random.default_rng(210), FULL, batch=batch).data)
    report = found.diagnostics()
    for name in ("margin", "weakly_active", "condition", "trustworthy"):
        assert np.shape(getattr(report, name)) == batch, name


def test_strictly_complementary_solutions_have_a_margin_and_a_finite_condition():
    found = kktdiff.solve_qp(*known(np.random.default_rng(211), FULL, batch=(5,)).data)
    report = found.diagnostics()
    assert np.all(report.margin > 1e-3)
    assert np.all(np.isfinite(report.condition))
    assert np.all(report.condition >= 1)
    np.testing.assert_array_equal(report.weakly_active, np.zeros(5))
    np.testing.assert_array_equal(report.trustworthy, np.ones(5, bool))


def test_only_the_weakly_active_element_is_counted():
    """The free minimiser is 1: the limits 0, 1 and 2 are active, weakly active and inactive."""
    report = row(-1.0, [0.0, 1.0, 2.0]).diagnostics()
    np.testing.assert_array_equal(report.weakly_active, [0, 1, 0])
    np.testing.assert_array_equal(report.trustworthy, [True, False, True])
    assert report.margin[1] < report.margin[[0, 2]].min()


def test_unsolved_elements_are_not_trusted():
    p = np.array([[1.0], [np.nan]])
    found = kktdiff.solve_qp(np.eye(1), p, on_failure="ignore")
    np.testing.assert_array_equal(found.diagnostics().trustworthy, [True, False])
