"""What a kernel is called with is checked, and named where it is wrong."""

import sys
import threading

import numpy as np
import pytest

from kktdiff import kernels
from kktdiff._arrays import outer

B, R, C = 5, 3, 4
RNG = np.random.default_rng(0)
NAMES = ("a", "b", "c", "d", "out")


def arrays(batch=B, shared=()):
    """Arguments of `outer`; an array in `shared` has one row for the whole batch."""
    sizes = {"a": R, "b": C, "c": R, "d": C}
    made = {k: RNG.normal(size=(1 if k in shared else batch, n)) for k, n in sizes.items()}
    return made | {"out": np.full((batch, R, C), np.nan)}


def call(given, batch=B, threads=1, sizes=None, options=()):
    sizes = (batch, R, C) if sizes is None else sizes
    return kernels.call("outer", sizes, options, tuple(given[k] for k in NAMES), threads)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("shared", [(), ("a",), ("b", "c"), ("a", "b", "c", "d")])
@pytest.mark.parametrize("batch", [0, 1, 2, B, 100])
def test_each_array_is_for_one_element_or_for_all(batch, shared):
    given = arrays(batch, shared)
    assert call(given, batch) == 1
    expected = np.broadcast_to(outer(*(given[k] for k in NAMES[:4])), given["out"].shape)
    assert np.array_equal(given["out"], expected)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(("rows", "cols"), [(0, 3), (3, 0), (0, 0), (1, 1), (17, 9)])
def test_any_size(rows, cols):
    a, b = RNG.normal(size=(2, rows)), RNG.normal(size=(2, cols))
    out = np.empty((2, rows, cols))
    kernels.call("outer", out.shape, (), (a, b, a, b, out))
    assert np.array_equal(out, outer(a, b, a, b))


def wrong(name, value, error, *words):
    return pytest.param(name, value, error, words, id=f"{name}-{words[-1]}")


READ_ONLY = np.zeros((B, R, C))
READ_ONLY.flags.writeable = False
FLOAT, CONTIGUOUS = "expected float64", "expected a C-contiguous float64 array"
OF_ELEMENTS = "expected 4 entries for each of 5 elements"


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(
    ("name", "value", "error", "words"),
    [
        wrong("a", None, TypeError, "expected an array, got None"),
        wrong("a", [1.0], ValueError, CONTIGUOUS, "list"),
        wrong("a", np.zeros((R, B)).T, ValueError, CONTIGUOUS, "ndarray"),
        wrong("b", np.zeros((B, C), dtype=np.float32), TypeError, FLOAT, "'f'"),
        wrong("b", np.zeros((B, C), dtype=int), TypeError, FLOAT, "'l'"),
        wrong("b", np.zeros((B, C), dtype=complex), TypeError, FLOAT, "'Zd'"),
        wrong("b", np.zeros((B, C), dtype=">f8"), TypeError, FLOAT, "'>d'"),
        wrong("b", np.zeros((B, C + 1)), ValueError, OF_ELEMENTS, "or for all, got 25 in all"),
        wrong("d", np.zeros((2, C)), ValueError, OF_ELEMENTS, "got 8 in all"),
        wrong("d", np.zeros((0, C)), ValueError, OF_ELEMENTS, "got 0 in all"),
        wrong("out", READ_ONLY, ValueError, "expected a C-contiguous, writable float64"),
        wrong("out", np.zeros((1, R, C)), ValueError, "expected 12 entries", "got 12 in all"),
    ],
)
def test_a_wrong_array_is_named(name, value, error, words):
    with pytest.raises(error) as raised:
        call(arrays() | {name: value})
    assert all(word in str(raised.value) for word in (f"outer: {name}: ", *words))


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"sizes": (B, R)}, TypeError, "sizes: expected a tuple of 3 numbers"),
        ({"sizes": [B, R, C]}, TypeError, "sizes: expected a tuple of 3 numbers"),
        ({"sizes": (B, R, 2.0)}, TypeError, "integer"),
        ({"sizes": (-1, R, C)}, ValueError, "sizes: expected 0 to 2147483647"),
        ({"sizes": (B, R, 2**31)}, ValueError, "sizes: expected 0 to 2147483647"),
        ({"sizes": (B, R, 2**70)}, OverflowError, "too "),
        ({"options": (1.0,)}, TypeError, "options: expected a tuple of 0 numbers"),
        ({"threads": 0}, ValueError, "threads: expected 1 to 4096"),
        ({"threads": 4097}, ValueError, "threads: expected 1 to 4096"),
    ],
)
def test_anything_else_wrong_is_said(more, error, words):
    with pytest.raises(error, match=words):
        call(arrays(), **more)


@pytest.mark.usefixtures("native")
def test_wrong_numbers_of_arrays_and_unknown_names():
    with pytest.raises(TypeError, match="outer: expected a tuple of 5 arrays"):
        kernels.call("outer", (B, R, C), (), (np.zeros((B, R)),))
    with pytest.raises(ValueError, match="there is no kernel 'inner'"):
        kernels.call("inner", (), (), ())


def test_an_unknown_variant(native):
    with pytest.raises(ValueError, match="there is no variant 'sse' here"):
        native.call("sse", "outer", (), (), (), 1)


@pytest.mark.usefixtures("native")
def test_a_call_keeps_no_array_alive():
    given = arrays()
    before = [sys.getrefcount(given[k]) for k in NAMES]
    call(given)
    for name in NAMES:
        with pytest.raises((TypeError, ValueError)):
            call(given | {name: None})
    assert [sys.getrefcount(given[k]) for k in NAMES] == before


@pytest.mark.usefixtures("native")
def test_calls_of_several_threads_at_once():
    """Each has its own output, and none waits for another's end with the GIL."""
    given = [arrays(2000) for _ in range(8)]
    workers = [threading.Thread(target=call, args=(g, 2000, 2)) for g in given]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for g in given:
        assert np.array_equal(g["out"], outer(*(g[k] for k in NAMES[:4])))
