"""Problems of the check: workloads, large batches cheaply, and errors of what came of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

import kktdiff
from benchmarks.gpu_check.device import Device, host
from kktdiff import bench

DIFFERENT = 256  # problems: more of them are copies, with another p for each
NOTHING = 1e-9  # of the largest of an element's arrays: one so small is zero but for rounding


def placed(name: str, batch: int, device: Device) -> bench.Problem:
    """Return problems on the device."""
    few = bench.make(name, min(batch, DIFFERENT))
    rng, times = np.random.default_rng(7), -(-batch // few.batch)
    data = device.arrays(few.data)
    if times > 1:
        for key in set(data) - few.shared():
            data[key] = device.xp.concatenate([data[key]] * times)[:batch]
        data["p"] = device.xp.asarray(rng.standard_normal((batch, few.cotangent.shape[1])))
    cotangent = rng.standard_normal((batch, few.cotangent.shape[1]))
    return bench.Problem(name, data, device.xp.asarray(cotangent))


def both(problem: bench.Problem) -> tuple[Any, Any]:
    """Return the solution and the gradients."""
    solution = kktdiff.solve_qp(**problem.data, on_failure="ignore")
    return solution, solution.vjp(x=problem.cotangent)


def errors(problem: bench.Problem, found: tuple[Any, Any], count: int, device: Device) -> Any:
    """Return relative errors of x and of gradients that are no sums, for the first elements."""
    head = problem.head(count)
    data = {name: device.to_numpy(v) for name, v in head.data.items()}
    right = both(bench.Problem(head.name, data, device.to_numpy(head.cotangent)))
    own = [name for name in problem.data if name not in problem.shared()]
    here = {"x": found[0].x} | {name: getattr(found[1], name) for name in own}
    there = {"x": right[0].x} | {name: getattr(right[1], name) for name in own}
    return relative({name: device.to_numpy(v[:count]) for name, v in here.items()}, there)


def relative(found: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, float]:
    """Return the worst relative error of each array, by the largest entry of each element."""
    sizes = {name: _largest(array) for name, array in right.items()}
    most = np.max(list(sizes.values()), axis=0)
    out = {}
    for name, array in right.items():
        size = np.where(sizes[name] > NOTHING * most, sizes[name], np.maximum(most, 1e-300))
        error = _largest(found[name] - array) / size
        out[name] = float(np.max(np.where(np.isfinite(error), error, np.inf)))
    return out


def _largest(array: np.ndarray) -> np.ndarray:
    return np.max(np.abs(array).reshape(len(array), -1), axis=1, initial=0.0)


__all__ = ["both", "errors", "host", "placed", "relative"]
