"""A stand-in for CuPy in `sys.modules`: what the code asks of it, over the host's memory."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np

CUDA = 2  # DLPack's number for its memory


class FakeError(RuntimeError):
    """As CuPy's CUDARuntimeError, which has the error's name in its text."""


class FakeArray:
    """As `cupy.ndarray`: NumPy's functions don't take it, `get` copies it to the host."""

    def __init__(self, values, source=None):
        self.values, self.source = values, source  # source: what it shares its memory with

    def __array__(self, *_, **__):
        raise TypeError("implicit conversion to a NumPy array is not allowed; use .get()")

    def __dlpack__(self, **_):
        raise BufferError("the array is not on the host")

    def __dlpack_device__(self):
        return CUDA, 0

    def get(self):
        return self.values.copy()


class Libraries(ModuleType):
    """As `cupy_backends.cuda.libs`: libraries are looked for when they are asked for."""

    def __init__(self, missing):
        super().__init__("cupy_backends.cuda.libs")
        self.missing = missing

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "nvrtc":  # found missing by its first call
            return SimpleNamespace(getVersion=self._nvrtc)
        if name in self.missing:
            raise ImportError(f"lib{name}.so was not found.\nSearched in many places.")
        return SimpleNamespace()

    def _nvrtc(self):
        if "nvrtc" in self.missing:
            raise RuntimeError("libnvrtc.so was not found.\nSearched in many places.")
        return 13, 0


def install(
    monkeypatch,
    version="14.2.0",
    driver=13000,
    runtime=13020,
    devices=1,
    error=None,
    missing=(),
    headers="/usr/local/cuda/include",
    is_hip=False,
):
    """Put a CuPy with these facts in place of the one that is installed, or not."""

    def count():
        if error is not None:
            raise FakeError(error)
        return devices

    cupy = ModuleType("cupy")
    cupy.__spec__ = ModuleSpec("cupy", None, origin="cupy/__init__.py")
    cupy.__version__ = version
    cupy.ndarray = FakeArray
    cupy.asarray = cupy.from_dlpack = lambda a: FakeArray(np.zeros(0), a)
    cupy.cuda = SimpleNamespace(
        runtime=SimpleNamespace(
            driverGetVersion=lambda: driver,
            runtimeGetVersion=lambda: runtime,
            getDeviceCount=count,
            CUDARuntimeError=FakeError,
            is_hip=is_hip,
        )
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs", Libraries(missing))
    pathfinder = ModuleType("cuda.pathfinder")
    pathfinder.find_nvidia_header_directory = {"cudart": headers}.get
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", pathfinder)
    return cupy


class _WithoutCupy:
    """A finder of modules that finds all but CuPy."""

    def __init__(self, finder):
        self._finder = finder

    def find_spec(self, name, *where):
        return None if name == "cupy" else self._finder.find_spec(name, *where)


def uninstall(monkeypatch):
    """No CuPy, whether there is one or not; None in `sys.modules` would be taken for one."""
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_WithoutCupy(finder) for finder in sys.meta_path])
