"""Run workloads with kktdiff alone, as plain data."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from kktdiff.bench._machine import machine, memory_of
from kktdiff.bench._ours import build, right, ways
from kktdiff.bench._problem import Problem
from kktdiff.bench._reference import errors
from kktdiff.bench._timing import Contestant, Timing, measure
from kktdiff.bench._workloads import WORKLOADS, make

USUAL = ("W1", "W2", "W3", "W3G", "W4", "W5", "small", "single")
CHECKED = 1024  # elements that are held against the reference, where nothing is shared
RIGHT, WRONG = 1e-6, 1e-2  # relative errors: right up to one, wrong above the other
SECONDS = 10.0  # per workload and library: then no further repeat is begun
QUICK_BATCH, QUICK_REPEATS = 2, 1
Record = dict[str, Any]


def run(
    names: Sequence[str] = USUAL,
    *,
    batch: int | None = None,
    repeats: int = 9,
    dtype: str = "float64",
    ways_to_call: Sequence[str] | None = None,
    quick: bool = False,
    on_begin: Callable[[str, str], None] = lambda *_: None,
    on_record: Callable[[Record], None] = lambda _: None,
) -> Record:
    """Measure workloads, one after the other.

    Parameters
    ----------
    names
        Of `WORKLOADS`.
    batch
        Problems per call; each workload's own number if None.
    repeats
        How often each is measured.
    dtype
        ``"float64"`` or ``"float32"``.
    ways_to_call
        Of `WAYS`; all that can be used if None.
    quick
        One repeat with two problems, to see that it works.
    on_begin
        Gets the workload and the way to call before each measurement.
    on_record
        Gets each record as soon as it is there.

    Returns
    -------
    dict
        ``machine`` and ``records``, ready for JSON.
    """
    records = []
    for name in names:
        workload = WORKLOADS[name]
        size = min(QUICK_BATCH, workload.batch) if quick else batch or workload.batch
        problem = make(name, size).cast(dtype)
        for way in ways_to_call or ways():
            on_begin(name, way)
            count = QUICK_REPEATS if quick else repeats
            records.append(run_one(problem, way, repeats=count))
            on_record(records[-1])
    return {"machine": machine(), "records": records}


def run_one(
    problem: Problem, way: str = "arrays", *, repeats: int, seconds: float = SECONDS
) -> Record:
    """One workload by one way to call."""
    begun = time.perf_counter()
    contestant = build(problem, way)
    contestant.once()
    first = time.perf_counter() - begun
    (timing,) = measure([contestant], repeats, seconds)
    more = {"way": way, "memory_bytes": memory_of(contestant.once)}
    return about(problem) | more | outcome(problem, contestant, timing, first)


def about(problem: Problem) -> Record:
    """Name, sizes and dtype of a problem."""
    dtype = str(problem.cotangent.dtype)
    return {"workload": problem.name, "batch": problem.batch, **problem.sizes, "dtype": dtype}


def outcome(problem: Problem, contestant: Contestant, timing: Timing, first: float) -> Record:
    """Return all times and errors of a measurement."""
    return {
        "first_call_seconds": first,
        "forward_seconds": timing.forward,
        "backward_seconds": timing.backward,
        **accuracy(problem, contestant),
    }


def accuracy(problem: Problem, contestant: Contestant) -> Record:
    """Errors of x and of each gradient: the worst, and of how many elements; how many are known."""
    checked = problem if problem.shared() else problem.head(CHECKED)
    truth = right(checked)
    found = errors(checked, truth, contestant.once())
    return {
        "errors": {name: each and summary(each) for name, each in found.items()},
        "without_reference": int((~truth.known).sum()),
        "reference_violation": truth.violation,
    }


def summary(each: list[float]) -> Record:
    """The worst of the elements' errors, and how many elements are above the marks."""
    above = {f"above_{mark:.0e}": sum(e > mark for e in each) for mark in (RIGHT, WRONG)}
    return {"worst": max(each), **above, "of": len(each)}
