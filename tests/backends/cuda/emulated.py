"""Calls of the kernels of `device.cu`, emulated, on the arrays that `kernels.call` takes."""

from functools import cache

import numpy as np

from kktdiff._sparse.levels import by_levels
from kktdiff.backends.cuda._launch import CALL
from kktdiff.kernels import device
from tests.backends.cuda.emulator import Emulator

STRUCTURES = []  # of sparse calls to come


@cache
def compiled(team, sanitize=False):
    """All kernels, compiled once in a run of the tests."""
    options = (f"-DTEAM={team}", *(("-O0",) if sanitize else ()))  # half the time to compile
    return Emulator(device.source(), options=options, sanitize=sanitize)


def for_device(sizes, arrays):
    """The sizes and arrays of a call with the structure that a device takes, if there is one."""
    if len(sizes) < 15 or arrays[-1] is None or arrays[-1].dtype != np.int32:
        return sizes, arrays
    host = next(v for v in STRUCTURES if v.array is arrays[-1])
    own = by_levels(host.Q, host.G, host.A)
    return (*sizes[:8], *own.entries, *sizes[15:]), (*arrays[:-1], own.array[None])


def call(name, sizes, options, arrays, *, team=32, teams=2, shared=None, sanitize=False, **launch):
    """Run a kernel with so many teams, in blocks as on a device, and bytes of shared memory each.

    All that it wants, unless `shared` is less.
    """
    sizes, arrays = for_device(sizes, arrays)
    need = device.memory(name, sizes[1:])
    own = need.fast if shared is None else min(shared, need.fast)
    scratch = np.full(need.all * teams // 8, np.nan)
    one = np.zeros(1, CALL)
    record = one[0]
    record["sizes"][: len(sizes)], record["options"][: len(options)] = sizes, options
    for i, array in enumerate(arrays):
        if array is not None and array.size:
            record["arrays"][i] = array.ctypes.data
            record["strides"][i] = array.size // len(array) if len(array) > 1 else 0
    record["scratch"], record["scratch_bytes"] = scratch.ctypes.data, need.all
    record["shared_bytes"], record["elements"] = own, sizes[0]
    in_block = min(teams, 4) if team == 32 else 1
    compiled(team, sanitize).launch(
        *(name, teams // in_block, in_block * team, one),
        **{"shared": own * in_block // 8, **launch},
    )
