"""A solution and its gradients, brought to the host, against those of the NumPy backend."""

from collections.abc import Mapping
from typing import Any

import numpy as np

import kktdiff
from benchmarks.gpu_check.device import Device, host
from kktdiff import bench

ANSWERS = ("x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective")
NOTHING = 1e-9  # of the largest of an element's arrays: one so small is zero but for rounding
Arrays = dict[str, np.ndarray]


def solved(problem: bench.Problem, device: Device) -> tuple[Any, Any]:
    """The solution and the gradients on the device; the problem may be on the host."""
    data = device.arrays(problem.data)
    solution = kktdiff.solve_qp(**data, on_failure="ignore")
    return solution, solution.vjp(x=device.xp.asarray(problem.cotangent))


def arrays_of(record: Any, names: Any, device: Device) -> Arrays:
    """The fields of a solution, or of gradients, on the host in float64."""
    found = {name: device.to_numpy(getattr(record, name)) for name in names}
    return {name: array.astype(np.float64) for name, array in found.items()}


def by_numpy(problem: bench.Problem) -> tuple[Any, Any]:
    """The same numbers, solved by NumPy in float64."""
    return solved(problem.cast(np.float64), host())


def errors(found: Mapping[str, Any], right: Mapping[str, Any], batch: int) -> dict[str, float]:
    """The worst relative error of each array, in the infinity norm of each element.

    What is zero but for rounding is held against the largest of the element's arrays. An array
    without the dimension of the batch (the gradient of what is shared) is one element.
    """
    sizes = {name: _largest(array, batch) for name, array in right.items()}
    most = np.max([np.broadcast_to(size, batch) for size in sizes.values()], axis=0)
    result = {}
    for name, array in right.items():
        if found[name].shape != array.shape:
            result[name] = np.inf
            continue
        all_most = most if len(sizes[name]) == batch else np.max(most, keepdims=True)
        size = np.where(sizes[name] > NOTHING * all_most, sizes[name], np.maximum(all_most, 1e-300))
        relative = _largest(found[name] - array, batch) / size
        result[name] = float(np.max(np.where(np.isfinite(relative), relative, np.inf)))
    return result


def _largest(array: np.ndarray, batch: int) -> np.ndarray:
    """The largest entry of each element."""
    count = batch if array.ndim and array.shape[0] == batch else 1
    return np.max(np.abs(array).reshape(count, -1), axis=1, initial=0.0)
