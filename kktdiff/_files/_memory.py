"""The memory at hand, and what a solve takes of it at least."""

import contextlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_UNKNOWN = 4 * 2**30  # where the system doesn't tell
_CGROUP = Path("/sys/fs/cgroup")  # version 2; a container sees its own limits here


def at_hand() -> int:
    """Return about how many bytes this process may still use."""
    found = [_free(), _of_container(), _of_process()]
    return min((limit for limit in found if limit is not None), default=_UNKNOWN)


def _free() -> int | None:
    with contextlib.suppress(OSError):
        return _entry(Path("/proc/meminfo"), "MemAvailable")  # Linux
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _of_container() -> int | None:
    with contextlib.suppress(OSError, ValueError):
        used = (_CGROUP / "memory.current").read_text(encoding="ascii")
        return int((_CGROUP / "memory.max").read_text(encoding="ascii")) - int(used)
    return None


def _of_process() -> int | None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # Unix

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most != resource.RLIM_INFINITY:
            return most - _entry(Path("/proc/self/status"), "VmSize")
    return None


def _entry(path: Path, name: str) -> int:
    """Return an entry of one of Linux's tables, in bytes."""
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"{path} does not tell {name}")


def of_solve(arrays: Mapping[str, Any]) -> int:
    """Return about how many bytes a solve of these arrays takes at least; 0 for wrong shapes.

    Small arrays that broadcast against each other can make a huge batch.
    """
    core = {"Q": 2, "G": 2, "A": 2}
    leads = {k: v.shape[: max(v.ndim - core.get(k, 1), 0)] for k, v in arrays.items()}
    depth = max(map(len, leads.values()))
    padded = {k: (1,) * (depth - len(lead)) + lead for k, lead in leads.items()}
    batch = tuple(max(sizes) for sizes in zip(*padded.values(), strict=True))
    count = math.prod(batch)
    sizes = {x: arrays[x].shape[-1] if x in arrays and arrays[x].ndim else 0 for x in "Qphb"}
    n, m, k = sizes["p"] or sizes["Q"], sizes["h"], sizes["b"]
    copied = sum(
        count * math.prod(v.shape[v.ndim - core.get(k, 1) :])
        for k, v in arrays.items()
        if v.ndim and math.prod(padded[k]) != 1 and padded[k] != batch
    )
    return 8 * (count * (16 + 2 * (n + m + k)) + copied + n * n)
