"""Time per epoch of a layer of ours and of qpth's, on the same problem, in turns."""

import argparse
import math
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers.qpth import import_qpth
from kktdiff.adapters.torch import QPLayer
from kktdiff.bench import timed


def qpth_solver() -> Callable[..., Tensor] | str:
    """What takes the arguments of `solve_qp` and returns x by qpth; or why there is none."""
    found = import_qpth()
    if isinstance(found, str):
        return found
    solve = found[1](verbose=-1)

    def x_of(Q: Tensor, p: Tensor, **constraints: Tensor) -> Tensor:
        return solve(Q, p, *rows_of(Q, **constraints))

    return x_of


def rows_of(
    Q: Tensor,
    G: Tensor | None = None,
    h: Tensor | None = None,
    A: Tensor | None = None,
    b: Tensor | None = None,
    lb: Tensor | None = None,
    ub: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """(G, h, A, b) as qpth wants them: bounds are rows, and what is missing is empty."""
    eye, none = torch.eye(len(Q), dtype=Q.dtype), torch.empty(0, dtype=Q.dtype)
    bounds = ((G, h), (-eye, None if lb is None else -lb), (eye, ub))
    parts = [(rows, limit) for rows, limit in bounds if limit is not None]
    batch = torch.broadcast_shapes(*(limit.shape[:-1] for _, limit in parts))
    h = torch.cat([limit.expand(*batch, -1) for _, limit in parts], -1)
    rows = torch.cat([rows for rows, _ in parts])
    return rows, h, none if A is None else A, none if b is None else b


def seconds_per_epoch(
    step: Callable[[Callable[..., Any]], None],  # forward and backward with this solver
    samples: int,
    args: argparse.Namespace,
    **options: Any,  # of our solver
) -> dict[str, float] | str:
    """Medians of single steps, taken in turns, times the steps of an epoch."""
    theirs = qpth_solver()
    if isinstance(theirs, str):
        return theirs
    solvers = {"kktdiff": QPLayer(**options), "qpth": theirs}
    times: dict[str, list[float]] = {name: [] for name in solvers}
    for repeat in range(4 if args.quick else 12):
        for name, solver in solvers.items():
            milliseconds, _ = timed(step, solver)
            if repeat:  # the first is to warm up
                times[name].append(milliseconds)
    steps = math.ceil(samples / args.batch)
    return {name: median(values) * steps / 1e3 for name, values in times.items()}
