"""Stage: which GPU, which driver, which versions. Without a GPU it says why there is none."""

import shutil
import subprocess
from collections.abc import Iterator

from benchmarks.gpu_check.record import Record, guarded
from kktdiff import backends, bench

PACKAGES = (
    *("cupy-cuda13x", "cupy-cuda12x", "array-api-compat", "jax", "jaxlib", "pytest"),
    *("hypothesis", "qpth", "qpax", "moreau", "cupiqp"),
)
ASKED = (
    *("name", "driver_version", "pstate", "clocks.sm", "clocks.mem", "clocks.max.sm"),
    *("power.draw", "power.limit", "temperature.gpu", "memory.used"),
)


def records(seconds: float, argument: str = "") -> Iterator[Record]:
    """Each fact that can be had; the others say why not."""
    found = backends.available()
    if found["cupy"] is not None:
        yield {"unavailable": found["cupy"]}
        return
    yield {"available": found}
    yield guarded({}, gpu)
    yield {"smi": smi()}
    machine = bench.machine(PACKAGES)
    machine["environment"].pop("KKTDIFF_DATA", None)  # a folder of this machine
    yield {"machine": machine}


def gpu() -> Record:
    """What CUDA says of the device."""
    import cupy

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    free, total = runtime.memGetInfo()
    wanted = ("multiProcessorCount", "sharedMemPerBlockOptin", "l2CacheSize", "major", "minor")
    facts = {name: properties[name] for name in wanted if name in properties}
    return {
        "gpu": properties["name"].decode(),
        "memory_bytes": total,
        "free_bytes": free,
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        **facts,
    }


def smi() -> Record | str:
    """Clocks, power and temperature, or why they are not known."""
    if not shutil.which("nvidia-smi"):
        return "nvidia-smi is not there"
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi: {type(error).__name__}"
    return dict(zip(ASKED, done.stdout.splitlines()[0].split(", "), strict=False))
