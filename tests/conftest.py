"""Fixtures and profiles for the whole suite."""

import importlib
import os
import re
import runpy
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from kktdiff import _cli, backends, kernels, sudoku
from kktdiff import _sparse_inputs as inputs
from tests.backends.cuda.fixtures import compiler, cuda, device, emulated, fake
from tests.namespaces import NAMESPACES

__all__ = ["compiler", "cuda", "device", "emulated", "fake"]  # fixtures

ROOT = Path(__file__).resolve().parents[1]

# Folders that take long: each of their tests is marked `slow`, which `make test-fast` leaves out.
SLOW = {"command_line", "cuda", "repository"}

# Packages that a machine with a GPU may lack: the files that use them are left out then.
USES = {
    "hypothesis": re.compile(r"^from (hypothesis|tests\.strategies) ", re.MULTILINE),
    "array_api_strict": re.compile(
        r"^(import array_api_strict|from tests\.namespaces import .*\b(STRICT|SECOND_DEVICE)\b)",
        re.MULTILINE,
    ),
}
MISSING = [name for name in USES if find_spec(name) is None]

if "hypothesis" not in MISSING:
    from hypothesis import settings

    settings.register_profile(
        "suite", deadline=None, derandomize=True, max_examples=15, database=None
    )
    settings.load_profile("suite")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """What ``-n auto`` means, and so `make test`: a process for each processor.

    With one processor this process runs the tests itself. More than eight would gain little beside
    the longest tests, and each takes 1 GB, or 2 GB with the public problems.
    """
    known = hasattr(os, "sched_getaffinity")
    count = min(len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1, 8)
    return 0 if count == 1 else count


def pytest_ignore_collect(collection_path, config):
    """Leave out what can't be imported here, or takes long; None: pytest decides."""
    if config.option.markexpr == "not slow" and SLOW & {*collection_path.relative_to(ROOT).parts}:
        return True
    if collection_path.suffix != ".py" or not MISSING:
        return None
    text = collection_path.read_text(encoding="utf-8")
    return True if any(USES[name].search(text) for name in MISSING) else None


def pytest_report_header():
    """Say so, and with which kernels the tests run."""
    missing = [f"{name} is not installed: the files that use it are left out" for name in MISSING]
    return [f"kernels: {kernels.variant() or kernels.available()}", *missing]


@pytest.fixture(scope="session")
def repository():
    return ROOT


@pytest.fixture(scope="session")
def data_folder():
    """The public test data, or a skip that says where it was looked for."""
    named = os.environ.get("KKTDIFF_DATA")
    places = ([Path(named)] if named else []) + [ROOT.parent / "shared" / "data"]
    for place in places:
        if place.is_dir():
            return place
    return pytest.skip("public test data not found: looked in $KKTDIFF_DATA, then ../shared/data")


def _parameter(namespace):
    marks = [pytest.mark.gpu] if namespace.name == "cupy" else []
    return pytest.param(namespace, id=namespace.name, marks=marks)


@pytest.fixture(params=map(_parameter, NAMESPACES))
def namespace(request):
    """An array type; the core of solving and differentiating is tested over all of them."""
    needed = {"cupy": "gpu", "cupy-emulated": "emulated"}.get(request.param.name)
    if needed:
        request.getfixturevalue(needed)
    return request.param


@pytest.fixture
def run(capfd):
    """Runs a command; its exit status, standard output and standard error."""

    def call(*arguments):
        try:
            code = _cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def wrong_use(repository, monkeypatch, capfd):
    """What a call of ``python -m`` that is refused ends with, as `run`.

    In this process: a new one takes seconds to import what it then does not use.
    """

    def call(module, *arguments):
        path = str(repository.joinpath(*module.split(".")).with_suffix(".py"))
        monkeypatch.setattr(sys, "argv", [path, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(path, run_name="__main__")
        return ended.value.code, *capfd.readouterr()

    return call


@pytest.fixture
def blas_in_threads():
    """BLAS with two threads, as users have it; `make test` gives it one.

    Set by threads that end, since threadpoolctl heeds only the thread that was first, as long as
    it lives, and then what is tested would set nothing.
    """
    if find_spec("threadpoolctl") is None:
        yield
        return
    limits = _in_a_thread(importlib.import_module("threadpoolctl").threadpool_limits, 2, "blas")
    yield
    _in_a_thread(limits.restore_original_limits)


def _in_a_thread(function, *arguments):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


@pytest.fixture(scope="session")
def boards_file(tmp_path_factory):
    pytest.importorskip("tqdm")
    pytest.importorskip("matplotlib")
    path = tmp_path_factory.mktemp("boards") / "boards.npz"
    np.savez(path, **sudoku.generate(100, np.random.default_rng(310))._asdict())
    return path


@pytest.fixture
def gpu():
    """CuPy on a machine with a GPU; a skip that says why without, or a failure if one is a must."""
    reason = backends.available()["cupy"]
    if reason is None:
        return importlib.import_module("cupy")
    if os.environ.get("KKTDIFF_REQUIRE_GPU", "0") not in ("", "0"):
        return pytest.fail(f"KKTDIFF_REQUIRE_GPU is set, but {reason}")
    return pytest.skip(reason)


def pytest_collection_modifyitems(items):
    """Mark what asks for the GPU, and what stands in a folder that takes long."""
    for item in items:
        if SLOW & {*item.path.relative_to(ROOT).parts}:
            item.add_marker("slow")
        if "gpu" in getattr(item, "fixturenames", ()):
            item.add_marker("gpu")


@pytest.fixture(autouse=True)
def default_floats():
    """JAX's default, float32, after each test: a script that a test runs may have changed it."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", False)


@pytest.fixture(params=["kernels", "array code", "dense copies"])
def way(request, monkeypatch):
    """Each of the ways in which sparse matrices are worked on."""
    if request.param == "kernels" and kernels.available() is not None:
        pytest.skip("no kernels")
    if request.param == "array code":
        monkeypatch.setattr(kernels, "available", lambda: "off")
    monkeypatch.setattr(inputs, "_SMALL", 10**9 if request.param == "dense copies" else 0)
    monkeypatch.setattr(inputs, "_FASTER", (0.0, 0.0))
    return request.param
