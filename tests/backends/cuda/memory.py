"""What of the host's memory counts as the device's: the arrays whose address was asked for."""

import ctypes
import weakref

import numpy as np
from numpy.lib.array_utils import byte_bounds


class AccessError(RuntimeError):
    """An access to memory that no living array holds."""


class Memory:
    """The arrays that were handed out by address.

    An array counts whole, with what it is a view of: a workspace may be cut into parts by adding
    to one address. It stops counting when nothing else holds it.
    """

    def __init__(self):
        self._ranges = {}  # start -> (stop, weak reference to the array), of those that exist
        self._last = 0

    def register(self, array):
        """Let the memory of `array`, and of what it is a view of, be used."""
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        start, stop = byte_bounds(base)
        reference = weakref.ref(base, lambda _: self._ranges.pop(start, None))
        self._ranges[start] = (stop, reference)

    def alive(self):
        """All registered arrays that still exist; whoever holds the list keeps them."""
        return [array() for _, array in tuple(self._ranges.values())]

    def holds(self, pointer, size=1):
        """Whether one registered array holds these bytes."""
        for start in (self._last, *self._ranges):
            stop, _ = self._ranges.get(start, (0, None))
            if start <= pointer and pointer + size <= stop:
                self._last = start
                return True
        return False

    def view(self, name, pointer, dtype, shape, strides=None):
        """An array over device memory; strides in entries.

        Raises
        ------
        AccessError
            Unless one registered array holds all of it.
        """
        dtype = np.dtype(dtype)
        if 0 in shape:
            return np.empty(shape, dtype)
        strides = strides or tuple(
            int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))
        )
        count = 1 + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if pointer % dtype.itemsize:
            raise AccessError(f"{name}: {pointer:#x} is not aligned for {dtype}")
        if not self.holds(pointer, count * dtype.itemsize):
            raise AccessError(
                f"{name}: {count} entries of {dtype} from {pointer:#x} on are in no living array"
            )
        buffer = (ctypes.c_char * (count * dtype.itemsize)).from_address(pointer)
        return np.ndarray(shape, dtype, buffer, strides=[s * dtype.itemsize for s in strides])

    def matrix(self, name, pointer, rows, columns, ld):
        """A column-major matrix of float64."""
        return self.view(name, pointer, np.float64, (rows, columns), (1, ld))

    def matrices(self, name, pointer, count, rows, columns, ld):
        """The column-major matrices whose addresses stand in device memory."""
        places = self.view(name, pointer, np.uint64, (count,))
        return [
            self.matrix(f"{name}[{i}]", int(place), rows, columns, ld)
            for i, place in enumerate(places)
        ]
