"""Variables that equalities define, as modelling languages make them: no detour on the way."""

import numpy as np
import pytest

import kktdiff
from kktdiff import _condensed as condensed
from kktdiff import _ipm as ipm
from kktdiff._inputs import check
from kktdiff._problem import NAMES, build
from kktdiff._residuals import evaluate
from kktdiff._scaling import equilibrate
from kktdiff._settings import CLOSE, HANDOVER, Settings
from kktdiff.backends import NUMPY
from tests.families import least_squares

TINY = 3e-4  # size of F from which rounding leaves too much for polishing


def test_the_condensed_system_comes_near():
    data = least_squares(np.random.default_rng(911), 60)
    qp = build(check({name: getattr(data, name) for name in NAMES}, None)).qp
    scaling, system = equilibrate(qp, NUMPY), condensed.system(NUMPY, separable=False)
    settings, spent = Settings(HANDOVER, 60, None, exacting=True), np.zeros(60, int)
    with NUMPY.at(None):
        end = ipm.run(qp, scaling, ipm.start(qp, scaling, system), settings, system, spent)
    assert (evaluate(qp, end.best).merit < CLOSE).all()


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
