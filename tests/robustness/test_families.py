"""Hard families of small problems: each element is solved, and right, or proven infeasible."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import answer_of, element, residuals
from tests.problems import Data
from tests.robustness import families
from tests.tolerances import STATIONARITY

BATCH = 30


@pytest.mark.parametrize("family", families.HARD)
def test_a_hard_family_is_solved(family):
    data = family(np.random.default_rng(404), BATCH)
    solution = kktdiff.solve_qp(**data._asdict(), on_failure="ignore")
    solved = solution.status == Status.SOLVED
    proven = (Status.PRIMAL_INFEASIBLE, Status.DUAL_INFEASIBLE)
    assert np.all(solved | np.isin(solution.status, proven))
    assert solved.sum() >= BATCH / 2
    for i in np.flatnonzero(solved):
        alone = Data(*(v if v is None or len(v) != BATCH else v[i] for v in data))
        assert max(residuals(alone, element(answer_of(solution), i))) <= STATIONARITY
