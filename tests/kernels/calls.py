"""Kernels as tests call them: an instruction set, a number type, scratch memory of their own."""

import ctypes
import os
import subprocess
from contextlib import contextmanager

import pytest

from kktdiff import kernels
from kktdiff._inputs import check
from kktdiff._problem import build
from kktdiff._records import Point
from kktdiff.kernels.results import kept_parts
from tests.backends.cuda import emulator
from tests.problems import Data
from tests.robustness.soft_kinds import Soft

FLAGS = (
    "-std=c++17",
    "-fno-math-errno",
    "-ffp-contract=off",
    "-fno-trapping-math",
    "-fPIC",
    "-pthread",
)
WARNINGS = ("-Wall", "-Wextra", "-Wno-parentheses", "-Wno-unused-variable")
WARNINGS += ("-Wno-unused-function", "-Werror")
TARGETS = {
    "baseline": ("-DLANES=2",),
    "avx2": ("-DLANES=4", "-march=x86-64-v3"),
    "avx512": ("-DLANES=8", "-march=x86-64-v4", "-mprefer-vector-width=512"),
}
LANES = {"baseline": 2, "avx2": 4, "avx512": 8}
KERNELS = ("solve", "derive", "vjp")  # by their numbers in solve.cpp
real_call = kernels.call


@contextmanager
def using(variant):
    """Use the kernels of an instruction set; of "off", the array code alone."""
    before = os.environ.get("KKTDIFF_KERNELS")
    os.environ["KKTDIFF_KERNELS"] = variant
    kernels._load.cache_clear()
    try:
        yield
    finally:
        del os.environ["KKTDIFF_KERNELS"]
        if before is not None:
            os.environ["KKTDIFF_KERNELS"] = before
        kernels._load.cache_clear()


def flat(data):
    """Return the flat batch that the kernels get, with the prices of soft rows."""
    if isinstance(data, Soft):
        prices = {f"soft_{side}": price for side, price in data.prices.items()}
        return flat(data.data)._replace(**prices)
    return problem_of(data).data


def problem_of(data):
    """Return the same with what the array code gets."""
    return build(check(dict(zip(Data._fields, data, strict=True)), "numpy"))


def point_of(qp, out):
    """Return the point that the kernel `solve` keeps."""
    parts = kept_parts(qp, out.kept)
    return Point(parts.x, parts.s, parts.lam, parts.nu)


def rows_of(qp):
    """Return the number of inequalities, bounds among them."""
    return qp.sizes[1] + sum(qp.bounds)


def pointer(array):
    """The address of an array's entries, for a library of `compiled`."""
    return ctypes.c_void_p(array.ctypes.data)


def compiled(repository, folder, native, variant, source):
    """A test's own source as a library for an instruction set, where that runs here."""
    if emulator.compiler() is None:
        pytest.skip(emulator.NO_COMPILER)
    if variant not in native.variants():
        pytest.skip(f"{variant} does not run here")
    path = compile_kernels(repository, folder, variant, "-O3", source=source)
    return ctypes.CDLL(str(path))


def compile_kernels(repository, folder, variant, *options, source="solve.cpp"):
    """Compile for an instruction set, without a warning; return the library's path."""
    path = folder / f"{variant}.so"
    source = repository / "tests" / "kernels" / source
    command = [*emulator.compiler(), *FLAGS, *WARNINGS, *TARGETS[variant], *options]
    command += [f"-I{repository / 'kktdiff' / 'kernels'}", "-shared", str(source), "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return path


class Library:
    """`solve.cpp` in the place of `kernels.call`."""

    def __init__(self, path, *, packed, fill=0, threads=1):
        self._run = ctypes.CDLL(str(path)).run
        self._packed, self._fill, self._threads = packed, fill, threads

    def __call__(self, name, sizes, options, arrays, threads=1):
        """Run `solve`, `derive` or `vjp` in its threads, and any other kernel as it is."""
        if name not in KERNELS:
            return real_call(name, sizes, options, arrays, threads)
        places = [None if v is None else v.ctypes.data for v in arrays]
        steps = [_step(v, sizes[0]) for v in arrays]
        self._run(
            KERNELS.index(name),
            int(self._packed),
            self._fill,
            self._threads,
            (ctypes.c_int64 * len(sizes))(*sizes),
            (ctypes.c_double * len(options))(*options),
            (ctypes.c_void_p * len(arrays))(*places),
            (ctypes.c_int64 * len(arrays))(*steps),
        )
        return 1


def _step(array, batch):
    """Return how many entries there are from one element to the next, 0 where all share one."""
    alone = array is None or len(array) != batch
    return 0 if alone else array.strides[0] // array.itemsize


@contextmanager
def replaced(call):
    """Use `call` in the place of `kernels.call`."""
    before, kernels.call = kernels.call, call
    try:
        yield
    finally:
        kernels.call = before
