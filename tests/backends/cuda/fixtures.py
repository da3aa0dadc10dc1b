"""The CuPy backend over the host's memory, and over a GPU where there is one."""

import subprocess
import sys

import numpy as np
import pytest

from kktdiff import backends, kernels
from kktdiff._sparse.structure import structure
from kktdiff.backends.cupy import CuPyBackend
from tests.backends.cuda import emulator
from tests.backends.cuda.fake_cuda import FakeCuda
from tests.backends.cuda.guard import EVENTS, Device


@pytest.fixture
def compiler():
    """A C++ compiler, or a skip that says that there is none."""
    return emulator.compiler() or pytest.skip(emulator.NO_COMPILER)


@pytest.fixture
def fake():
    """A stand-in for CuPy, whose kernels are those of the host."""
    reason = kernels.available()
    if reason is not None:
        pytest.skip(reason)
    EVENTS.clear()
    return FakeCuda()


@pytest.fixture
def emulated(fake, monkeypatch):
    """What ``backend="cupy"`` names is the backend over the stand-in, and its arrays are known."""
    monkeypatch.setattr("kktdiff._device.structure.by_levels", structure)  # as of the host
    return put_in_place(CuPyBackend(fake), monkeypatch)


def put_in_place(backend, monkeypatch):
    """Let `kktdiff.backends` give this backend for CuPy's."""
    named, by_type = backends.get, backends.for_array
    monkeypatch.setattr(backends, "get", lambda name: backend if name == "cupy" else named(name))
    monkeypatch.setattr(
        backends, "for_array", lambda a: backend if isinstance(a, Device) else by_type(a)
    )
    return backend


@pytest.fixture(params=["emulated", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request):
    """The backend over the stand-in; then over CuPy itself."""
    if request.param == "emulated":
        return request.getfixturevalue("emulated")
    request.getfixturevalue("gpu")
    return backends.get("cupy")


@pytest.fixture
def cuda(device):
    """What it is over."""
    return device.cuda


def sanitized(program, repository, folder):
    """A Python program run under the address sanitizer, or a skip where there is none."""
    environment = emulator.sanitizer()
    if environment is None:
        pytest.skip(emulator.NO_SANITIZER)
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=repository,
        env={**environment, "TMPDIR": str(folder)},  # the sanitizer ends it without its clean-up
        capture_output=True,
        text=True,
        timeout=300,
    )


def on_device(cuda, record):
    """A record with its NumPy arrays on either."""
    parts = (cuda.to_device(v) if isinstance(v, np.ndarray) else v for v in record)
    return type(record)(*parts)
