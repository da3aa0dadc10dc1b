"""Detect whether CuPy can be used here, and say how to mend it if not."""

import importlib
import os
from importlib import util
from typing import Any

OLDEST = 14  # its first version with `Stream.from_external`
LIBRARIES = ("cublas", "nvrtc")  # of products, and the compiler

_INSTALL = (
    "pip install 'kktdiff[cuda12]' or 'kktdiff[cuda13]', whichever CUDA version the driver "
    "supports (nvidia-smi shows it)"
)


def problem() -> str | None:
    """Return None, or one sentence on what is missing and how to mend it.

    Looked up anew each time, as drivers and devices come and go. CuPy is not imported unless it
    is installed.
    """
    spec = util.find_spec("cupy")
    if spec is None or spec.origin is None:  # or a folder that an uninstalled CuPy has left
        return f"CuPy is not installed: {_INSTALL}"
    try:
        import cupy
    except Exception as error:  # whatever it is that fails there
        return (
            f"CuPy is installed, but can't be imported ({_short(error)}): uninstall every "
            f"package called cupy, then {_INSTALL}"
        )
    if int(cupy.__version__.partition(".")[0]) < OLDEST:
        return (
            f"CuPy {cupy.__version__} is too old, version {OLDEST} or newer is needed: "
            f"uninstall it, then {_INSTALL}"
        )
    runtime = cupy.cuda.runtime
    if runtime.is_hip:
        return f"this CuPy is made for ROCm, not for CUDA: uninstall it, then {_INSTALL}"
    return _device_problem(runtime) or _library_problem(runtime)


def _device_problem(runtime: Any) -> str | None:
    """Return a problem of the driver or its devices, or None; starts nothing on a device."""
    driver = runtime.driverGetVersion()
    if driver == 0:
        return (
            "there is no NVIDIA driver: install the driver of the GPU, or start the container "
            "with its GPUs (docker run --gpus all)"
        )
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        if "cudaErrorInsufficientDriver" in str(error):
            return _old_driver(driver, runtime.runtimeGetVersion())
        if "cudaErrorNoDevice" not in str(error):
            return (
                f"CUDA doesn't start ({_short(error)}): see whether nvidia-smi works, and let "
                "worker processes start by spawn, not by fork"
            )
        count = 0
    if count:
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hidden = "" if visible is None else f", and CUDA_VISIBLE_DEVICES, which is {visible!r}"
    return f"the NVIDIA driver finds no GPU: see what nvidia-smi lists{hidden}"


def _old_driver(driver: int, needed: int) -> str:
    """The sentence for a driver that is older than what CuPy is made for."""
    major = driver // 1000
    instead = ""
    if major == 12:  # CuPy has been made for no older CUDA since version 14
        instead = (
            f", or take another CuPy (pip uninstall {_package(needed)}, then pip install "
            "'kktdiff[cuda12]')"
        )
    return (
        f"the NVIDIA driver supports CUDA {major}.{driver % 1000 // 10} at most, but this CuPy "
        f"is for CUDA {needed // 1000}: install a newer driver{instead}"
    )


def _library_problem(runtime: Any) -> str | None:
    """Return a problem of CUDA's libraries, or None; CuPy loads them at first use."""
    libraries = importlib.import_module("cupy_backends.cuda.libs")
    missing = []
    for name in LIBRARIES:
        try:  # as attributes: CuPy looks for what is installed by pip only then
            library = getattr(libraries, name)
            if name == "nvrtc":  # this one is loaded with its first call
                library.getVersion()
        except (ImportError, RuntimeError):
            missing.append(name)
    package = f"{_package(runtime.runtimeGetVersion())}[ctk]"
    if missing:
        return f"CUDA's {' and '.join(missing)} can't be loaded: pip install '{package}'"
    if not _has_headers():
        return (
            "CUDA's headers can't be found, without which CuPy compiles nothing: "
            f"pip install '{package}'"
        )
    return None


def _has_headers() -> bool:
    """Return False if the headers that CuPy includes in each kernel are nowhere."""
    try:
        find = importlib.import_module("cuda.pathfinder").find_nvidia_header_directory
    except (ImportError, AttributeError):  # nobody to ask: CuPy will tell
        return True
    return find("cudart") is not None


def _package(version: int) -> str:
    """Return the PyPI name of the CuPy package for this version of CUDA."""
    return f"cupy-cuda{version // 1000}x"


def _short(error: BaseException) -> str:
    """The first line of what was wrong; CuPy puts a page of advice around it."""
    text = str(error.__cause__ or error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".").replace(". ", "; ")[:150]
