"""CuPy itself, as `_cuda.Cuda` has it. The one file that imports it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import array_api_compat.cupy as xp
import cupy
import cupyx
import numpy as np
from cupy_backends.cuda.api import driver
from cupy_backends.cuda.libs import nvrtc

from kktdiff._typing import Array, Namespace
from kktdiff.backends.cuda._cuda import Device, Launch
from kktdiff.kernels import device

SHARE = 4  # of the free memory, scratch memory takes one part in so many
LEAST = 64 * 2**20  # bytes, but for a full device


class CuPy:
    """Kernels are compiled when they are first launched on a device, and kept by CuPy on disk."""

    def __init__(self) -> None:
        self._devices: dict[int, Device] = {}
        self._functions: dict[tuple[int, int, str], Any] = {}  # by device, team, and name

    @property
    def xp(self) -> Namespace:
        """array-api-compat's view of CuPy."""
        return xp

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

    def to_host(self, array: Array) -> Array:
        """Copy a device array to a NumPy array."""
        return array.get()

    @contextlib.contextmanager
    def at(self, like: Array | None) -> Iterator[None]:
        """The device, the stream and the error state are those of a thread: set here, not once."""
        where = contextlib.nullcontext() if like is None else like.device
        with where, cupyx.errstate(linalg="ignore"):
            yield

    def address(self, array: Array) -> int:
        """Return the address of the first entry of a C-contiguous array."""
        if not array.flags.c_contiguous:
            raise ValueError(f"an array of shape {array.shape} is not C-contiguous")
        return int(array.data.ptr)

    def device(self) -> Device:
        """Return the current device."""
        number = cupy.cuda.runtime.getDevice()
        if number not in self._devices:
            found = cupy.cuda.Device(number).attributes
            self._devices[number] = Device(
                number,
                found["MultiProcessorCount"],
                found["MaxSharedMemoryPerBlockOptin"],
                found["MaxSharedMemoryPerMultiprocessor"],
            )
        return self._devices[number]

    def blocks_at_once(self, launch: Launch) -> int:
        """Return how many blocks fit a multiprocessor together, by registers and shared memory."""
        function = self._function(launch).kernel
        asked = function.ptr, launch.threads, launch.shared
        return int(driver.occupancyMaxActiveBlocksPerMultiprocessor(*asked))

    def launch(self, launch: Launch, call: Any) -> None:
        """Queue the kernel on the current stream."""
        function = self._function(launch)
        plain = call.view(f"V{call.itemsize}")  # the type of which CuPy passes all bytes by value
        function((launch.blocks,), (launch.threads,), (plain,), shared_mem=launch.shared)

    def _function(self, launch: Launch) -> Any:
        """Return the compiled kernel, with leave to have as much shared memory as is asked for."""
        key = cupy.cuda.runtime.getDevice(), launch.team, launch.kernel
        if key not in self._functions:
            quickly = device.QUICKLY if nvrtc.getVersion() >= (13, 0) else ()
            options = (*device.OPTIONS, *quickly, f"-DTEAM={launch.team}")
            module = cupy.RawModule(code=device.source(), options=options)
            self._functions[key] = module.get_function(launch.kernel)
        function = self._functions[key]
        if launch.shared > function.max_dynamic_shared_size_bytes:
            function.max_dynamic_shared_size_bytes = launch.shared
        return function

    def room(self) -> int:
        """Return a share of the free memory of the device and CuPy's pool, within its limit."""
        pool = cupy.get_default_memory_pool()
        free = cupy.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
        if pool.get_limit():
            free = min(free, pool.get_limit() - pool.used_bytes())
        return max(int(free) // SHARE, LEAST)

    def is_capturing(self) -> bool:
        """Return True while the current stream is recorded for a CUDA graph."""
        return bool(cupy.cuda.get_current_stream().is_capturing())
