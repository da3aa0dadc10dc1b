"""The interface to CuPy and CUDA's libraries that the backend needs."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from kktdiff._typing import Array, Namespace


class Cuda(Protocol):
    """CuPy, or what stands in for it in a test.

    Everything is queued on the current stream of the current device, and returns before it is
    done; what `later` gives waits.
    """

    @property
    def xp(self) -> Namespace:
        """The array API namespace."""

    @property
    def cublas(self) -> Any:
        """Functions with the names and arguments of ``cupy_backends.cuda.libs.cublas``."""

    @property
    def cusolver(self) -> Any:
        """Functions with the names and arguments of ``cupy_backends.cuda.libs.cusolver``."""

    def owns(self, array: Any) -> bool:
        """Return True if `array` is a device array of the namespace's type."""

    def to_device(self, array: Any) -> Array:
        """An array of the namespace, on the current device, from one of another library."""

    def at(self, like: Array | None) -> AbstractContextManager[Any]:
        """A context in which the device of `like` is the current one; None: which is current."""

    def handles(self) -> tuple[int, int]:
        """cuBLAS's and cuSOLVER's for the current device; scalars are read from the host."""

    def address(self, array: Array) -> int:
        """Return the address of the first entry of a C-contiguous array."""

    def launch(self, kernel: str, blocks: int, threads: int, *arguments: Array | int) -> None:
        """Queue a kernel of `_kernels.source`; an int is passed as ``long long``."""

    def later(self, count: Array) -> Callable[[], int]:
        """Copy an int32 array of length one to the host; the function waits for it."""

    def room(self) -> int:
        """Bytes of device memory that the workspace of a solve may take."""
