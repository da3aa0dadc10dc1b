"""CuPy's detection: one plain sentence for each cause, that says what to do."""

import ast
import importlib
import inspect
import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import kktdiff
from kktdiff import backends
from kktdiff.backends.cuda import _detect
from tests import conftest
from tests.backends.fake_cupy import FakeArray, install, uninstall

EXTRAS = ("'kktdiff[cuda12]'", "'kktdiff[cuda13]'", "nvidia-smi")
CORE = sorted(Path(kktdiff.__file__).parent.glob("*.py"))


def found(monkeypatch, origin, error=None):
    """A CuPy that is found in `origin`, and whose import fails."""

    class Finder:
        @staticmethod
        def find_spec(name, *_):
            return ModuleSpec(name, Finder, origin=origin) if name == "cupy" else None

        @staticmethod
        def create_module(_):
            return None

        @staticmethod
        def exec_module(_):
            raise error

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])


def framed():
    """As CuPy does it: a page of advice around the error."""
    error = ImportError("\n=====\nFailed to import CuPy.\n\nMuch advice. More of it.\n=====\n")
    error.__cause__ = ImportError("libfoo.so.1: cannot open shared object file.\nand so on")
    return error


CAUSES = {
    "not-installed": (uninstall, ["not installed", *EXTRAS]),
    "a-folder-left": (lambda m: found(m, None), ["not installed", *EXTRAS]),
    "broken": (
        lambda m: found(m, "cupy.py", framed()),
        ["can't be imported", "(libfoo.so.1: cannot open shared object file)", *EXTRAS],
    ),
    "broken-otherwise": (
        lambda m: found(m, "cupy.py", OSError("no such file")),
        ["can't be imported", "(no such file)", *EXTRAS],
    ),
    "broken-silently": (lambda m: found(m, "cupy.py", ImportError()), ["(ImportError)", *EXTRAS]),
    "too-old": (
        lambda m: install(m, version="13.6.0"),
        ["CuPy 13.6.0 is too old", "version 14", "uninstall it", *EXTRAS],
    ),
    "rocm": (lambda m: install(m, is_hip=True), ["ROCm", "CUDA", *EXTRAS]),
    "no-driver": (
        lambda m: install(m, driver=0, error="cudaErrorInsufficientDriver: too old"),
        ["no NVIDIA driver", "install the driver", "--gpus all"],
    ),
    "old-driver": (
        lambda m: install(m, driver=12040, error="cudaErrorInsufficientDriver: too old"),
        [
            *("CUDA 12.4 at most", "CUDA 13", "install a newer driver"),
            *("pip uninstall cupy-cuda13x", "pip install 'kktdiff[cuda12]'"),
        ],
    ),
    "older-driver": (
        lambda m: install(m, driver=11080, error="cudaErrorInsufficientDriver: too old"),
        ["CUDA 11.8 at most", "CUDA 13", "install a newer driver"],
    ),
    "no-device": (lambda m: install(m, devices=0), ["finds no GPU", "nvidia-smi"]),
    "no-device-error": (
        lambda m: install(m, error="cudaErrorNoDevice: no CUDA-capable device is detected"),
        ["finds no GPU", "nvidia-smi"],
    ),
    "forked": (
        lambda m: install(m, error="cudaErrorInitializationError: initialization error"),
        ["doesn't start", "cudaErrorInitializationError", "nvidia-smi", "spawn"],
    ),
    "libraries": (
        lambda m: install(m, missing=("cublas", "nvrtc")),
        ["cublas and nvrtc can't be loaded", "pip install 'cupy-cuda13x[ctk]'"],
    ),
    "headers": (
        lambda m: install(m, headers=None),
        ["headers can't be found", "compiles nothing", "pip install 'cupy-cuda13x[ctk]'"],
    ),
    "compiler": (
        lambda m: install(m, runtime=12090, missing=("nvrtc",)),
        ["nvrtc can't be loaded", "pip install 'cupy-cuda12x[ctk]'"],
    ),
}


def assert_sentence(text, *facts):
    """One line, one sentence, and everything that it should say."""
    assert "\n" not in text
    assert not re.search(r"[.!?](\s|$)", text), f"more than one sentence: {text}"
    for fact in facts:
        assert fact in text, f"{fact!r} is not in: {text}"


@pytest.fixture(params=CAUSES)
def cause(request, monkeypatch):
    """A machine with one thing missing; what the sentence must say."""
    make, facts = CAUSES[request.param]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    make(monkeypatch)
    return facts


def test_each_cause_is_one_sentence(cause):
    assert_sentence(backends.available()["cupy"], *cause)


def test_info_prints_the_sentence(cause, run):
    code, out, error = run("info")
    assert (code, error) == (0, "")
    assert f"\n  {'cupy':15s} {backends.available()['cupy']}\n" in out


def test_asking_for_the_backend_raises_the_sentence(cause):
    reason = re.escape(backends.available()["cupy"])
    with pytest.raises(ValueError, match=rf"^backend='cupy': {reason}$"):
        backends.get("cupy")
    with pytest.raises(ValueError, match=reason):
        kktdiff.solve_qp(np.eye(2), np.ones(2), backend="cupy")


