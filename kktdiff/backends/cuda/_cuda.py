"""The interface to CuPy that the backend needs."""

from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from kktdiff._typing import Array, Namespace


class Device(NamedTuple):
    """A CUDA device."""

    number: int
    multiprocessors: int
    shared: int  # bytes of shared memory that a block can have
    shared_of_all: int  # bytes of a multiprocessor, which its blocks have together


class Launch(NamedTuple):
    """How a kernel is launched."""

    kernel: str
    team: int  # threads that solve a problem together, for which the kernel is compiled
    blocks: int
    threads: int  # of a block
    shared: int  # bytes of a block, beside what the kernel declares


class Cuda(Protocol):
    """CuPy, or what stands in for it in a test.

    Everything is queued on the current stream of the current device, and returns before it is
    done; what `to_host` gives waits.
    """

    @property
    def xp(self) -> Namespace:
        """The array API namespace."""

    def owns(self, array: Any) -> bool:
        """Return True if `array` is a device array of the namespace's type."""

    def to_device(self, array: Any) -> Array:
        """Return an array of the namespace, on the current device, from one of another library."""

    def to_host(self, array: Array) -> Array:
        """Copy a device array to a NumPy array."""

    def at(self, like: Array | None) -> AbstractContextManager[Any]:
        """Return the context in which the device of `like` is current; None: which is current."""

    def address(self, array: Array) -> int:
        """Return the address of the first entry of a C-contiguous array."""

    def device(self) -> Device:
        """Return the current device."""

    def blocks_at_once(self, launch: Launch) -> int:
        """Return how many blocks of `launch` fit a multiprocessor together; compiles the kernel."""

    def launch(self, launch: Launch, call: Any) -> None:
        """Queue a kernel of `kktdiff.kernels.device.source` with a `_launch.CALL`, by value."""

    def room(self) -> int:
        """Return the bytes of device memory that the scratch memory of a launch may take."""

    def is_capturing(self) -> bool:
        """Return True while the current stream is recorded for a CUDA graph."""
