"""The output of ``verbose``: a record for each iteration, and a table of the records."""

import sys
from collections.abc import Callable
from typing import Any

from kktdiff._arrays import namespace
from kktdiff._interior_point.program import Program
from kktdiff._interior_point.residuals import Residuals, evaluate
from kktdiff._interior_point.scaling import to_given
from kktdiff._records import Point
from kktdiff._typing import Array

_COLUMNS = ("iteration", "running", "primal", "dual", "gap", "mu", "step", "phase")


def record(
    phase: str,  # "iterate" or "polish"
    r: Residuals,
    iterations: Array,  # (B,)
    running: Array,  # (B,) bool
    mu: Array,  # (B,)
    step: Array,  # (B,)
) -> dict[str, Any]:
    """Return the worst of each quantity over the elements at work."""
    xp = namespace(r.gap)
    counts = {"iteration": xp.max(iterations), "running": xp.sum(xp.astype(running, xp.int64))}
    worst = {"primal": r.primal, "dual": r.dual, "gap": r.gap, "mu": mu}
    floats = {name: float(xp.max(v)) for name, v in worst.items()} | {"step": float(xp.min(step))}
    return {name: int(v) for name, v in counts.items()} | floats | {"phase": phase}


def report_trace(trace: Array, report: Callable[[dict[str, Any]], None]) -> None:
    """Report the records of the kernels, (B, rows, 8), row by row over all elements."""
    xp = namespace(trace)
    for i in range(trace.shape[1]):
        for phase, name in enumerate(("iterate", "polish")):
            some = trace[:, i, :][trace[:, i, 0] == phase]
            if some.shape[0]:
                worst = [float(v) for v in xp.max(some[:, 3:7], axis=0)]
                report(
                    {"iteration": int(xp.max(some[:, 1])), "running": int(xp.sum(some[:, 2]))}
                    | dict(zip(("primal", "dual", "gap", "mu"), worst, strict=True))
                    | {"step": float(xp.min(some[:, 7])), "phase": name}
                )


def polish_record(
    program: Program, point: Point, iterations: Array, running: Array
) -> dict[str, Any]:
    """Return the record of a polishing that led to the scaled `point`."""
    zero, given = 0 * point.x[:, 0], program.given
    r = evaluate(given, to_given(given, program.scaling, point))
    return record("polish", r, iterations, running, zero, zero + 1)


class Table:
    """Writes one line per iteration to standard output; the worst element of each column."""

    def __init__(self) -> None:
        self._last = -1

    def __call__(self, row: dict[str, Any]) -> None:
        """Write one row, after the heading if a new loop begins."""
        begins = row["phase"] == "iterate" and row["iteration"] <= self._last
        if begins or self._last < 0:
            sys.stdout.write("".join(f"{name:>11s}" for name in _COLUMNS) + "\n")
        self._last = row["iteration"]
        sys.stdout.write("".join(_cell(row[name]) for name in _COLUMNS) + "\n")


def _cell(value: int | float | str) -> str:
    return f"{value:11.2e}" if isinstance(value, float) else f"{value:>11}"
