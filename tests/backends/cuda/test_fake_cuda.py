"""The stand-in for CuPy: its queue, its record of calls, and arrays that are not to be read."""

import math

import numpy as np
import pytest

from tests.backends.cuda import emulator
from tests.backends.cuda.batches import Batch, Ints
from tests.backends.cuda.fake_cuda import CUBLAS_HANDLE, CUSOLVER_HANDLE, EmulatorError, FakeCuda
from tests.backends.cuda.guard import Device, ReadError, no_reading

SOURCE = r"""
extern "C" __global__ void add(const double *a, double *b, long long n) {
  for (long long i = threadIdx.x; i < n; i += blockDim.x) b[i] += a[i];
}
extern "C" __global__ void step(int *count) { if (threadIdx.x == 0) *count += 1; }
"""

# the first thread reads what the last one has written
MEET = r"""
extern __shared__ double shared[];
extern "C" __global__ void meet(double *out) {
  if (threadIdx.x == 63) shared[0] = 2.0;
  __syncthreads();
  if (threadIdx.x == 0) *out = shared[0];
}
"""

needs_compiler = pytest.mark.skipif(emulator.compiler() is None, reason=emulator.NO_COMPILER)


@pytest.fixture(params=[False, True], ids=["plain", "guarded"])
def guarded(request):
    return request.param


@needs_compiler
def test_calls_are_recorded(guarded):
    cuda = FakeCuda(SOURCE, guarded=guarded)
    a, count = cuda.xp.ones(5), cuda.xp.zeros(1, dtype=cuda.xp.int32)
    with cuda.at(a):
        assert cuda.device == "cpu"
        cuda.launch("step", 3, 32, count)
        seen = cuda.later(count)
    assert cuda.device is None
    cuda.launch("add", 1, 32, a, cuda.xp.zeros(5), 5)
    assert seen() == 3
    assert cuda.calls == [("launch", "step", 3), ("later",), ("launch", "add", 1), ("wait",)]
    assert cuda.outside == [("launch", "add", 1)]


def test_library_calls_are_recorded():
    cuda = FakeCuda("")
    a, pivots, info = Batch(cuda, np.eye(2)[None]), Ints(cuda, 2), Ints(cuda, 1)
    assert cuda.handles() == (CUBLAS_HANDLE, CUSOLVER_HANDLE)
    cuda.cublas.dgetrfBatched(CUBLAS_HANDLE, 2, a.pointers, a.ld, pivots.address, info.address, 1)
    cuda.cusolver.dpotrfBatched(CUSOLVER_HANDLE, 0, 2, a.pointers, a.ld, info.address, 1)
    assert cuda.calls == [("cublas", "dgetrfBatched"), ("cusolver", "dpotrfBatched")]


@needs_compiler
def test_order_and_a_barrier_left_out_reach_the_kernels():
    cuda, out = FakeCuda(MEET), np.zeros(1)
    assert len(cuda.emulator.barriers) == 1
    for cuda.order, cuda.without, expected in (
        ("forward", None, 2.0),
        ("forward", 0, np.nan),
        ("reverse", 0, 2.0),
    ):
        cuda.launch("meet", 1, 64, out)
        np.testing.assert_array_equal(out, expected)


@needs_compiler
def test_deferred_work_is_done_at_the_wait():
    cuda = FakeCuda(SOURCE, deferred=True)
    count = np.zeros(1, np.int32)
    cuda.launch("step", 1, 32, count)
    first = cuda.later(count)
    cuda.launch("step", 1, 32, count)
    second = cuda.later(count)
    cuda.launch("step", 1, 32, count)
    assert count == 0
    assert first() == 1
    assert count == 1  # what comes after is still waiting
    assert second() == 2
    assert first() == 1
    cuda.synchronize()
    assert count == 3


def test_deferred_library_calls_are_done_at_the_end():
    cuda = FakeCuda("", deferred=True)
    a, info = Batch(cuda, 4.0 * np.eye(2)[None]), Ints(cuda, 1)
    cuda.cusolver.dpotrfBatched(CUSOLVER_HANDLE, 0, 2, a.pointers, a.ld, info.address, 1)
    assert a.read()[0, 0, 0] == 4.0
    cuda.synchronize()
    assert a.read()[0, 0, 0] == 2.0
    assert info.array[0] == 0


@needs_compiler
def test_deferred_work_is_checked_when_it_is_queued():
    cuda = FakeCuda(SOURCE, deferred=True)
    with pytest.raises(EmulatorError, match="0 arguments for 1"):
        cuda.launch("step", 1, 32)
    assert cuda.calls == []


def test_deferred_work_keeps_its_memory():
    cuda = FakeCuda("", deferred=True)
    a, info = Batch(cuda, 4.0 * np.eye(2)[None]), Ints(cuda, 1)
    cuda.cusolver.dpotrfBatched(CUSOLVER_HANDLE, 0, 2, a.pointers, a.ld, info.address, 1)
    del a
    cuda.synchronize()
    assert info.array[0] == 0


