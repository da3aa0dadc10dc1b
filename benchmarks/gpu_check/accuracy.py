"""Stage: float64 on the GPU against the NumPy backend, and bad elements beside good ones."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.gpu_check import problems
from benchmarks.gpu_check.compared import ANSWERS, arrays_of, by_numpy, errors, solved
from benchmarks.gpu_check.device import Device, gpu, host
from benchmarks.gpu_check.record import Record, guarded
from kktdiff import Status, bench

CASES = {"W1": 24, "W2": 64, "W3": 24, "W3G": 24, "W4": 8, "small": 64}  # batch of each
HOST = host()
RIGHT = 1e-6  # of answers and gradients: both sides are right to 1e-8 or so


def records(seconds: float, argument: str = "", device: Device | None = None) -> Iterator[Record]:
    """One for each workload, and one for isolation."""
    device = device or gpu()
    for name, batch in CASES.items():
        about = {"workload": name, "batch": batch}
        yield guarded(about, partial(compare, bench.make(name, batch), device))
    yield guarded({"workload": "W2, two bad elements", "batch": 8}, partial(isolation, device))


def compare(problem: bench.Problem, device: Device) -> Record:
    """Statuses, and errors of every answer and every gradient."""
    (here, grads), (there, right) = solved(problem, device), by_numpy(problem)
    statuses = [np.asarray(device.to_numpy(here.status)), there.status]
    steps = np.abs(device.to_numpy(here.iterations) - there.iterations)
    parts = ((here, there, ANSWERS), (grads, right, tuple(problem.data)))
    worst = {}
    for kind, (found, expected, names) in zip(("answers", "gradients"), parts, strict=True):
        truth = arrays_of(expected, names, HOST)
        worst[kind] = errors(arrays_of(found, names, device), truth, problem.batch)
    record: Record = {
        "statuses_equal": bool(np.array_equal(*statuses)),
        "solved": int((statuses[0] <= Status.ALMOST_SOLVED).sum()),
        "iterations_apart": int(steps.max()),
        **worst,
    }
    return record | judged(record)


def judged(record: Record) -> Record:
    """A sentence, if something is not right."""
    wrong = [] if record["statuses_equal"] else ["statuses differ"]
    for kind in ("answers", "gradients"):
        bad = {name: e for name, e in record[kind].items() if not e <= RIGHT}
        wrong += [f"error of {kind[:-1]} {name} {e:.0e}" for name, e in bad.items()]
    return {"failed": "; ".join(wrong)} if wrong else {}


def isolation(device: Device) -> Record:
    """The bad elements are told apart, and the others do not notice them."""
    bad = problems.spoiled()
    good = np.ones(bad.batch, dtype=bool)
    good[[problems.INFEASIBLE, problems.INVALID]] = False
    (here, grads), (clean, right) = solved(bad, device), by_numpy(bench.make("W2", bad.batch))
    status = device.to_numpy(here.status)
    worst = {}
    for kind, found, truth, names in (
        ("answers", here, clean, ANSWERS),
        ("gradients", grads, right, tuple(bad.data)),
    ):
        own = {name: a[good] for name, a in arrays_of(found, names, device).items()}
        wanted = {name: a[good] for name, a in arrays_of(truth, names, HOST).items()}
        worst[kind] = errors(own, wanted, int(good.sum()))
    zero = arrays_of(grads, tuple(bad.data), device)
    record: Record = {
        "statuses_equal": bool(np.array_equal(status, by_numpy(bad)[0].status)),
        "solved": int((status <= Status.ALMOST_SOLVED).sum()),
        "iterations_apart": 0,
        "bad_gradients_are_zero": all(bool((a[~good] == 0).all()) for a in zero.values()),
        **worst,
    }
    wrong = [*judged(record).values()]
    if not record["bad_gradients_are_zero"]:
        wrong.append("gradients of bad elements are not zero")
    return record | ({"failed": "; ".join(wrong)} if wrong else {})
