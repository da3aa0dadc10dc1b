"""QPs that the analysis of another one needs."""

from typing import Any

from kktdiff._inputs import check
from kktdiff._interior_point.batching import run
from kktdiff._problem import NAMES, build
from kktdiff._sensitivity.derivatives import Engine
from kktdiff._settings import Settings
from kktdiff._solution import Solution
from kktdiff._typing import Array
from kktdiff._warm_start import nearby_point

Data = dict[str, Any]  # the arguments of solve_qp, each (B, ...) in float64


def solve(
    data: Data,
    settings: Settings,
    compliance: dict[str, Array] | None = None,
    near: Solution | None = None,
) -> Solution:
    """Solve an auxiliary QP: no warnings, no infeasibility analysis.

    Parameters
    ----------
    data
        Arguments of `solve_qp` in the backend's own arrays.
    compliance
        As in `build`.
    near
        The solution of a nearby problem.
    """
    given = check({name: data.get(name) for name in NAMES}, None)
    problem = build(given, compliance)
    warm = None if near is None else nearby_point(problem, near)
    found = run(problem, warm, settings)
    engine = Engine(problem, found.fields["status"], found.kept, found.proofs)
    return Solution(**given.give_all(found.fields), _engine=engine)
