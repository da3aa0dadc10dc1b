"""CuPy arrays: the kernels on a CUDA device, and NumPy for what they leave.

Everything is queued on CuPy's current stream, on the device of the arrays.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from kktdiff._arrays import outer
from kktdiff._typing import Array, Namespace
from kktdiff.backends.cuda._cuda import Cuda
from kktdiff.backends.cuda._launch import TEAMS, Plan, every, pack, plan
from kktdiff.backends.numpy import BACKEND, NumPyBackend


@dataclass(frozen=True)
class CuPyBackend:
    """The backend for CUDA devices, over CuPy or what stands in for it."""

    cuda: Cuda
    name: str = "cupy"
    compiled: bool = True
    plans: dict[Any, Plan] = field(default_factory=dict, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """A solution that is pickled finds the CuPy of the process that it comes to."""
        return backend, ()

    @property
    def xp(self) -> Namespace:
        """array-api-compat's view of CuPy."""
        return self.cuda.xp

    @property
    def host(self) -> NumPyBackend:
        """NumPy's backend."""
        return BACKEND

    def to_host(self, array: Array) -> Array:
        """Copy to a NumPy array, which waits for the device."""
        return self.cuda.to_host(array)

    def may_wait(self) -> bool:
        """Return False while the current stream is recorded for a CUDA graph."""
        return not self.cuda.is_capturing()

    def owns(self, array: Any) -> bool:
        """Return True if `array` is a CuPy array."""
        return self.cuda.owns(array)

    def receive(self, array: Any, dtype: Any, like: Any = None) -> Array:
        """`array` as a C-contiguous array, on the device of `like` or, None, the current one."""
        if self.owns(array) and array.flags.c_contiguous and dtype in (None, array.dtype):
            return array
        with self.cuda.at(like):
            own = array if self.owns(array) else self.cuda.to_device(array)
            return self.xp.asarray(own, dtype=dtype, order="C")

    def at(self, like: Array | None) -> AbstractContextManager[Any]:
        """Return the context in which the device of `like` is current."""
        return self.cuda.at(like)

    def symmetric(self, Q: Array) -> Array:
        """Return a copy always: a test for symmetry would make the host wait."""
        return (Q + Q.mT) / 2

    def outer(self, a: Array, b: Array, c: Array, d: Array) -> Array:
        """Two products and a sum."""
        return outer(a, b, c, d)

    def warm(self) -> int:
        """Compile all kernels for the current device; return how many."""
        launches = [launch for team, _ in TEAMS for launch in every(team)]
        for launch in launches:
            self.cuda.blocks_at_once(launch)
        return len(launches)

    def call(
        self,
        name: str,
        sizes: tuple[int, ...],
        options: tuple[float, ...],
        inputs: tuple[Array | None, ...],
        outputs: tuple[Array | None, ...],
        operations: float,
        /,
    ) -> None:
        """Launch a kernel: each team of threads solves one problem after the other."""
        if not sizes[0]:
            return
        key = self.cuda.device().number, name, sizes[1:]
        if key not in self.plans:
            self.plans[key] = plan(self.cuda, name, sizes[1:])
        chosen = self.plans[key]
        launch = chosen.launch._replace(
            blocks=min(chosen.launch.blocks, -(-sizes[0] // chosen.teams))
        )
        xp = self.xp
        given = [
            v if v is None or v.flags.c_contiguous else xp.asarray(v, order="C") for v in inputs
        ]
        scratch = xp.empty(launch.blocks * chosen.teams * chosen.scratch // 8, dtype=xp.float64)
        arrays = (*given, *outputs)
        self.cuda.launch(launch, pack(self.cuda, sizes, options, arrays, chosen, scratch))


@cache
def backend() -> CuPyBackend:
    """Return the backend over CuPy.

    Raises
    ------
    ImportError
        CuPy or a library of CUDA is missing; `kktdiff.backends.available` says which.
    """
    from kktdiff.backends.cuda._cupy import CuPy

    return CuPyBackend(CuPy())
