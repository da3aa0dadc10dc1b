"""Which accesses are seen as wrong, and that the stand-ins look like what they stand for."""

import re

import numpy as np
import pytest

from tests.backends.cuda.fake_cublas import FakeCublas
from tests.backends.cuda.fake_cusolver import FakeCusolver
from tests.backends.cuda.memory import AccessError, Memory


@pytest.fixture
def memory():
    return Memory()


def test_view_is_of_the_same_memory(memory):
    array = np.arange(12.0)
    memory.register(array)
    found = memory.matrix("A", array.ctypes.data + 8, 2, 3, 4)
    assert found.tolist() == [[1.0, 5.0, 9.0], [2.0, 6.0, 10.0]]
    found[1, 2] = -1.0
    assert array[10] == -1.0


def test_part_of_a_workspace_counts_with_the_whole(memory):
    workspace = np.zeros((3, 4))
    memory.register(workspace[1].reshape(2, 2))
    memory.view("A", workspace.ctypes.data, np.float64, (12,))


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (13,), None), (8, (12,), None), (-8, (1,), None), (0, (2, 3), (1, 6)), (96, (1,), None)],
)
def test_access_outside(memory, offset, shape, strides):
    array = np.zeros(12)
    memory.register(array)
    with pytest.raises(AccessError, match=r"A: .* are in no living array"):
        memory.view("A", array.ctypes.data + offset, np.float64, shape, strides)


def test_access_that_is_not_aligned(memory):
    array = np.zeros(12)
    memory.register(array)
    with pytest.raises(AccessError, match="is not aligned for float64"):
        memory.view("A", array.ctypes.data + 4, np.float64, (1,))


def test_access_to_what_was_not_handed_out(memory):
    array = np.zeros(12)
    with pytest.raises(AccessError, match="in no living array"):
        memory.view("A", array.ctypes.data, np.float64, (1,))


def test_access_to_what_is_gone(memory):
    array = np.zeros(12)
    memory.register(array)
    place = array.ctypes.data
    kept = memory.alive()
    del array
    memory.view("A", place, np.float64, (12,))
    del kept
    with pytest.raises(AccessError, match="in no living array"):
        memory.view("A", place, np.float64, (12,))


def test_access_through_addresses_in_memory(memory):
    arrays = [np.full(4, i, dtype=np.float64) for i in range(2)]
    places = np.array([array.ctypes.data for array in arrays], dtype=np.uint64)
    for array in (*arrays, places):
        memory.register(array)
    found = memory.matrices("Aarray", places.ctypes.data, 2, 2, 2, 2)
    assert [matrix[0, 0] for matrix in found] == [0.0, 1.0]
    places[1] += np.uint64(8)
    with pytest.raises(AccessError, match=r"Aarray\[1\]: 4 entries of float64"):
        memory.matrices("Aarray", places.ctypes.data, 2, 2, 2, 2)


@pytest.mark.parametrize(
    ("module", "fake"), [("cublas", FakeCublas), ("cusolver", FakeCusolver)], ids=str
)
def test_stand_ins_have_the_names_of_the_real_ones(module, fake):
    real = pytest.importorskip(
        f"cupy_backends.cuda.libs.{module}",
        reason="CuPy and CUDA's libraries are not installed, which the stand-ins are compared with",
        exc_type=ImportError,
    )
    own = {
        name: value for name, value in vars(fake).items() if re.match(r"[dgs]\w*[A-Z]|d\w+$", name)
    }
    for name, function in own.items():
        listed = re.search(r"\((.*?)\)", getattr(real, name).__doc__)[1]
        expected = [one.split()[-1] for one in listed.split(",")]
        code = function.__code__
        assert list(code.co_varnames[1 : code.co_argcount]) == expected, name
    assert len(own) >= 6
    constants = {name: value for name, value in vars(fake).items() if name.startswith("CUBLAS_")}
    assert {name: getattr(real, name) for name in constants} == constants
