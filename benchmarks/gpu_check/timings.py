"""Stage: how long forward and backward take, what memory they take, and how right they are."""

import time
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import kktdiff
from benchmarks.gpu_check import problems
from benchmarks.gpu_check.compared import by_numpy, errors
from benchmarks.gpu_check.device import Device, gpu
from benchmarks.gpu_check.environment import smi
from benchmarks.gpu_check.record import Record, guarded
from kktdiff import Status, bench

CHECKED = 8  # the first elements, against NumPy
MOST = 30  # repeats
RIGHT = {"float64": 1e-6, "float32": 1e-3}  # inputs and outputs in float32; the work is in float64


class Case(NamedTuple):
    """What is timed."""

    workload: str
    batch: int
    dtype: str


SIZES = (  # what takes most of the time comes last: if it takes all, the others are there
    (("W1", 128), ("W1", 1024), ("W2", 1000), ("W3", 150)),
    (("W2", 8192), ("W3", 8192)),
    (("W1", 8192),),
)
CASES = tuple(
    Case(workload, batch, dtype) for sizes in SIZES for dtype in RIGHT for workload, batch in sizes
)


def records(
    seconds: float,
    argument: str = "",
    device: Device | None = None,
    cases: tuple[Case, ...] = CASES,
) -> Iterator[Record]:
    """One for each case; each may take an even part of the time that is left."""
    end, device = time.perf_counter() + seconds, device or gpu()
    yield from warm_up(device)
    for i, case in enumerate(cases):
        part = (end - time.perf_counter()) / (len(cases) - i)
        if part <= 0:
            yield case._asdict() | {"failed": "no time was left"}
            continue
        yield guarded(case._asdict(), partial(measure, case, device, part, end))
        device.free()
    if device.name == "gpu":
        yield {"smi_under_load": smi()}


def warm_up(device: Device) -> Iterator[Record]:
    """Compile what is compiled once for all sizes, and load the libraries."""

    def once(problem: bench.Problem) -> Record:
        seconds, _ = device.timed(partial(_both, _placed(problem, device)))
        return {"warm_up_seconds": seconds}

    for dtype in RIGHT:
        yield guarded({"warm_up": dtype}, partial(once, bench.make("W2", 2).cast(dtype)))


def measure(case: Case, device: Device, seconds: float, last: float) -> Record:
    """Data, first call, errors of the first elements, repeats while there is time, memory.

    No call is repeated that would not come to its end before `last`, so that the stage lives.
    """
    end = time.perf_counter() + seconds
    few = problems.workload(case.workload, case.batch).cast(case.dtype)
    on_device = problems.grown(_placed(few, device), case.batch, device.xp)
    inputs = device.held()
    first, (solution, grads) = device.timed(partial(_both, on_device))
    status = device.to_numpy(solution.status)
    record: Record = {
        **few.sizes,
        "first_call_seconds": first,
        "inputs_bytes": inputs,
        "solved": int((status <= Status.ALMOST_SOLVED).sum()),
        "iterations_mean": float(device.to_numpy(solution.iterations).mean()),
        **checked(on_device, solution, grads, device),
    }
    del solution, grads
    if 3 * first < last - time.perf_counter():
        record |= repeated(on_device, device, end)
    else:
        record |= {"forward_seconds": [], "backward_seconds": []}
    record["peak_bytes"] = device.held()  # a pool that nothing was given back from
    worst = max(record["errors"].values())
    bad = record["solved"] < case.batch or not worst <= RIGHT[case.dtype]
    return record | ({"failed": f"solved {record['solved']}, error {worst:.0e}"} if bad else {})


def repeated(problem: bench.Problem, device: Device, end: float) -> Record:
    """Seconds of forward and of backward, each time; once in any case."""
    _both(problem)  # now that nothing is compiled
    forward: list[float] = []
    backward: list[float] = []
    while not forward or (time.perf_counter() < end and len(forward) < MOST):
        took, solution = device.timed(partial(_forward, problem))
        forward.append(took)
        took, grads = device.timed(partial(solution.vjp, x=problem.cotangent))
        backward.append(took)
        del solution, grads
    return {"forward_seconds": forward, "backward_seconds": backward}


def _placed(problem: bench.Problem, device: Device) -> bench.Problem:
    cotangent = device.xp.asarray(problem.cotangent)
    return problem._replace(data=device.arrays(problem.data), cotangent=cotangent)


def _forward(problem: bench.Problem) -> Any:
    return kktdiff.solve_qp(**problem.data, on_failure="ignore")


def _both(problem: bench.Problem) -> tuple[Any, Any]:
    solution = _forward(problem)
    return solution, solution.vjp(x=problem.cotangent)


def checked(problem: bench.Problem, solution: Any, grads: Any, device: Device) -> Record:
    """Errors of x and of what gradients are not sums over the batch, for the first elements."""
    head = problem.head(CHECKED)
    on_host = bench.Problem(
        head.name,
        {name: device.to_numpy(array) for name, array in head.data.items()},
        device.to_numpy(head.cotangent),
    )
    own = [name for name in problem.data if name not in problem.shared()]
    there, right = by_numpy(on_host)
    count = on_host.batch
    worst = {}
    for record, truth, names in ((solution, there, ["x"]), (grads, right, own)):
        found = {name: device.to_numpy(getattr(record, name)[:count]) for name in names}
        expected = {name: getattr(truth, name) for name in names}
        worst |= errors(found, expected, count)
    return {"errors": worst}


def milliseconds(record: Record, key: str) -> float | None:
    """Median of a call; `key`: "forward", "backward" or "both"."""
    if key == "both":
        parts = [milliseconds(record, part) for part in ("forward", "backward")]
        return None if None in parts else sum(part for part in parts if part is not None)
    times = record.get(f"{key}_seconds")
    return 1e3 * median(times) if times else None
