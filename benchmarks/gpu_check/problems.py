"""The problems of the check: the workloads, large batches cheaply, and elements that are bad."""

from typing import Any

import numpy as np

from kktdiff import bench

DRAWN = 1024  # problems: more of them are copies of different ones, with another p for each
DIFFERENT = 256
INFEASIBLE, INVALID = 3, 5  # the bad elements of `spoiled`


def workload(name: str, batch: int) -> bench.Problem:
    """Problems of a workload; on the host, `grown` makes them as many as are meant."""
    if batch <= DRAWN:
        return bench.make(name, batch)
    few = bench.make(name, DIFFERENT)
    return bench.make(name, batch) if few.shared() else few


def grown(problem: bench.Problem, batch: int, xp: Any) -> bench.Problem:
    """Copies on the device up to `batch` elements; p and the cotangent are drawn for each."""
    times = batch // problem.batch
    if times == 1:
        return problem
    rng = np.random.default_rng(7)
    data = {
        name: xp.tile(array, (times,) + (1,) * (array.ndim - 1))
        for name, array in problem.data.items()
    }
    drawn = rng.standard_normal((2, batch, problem.cotangent.shape[1]))
    drawn = drawn.astype(str(problem.cotangent.dtype))
    return bench.Problem(problem.name, data | {"p": xp.asarray(drawn[0])}, xp.asarray(drawn[1]))


def spoiled(batch: int = 8) -> bench.Problem:
    """W2 with an element that has no solution and one that is no number."""
    problem = bench.make("W2", batch)
    G, h, p = (problem.data[name].copy() for name in "Ghp")
    G[INFEASIBLE, 1], h[INFEASIBLE, :2] = -G[INFEASIBLE, 0], -1.0  # g'x <= -1 and -g'x <= -1
    p[INVALID, 0] = np.nan
    return problem._replace(data=problem.data | {"G": G, "h": h, "p": p})
