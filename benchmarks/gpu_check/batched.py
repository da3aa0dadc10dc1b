"""The batched routines of cuBLAS and cuSOLVER that a step is made of, ready to be timed.

Matrices are symmetric, or it does not matter, so that rows and columns need not be told apart.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

N, KKT = 100, (150, 200)  # W1: variables; the KKT matrix with half of its rows, and with all
DIFFERENT = 16  # matrices; the others are copies
RIGHT_SIDES = (1, 100)


class Libraries(NamedTuple):
    """cuBLAS and cuSOLVER as CuPy wraps them, or what stands in for them in a test."""

    xp: Any
    cublas: Any
    cusolver: Any
    blas: int  # handles
    solver: int
    address: Callable[[Any], int]  # of an array's first entry


class Primitive(NamedTuple):
    """A call on its own arrays."""

    about: dict[str, Any]
    restore: Callable[[], object]  # undo what the last call has written over its input
    call: Callable[[], object]
    gflop: float
    info: Any  # what the routine says of each matrix, None if it says nothing
    kept: tuple[Any, ...]  # the arrays whose addresses the call holds


def libraries() -> Libraries:
    """Those of the current device."""
    import cupy
    from cupy_backends.cuda.libs import cublas, cusolver

    handles = cupy.cuda.device.get_cublas_handle(), cupy.cuda.device.get_cusolver_handle()
    return Libraries(cupy, cublas, cusolver, *handles, lambda array: array.data.ptr)


def primitives(lib: Libraries, batch: int, letter: str) -> Iterator[Callable[[], Primitive]]:
    """Each is built when it is called, so that the arrays of one are gone before the next."""
    yield lambda: cholesky(lib, batch, letter)
    for size in KKT:
        yield lambda size=size: lu(lib, batch, letter, size)
    yield lambda: product(lib, batch, letter)
    for sides in RIGHT_SIDES:
        yield lambda sides=sides: triangular(lib, batch, letter, sides)


def cholesky(lib: Libraries, batch: int, letter: str) -> Primitive:
    """``potrfBatched``, in place."""
    source, work = _definite(lib, batch, letter, N)
    pointers, info = _pointers(lib, work), lib.xp.zeros(batch, dtype=np.int32)
    routine = getattr(lib.cusolver, f"{letter}potrfBatched")
    lower = lib.cublas.CUBLAS_FILL_MODE_LOWER
    arguments = (lib.solver, lower, N, lib.address(pointers), N, lib.address(info), batch)
    return Primitive(
        {"what": f"{letter}potrfBatched", "n": N, "batch": batch},
        lambda: lib.xp.copyto(work, source),
        partial(routine, *arguments),
        batch * N**3 / 3e9,
        info,
        (work, pointers, info),
    )


def lu(lib: Libraries, batch: int, letter: str, n: int) -> Primitive:
    """``getrfBatched`` with pivoting, in place."""
    source, work = _definite(lib, batch, letter, n)
    pointers, info = _pointers(lib, work), lib.xp.zeros(batch, dtype=np.int32)
    pivots = lib.xp.zeros((batch, n), dtype=np.int32)
    routine = getattr(lib.cublas, f"{letter}getrfBatched")
    places = (lib.address(pivots), lib.address(info))
    arguments = (lib.blas, n, lib.address(pointers), n, *places, batch)
    return Primitive(
        {"what": f"{letter}getrfBatched", "n": n, "batch": batch},
        lambda: lib.xp.copyto(work, source),
        partial(routine, *arguments),
        batch * 2 * n**3 / 3e9,
        info,
        (work, pointers, pivots, info),
    )


def product(lib: Libraries, batch: int, letter: str) -> Primitive:
    """``gemmStridedBatched`` of two square matrices."""
    a, b = _definite(lib, batch, letter, N)
    c, scalars = lib.xp.empty_like(a), np.array([1.0, 0.0], dtype=a.dtype)
    routine = getattr(lib.cublas, f"{letter}gemmStridedBatched")
    one, zero = scalars.ctypes.data, scalars.ctypes.data + scalars.itemsize
    plain, step = lib.cublas.CUBLAS_OP_N, N * N
    left, right = ((lib.address(array), N, step) for array in (a, b))
    sizes = (plain, plain, N, N, N)
    arguments = (lib.blas, *sizes, one, *left, *right, zero, lib.address(c), N, step, batch)
    return Primitive(
        {"what": f"{letter}gemmStridedBatched", "n": N, "batch": batch},
        lambda: None,
        partial(routine, *arguments),
        batch * 2 * N**3 / 1e9,
        None,
        (a, b, c, scalars),
    )


def triangular(lib: Libraries, batch: int, letter: str, sides: int) -> Primitive:
    """``trsmBatched``; its matrices are well conditioned, in place of a Cholesky factor."""
    source, _ = _definite(lib, batch, letter, N)
    rhs = lib.xp.ones((batch, sides, N), dtype=source.dtype)
    scalars = np.ones(1, dtype=source.dtype)
    matrices, vectors = _pointers(lib, source), _pointers(lib, rhs)
    routine = getattr(lib.cublas, f"{letter}trsmBatched")
    c = lib.cublas
    kind = (c.CUBLAS_SIDE_LEFT, c.CUBLAS_FILL_MODE_LOWER, c.CUBLAS_OP_N, c.CUBLAS_DIAG_NON_UNIT)
    pairs = (lib.address(matrices), N, lib.address(vectors), N)
    arguments = (lib.blas, *kind, N, sides, scalars.ctypes.data, *pairs, batch)
    return Primitive(
        {"what": f"{letter}trsmBatched, {sides} right sides", "n": N, "batch": batch},
        lambda: rhs.fill(1.0),
        partial(routine, *arguments),
        batch * sides * N**2 / 1e9,
        None,
        (source, matrices, rhs, vectors, scalars),
    )


def _definite(lib: Libraries, batch: int, letter: str, n: int) -> tuple[Any, Any]:
    """A stack of positive definite matrices, twice."""
    few = np.random.default_rng(0).standard_normal((DIFFERENT, n, n))
    few = (few @ few.transpose(0, 2, 1) / n + np.eye(n)).astype({"d": "f8", "s": "f4"}[letter])
    stack = lib.xp.tile(lib.xp.asarray(few), (-(-batch // DIFFERENT), 1, 1))[:batch]
    source = lib.xp.ascontiguousarray(stack)
    return source, source.copy()


def _pointers(lib: Libraries, stack: Any) -> Any:
    """Where each element begins, as an array on the device."""
    first, step = lib.address(stack), stack.nbytes // len(stack)
    return lib.xp.asarray(first + step * np.arange(len(stack), dtype=np.uintp))
