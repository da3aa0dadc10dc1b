"""Stage: how long forward and backward take, here and on the processor, and how right they are."""

import time
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import kktdiff
from benchmarks.gpu_check import problems
from benchmarks.gpu_check.device import Device, host
from benchmarks.gpu_check.runner import Record, guarded
from benchmarks.gpu_model import estimate
from kktdiff import bench

CASES = (  # what takes most of the time comes last: if it takes all, the others are there
    *(("W1", 128), ("W1", 1024), ("W2", 1000), ("W3", 150), ("small", 100_000)),
    *(("W2", 100_000), ("W3", 8192), ("W1", 8192)),
)
CHECKED, MOST, BY_HOST = 8, 30, 256  # elements against NumPy; repeats; elements on the processor
RIGHT = 1e-6  # of answers and gradients: both sides are right to 1e-8 or so


def records(
    seconds: float, argument: str, device: Device, cases: tuple[tuple[str, int], ...] = CASES
) -> Iterator[Record]:
    """Yield one for each case; each may take an even part of the time that is left."""
    end = time.perf_counter() + seconds
    problems.both(problems.placed("W2", 2, device))  # compiles what serves all sizes of a team
    for i, (workload, batch) in enumerate(cases):
        part = (end - time.perf_counter()) / (len(cases) - i)
        work = partial(measure, workload, batch, device, part)
        yield guarded({"workload": workload, "batch": batch}, work)
        device.free()


def measure(workload: str, batch: int, device: Device, seconds: float) -> Record:
    """Return times, statuses, errors of the first elements, and what the model says."""
    end = time.perf_counter() + seconds
    problem = problems.placed(workload, batch, device)
    first, found = device.timed(partial(problems.both, problem))
    status = device.to_numpy(found[0].status)
    record: Record = {
        "first_call_seconds": first,
        "solved": int((status == 0).sum()),
        "iterations": float(device.to_numpy(found[0].iterations).mean()),
        "errors": problems.errors(problem, found, CHECKED, device),
        "model_seconds": estimate(problem.sizes, batch),
    }
    del found
    record |= repeated(problem, device, end)
    here = problems.placed(workload, min(batch, BY_HOST), host())
    record["host_seconds"] = host().timed(partial(problems.both, here))[0] * batch / here.batch
    wrong = [] if record["solved"] == batch else [f"solved {record['solved']}"]
    wrong += [f"error of {k} {e:.0e}" for k, e in record["errors"].items() if not e <= RIGHT]
    return record | ({"failed": ", ".join(wrong)} if wrong else {})


def repeated(problem: bench.Problem, device: Device, end: float) -> Record:
    """Return the seconds of forward and of backward, each time; once in any case."""
    forward: list[float] = []
    backward: list[float] = []
    while not forward or (time.perf_counter() < end and len(forward) < MOST):
        took, solution = device.timed(partial(_forward, problem))
        forward.append(took)
        took, grads = device.timed(partial(solution.vjp, x=problem.cotangent))
        backward.append(took)
        del solution, grads
    return {"forward_seconds": median(forward), "backward_seconds": median(backward)}


def _forward(problem: bench.Problem) -> Any:
    return kktdiff.solve_qp(**problem.data, on_failure="ignore")
