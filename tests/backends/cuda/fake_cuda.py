"""A stand-in for CuPy: `kktdiff.backends.cuda._cuda.Cuda` over the host's memory."""

from contextlib import contextmanager

import array_api_compat.numpy as compat
import numpy as np

from kktdiff.backends.cuda import _kernels
from tests.backends.cuda.emulator import Emulator, EmulatorError
from tests.backends.cuda.fake_cublas import FakeCublas
from tests.backends.cuda.fake_cusolver import FakeCusolver
from tests.backends.cuda.guard import Device, Namespace
from tests.backends.cuda.memory import Memory

CUBLAS_HANDLE, CUSOLVER_HANDLE = 4711, 8151


class FakeCuda:
    """Kernels run in the emulator, library calls in SciPy.

    Parameters
    ----------
    source : str, optional
        CUDA C++; that of ``kktdiff.backends.cuda._kernels`` where it is left out.
    order : str or int
        Of the threads and blocks: one of `emulator.ORDERS`.
    deferred : bool
        Launches and library calls are checked and queued, and done when the host waits; until
        then memory keeps its old contents. What NumPy does to an array is done at once, so this
        is for code that asks nothing of the namespace between a call and the wait for it.
    guarded : bool
        Arrays are `guard.Device`, whose contents `guard.no_reading` refuses. Any other array is
        then one of the host, and no kernel takes it.
    room : int
        Bytes, for `room`.

    Attributes
    ----------
    calls : list of tuple
        ``("launch", kernel, blocks)``, ``("cublas", function)``, ``("cusolver", function)``,
        ``("later",)`` and ``("wait",)``, in the order in which they were made.
    outside : list of tuple
        Those of `calls` that were made outside of `at`.
    order, without
        How kernels are run from now on: `order` as above; `without` is the number of a barrier
        that is left out, one of `emulator.barriers`, or None.
    device
        The current one: that of the array that `at` was given, or None.
    """

    def __init__(
        self, source=None, *, order="forward", deferred=False, guarded=False, room=64 << 20, **build
    ):
        self.xp = Namespace() if guarded else compat
        self.order, self.without = order, None
        self.calls, self.outside = [], []
        self.device = None
        self._source, self._build = source, build
        self._deferred, self._guarded, self._room = deferred, guarded, room
        self._emulator = None
        self._queue, self._done = [], 0
        self.memory = Memory()
        self.cublas = FakeCublas(self.memory, CUBLAS_HANDLE, self._call)
        self.cusolver = FakeCusolver(self.memory, CUSOLVER_HANDLE, self._call)

    @property
    def emulator(self):
        """The compiled kernels; compiled when first asked for, once for each source."""
        if self._emulator is None:
            if self._source is None:
                self._source = _kernels.source()
            self._emulator = Emulator(self._source, **self._build)
        return self._emulator

    def owns(self, array):
        return isinstance(array, Device if self._guarded else (np.ndarray, np.generic))

    def to_device(self, array):
        array = np.asarray(array)
        return array.view(Device) if self._guarded else array

    @contextmanager
    def at(self, like):
        if like is not None and not self.owns(like):
            raise TypeError(f"not an array of the device: {type(like).__name__}")
        before, self.device = self.device, "current" if like is None else like.device
        try:
            with np.errstate(all="ignore"):  # CuPy never warns of what an operation finds
                yield
        finally:
            self.device = before

    def handles(self):
        return CUBLAS_HANDLE, CUSOLVER_HANDLE

    def address(self, array):
        if not isinstance(array, np.ndarray) or not self.owns(array):
            raise TypeError(f"not an array of the device: {type(array).__name__}")
        if not array.flags.c_contiguous:
            raise ValueError(
                f"not C-contiguous: shape {array.shape}, strides {array.strides} bytes"
            )
        self.memory.register(array)
        return array.ctypes.data

    def launch(self, kernel, blocks, threads, *arguments):
        for argument in arguments:
            if not isinstance(argument, int):
                self.address(argument)
        plain = [a if isinstance(a, int) else a.view(np.ndarray) for a in arguments]
        self.emulator.check(kernel, blocks, threads, plain)
        self._record("launch", kernel, blocks)
        how = {"order": self.order, "without": self.without}
        self._enqueue(lambda: self.emulator.launch(kernel, blocks, threads, *plain, **how))

    def later(self, count):
        self.address(count)
        if count.shape != (1,) or count.dtype != np.int32:
            raise TypeError(
                f"an int32 array of length one is needed, not {count.dtype}{count.shape}"
            )
        self._record("later")
        plain, copied = count.view(np.ndarray), []
        self._enqueue(lambda: copied.append(int(plain[0])))
        place = self._done + len(self._queue)

        def wait():
            self._record("wait")
            self._run_until(place)
            return copied[0]

        return wait

    def room(self):
        return self._room

    def synchronize(self):
        """Do all that is queued."""
        self._run_until(self._done + len(self._queue))

    def _call(self, library, function, work):
        self._record(library, function)
        self._enqueue(work)

    def _record(self, *call):
        self.calls.append(call)
        if self.device is None and call[0] != "wait":
            self.outside.append(call)

    def _enqueue(self, work):
        # what was handed out so far stays while the work waits, as in CuPy's pool, which gives
        # memory to others in the order of the stream
        self._queue.append((work, self.memory.alive() if self._deferred else None))
        if not self._deferred:
            self.synchronize()

    def _run_until(self, place):
        while self._done < place:
            work, _ = self._queue.pop(0)
            self._done += 1
            work()


__all__ = ["CUBLAS_HANDLE", "CUSOLVER_HANDLE", "EmulatorError", "FakeCuda"]
