"""Stage: what the device and its libraries can do at best: the floor under all times."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import numpy as np

from benchmarks.gpu_check import batched
from benchmarks.gpu_check.device import Device, gpu
from benchmarks.gpu_check.record import Record, failure, guarded

BATCHES = (128, 1024, 8192)
REPEATS = 7
MANY = 500  # of calls too short to be timed alone
EMPTY = 'extern "C" __global__ void empty() {}'


def records(
    seconds: float,
    argument: str = "",
    device: Device | None = None,
    make: Callable[[], batched.Libraries] = batched.libraries,
    large: int = 4096,
) -> Iterator[Record]:
    """Ceilings first, then each routine at each batch; those of float32 last."""
    end, device = time.monotonic() + seconds, device or gpu()
    yield guarded({"what": "device copy"}, partial(copy, device, large))
    for letter in "ds":
        about = {"what": f"{letter}gemm", "n": large}
        yield guarded(about, partial(gemm, device, large, letter))
        device.free()
    yield guarded({"what": "elementwise operation, 128 x 100"}, partial(elementwise, device))
    yield guarded({"what": "read of one number"}, partial(read, device))
    if device.name == "gpu":
        yield guarded({"what": "launch of an empty kernel"}, partial(launch, device))
    try:
        lib = make()
    except Exception as error:  # they are missing, or the device is broken: all of them would be
        yield {"what": "cuBLAS and cuSOLVER"} | failure(error)
        return
    for letter in "ds":
        for batch in BATCHES:
            yield from _routines(device, lib, batch, letter, end)


def _routines(
    device: Device, lib: batched.Libraries, batch: int, letter: str, end: float
) -> Iterator[Record]:
    for build in batched.primitives(lib, batch, letter):
        if time.monotonic() > end:
            yield {"skipped": f"{letter}, batch {batch} and on: no time was left"}
            return
        yield guarded({"batch": batch, "dtype": letter}, partial(routine, device, build))
        device.free()


def routine(device: Device, build: Callable[[], batched.Primitive]) -> Record:
    """Median of single calls, each on a fresh copy of its input."""
    primitive, took = build(), []
    for _ in range(REPEATS):
        primitive.restore()
        took.append(device.timed(primitive.call)[0])
    record = primitive.about | {"ms": 1e3 * median(took[1:])}
    record["gflop_per_s"] = primitive.gflop / median(took[1:])
    if primitive.info is not None and device.to_numpy(primitive.info).any():
        record["failed"] = "it says that a matrix is singular or not definite"
    return record


def copy(device: Device, large: int) -> Record:
    """Bytes read and written."""
    a = device.xp.zeros((8, large, large))
    b = device.xp.zeros((8, large, large))
    seconds = _least(device, lambda: device.xp.copyto(b, a))
    return {"ms": 1e3 * seconds, "gb_per_s": 2 * a.nbytes / seconds / 1e9}


def gemm(device: Device, n: int, letter: str) -> Record:
    """One large product."""
    drawn = np.random.default_rng(0).random((n, n)).astype({"d": "f8", "s": "f4"}[letter])
    a = device.xp.asarray(drawn)  # the clocks depend on the numbers: ones would be faster
    b, c = a.copy(), device.xp.empty_like(a)
    seconds = _least(device, lambda: device.xp.matmul(a, b, out=c))
    return {"ms": 1e3 * seconds, "gflop_per_s": 2 * n**3 / seconds / 1e9}


def elementwise(device: Device) -> Record:
    """An addition through the array library, many of them queued."""
    a, b, c = (device.xp.ones((128, 100)) for _ in range(3))
    return _each(device, lambda: device.xp.add(a, b, out=c))


def read(device: Device) -> Record:
    """One number to the host: the host waits for the device."""
    a = device.xp.ones(1)
    return _each(device, lambda: float(a[0]))


def launch(device: Device) -> Record:
    """A kernel without arguments that does nothing."""
    kernel = device.xp.RawKernel(EMPTY, "empty")
    return _each(device, lambda: kernel((1,), (32,), ()))


def _each(device: Device, call: Callable[[], object]) -> Record:
    def many() -> None:
        for _ in range(MANY):
            call()

    return {"ms": 1e3 * _least(device, many) / MANY}


def _least(device: Device, call: Callable[[], object]) -> float:
    """Seconds of the fastest of some calls, the first one apart."""
    return min([device.timed(call)[0] for _ in range(REPEATS)][1:])
