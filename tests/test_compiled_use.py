"""The compiled path: when it is there, what is kept on disk, and its threads."""

import multiprocessing
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import kktdiff
from kktdiff.backends import compiled
from tests.checks import answer_of
from tests.problems import Sizes, known

pytest.importorskip("numba")
pytest.importorskip("threadpoolctl")

LARGE = Sizes(n=40, m=50, k=10)


# ---------------------------------------------------------------------------- when it is there


def run_fresh(code, folder, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_it_can_be_switched_off(repository):
    code = """
import sys, numpy, kktdiff
from kktdiff.backends import compiled
kktdiff.solve_qp(numpy.eye(2), numpy.ones(2), lb=numpy.zeros(2))
print(compiled.missing(), "numba" in sys.modules)
"""
    off = run_fresh(code, repository, KKTDIFF_COMPILED="0")
    assert off == "switched off by KKTDIFF_COMPILED=0 False\n"
    assert run_fresh(code, repository, KKTDIFF_COMPILED="1") == "None True\n"


def test_what_is_kept_on_disk_belongs_to_the_sources(tmp_path):
    """numba itself looks at the one module that it compiled a function of."""
    from kktdiff.backends.compiled import _entry

    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("2")
    before = _entry.sources(tmp_path)
    assert _entry.sources(tmp_path) == before
    (tmp_path / "b.py").write_text("3")
    assert _entry.sources(tmp_path) != before
    version = _entry.sources(Path(_entry.__file__).parent)
    files = [_entry.solve._cache._impl.filename_base, _entry.loop._cache._impl.filename_base]
    assert all(f"{version:08x}" in name for name in files)


def test_a_missing_package_is_named(monkeypatch, run):
    monkeypatch.delenv("KKTDIFF_COMPILED", raising=False)
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    assert compiled.missing() == "numba is not installed: pip install 'kktdiff[fast]'"
    monkeypatch.setattr(compiled, "_LOADED", [])
    assert compiled.loaded() is None
    assert "numba is not installed" in run("info")[1]


def test_info_says_whether_it_is_used(monkeypatch, run):
    monkeypatch.setattr(compiled, "_LOADED", [compiled._load()])
    assert "used by the numpy backend" in run("info")[1]
    monkeypatch.delenv("KKTDIFF_COMPILED", raising=False)
    monkeypatch.setattr(compiled, "_LOADED", [None])  # as where its import fails
    assert "numba is installed, but can't be imported" in run("info")[1]


# -------------------------------------------------------------------------------------- threads


@pytest.mark.parametrize("count", [1, 2, 7, 100])
@pytest.mark.parametrize("operations", [1.0, 1e12])
def test_every_element_is_somebodys(monkeypatch, count, operations):
    from kktdiff.backends.compiled import _threads

    monkeypatch.setenv("KKTDIFF_THREADS", "3")
    seen, names = [], set()

    def work(first, end):
        seen.extend(range(first, end))
        names.add(threading.current_thread().name)

    _threads.in_threads(work, count, operations)
    assert sorted(seen) == list(range(count))
    many = count > 1 and operations > 1e6
    assert all(name.startswith("kktdiff") == many for name in names)


def test_an_error_in_a_thread_arrives(monkeypatch):
    from kktdiff.backends.compiled import _threads

    monkeypatch.setenv("KKTDIFF_THREADS", "2")
    with pytest.raises(ZeroDivisionError):
        _threads.in_threads(lambda first, end: 1 / 0, 8, 1e12)


def blas_threads():
    from threadpoolctl import threadpool_info

    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.mark.usefixtures("blas_in_threads")
@pytest.mark.parametrize("first_out", [0, 1])
def test_blas_has_its_threads_back_when_all_are_done(monkeypatch, first_out):
    """Two calls at once, of which the first or the second to come is the first to leave."""
    from kktdiff.backends.compiled import _threads

    monkeypatch.setenv("KKTDIFF_THREADS", "1")
    entered, leave = ([threading.Event(), threading.Event()] for _ in range(2))
    seen = []

    def work(i, first, end):
        entered[i].set()
        leave[i].wait(20)
        seen.append(blas_threads())

    before = blas_threads()
    assert max(before) > 1
    calls = [
        threading.Thread(target=_threads.in_threads, args=(partial(work, i), 2, 1e12))
        for i in range(2)
    ]
    for call, inside in zip(calls, entered, strict=True):
        call.start()
        assert inside.wait(20)
    for i in (first_out, 1 - first_out):
        leave[i].set()
        calls[i].join(20)
    assert seen == [[1] * len(before)] * 2
    assert blas_threads() == before


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"KKTDIFF_THREADS": "3", "OMP_NUM_THREADS": "2"}, 3),
        ({"KKTDIFF_THREADS": "none", "OMP_NUM_THREADS": "2,1"}, 2),
    ],
)
def test_how_many_threads(monkeypatch, environment, expected):
    from kktdiff.backends.compiled import _threads

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _threads.limit() == expected


@pytest.mark.usefixtures("blas_in_threads")
def test_the_number_of_threads_changes_no_bit(monkeypatch):
    data = known(np.random.default_rng(409), LARGE, batch=(64,)).data
    found = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("KKTDIFF_THREADS", threads)
        found.append(answer_of(kktdiff.solve_qp(*data)))
    for other in found[1:]:
        for left, right in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(left, right)


def in_child(data):
    return kktdiff.solve_qp(*data).x


@pytest.mark.usefixtures("blas_in_threads")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(monkeypatch):
    monkeypatch.setenv("KKTDIFF_THREADS", "2")
    data = known(np.random.default_rng(410), LARGE, batch=(64,)).data
    expected = in_child(data)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply_async(in_child, (data,)).get(120), expected)
