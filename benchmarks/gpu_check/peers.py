"""Stage: another library on W1 on the same GPU, where it is installed."""

import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from benchmarks import peers
from benchmarks.gpu_check import problems
from benchmarks.gpu_check.compared import by_numpy, errors
from benchmarks.gpu_check.record import Record, guarded
from kktdiff import bench

CHECKED, REPEATS = 8, 7
CASES = (("W1", 128), ("W1", 1024))
BY_JAX = ("qpax", "jaxopt")
MISSING = ("ImportError", "ModuleNotFoundError")
OPTIONS: dict[str, dict[str, Any]] = {  # of `build`; JAX takes the GPU by itself
    "qpth": {"expand": True, "device": "cuda"},
    "moreau": {"device": "cuda"},
}


def records(
    seconds: float,
    argument: str,
    options: Mapping[str, Any] | None = None,
    cases: tuple[tuple[str, int], ...] = CASES,
) -> Iterator[Record]:
    """One for each case, or the sentence that it is not installed."""
    end = time.perf_counter() + seconds
    chosen = OPTIONS.get(argument, {}) if options is None else options
    for i, (workload, batch) in enumerate(cases):
        about = {"library": argument, "workload": workload, "batch": batch}
        part = (end - time.perf_counter()) / (len(cases) - i)
        record = guarded(about, partial(measure, argument, workload, batch, chosen, part))
        if record.get("failed", "").startswith(MISSING):
            yield {"skipped": f"{argument} is not installed here"}
            return
        yield record


def measure(
    name: str, workload: str, batch: int, options: Mapping[str, Any], seconds: float
) -> Record:
    """Seconds until the GPU is done, and the errors of the first elements; these are no failure."""
    problem = problems.workload(workload, batch)
    first, contestant = bench.timed(partial(peers.load(name).build, problem, **options))
    if name in BY_JAX and sys.modules["jax"].default_backend() == "cpu":
        raise RuntimeError("JAX sees no GPU here")
    more, found = bench.timed(contestant.once)
    (timing,) = bench.measure([contestant], REPEATS, seconds / 2)
    head = problem.head(CHECKED)
    solution, grads = by_numpy(head)
    own = [key for key in found if key != "x" and key not in problem.shared()]
    worst = errors({"x": found["x"][:CHECKED]}, {"x": solution.x}, head.batch)
    right = {key: getattr(grads, key) for key in own}
    worst |= errors({key: found[key][:CHECKED] for key in own}, right, head.batch)
    return {
        "first_call_seconds": (first + more) / 1e3,
        "forward_seconds": timing.forward,
        "backward_seconds": timing.backward,
        "errors": worst,
    }
