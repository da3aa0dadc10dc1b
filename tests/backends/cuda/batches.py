"""Batches of column-major matrices in device memory, as the libraries take them."""

import ctypes

import numpy as np

PADDING = 3  # rows between two columns, which belong to nobody
OUTSIDE = -77.0  # what stands there


class Batch:
    """Matrices (B, rows, columns) in a buffer whose columns are longer, and their addresses."""

    def __init__(self, cuda, matrices):
        matrices = np.asarray(matrices, dtype=np.float64)
        count, self.rows, columns = matrices.shape
        self.ld = self.rows + PADDING
        self.stride = columns * self.ld
        self.buffer = np.full((count, columns, self.ld), OUTSIDE)
        self.buffer[:, :, : self.rows] = matrices.transpose(0, 2, 1)
        self.address = cuda.address(self.buffer)
        self._each = np.arange(count, dtype=np.uint64) * np.uint64(8 * self.stride)
        self._each += np.uint64(self.address)
        self.pointers = cuda.address(self._each)

    def read(self):
        """The matrices; nothing between their columns has changed."""
        assert (self.buffer[:, :, self.rows :] == OUTSIDE).all()
        return self.buffer[:, :, : self.rows].transpose(0, 2, 1).copy()


class Ints:
    """int32 in device memory."""

    def __init__(self, cuda, shape):
        self.array = np.full(shape, -5, np.int32)
        self.address = cuda.address(self.array)


class Scalar:
    """A double in the host's memory."""

    def __init__(self, value):
        self._box = ctypes.c_double(value)
        self.address = ctypes.addressof(self._box)
