"""Run a kernel on the arrays of a library."""

from typing import Any, Protocol

import numpy as np

from kktdiff import kernels
from kktdiff._typing import Array
from kktdiff.kernels import amounts

_SHARED = 2.5e8  # operations, 8 ms, for each thread that shares an element: one may have to be
# waited for as long where others want the processors


class Call(Protocol):
    """Run a kernel on arrays, (B, ...); inputs also (1, ...)."""

    def __call__(
        self,
        name: str,
        sizes: tuple[int, ...],  # that of the batch first
        options: tuple[float, ...],
        inputs: tuple[Array | None, ...],
        outputs: tuple[Array | None, ...],  # contiguous
        operations: float,  # of each element
        /,
    ) -> None: ...


def on_processor(
    name: str,
    sizes: tuple[int, ...],
    options: tuple[float, ...],
    inputs: tuple[Array | None, ...],
    outputs: tuple[Array | None, ...],
    operations: float,
    /,
) -> None:
    """Run a kernel on NumPy arrays, in as many threads as it is worth."""
    given = [None if v is None else np.ascontiguousarray(v) for v in inputs]
    workers = kernels.threads(sizes[0] * operations / amounts.PER_SECOND)
    workers = min(workers, max(sizes[0], 1) * max(int(operations / _SHARED), 1))
    kernels.call(name, sizes, options, (*given, *outputs), workers)


def no_kernels(*_: Any) -> None:
    """Raise: the `Call` of a library whose arrays no kernel knows."""
    raise NotImplementedError("the kernels are for NumPy arrays, and those of CuPy")