def test_no_other_cupy_is_offered_to_a_driver_that_is_too_old_for_any(monkeypatch):
    install(monkeypatch, driver=11080, error="cudaErrorInsufficientDriver: too old")
    assert "pip" not in backends.available()["cupy"]


def test_hidden_devices_are_mentioned(monkeypatch):
    install(monkeypatch, devices=0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert_sentence(backends.available()["cupy"], "finds no GPU", "CUDA_VISIBLE_DEVICES", "''")


def test_an_array_of_cupy_that_cannot_be_used_raises_the_sentence(monkeypatch):
    install(monkeypatch, missing=("cublas",))
    with pytest.raises(TypeError, match=r"p: a CuPy array.*cublas.*pip install"):
        kktdiff.solve_qp(np.eye(2), FakeArray(np.ones(2)))


def test_what_changes_is_looked_up_anew(monkeypatch):
    install(monkeypatch, devices=0)
    assert backends.available()["cupy"] is not None
    install(monkeypatch)
    assert backends.available()["cupy"] is None


@pytest.fixture
def usable(monkeypatch):
    """A CuPy that can be used; the backend over it is this object."""
    install(monkeypatch)
    module, backend = ModuleType("kktdiff.backends.cupy"), SimpleNamespace(name="cupy")
    module.backend = lambda: backend
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return backend


def test_where_nothing_is_missing_there_is_a_backend(usable):
    assert backends.available() == {"numpy": None, "array_api": None, "cupy": None}
    assert backends.get("cupy") is usable
    assert backends.for_array(FakeArray(np.ones(2))) is usable


def test_the_real_one_without_a_driver_says_so():
    cupy = pytest.importorskip("cupy")
    if cupy.cuda.runtime.driverGetVersion():
        pytest.skip("there is an NVIDIA driver")
    assert_sentence(backends.available()["cupy"], "no NVIDIA driver", "install the driver")


def test_the_real_one_has_what_is_looked_at():
    cupy = pytest.importorskip("cupy")
    runtime = cupy.cuda.runtime
    assert runtime.is_hip is False
    assert runtime.runtimeGetVersion() >= 12000
    assert issubclass(runtime.CUDARuntimeError, Exception)
    libraries = importlib.import_module("cupy_backends.cuda.libs")
    finder = importlib.import_module("cuda.pathfinder")  # which CuPy brings
    assert finder.find_nvidia_header_directory("cudart") is None or _detect._has_headers()
    for name in _detect.LIBRARIES:  # known by that name, installed or not
        assert name in inspect.getsource(libraries)
    if runtime.driverGetVersion() == 0:
        with pytest.raises(runtime.CUDARuntimeError, match="cudaErrorInsufficientDriver"):
            runtime.getDeviceCount()


def used(path):
    """The names that a module takes from a namespace called xp, and from xp.linalg."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Attribute):
            continue
        text = ast.unparse(node)
        name = re.fullmatch(r"(?:xp|namespace\([^()]*\)|.*\.xp)\.((?:linalg\.)?\w+)", text)
        if name and name[1] != "linalg":
            names.add(name[1])
    return names


def test_the_core_and_the_backend_use_nothing_that_cupy_lacks():
    pytest.importorskip("cupy")
    xp = importlib.import_module("array_api_compat.cupy")
    root = CORE[0].parent
    device = [root / "backends" / "cupy.py", root / "kernels" / "method.py"]
    for folder in ("backends/cuda", "_device", "_sensitivity"):
        device += (root / folder).glob("*.py")
    names = set().union(*map(used, [*CORE, *device]))
    assert {"where", "sum", "broadcast_to", "reshape", "nonzero", "float64"} <= names
    missing = []
    for name in sorted(names):
        module = xp.linalg if name.startswith("linalg.") else xp
        if not hasattr(module, name.removeprefix("linalg.")):
            missing.append(name)
    assert missing == []


# ------------------------------------------------------- how this suite treats such a machine


def test_the_fixture_skips_with_the_sentence(monkeypatch, request):
    uninstall(monkeypatch)
    monkeypatch.delenv("KKTDIFF_REQUIRE_GPU", raising=False)
    with pytest.raises(pytest.skip.Exception, match="CuPy is not installed"):
        request.getfixturevalue("gpu")


def test_the_fixture_fails_where_a_gpu_is_a_must(monkeypatch, request):
    uninstall(monkeypatch)
    monkeypatch.setenv("KKTDIFF_REQUIRE_GPU", "1")
    with pytest.raises(pytest.fail.Exception, match=r"KKTDIFF_REQUIRE_GPU.*not installed"):
        request.getfixturevalue("gpu")


def test_the_fixture_is_cupy_where_that_can_be_used(monkeypatch, request):
    cupy = install(monkeypatch)
    assert request.getfixturevalue("gpu") is cupy


def test_what_uses_the_fixture_is_marked():
    marks = {"with": [], "without": []}
    items = [
        SimpleNamespace(fixturenames=names, add_marker=marks[key].append, path=conftest.ROOT)
        for key, names in (("with", ["run", "gpu"]), ("without", ["run"]))
    ]
    conftest.pytest_collection_modifyitems(items)
    assert marks == {"with": ["gpu"], "without": []}
