"""Where arrays live and how time is taken there: a GPU through CuPy, or the host through NumPy.

The host stands in where there is no GPU, so that a test can run what is measured.
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
    held: Callable[[], int | None]  # bytes that the memory pool has taken from the device
    free: Callable[[], None]  # give back what no array holds

    def arrays(self, data: dict[str, np.ndarray]) -> dict[str, Any]:
        """All of them on the device."""
        return {name: self.xp.asarray(array) for name, array in data.items()}


def gpu() -> Device:
    """The current CUDA device."""
    import cupy

    def timed(call: Callable[[], Any]) -> tuple[float, Any]:
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        begin.record()
        result = call()
        end.record()
        end.synchronize()
        return cupy.cuda.get_elapsed_time(begin, end) / 1e3, result

    def free() -> None:
        cupy.cuda.get_current_stream().synchronize()
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()

    pool = cupy.get_default_memory_pool()
    return Device("gpu", cupy, cupy.asnumpy, timed, pool.total_bytes, free)


def host() -> Device:
    """NumPy in this process."""

    def timed(call: Callable[[], Any]) -> tuple[float, Any]:
        begin = time.perf_counter()
        result = call()
        return time.perf_counter() - begin, result

    return Device("host", np, np.asarray, timed, lambda: None, lambda: None)
