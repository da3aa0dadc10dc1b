"""Time of MPC as sparse problems, by horizon and by batch.

    python -m benchmarks.sparse_growth [--repeats 7] [--out DIR]

Medians of the processor time of forward and backward, in turns; kktdiff alone.
"""

import argparse
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.small_calls.__main__ import where
from benchmarks.sparse import control, timed, write
from benchmarks.sparse_libraries import ours
from kktdiff import bench

SIZES = {  # batch and steps
    "steps, batch of 16": [(16, steps) for steps in (10, 20, 50, 100, 200, 400)],
    "batch, 20 steps": [(batch, 20) for batch in (1, 4, 16, 64, 256, 1024)],
}


def measured(sizes: list[tuple[int, int]], repeats: int) -> list[float]:
    """Return milliseconds per problem for each size."""
    calls = [ours(control(batch, steps, 6, 3, 0.5)) for batch, steps in sizes]
    times: list[list[float]] = [[] for _ in sizes]
    for repeat in range(repeats + 1):
        for (forward, backward, _), own in zip(calls, times, strict=True):
            state, spent = timed(forward)
            back = timed(lambda run=backward, s=state: run(s))[1]
            if repeat:  # the first finds the order of elimination
                own.append(1e3 * (spent + back))
    return [median(own) / batch for own, (batch, _) in zip(times, sizes, strict=True)]


def table(title: str, found: list[float]) -> str:
    """Return the Markdown table of one series."""
    sizes = SIZES[title]
    by_steps = len({steps for _, steps in sizes}) > 1
    lines = [f"| {title} | ms per problem | us per step |", "| --- | --- | --- |"]
    for (batch, steps), ms in zip(sizes, found, strict=True):
        lines.append(f"| {steps if by_steps else batch} | {ms:.3g} | {1e3 * ms / steps:.3g} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write where `--out` says."""
    parser = argparse.ArgumentParser(description="Growth of sparse problems.")
    parser.add_argument("--repeats", type=int, default=7, help="of each call (default: 7)")
    parser.add_argument("--out", type=Path, help="folder for the tables")
    args = parser.parse_args(argv)
    found = {title: measured(sizes, args.repeats) for title, sizes in SIZES.items()}
    page = "\n\n".join(table(title, ms) for title, ms in found.items())
    page += f"\n\n{where(bench.machine(()) | {'load': None})}\n"
    print(page)
    write(args.out, "sparse-growth.md", page)
    return found


if __name__ == "__main__":
    main()
