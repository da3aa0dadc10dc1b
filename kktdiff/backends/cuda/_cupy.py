"""CuPy itself, as `_cuda.Cuda` has it. The one file that imports it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import array_api_compat.cupy as xp
import cupy
import cupyx
import numpy as np
from cupy_backends.cuda.libs import cublas, cusolver

from kktdiff._typing import Array, Namespace
from kktdiff.backends.cuda._kernels import source

SHARE = 4  # of the free memory, a solve's workspace takes one part in so many
LEAST = 64 * 2**20  # bytes, but for a full device


class CuPy:
    """Kernels are compiled when they are first launched on a device, and kept by CuPy on disk."""

    def __init__(self) -> None:
        self._module = cupy.RawModule(code=source(), options=("-std=c++17",))
        self._kernels: dict[str, Any] = {}  # each keeps what it compiled, by device

    @property
    def xp(self) -> Namespace:
        """array-api-compat's view of CuPy."""
        return xp

    @property
    def cublas(self) -> Any:
        """CuPy's wrappers of cuBLAS, which queue on its current stream."""
        return cublas

    @property
    def cusolver(self) -> Any:
        """CuPy's wrappers of cuSOLVER, which queue on its current stream."""
        return cusolver

    def owns(self, array: Any) -> bool:
        """Return True if `array` is a CuPy array."""
        return isinstance(array, cupy.ndarray)

    def to_device(self, array: Any) -> Array:
        """Copy an array from the host; share another library's device array through DLPack."""
        if isinstance(array, np.ndarray | np.generic):
            return cupy.asarray(array)
        kind, _ = array.__dlpack_device__()
        on_host = int(kind) == 1  # kDLCPU
        return cupy.asarray(np.from_dlpack(array)) if on_host else cupy.from_dlpack(array)

    @contextlib.contextmanager
    def at(self, like: Array | None) -> Iterator[None]:
        """The device, the stream and the error state are those of a thread: set here, not once.

        cuSOLVER's word on one bad matrix of a batch must not raise in `linalg.eigh`.
        """
        device = contextlib.nullcontext() if like is None else like.device
        with device, cupyx.errstate(linalg="ignore"):
            yield

    def handles(self) -> tuple[int, int]:
        """They are CuPy's own, one pair for each device and thread."""
        handle = cupy.cuda.device.get_cublas_handle()
        if cublas.getPointerMode(handle) != cublas.CUBLAS_POINTER_MODE_HOST:
            cublas.setPointerMode(handle, cublas.CUBLAS_POINTER_MODE_HOST)
        return handle, cupy.cuda.device.get_cusolver_handle()

    def address(self, array: Array) -> int:
        """Return the address of the first entry of a C-contiguous array."""
        if not array.flags.c_contiguous:
            raise ValueError(f"an array of shape {array.shape} is not C-contiguous")
        return int(array.data.ptr)

    def launch(self, kernel: str, blocks: int, threads: int, *arguments: Array | int) -> None:
        """Queue the kernel on the current stream."""
        if kernel not in self._kernels:
            self._kernels[kernel] = self._module.get_function(kernel)
        self._kernels[kernel]((blocks,), (threads,), arguments)

    def later(self, count: Array) -> Callable[[], int]:
        """Copy to pinned memory, with an event behind the copy."""
        host = cupyx.empty_pinned((1,), dtype=np.int32)
        count.get(out=host, blocking=False)
        done = cupy.cuda.Event(disable_timing=True)
        done.record()

        def wait() -> int:
            done.synchronize()
            return int(host[0])

        return wait

    def room(self) -> int:
        """Return a share of the free memory of the device and CuPy's pool, within its limit."""
        pool = cupy.get_default_memory_pool()
        free = cupy.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
        if pool.get_limit():
            free = min(free, pool.get_limit() - pool.used_bytes())
        return max(int(free) // SHARE, LEAST)
