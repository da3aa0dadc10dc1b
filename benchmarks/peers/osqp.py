"""OSQP, forward only, on sparse matrices."""

from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.peers.loops import contestant
from kktdiff.bench import Arrays, Contestant, Problem

PACKAGES = ("osqp",)
TIGHT = {"eps_abs": 1e-9, "eps_rel": 1e-9, "polishing": True, "max_iter": 100_000}
CONFIGURATIONS: dict[str, dict[str, Any]] = {"default": {}, "1e-9, polished": TIGHT}


def build(problem: Problem, **options: Any) -> Contestant:
    """Directly; turning the matrices sparse counts."""
    import osqp

    def solve(data: Arrays) -> Any:
        A, b = data.get("A", np.zeros((0, len(data["p"])))), data.get("b", np.zeros(0))
        rows = sparse.csc_matrix(np.concatenate([A, data["G"]]))
        low = np.concatenate([b, np.full(len(data["h"]), -np.inf)])
        high = np.concatenate([b, data["h"]])
        solver = osqp.OSQP()
        Q = sparse.triu(data["Q"], format="csc")
        solver.setup(Q, data["p"], rows, low, high, verbose=False, **options)
        return solver.solve(raise_error=False).x

    return contestant(problem, solve)
