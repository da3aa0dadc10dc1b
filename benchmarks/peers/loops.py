"""Solvers without gradients: a loop over the batch."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.rows import rows_of
from kktdiff.bench import FULL_RANK, Arrays, Contestant, Problem


def contestant(problem: Problem, solve: Callable[[Arrays], Any]) -> Contestant:
    """`solve` takes one element's Q, p, G, h, A, b and returns x."""
    rows = rows_of(problem)
    elements = [
        {name: a[i] if a.ndim == FULL_RANK[name] else a for name, a in rows.items()}
        for i in range(problem.batch)
    ]
    return Contestant(
        lambda: [solve(element) for element in elements],
        None,
        lambda xs, _: {"x": np.stack(xs)},
    )


def through_qpsolvers(problem: Problem, solver: str, **options: Any) -> Contestant:
    """By the common interface, whose own time is small."""
    from qpsolvers import solve_qp

    def solve(data: Arrays) -> Any:
        arrays = (data.get(name) for name in "QpGhAb")
        x = solve_qp(*arrays, solver=solver, **options)
        return np.full(len(data["p"]), np.nan) if x is None else x

    return contestant(problem, solve)
