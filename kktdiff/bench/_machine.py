"""The machine of a measurement: processor, versions, threads."""

import contextlib
import os
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import kktdiff
from kktdiff import kernels

PACKAGES = ("numpy", "scipy", "torch")


def machine(packages: tuple[str, ...] = ()) -> dict[str, Any]:
    """Facts as plain data; versions of some further packages, where they are installed."""
    versions = {"kktdiff": kktdiff.__version__, "python": platform.python_version()}
    for package in (*PACKAGES, *packages):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "processor": _processor(),
        "cores": kernels.processors(),
        "system": platform.system(),
        "versions": versions,
        "blas": _blas(),
        "kernels": kernels.variant(),
        "environment": {
            key: value
            for key, value in os.environ.items()
            if key.endswith("_NUM_THREADS") or key.startswith(("OPENBLAS_", "KKTDIFF_"))
        },
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """Return the commit of this file's checkout; None for an installed package."""
    folder = Path(kktdiff.__file__).parents[1]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty"]
    with contextlib.suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() or None
    return None


def _blas() -> list[dict[str, Any]]:
    """Linear algebra libraries in this process, with their threads."""
    wanted = ("internal_api", "version", "architecture", "num_threads")
    with contextlib.suppress(ImportError):
        pools = import_module("threadpoolctl").threadpool_info()
        return [{key: pool[key] for key in wanted if key in pool} for pool in pools]
    return []


def memory_of(call: Callable[[], Any]) -> int | None:
    """Bytes that a call adds to this process at most; None where the system doesn't say."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the highest mark so far
        before = _status("VmRSS")
        call()
        return max(_status("VmHWM") - before, 0)
    except OSError:
        call()
        return None


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"the system does not tell {name}")
