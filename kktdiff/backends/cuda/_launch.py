"""From a call of a kernel to its launch: arguments, threads and memory."""

from typing import Any, NamedTuple

import numpy as np

from kktdiff._typing import Array
from kktdiff.backends.cuda._cuda import Cuda, Device, Launch
from kktdiff.kernels import amounts, device

CALL = np.dtype(  # `DeviceCall` of kktdiff/kernels/device.cu
    [
        ("sizes", "i8", 20),
        ("options", "f8", 4),
        ("arrays", "u8", 40),
        ("strides", "i8", 40),
        ("scratch", "u8"),
        ("scratch_bytes", "i8"),
        ("shared_bytes", "i8"),
        ("elements", "i8"),
    ]
)
KERNELS = ("solve", "vjp", "derive")
TEAMS = ((32, 5e4), (128, 5e5), (256, float("inf")))  # threads, for operations up to so many
TERMS_OF_AN_ENTRY = 12.0  # of a sparse factor, about
TEAMS_OF_A_BLOCK = {32: 4}  # else one
LITTLE = 1 << 28  # bytes of scratch memory that nobody asks for


class Plan(NamedTuple):
    """How problems of some sizes are solved on a device."""

    launch: Launch  # with as many blocks as work at once
    scratch: int  # bytes of each team
    shared: int  # bytes of each team

    @property
    def teams(self) -> int:
        """Number of teams of a block."""
        return self.launch.threads // self.launch.team


def plan(cuda: Cuda, kernel: str, sizes: tuple[int, ...]) -> Plan:
    """Choose threads and memory for problems of the sizes of a call, without that of the batch."""
    here, work = cuda.device(), amounts.operations(*sizes[:3])
    if sizes[5] == device.SPARSE:
        work = sizes[11] * TERMS_OF_AN_ENTRY
    team = next(threads for threads, most in TEAMS if work <= most)
    teams = TEAMS_OF_A_BLOCK.get(team, 1)
    need = device.memory(kernel, sizes)
    shared = _shared(need, here, team, teams)
    launch = Launch(kernel, team, 1, team * teams, shared * teams)
    blocks = here.multiprocessors * max(cuda.blocks_at_once(launch), 1)
    if need.all * blocks * teams > LITTLE:
        blocks = max(min(blocks, cuda.room() // (need.all * teams)), 1)
    return Plan(launch._replace(blocks=blocks), need.all, shared)


def every(team: int) -> list[Launch]:
    """Return a launch of each kernel for teams of so many threads."""
    threads = team * TEAMS_OF_A_BLOCK.get(team, 1)
    return [Launch(kernel, team, 1, threads, 0) for kernel in KERNELS]


def _shared(need: device.Memory, here: Device, team: int, teams: int) -> int:
    """Return the bytes of shared memory for a team: blocks are as many as have registers.

    Fewer have more each: as few as it takes for the matrices to fit, or, if they never do, as many
    as can be.
    """
    most, static = max(device.THREADS // (team * teams), 1), device.STATIC[team]
    each = [here.shared_of_all // blocks - device.RESERVED for blocks in range(most, 0, -1)]
    limits = [(min(here.shared, v) - static) // teams // 64 * 64 for v in each]
    matrix = need.fast if need.fast <= limits[0] else need.matrix + device.BEYOND
    limit = next((v for v in limits if matrix <= v), limits[0])
    return min(need.fast, limit)


def pack(
    cuda: Cuda,
    sizes: tuple[int, ...],
    options: tuple[float, ...],
    arrays: tuple[Array | None, ...],  # contiguous; (B, ...), inputs also (1, ...)
    chosen: Plan,
    scratch: Array,
) -> Any:
    """Return the arguments of a launch, (1,) of `CALL`."""
    call = np.zeros(1, CALL)
    one = call[0]
    one["sizes"][: len(sizes)], one["options"][: len(options)] = sizes, options
    for i, array in enumerate(arrays):
        if array is not None and array.size:
            one["arrays"][i] = cuda.address(array)
            one["strides"][i] = array.size // array.shape[0] if array.shape[0] > 1 else 0
    one["scratch"], one["scratch_bytes"] = cuda.address(scratch), chosen.scratch
    one["shared_bytes"], one["elements"] = chosen.shared, sizes[0]
    return call
