"""Which instruction set is used, and what is said where no kernels can be."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest

import kktdiff
from kktdiff import _cli, kernels
from kktdiff._arrays import outer
from tests.checks import assert_near
from tests.problems import FULL, Data, known
from tests.tolerances import ANSWER


@pytest.fixture(autouse=True)
def loaded_anew(monkeypatch):
    """As in a new process; and what a test has loaded is forgotten."""
    for name in ("KKTDIFF_KERNELS", "KKTDIFF_THREADS"):
        monkeypatch.delenv(name, raising=False)
    kernels._load.cache_clear()
    yield
    kernels._load.cache_clear()


def importing(monkeypatch, error):
    """Make the import of the extension raise."""
    real = importlib.import_module

    def fail(name):
        if name == "kktdiff.kernels._native":
            raise error
        return real(name)

    monkeypatch.setattr(importlib, "import_module", fail)


def test_the_best_instruction_set_is_used(native):
    variants = native.variants()
    assert variants == kernels._VARIANTS[: len(variants)]
    assert kernels.variant() == variants[-1]
    assert kernels.available() is None


def test_the_environment_chooses_one(native, monkeypatch):
    for name in native.variants():
        kernels._load.cache_clear()
        monkeypatch.setenv("KKTDIFF_KERNELS", name)
        assert kernels.variant() == name


@pytest.mark.parametrize("word", ["off", "OFF", " Off "])
def test_the_environment_switches_them_off(monkeypatch, run, word):
    monkeypatch.setenv("KKTDIFF_KERNELS", word)
    assert kernels.available() == "switched off by KKTDIFF_KERNELS=off"
    assert kernels.variant() is None
    with pytest.raises(RuntimeError, match="there are no kernels: switched off"):
        kernels.call("outer", (0, 0, 0), (), ())
    assert "kernels           switched off by" in run("info")[1]


def test_an_unknown_choice_is_an_error(monkeypatch, run):
    monkeypatch.setenv("KKTDIFF_KERNELS", "sse9")
    message = r"^KKTDIFF_KERNELS: expected baseline, avx2, avx512 or off, got 'sse9'"
    with pytest.raises(ValueError, match=message):
        kernels.available()
    code, out, _ = run("info")
    assert code == _cli.FINE
    assert "not usable: KKTDIFF_KERNELS: expected baseline" in out


def test_a_choice_that_does_not_run_here_is_an_error(monkeypatch):
    class Older:
        call = None

        def variants():
            return ("baseline", "avx2")

    monkeypatch.setitem(sys.modules, "kktdiff.kernels._native", Older)
    monkeypatch.setenv("KKTDIFF_KERNELS", "avx512")
    with pytest.raises(ValueError, match="KKTDIFF_KERNELS=avx512: avx2 is the best that runs here"):
        kernels.available()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("no such module"), "not compiled when kktdiff was installed"),
        (ImportError("wrong ELF class"), "they can't be loaded: wrong ELF class"),
    ],
)
def test_without_the_extension_numpy_gives_the_same_answers(monkeypatch, run, error, words):
    data = known(np.random.default_rng(90), FULL, batch=(3,)).data
    weights = np.ones((3, 6))
    expected = kktdiff.solve_qp(*data).vjp(weights)
    kernels._load.cache_clear()
    importing(monkeypatch, error)
    assert words in kernels.available()
    found = kktdiff.solve_qp(*data).vjp(weights)
    for name in Data._fields:
        assert_near(getattr(found, name), getattr(expected, name), ANSWER, name)
    assert words in run("info")[1]


def test_importing_the_package_does_not_load_the_extension(repository):
    code = "import sys, kktdiff; print('kktdiff.kernels._native' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("one", [(), (0,), (1, 2), (0, 1, 2, 3)])
def test_outer_of_the_backend_takes_any_layout(one):
    """A batch of one stands for all, and memory in any order, as in array code."""
    rng = np.random.default_rng(91)
    given = [rng.normal(size=(n, 7)).T[: 1 if i in one else None] for i, n in enumerate((4, 3) * 2)]
    backend = kktdiff.backends.get("numpy")
    found = backend.outer(*given)
    assert np.array_equal(found, outer(*given))
    a, b = given[0], given[2]
    assert np.array_equal(backend.outer(a, b, b, a), backend.outer(a, b, b, a).mT)


@pytest.mark.usefixtures("native")
def test_info_names_instruction_set_and_threads(run, monkeypatch):
    monkeypatch.setenv("KKTDIFF_THREADS", "1")
    out = run("info")[1]
    assert f"kernels           {kernels.variant()}, at most 1 thread\n" in out


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "٣"])
def test_a_wrong_number_of_threads_is_an_error(monkeypatch, text):
    monkeypatch.setenv("KKTDIFF_THREADS", text)
    with pytest.raises(ValueError, match=f"KKTDIFF_THREADS: .* 1 or more, got '{text}'"):
        kernels.limit()


@pytest.mark.parametrize("name", ["KKTDIFF_THREADS", "KKTDIFF_KERNELS"])
@pytest.mark.parametrize("batch", [(), (2000,)])
def test_nonsense_is_said_by_every_solve(monkeypatch, name, batch):
    """By a single problem too, which makes no threads."""
    monkeypatch.setenv(name, "many")
    for _ in range(2):
        with pytest.raises(ValueError, match=f"^{name}: expected .*, got 'many'; leave it unset"):
            kktdiff.solve_qp(np.eye(2), np.ones((*batch, 2)), lb=0)


def test_threads_are_no_more_than_processors_or_than_is_worth_it(monkeypatch):
    monkeypatch.setattr(kernels, "processors", lambda: 4)
    assert kernels.limit() == 4
    assert [kernels.threads(s) for s in (0, 1e-4, 3.9e-4, 4.1e-4, 6.1e-4, 1)] == [1, 1, 1, 2, 3, 4]
    monkeypatch.setenv("KKTDIFF_THREADS", " 3 ")
    assert (kernels.limit(), kernels.threads(1)) == (3, 3)
    monkeypatch.setenv("KKTDIFF_THREADS", "9")
    assert kernels.limit() == 4


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity of processes here")
def test_processors_are_those_that_this_process_may_use():
    mine = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert kernels.limit() == 1
    finally:
        os.sched_setaffinity(0, mine)
    assert kernels.limit() == len(mine)
