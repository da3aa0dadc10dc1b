"""The CuPy backend over the host's memory."""

import pytest

from kktdiff import _arrays, _solve, backends
from kktdiff import _inputs as inputs
from kktdiff.backends.cupy import CuPyBackend
from tests.cuda import emulator
from tests.cuda.fake_cuda import FakeCuda
from tests.cuda.guard import Device


@pytest.fixture
def compiler():
    """A C++ compiler, or a skip that says that there is none."""
    return emulator.compiler() or pytest.skip(emulator.NO_COMPILER)


@pytest.fixture
def cuda(compiler):
    """A stand-in for CuPy."""
    return FakeCuda(guarded=True)


@pytest.fixture
def backend(cuda, monkeypatch):
    """The backend over it."""
    monkeypatch.setitem(_arrays._NAMESPACES, Device, cuda.xp)
    return CuPyBackend(cuda)


@pytest.fixture
def emulated(backend, monkeypatch):
    """`backend` is what ``backend="cupy"`` names, and where its own arrays are worked on."""
    named, by_type = backends.get, backends.for_array
    monkeypatch.setattr(backends, "get", lambda name: backend if name == "cupy" else named(name))
    monkeypatch.setattr(
        backends, "for_array", lambda a: backend if isinstance(a, Device) else by_type(a)
    )
    return backend


@pytest.fixture
def everywhere(emulated, monkeypatch):
    """NumPy arrays are worked on by it too, unless a call says otherwise."""

    def check(arrays, name):
        plain = not isinstance(arrays["Q"], Device)
        return inputs.check(arrays, "cupy" if name is None and plain else name)

    monkeypatch.setattr(_solve, "check", check)
    return emulated