def test_address_is_that_of_contiguous_arrays(guarded):
    cuda = FakeCuda("", guarded=guarded)
    array = cuda.xp.zeros((3, 4))
    assert cuda.address(array[1, :]) == cuda.address(array) + 32
    with pytest.raises(ValueError, match=r"not C-contiguous: shape \(4, 3\), strides \(8, 32\)"):
        cuda.address(array.T)
    for value in (1.0, [1.0], np.float64(1.0)):
        with pytest.raises(TypeError, match="not an array of the device"):
            cuda.address(value)


@pytest.mark.parametrize(
    "count", [np.zeros((), np.int32), np.zeros(2, np.int32), np.zeros(1, np.int64)]
)
def test_later_takes_a_single_int32(count):
    with pytest.raises(TypeError, match="an int32 array of length one"):
        FakeCuda("").later(count)


def test_room():
    assert FakeCuda("").room() == 64 << 20
    assert FakeCuda("", room=5).room() == 5


def test_arrays_of_the_host_are_not_of_the_device():
    cuda, host = FakeCuda("", guarded=True), np.zeros(3)
    assert not cuda.owns(host)
    with pytest.raises(TypeError, match="not an array of the device"):
        cuda.address(host)
    with pytest.raises(TypeError, match="not an array of the device"), cuda.at(host):
        pass
    device = cuda.to_device(host)
    assert cuda.owns(device)
    assert cuda.address(device) == host.ctypes.data
    assert FakeCuda("").owns(host)
    assert FakeCuda("").owns(np.float64(1.0))


READERS = {
    "bool": bool,
    "int": int,
    "float": float,
    "index": range,
    "math": math.isnan,
    "repr": repr,
    "format": "{}".format,
    "item": lambda a: a.item(),
    "tolist": lambda a: a.tolist(),
    "tobytes": lambda a: a.tobytes(),
    "copy": lambda a: a.copy(),
    "astype": lambda a: a.astype(np.float64),
    "compare": lambda a: a > 0,
    "add": lambda a: a + 1,
    "sum": lambda a: a.sum(),
    "any": lambda a: a.any(),
    "numpy.sum": np.sum,
    "numpy.array": lambda a: np.array(a),
    "numpy.asarray": lambda a: np.asarray(a),
    "numpy.where": lambda a: np.where(a, a, 2),
    "namespace": lambda a: FakeCuda("", guarded=True).xp.asarray(a, copy=True),
    "write": lambda a: a.__setitem__(..., 2),
}
READERS_OF_MANY = {
    "iterate": list,
    "contains": lambda a: 1 in a,
    "mask": lambda a: a[np.array([True, False])],
    "list": lambda a: a[[0]],
}


@pytest.mark.parametrize("reader", READERS)
def test_reading_a_number_is_refused(reader):
    array = FakeCuda("", guarded=True).xp.asarray(1, dtype=np.int32)
    READERS[reader](array)
    with no_reading(), pytest.raises(ReadError):
        READERS[reader](array)
    READERS[reader](array)


@pytest.mark.parametrize("reader", READERS_OF_MANY)
def test_reading_many_is_refused(reader):
    array = FakeCuda("", guarded=True).xp.asarray([1, 2])
    READERS_OF_MANY[reader](array)
    with no_reading(), pytest.raises(ReadError):
        READERS_OF_MANY[reader](array)


@needs_compiler
def test_what_the_guard_allows():
    cuda = FakeCuda(SOURCE, guarded=True, deferred=True)
    a, b = cuda.xp.ones((2, 3)), cuda.xp.zeros((2, 3))
    count = cuda.xp.zeros(1, dtype=cuda.xp.int32)
    with no_reading():
        cuda.launch("add", 1, 32, a[0], b[1, ...], 3)
        cuda.launch("step", 1, 32, count)
        assert cuda.later(count)() == 1
        assert (len(a), a.shape, a[0, :].ndim, a[0, 0].shape) == (2, (2, 3), 1, ())
        assert np.asarray([1.0]).tolist() == [1.0]
        cuda.xp.empty(3)
    assert b.tolist() == [[0.0] * 3, [1.0] * 3]


def test_results_stay_on_the_device():
    xp = FakeCuda("", guarded=True).xp
    a = xp.reshape(xp.arange(6.0), (2, 3))
    results = [a + 1, a[0, 0], a.sum(), xp.sum(a), xp.where(a > 1, a, a), xp.linalg.inv(a @ a.T)]
    results += [*xp.linalg.eigh(a @ a.T), xp.stack([a, a]), xp.sqrt(a), np.max(a)]
    assert all(isinstance(result, Device) for result in results)
    into = xp.zeros((2, 3))
    np.add(a, a, out=into)
    assert into.tolist() == (2 * a).tolist()
