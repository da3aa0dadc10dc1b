"""A safety filter at 1 kHz: how long each call takes, in turns of a second for each library."""

import time
from typing import Any

import numpy as np

from benchmarks.small_calls.libraries import LIBRARIES
from benchmarks.small_calls.problems import PLANES, STEP, Rows, errors, filtered

TURN = 1000  # steps
RIGHT = 1e-6


def measure(turns: int, libraries: list[str]) -> list[dict[str, Any]]:
    """Return a record for each size and library: median and 99th percentile in microseconds."""
    return [one for n in PLANES for one in _of_size(n, turns, libraries)]


def _of_size(n: int, turns: int, libraries: list[str]) -> list[dict[str, Any]]:
    run = filtered(n, TURN)
    calls, wrong = {}, {}
    for name in libraries:
        try:
            calls[name] = LIBRARIES[name](run[0])
        except ImportError:
            continue
        wrong[name] = max(errors(rows, np.array(calls[name](rows)))[0] for rows in run[::10])
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            times[name] += _turn(run, call)
    return [
        {
            "n": n,
            "m": len(run[0].h),
            "library": name,
            "median": 1e6 * float(np.median(times[name])),
            "late": 1e6 * float(np.percentile(times[name], 99)),
            "error": wrong[name],
        }
        for name in calls
    ]


def _turn(run: list[Rows], call: Any) -> list[float]:
    """Return the seconds of each call of one turn: asleep in between, as a control loop is."""
    found, due = [], time.perf_counter()
    for rows in run:
        due += STEP
        time.sleep(max(0.0, due - time.perf_counter()))
        begun = time.perf_counter()
        call(rows)
        found.append(time.perf_counter() - begun)
        due = max(due, time.perf_counter() - 10 * STEP)  # no catching up on a stall
    return found


def table(records: list[dict[str, Any]]) -> str:
    """Return a row for each library, with a column for each size."""
    sizes = dict.fromkeys((r["n"], r["m"]) for r in records)
    heads = [f"n={n}, m={m}" for n, m in sizes]
    lines = ["| | " + " | ".join(heads) + " |", "| --- " * (1 + len(heads)) + "|"]
    for name in dict.fromkeys(r["library"] for r in records):
        own = {(r["n"], r["m"]): r for r in records if r["library"] == name}
        cells = [_cell(own[size]) if size in own else "" for size in sizes]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(record: dict[str, Any]) -> str:
    if not record["error"] <= RIGHT:
        return f"x wrong by {record['error']:.0e}"
    return f"{record['median']:.0f}, {record['late']:.0f}"
