"""Arrays of no known library that can be read without a copy: DLPack, __cuda_array_interface__."""

import numpy as np
import pytest

import kktdiff
from kktdiff import backends
from kktdiff.backends.numpy import BACKEND
from tests.backends.fake_cupy import FakeArray, install, uninstall
from tests.checks import assert_same_bits
from tests.namespaces import STRICT
from tests.problems import FULL, Answer, Data, known

CPU, CUDA, PINNED, ROCM, MANAGED = 1, 2, 3, 10, 13  # DLPack's numbers

DATA = known(np.random.default_rng(811), FULL, batch=(2,)).data


class OnlyDLPack:
    """Speaks DLPack for a NumPy array, whatever device it says that this is on."""

    def __init__(self, array, kind=CPU):
        self.array, self.kind = array, kind

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.kind, 0


class OnlyCuda:
    """Memory on a CUDA device, by its interface alone."""

    @property
    def __cuda_array_interface__(self):
        return {"shape": (3,), "typestr": "<f8", "data": (0, True), "version": 3}


class Both(OnlyDLPack, OnlyCuda):
    """As device arrays of today."""


def adopt(array):
    return backends.adopt(array, "h")


# ------------------------------------------------------------------------------ one array


@pytest.mark.parametrize(
    "array",
    [None, 1.0, [1.0], "text", np.ones(2), np.float64(1.0), STRICT.asarray(np.ones(2))],
    ids=lambda a: type(a).__name__,
)
def test_what_is_known_or_no_array_is_left_alone(array):
    assert adopt(array) is array


def test_tensors_are_left_alone():
    torch = pytest.importorskip("torch")
    tensor = torch.ones(2)
    assert adopt(tensor) is tensor


@pytest.mark.parametrize("kind", [CPU, PINNED])
def test_memory_of_the_host_becomes_a_numpy_array_without_a_copy(kind):
    array = np.arange(12.0).reshape(3, 4)[:, ::2]
    found = adopt(OnlyDLPack(array, kind))
    assert isinstance(found, np.ndarray)
    assert np.shares_memory(found, array)
    np.testing.assert_array_equal(found, array)


def test_arrays_of_cupy_are_left_alone(monkeypatch):
    install(monkeypatch)
    array = FakeArray(np.ones(2))
    assert adopt(array) is array


@pytest.mark.parametrize(
    ("array", "reader"),
    [
        (OnlyCuda(), "asarray"),
        (OnlyDLPack(np.ones(2), CUDA), "from_dlpack"),
        (OnlyDLPack(np.ones(2), MANAGED), "from_dlpack"),
        (Both(np.ones(2), CUDA), "from_dlpack"),
        (Both(np.ones(2), ROCM), "asarray"),
    ],
    ids=["interface", "dlpack", "managed", "both", "both-other"],
)
def test_memory_of_a_device_is_read_by_cupy(monkeypatch, array, reader):
    cupy, seen = install(monkeypatch), []
    for name in ("asarray", "from_dlpack"):
        monkeypatch.setattr(cupy, name, lambda a, name=name: seen.append((name, a)) or "read")
    assert adopt(array) == "read"
    assert seen == [(reader, array)]


@pytest.mark.parametrize("kind", [ROCM, 14])
def test_memory_of_other_devices_is_left_alone(kind):
    array = OnlyDLPack(np.ones(2), kind)
    assert adopt(array) is array


@pytest.mark.parametrize("array", [OnlyCuda(), OnlyDLPack(np.ones(2), CUDA)])
def test_without_cupy_the_error_names_the_array_and_says_why(monkeypatch, array):
    uninstall(monkeypatch)
    reason = backends.available()["cupy"]
    with pytest.raises(TypeError) as caught:
        adopt(array)
    assert str(caught.value).startswith(f"h: a {type(array).__name__} on a CUDA device")
    assert str(caught.value).endswith(reason)


def test_what_cannot_be_read_is_an_error_that_names_the_array():
    class Broken(OnlyDLPack):
        def __dlpack__(self, **_):
            raise BufferError("gone")

    with pytest.raises(TypeError, match="h: the Broken can't be read: gone"):
        adopt(Broken(np.ones(2)))


