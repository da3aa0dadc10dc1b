"""Fixtures and profiles for the whole suite."""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from kktdiff import _cli, backends, sudoku
from kktdiff.backends import compiled
from tests.namespaces import NAMESPACES

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=15, database=None)
settings.load_profile("suite")


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


@pytest.fixture(params=NAMESPACES, ids=lambda namespace: namespace.name)
def namespace(request):
    """An array type; the core of solving and differentiating is tested over all of them."""
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


@pytest.fixture(scope="session")
def boards_file(tmp_path_factory):
    pytest.importorskip("tqdm")
    pytest.importorskip("matplotlib")
    path = tmp_path_factory.mktemp("boards") / "boards.npz"
    np.savez(path, **sudoku.generate(100, np.random.default_rng(310))._asdict())
    return path


@pytest.fixture
def without(monkeypatch):
    """Calls a function with the compiled path and without it: both results."""

    def both(call):
        found = []
        for module in (compiled._load(), None):
            monkeypatch.setattr(compiled, "_LOADED", [module])
            found.append(call())
        return found

    return both


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
    """What asks for the GPU is marked as such."""
    for item in items:
        if "gpu" in getattr(item, "fixturenames", ()):
            item.add_marker("gpu")
