"""What the stand-ins for cuBLAS and cuSOLVER share: how arguments are checked, and the queue."""

import ctypes
import operator

import numpy as np


class Library:
    """Functions over device memory, called with numbers as the real wrappers are.

    A call checks all that is known when it is made, and queues the work.
    """

    name = ""  # how the library's errors begin
    error = RuntimeError

    def __init__(self, memory, handle, submit):
        self.memory = memory
        self._handle = handle
        self._submit = submit  # takes the library's name, the function's and the work

    def submit(self, function, work):
        """Queue the work of a call."""
        self._submit(self.name, function, work)

    def refuse(self, why):
        """Raise what the real library raises for a wrong argument, with the reason."""
        raise self.error(f"{self.name.upper()}_STATUS_INVALID_VALUE: {why}")

    def check_handle(self, handle):
        """A handle of this library."""
        if handle != self._handle:
            raise self.error(f"{self.name.upper()}_STATUS_NOT_INITIALIZED: handle {handle!r}")

    def sizes(self, **values):
        """C's int, and not negative."""
        for name, value in values.items():
            if not -(2**31) <= operator.index(value) < 2**31:
                raise OverflowError(f"{name} = {value} does not fit int")
            if value < 0:
                self.refuse(f"{name} = {value} is negative")

    def modes(self, **values):
        """Enumerations: (value, the highest value that there is)."""
        for name, (value, highest) in values.items():
            if operator.index(value) not in range(highest + 1):
                self.refuse(f"{name} = {value}")

    def leading(self, **values):
        """Leading dimensions: (value, number of rows)."""
        for name, (value, rows) in values.items():
            self.sizes(**{name: value})
            if value < max(1, rows):
                self.refuse(f"{name} = {value} is less than max(1, {rows})")

    def on_host(self, name, pointer, kind):
        """A scalar in the host's memory."""
        if not pointer:
            self.refuse(f"{name} is NULL")
        if self.memory.holds(pointer):
            self.refuse(f"{name} points to device memory; a pointer of the host is needed")
        return kind.from_address(pointer)

    def scalar(self, name, pointer):
        """A double that the call reads from the host."""
        return self.on_host(name, pointer, ctypes.c_double).value


def triangle(A, lower):  # (n, n)
    """A copy of the one triangle, zero elsewhere: what stands in the other is never read."""
    return np.asfortranarray(np.tril(A) if lower else np.triu(A))