# ---------------------------------------------------------------------------- the whole call


def foreign(data):
    return Data(*(OnlyDLPack(a) for a in data))


def test_a_solve_of_such_arrays_has_the_bits_of_numpy():
    solution, expected = kktdiff.solve_qp(*foreign(DATA)), kktdiff.solve_qp(*DATA)
    assert_same_bits(solution, expected, (*Answer._fields, "status", "iterations"))
    assert isinstance(solution.x, np.ndarray)
    g = np.random.default_rng(812).normal(size=DATA.p.shape)
    assert_same_bits(solution.vjp(OnlyDLPack(g)), expected.vjp(g), Data._fields)
    assert_same_bits(solution.jvp(p=OnlyDLPack(g)), expected.jvp(p=g), Answer._fields)
    names = [{"x": OnlyDLPack(g)}, {"p": OnlyDLPack(g)}]
    assert_same_bits(solution.hvp(*names), expected.hvp({"x": g}, {"p": g}), Data._fields)


def test_they_may_stand_among_arrays_of_numpy():
    mixed = DATA._replace(p=OnlyDLPack(DATA.p), G=OnlyDLPack(DATA.G))
    assert_same_bits(kktdiff.solve_qp(*mixed), kktdiff.solve_qp(*DATA), Answer._fields)


def test_it_is_what_was_read_that_is_worked_with(monkeypatch):
    class Hidden:
        def __init__(self, array):
            self.array = array

    def read(array, name):
        assert name
        return array.array if isinstance(array, Hidden) else array

    monkeypatch.setattr(backends, "adopt", read)
    solution = kktdiff.solve_qp(*(Hidden(a) for a in DATA))
    g, expected = np.ones(DATA.p.shape), kktdiff.solve_qp(*DATA)
    assert_same_bits(solution.vjp(Hidden(g)), expected.vjp(g), Data._fields)
    assert_same_bits(solution.jvp(p=Hidden(g)), expected.jvp(p=g), Answer._fields)


def test_weights_of_shifts_may_be_such_arrays():
    lower, upper = np.array([1.0, 0.0]), np.array([-1.0, 1.0])
    weight = np.array([4.0, 1.0])

    def shift(array):
        bounds = {"lb": lower, "ub": upper, "infeasible": "closest"}
        weights = {"lb": array}
        return kktdiff.solve_qp(np.eye(2), np.ones(2), shift_weights=weights, **bounds).shift_lb

    np.testing.assert_array_equal(shift(OnlyDLPack(weight)), shift(weight))
    assert not np.array_equal(shift(weight), shift(np.ones(2)))


@pytest.mark.parametrize("name", Data._fields)
def test_memory_on_a_device_without_cupy_is_named(monkeypatch, name):
    uninstall(monkeypatch)
    with pytest.raises(TypeError, match=f"^{name}: a OnlyCuda .*CuPy is not installed: pip"):
        kktdiff.solve_qp(*DATA._replace(**{name: OnlyCuda()}))


def test_so_it_is_where_it_comes_later(monkeypatch):
    uninstall(monkeypatch)
    solution = kktdiff.solve_qp(*DATA)
    with pytest.raises(TypeError, match=r"^the cotangent of lam: a OnlyCuda .*not installed"):
        solution.vjp(lam=OnlyCuda())
    with pytest.raises(TypeError, match=r"^the tangent of G: a OnlyCuda .*not installed"):
        solution.jvp(G=OnlyCuda())
    with pytest.raises(TypeError, match=r"^shift_weights\['h'\]: a OnlyCuda .*not installed"):
        kktdiff.solve_qp(*DATA, infeasible="closest", shift_weights={"h": OnlyCuda()})


def test_what_speaks_neither_is_refused_by_name():
    with pytest.raises(TypeError, match="p is a OnlyDLPack: expected an array"):
        kktdiff.solve_qp(*DATA._replace(p=OnlyDLPack(DATA.p, ROCM)))


def test_numpy_receives_arrays_of_cupy_by_a_copy(monkeypatch):
    install(monkeypatch)
    array = FakeArray(np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    found = BACKEND.receive(array, np.float32)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, array.values)
