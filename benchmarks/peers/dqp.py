"""dQP: other libraries' solvers, then the KKT system of the active set.

Its distribution, `libdqp`, asks for commercial solvers; `pip install --no-deps libdqp` and `pip
install pandas qpsolvers daqp piqp` do.
"""

import contextlib
import io
from typing import Any

from kktdiff.bench import Contestant, Problem

PACKAGES = ("libdqp", "qpsolvers", "daqp", "piqp", "torch")
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "DAQP": {"qp_solver": "daqp"},
    "DAQP, one thread": {"qp_solver": "daqp", "one_thread": True},
    "PIQP": {"qp_solver": "piqp"},
}


def build(problem: Problem, **settings: Any) -> Contestant:
    """A loop over the batch."""
    with contextlib.redirect_stdout(io.StringIO()):  # it says which solvers it lacks
        from dqp import build_settings, dQP_layer

        from benchmarks.peers.tensors import contestant

        layer = dQP_layer(settings=build_settings(**settings))

    def solve(data: dict[str, Any]) -> Any:
        first = {name: value[0] for name, value in data.items()} if problem.batch == 1 else data
        x = layer(*(first[name] for name in "QpGh"), *(first.get(name) for name in "Ab"))[0]
        return x.reshape(problem.batch, -1)

    return contestant(problem, solve)
