"""Stage: which GPU, which driver, which versions."""

import shutil
import subprocess
from collections.abc import Iterator

from benchmarks.gpu_check.device import Device
from benchmarks.gpu_check.runner import PEERS, Record, guarded
from kktdiff import bench

PACKAGES = ("cupy-cuda13x", "cupy-cuda12x", "nvidia-cuda-nvrtc", "jax", "torch", *PEERS)
ASKED = ("name", "driver_version", "clocks.sm", "clocks.max.sm", "power.limit", "temperature.gpu")


def records(seconds: float, argument: str, device: Device) -> Iterator[Record]:
    """Yield each fact that can be had; the others say why not."""
    found = bench.machine(PACKAGES)
    found.pop("environment")
    yield {"machine": found}
    yield {"smi": smi()}
    yield guarded({}, gpu) if device.name == "gpu" else {"gpu": "no GPU, a rehearsal"}


def gpu() -> Record:
    """Return what CUDA says of the device."""
    import cupy

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    wanted = ("multiProcessorCount", "sharedMemPerBlockOptin", "l2CacheSize", "major", "minor")
    return {
        "gpu": properties["name"].decode(),
        "memory_bytes": runtime.memGetInfo()[1],
        "runtime": runtime.runtimeGetVersion(),
        **{name: properties[name] for name in wanted if name in properties},
    }


def smi() -> Record | str:
    """Return clocks, power and temperature, or why they are not known."""
    if not shutil.which("nvidia-smi"):
        return "nvidia-smi is not there"
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi: {type(error).__name__}"
    return dict(zip(ASKED, done.stdout.splitlines()[0].split(", "), strict=False))
