"""Clarabel, forward only, on sparse matrices."""

from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.peers.loops import contestant
from kktdiff.bench import Arrays, Contestant, Problem

PACKAGES = ("clarabel",)
CONFIGURATIONS: dict[str, dict[str, Any]] = {"default": {}}


def build(problem: Problem) -> Contestant:
    """Directly; turning the matrices sparse counts."""
    import clarabel

    settings = clarabel.DefaultSettings()
    settings.verbose = False

    def solve(data: Arrays) -> Any:
        A, b = data.get("A", np.zeros((0, len(data["p"])))), data.get("b", np.zeros(0))
        rows = sparse.csc_matrix(np.concatenate([A, data["G"]]))
        sides = np.concatenate([b, data["h"]])
        cones = [clarabel.ZeroConeT(len(b)), clarabel.NonnegativeConeT(len(data["h"]))]
        Q = sparse.triu(data["Q"], format="csc")
        solver = clarabel.DefaultSolver(Q, data["p"], rows, sides, cones, settings)
        return np.array(solver.solve().x)

    return contestant(problem, solve)
