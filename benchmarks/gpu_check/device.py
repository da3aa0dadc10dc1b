"""Where arrays live and how time is taken there: a GPU through CuPy, or the host through NumPy.

The host stands in where there is no GPU, so that what is measured can be rehearsed.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Device(NamedTuple):
    """What the stages ask of either."""

    name: str
    xp: Any
    to_numpy: Callable[[Any], np.ndarray]
    timed: Callable[[Callable[[], Any]], tuple[float, Any]]  # seconds, and what the call returned
    free: Callable[[], None]  # give back what no array holds

    def arrays(self, data: dict[str, np.ndarray]) -> dict[str, Any]:
        """Return all of them on the device."""
        return {name: self.xp.asarray(array) for name, array in data.items()}


def gpu() -> Device:
    """Return the current CUDA device."""
    import cupy

    def timed(call: Callable[[], Any]) -> tuple[float, Any]:
        stream = cupy.cuda.get_current_stream()
        stream.synchronize()
        begin = time.perf_counter()
        result = call()
        stream.synchronize()
        return time.perf_counter() - begin, result

    def free() -> None:
        cupy.cuda.get_current_stream().synchronize()
        cupy.get_default_memory_pool().free_all_blocks()

    return Device("gpu", cupy, cupy.asnumpy, timed, free)


def host() -> Device:
    """Return NumPy in this process."""

    def timed(call: Callable[[], Any]) -> tuple[float, Any]:
        begin = time.perf_counter()
        result = call()
        return time.perf_counter() - begin, result

    return Device("host", np, np.asarray, timed, lambda: None)
