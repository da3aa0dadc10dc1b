"""A stand-in for CuPy: `kktdiff.backends.cuda._cuda.Cuda` over the host's memory."""

import re
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

import kktdiff.kernels
from kktdiff import kernels
from kktdiff.backends.cuda._cuda import Device as Properties
from kktdiff.backends.cuda._launch import CALL
from kktdiff.kernels import device
from tests.backends.cuda.guard import EVENTS, NAMESPACE, Device

_SIGNATURES = Path(kktdiff.kernels.__file__).with_name("signatures.hpp")
_TYPES = {"float64": np.float64, "int64": np.int64, "int32": np.int32, "boolean": np.bool_}
H200 = Properties(0, 132, 232448, 233472)


@cache
def signatures():
    """Of each kernel: numbers of sizes and options, and dtype and need of each array."""
    found = {}
    for part in _SIGNATURES.read_text(encoding="utf-8").split("&Table::")[1:]:
        head = re.match(r"(\w+),\s+(\d+),\s+(\d+),\s+\d+,", part)
        arrays = re.findall(r'\{"[\w.]+", Type::(\w+), Use::(\w+),', part)
        if head:
            own = [(_TYPES[kind], not use.startswith("optional")) for kind, use in arrays]
            found[head[1]] = int(head[2]), int(head[3]), own
    return found


class FakeCuda:
    """Kernels are those of the host, on the same arrays, unless there is an emulator.

    Attributes
    ----------
    launches : list of `kktdiff.backends.cuda._cuda.Launch`
        In the order in which they were made.
    outside : list
        Those that were made outside of `at`.
    capturing : bool
        A CUDA graph is captured: nothing may be read.
    """

    def __init__(self, emulator=None):
        self.xp, self.emulator = NAMESPACE, emulator
        self.launches, self.outside = [], []
        self.capturing, self.bytes = False, 32 << 30
        self._current, self._by_address = None, {}

    def owns(self, array):
        return isinstance(array, Device)

    def to_device(self, array):
        EVENTS["to_device"] += 1
        return Device(np.array(array))

    def to_host(self, array):
        if self.capturing:
            raise RuntimeError("an operation that is not permitted while a stream is captured")
        return array.get()

    @contextmanager
    def at(self, like):
        if like is not None and not self.owns(like):
            raise TypeError(f"not an array of the device: {type(like).__name__}")
        before, self._current = self._current, "current" if like is None else like.device
        try:
            yield
        finally:
            self._current = before

    def address(self, array):
        if not self.owns(array):
            raise TypeError(f"not an array of the device: {type(array).__name__}")
        if not array.flags.c_contiguous:
            raise ValueError(f"not C-contiguous: shape {array.shape}")
        self._by_address[array._own.ctypes.data] = array._own
        return array._own.ctypes.data

    def device(self):
        return H200

    def blocks_at_once(self, launch):
        used = launch.shared + device.STATIC[launch.team] + device.RESERVED
        by_shared = H200.shared_of_all // used
        return min(by_shared, device.THREADS // launch.threads)

    def launch(self, launch, call):
        EVENTS["launch"] += 1
        self.launches.append(launch)
        if self._current is None:
            self.outside.append(launch)
        arrays, self._by_address = self._by_address, {}
        assert call.dtype == CALL
        assert call.shape == (1,)
        assert launch.shared + device.STATIC[launch.team] <= H200.shared
        if self.emulator is None:
            self._by_the_host(launch.kernel, call[0], arrays)
        else:
            self.emulator(launch, call)

    def _by_the_host(self, kernel, call, by_address):
        """Run the kernel with the arrays whose addresses the call holds."""
        sizes, options, declared = signatures()[kernel]
        count, arrays = int(call["elements"]), []
        for i, (dtype, needed) in enumerate(declared):
            own = by_address.get(int(call["arrays"][i]))
            if own is None and needed:
                own = np.empty((count, 0), dtype)  # or it is refused
            elif own is not None:
                step = own.size // len(own) if len(own) > 1 else 0
                assert call["strides"][i] == step
            arrays.append(own)
        given = tuple(map(int, call["sizes"][:sizes])), tuple(map(float, call["options"][:options]))
        kernels.call(kernel, *given, tuple(arrays))

    def room(self):
        return self.bytes

    def is_capturing(self):
        return self.capturing
