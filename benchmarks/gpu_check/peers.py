"""Stage: another library on W1 on the same GPU, where it is installed."""

import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from statistics import median
from typing import Any

from benchmarks import peers
from benchmarks.gpu_check.device import Device
from benchmarks.gpu_check.problems import both, relative
from benchmarks.gpu_check.runner import Record, guarded
from kktdiff import bench

CHECKED, REPEATS = 8, 7
CASES = (("W1", 128), ("W1", 1024))
BY_JAX = ("qpax", "jaxopt")
MISSING = ("ImportError", "ModuleNotFoundError")
OPTIONS: dict[str, dict[str, Any]] = {  # of `build`, on a GPU; JAX takes it by itself
    "qpth": {"expand": True, "device": "cuda"},
    "moreau": {"device": "cuda"},
}


def records(
    seconds: float,
    argument: str,
    device: Device,
    cases: tuple[tuple[str, int], ...] = CASES,
) -> Iterator[Record]:
    """Yield one for each case, or the sentence that it is not installed."""
    end = time.perf_counter() + seconds
    chosen = OPTIONS.get(argument, {}) if device.name == "gpu" else {}
    for i, (workload, batch) in enumerate(cases):
        about = {"library": argument, "workload": workload, "batch": batch}
        part = (end - time.perf_counter()) / (len(cases) - i)
        record = guarded(about, partial(measure, argument, workload, batch, chosen, part, device))
        if record.get("failed", "").startswith(MISSING):
            yield {"skipped": f"{argument} is not installed here"}
            return
        yield record


def measure(
    name: str,
    workload: str,
    batch: int,
    options: Mapping[str, Any],
    seconds: float,
    device: Device,
) -> Record:
    """Return the seconds until the GPU is done, and the errors of the first elements."""
    problem = bench.make(workload, batch)
    first, contestant = bench.timed(partial(peers.load(name).build, problem, **options))
    if name in BY_JAX and device.name == "gpu" and sys.modules["jax"].default_backend() == "cpu":
        raise RuntimeError("JAX sees no GPU here")
    more, found = bench.timed(contestant.once)
    (timing,) = bench.measure([contestant], REPEATS, seconds / 2)
    solution, grads = both(problem.head(CHECKED))
    own = [key for key in found if key != "x" and key not in problem.shared()]
    right = {"x": solution.x} | {key: getattr(grads, key) for key in own}
    return {
        "first_call_seconds": (first + more) / 1e3,
        "forward_seconds": median(timing.forward),
        "backward_seconds": median(timing.backward) if timing.backward else None,
        "errors": relative({key: found[key][:CHECKED] for key in right}, right),
    }
