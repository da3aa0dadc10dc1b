"""Measure the layers on one kind of models: how right they are, and how long they take."""

import time
import warnings
from importlib import util
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.cvxpy_layers.layers import OURS, contestant, layer_of
from benchmarks.cvxpy_layers.models import KINDS
from benchmarks.cvxpy_layers.truth import Truth, errors_of, left_out, truth_of
from kktdiff import bench

BUILDS = 3
Record = dict[str, Any]


class Effort(NamedTuple):
    """How much is measured."""

    repeats: int
    seconds: float  # for each layer and batch size: then no further repeat is begun
    ways: tuple[str, ...]  # of `layers.WAYS`
    checked: int  # problems whose solutions and derivatives are held against the reference


def records_of(name: str, batches: tuple[int, ...], effort: Effort) -> list[Record]:
    """One for each layer and batch size, ours first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of cvxpy and of solvers; what they answer is checked
        truth = _truth(name, effort.checked)
        names = [OURS, *effort.ways] if util.find_spec("cvxpylayers") else [OURS]
        found = [_layer(name, way, truth, batches, effort) for way in names]
    return [record for records in found for record in records]


def drawn(name: str, batch: int) -> tuple[list[Any], list[Any]]:
    """Values of the parameters, and the derivatives of a loss in the variables."""
    model, rng = KINDS[name].make(), np.random.default_rng(batch)
    data = [np.asarray(value, dtype=float) for value in model.values(rng, batch)]
    return data, [rng.standard_normal((batch, *v.shape)) for v in model.variables]


def _truth(name: str, checked: int) -> Truth:
    data, cotangents = drawn(name, checked)
    layer = layer_of(OURS, KINDS[name].make())

    def solve(values: list[Any]) -> list[Any]:
        tensors = [torch.tensor(np.asarray(v)) for v in values]
        return [v.numpy() for v in layer(*tensors, solver_args={"tol": 1e-12})]

    return truth_of(KINDS[name].make(), solve, data, cotangents, np.random.default_rng(0))


def _layer(
    name: str, way: str, truth: Truth, batches: tuple[int, ...], effort: Effort
) -> list[Record]:
    """One layer. What it raises becomes a sentence, for the batch size where it does."""
    head = {"model": name, "layer": way}
    try:
        ahead = head | _accuracy(name, way, truth) | {"build_seconds": _builds(name, way)}
    except Exception as error:
        return [head | {"batch": batch, "failed": _sentence(error)} for batch in batches]
    found = []
    for batch in batches:
        try:
            found.append(ahead | {"batch": batch} | _times(name, way, batch, effort))
        except Exception as error:
            found.append(head | {"batch": batch, "failed": _sentence(error)})
    return found


def _accuracy(name: str, way: str, truth: Truth) -> Record:
    data, cotangents = drawn(name, len(truth.goals))
    answer = contestant(layer_of(way, KINDS[name].make()), data, cotangents).once()
    errors = errors_of(KINDS[name].make(), truth, data, answer)
    return {
        "errors": errors,
        "left_out": left_out(truth),
        "reference_disagreement": truth.disagreement,
    }


def _builds(name: str, way: str) -> list[float]:
    """Seconds to make the layer of a new problem, the warm-up above not counted."""
    times = []
    for _ in range(BUILDS):
        model = KINDS[name].make()
        begun = time.perf_counter()
        layer_of(way, model)
        times.append(time.perf_counter() - begun)
    return times


def _times(name: str, way: str, batch: int, effort: Effort) -> Record:
    """A layer, and ours in turns with it."""
    data, cotangents = drawn(name, batch)
    sides = [way] if way == OURS else [way, OURS]
    ready = [contestant(layer_of(one, KINDS[name].make()), data, cotangents) for one in sides]
    begun = time.perf_counter()
    ready[0].once()
    first = time.perf_counter() - begun
    timings = bench.measure(ready, effort.repeats, effort.seconds)
    record = {"first_call_seconds": first} | _seconds(timings[0])
    return record if len(ready) == 1 else record | {"beside": _seconds(timings[1])}


def _seconds(timing: bench.Timing) -> Record:
    return {"forward_seconds": timing.forward, "backward_seconds": timing.backward}


def _sentence(error: Exception) -> str:
    first_line = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first_line}"


def both(record: Record) -> float:
    """Median milliseconds per call, forward and backward."""
    return 1e3 * sum(median(record[f"{name}_seconds"]) for name in ("forward", "backward"))
