"""W6's memory: what each library takes beyond the data of a problem.

    python -m benchmarks.sparse_memory [--libraries "kktdiff;PIQP"] [--out DIR]

The largest resident memory of a process, after it has built, solved and differentiated a problem,
less that before: each library and workload has a process of its own, which has solved a small
problem before.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.small_calls.__main__ import where
from benchmarks.sparse import PACKAGES, WORKLOADS, Workload, simplex, write
from benchmarks.sparse_libraries import LIBRARIES
from kktdiff import bench

KILOBYTES = 1 if sys.platform != "darwin" else 1024  # in a unit of ru_maxrss


def peak() -> float:
    """Return the largest resident memory so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILOBYTES / 1024


def taken(work: Workload, library: str) -> float:
    """Return the megabytes that building, solving and differentiating take, in this process."""
    for own in (simplex(300), work):
        before = peak()
        forward, backward, _ = LIBRARIES[library](own)
        state = forward()
        _kept = (state, backward(state)) if backward else state
    return peak() - before


def apart(which: int, library: str) -> float | None:
    """Return the megabytes in a process of its own; None where the library can't solve it."""
    command = [sys.executable, "-m", __spec__.name, "--one", str(which), library]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def table(found: dict[str, dict[str, float | None]]) -> str:
    """Return the Markdown table of all workloads."""
    names = list(next(iter(found.values())))
    lines = [f"| MB | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    for title, own in found.items():
        cells = " | ".join("" if v is None else f"{v:.0f}" for v in own.values())
        lines.append(f"| {title} | {cells} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> Any:
    """Measure, print, and write where `--out` says."""
    parser = argparse.ArgumentParser(description="Memory of large sparse problems.")
    parser.add_argument("--libraries", help="by semicolons (default: all that are installed)")
    parser.add_argument("--out", type=Path, help="folder for the table")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.one:
        print(json.dumps(taken(WORKLOADS[int(args.one[0])](), args.one[1])))
        return None
    names = args.libraries.split(";") if args.libraries else list(LIBRARIES)
    found = {
        make().title: {name: apart(i, name) for name in names} for i, make in enumerate(WORKLOADS)
    }
    page = f"{table(found)}\n\n{where(bench.machine(PACKAGES) | {'load': None})}\n"
    print(page)
    write(args.out, "sparse-memory.md", page)
    return found


if __name__ == "__main__":
    main()
