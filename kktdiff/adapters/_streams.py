"""CuPy at work on a device and a stream that another framework says."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class _Stream:
    """In the protocol that CuPy asks for; torch's own streams are without it in 2.4."""

    address: int

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.address  # the protocol's version comes first


@contextlib.contextmanager
def on(device: int, stream: int) -> Iterator[Any]:
    """CuPy, whose work goes to the stream at that address; of this thread alone."""
    import cupy  # type: ignore[import-not-found, unused-ignore]

    with cupy.cuda.Device(device), cupy.cuda.Stream.from_external(_Stream(stream)):
        yield cupy
