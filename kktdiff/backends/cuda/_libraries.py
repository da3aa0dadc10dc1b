"""Batched factorizations by cuBLAS and cuSOLVER, with factors that are kept and an ``ok`` for each.

The libraries count matrices by columns, our arrays by rows: what they get is the transpose. A
symmetric matrix is its own, and its lower triangle is the upper one of the array. Matrices of a
batch are named by an array of pointers, sizes are int32, and the info of each problem is an int32
on the device. In the comments on arguments ``ld`` is the distance between columns.
"""

import ctypes
from typing import Any

from kktdiff._typing import Array
from kktdiff.backends.cuda._cuda import Cuda

LOWER, LEFT, NON_UNIT, PLAIN, TRANSPOSED = 0, 0, 0, 0, 1  # the same in both libraries
LARGE = 512  # rows from which each matrix gets a call of its own: batched ones are made for small

_ONE = ctypes.c_double(1.0)  # read by the host when a call is made


def pointers(cuda: Cuda, a: Array) -> Array:  # a: (B, ...), contiguous
    """Return the address of each element's part of `a`, (B,) uint64 on the device."""
    step = a.itemsize * (a.size // a.shape[0])
    first = cuda.address(a)
    return cuda.xp.arange(a.shape[0], dtype=cuda.xp.uint64) * step + first


def add_product(
    cuda: Cuda,
    a: Array,  # (B, r, n)
    out: Array,  # (B, n, n)
) -> None:
    """``out += a'a``; by columns `a` is ``a'``, (n, r), ld n."""
    batch, r, n = a.shape
    cublas, (handle, _) = cuda.cublas, cuda.handles()
    at, one = cuda.address(a), _address(_ONE)
    cublas.dgemmStridedBatched(
        *(handle, PLAIN, TRANSPOSED, n, n, r),  # op(a), op(b); rows, columns, inner dimension
        *(one, at, n, r * n, at, n, r * n),  # alpha; a, ld, step; b, ld, step
        *(one, cuda.address(out), n, n * n, batch),  # beta; c, ld, step; how many
    )


def cholesky(cuda: Cuda, a: Array, info: Array) -> None:
    """Factor (B, n, n) in place: by columns the lower triangle becomes L; info (B,) is written.

    info > 0: not positive definite, the factor is unfinished.
    """
    batch, n, _ = a.shape
    _, handle = cuda.handles()
    if n < LARGE:
        where = pointers(cuda, a)
        # handle; triangle, n; matrices, ld; info, how many
        args = (handle, LOWER, n, cuda.address(where), n, cuda.address(info), batch)
        cuda.cusolver.dpotrfBatched(*args)
        return
    first, step = cuda.address(a), a.itemsize * n * n
    length = cuda.cusolver.dpotrf_bufferSize(handle, LOWER, n, first, n)
    work = cuda.xp.empty(length, dtype=cuda.xp.float64)
    for i in range(batch):
        at, own = first + i * step, cuda.address(info) + 4 * i
        # handle; triangle, n; matrix, ld; workspace, its length; info
        cuda.cusolver.dpotrf(handle, LOWER, n, at, n, cuda.address(work), length, own)


def triangular_solve(cuda: Cuda, factor: Array, rhs: Array, *, transposed: bool) -> None:
    """Solve with L or L' in place; rhs: (B, r, n), contiguous: by columns (n, r)."""
    handle, _ = cuda.handles()
    batch, r, n = rhs.shape
    where, on = pointers(cuda, factor), pointers(cuda, rhs)
    op = TRANSPOSED if transposed else PLAIN
    cuda.cublas.dtrsmBatched(
        *(handle, LEFT, LOWER, op, NON_UNIT, n, r),  # rows, columns of rhs
        *(_address(_ONE), cuda.address(where), n, cuda.address(on), n, batch),  # L, ld; rhs, ld
    )


def lu(cuda: Cuda, a: Array, pivots: Array, info: Array) -> None:
    """Factor (B, n, n), symmetric, in place; pivots (B, n) and info (B,), both int32, are written.

    info > 0: a pivot is zero.
    """
    batch, n, _ = a.shape
    if n < LARGE:
        handle, _ = cuda.handles()
        where = pointers(cuda, a)
        # handle; n; matrices, ld; pivots, counted from 1; info; how many
        args = (handle, n, cuda.address(where), n, cuda.address(pivots), cuda.address(info), batch)
        cuda.cublas.dgetrfBatched(*args)
        return
    _, handle = cuda.handles()
    first, step = cuda.address(a), a.itemsize * n * n
    length = cuda.cusolver.dgetrf_bufferSize(handle, n, n, first, n)
    work = cuda.xp.empty(length, dtype=cuda.xp.float64)
    for i in range(batch):
        own = cuda.address(pivots) + 4 * i * n, cuda.address(info) + 4 * i
        # handle; rows, columns; matrix, ld; workspace; pivots; info
        cuda.cusolver.dgetrf(handle, n, n, first + i * step, n, cuda.address(work), *own)


def lu_solve(cuda: Cuda, a: Array, pivots: Array, rhs: Array) -> None:
    """Solve with kept factors, in place; rhs: (B, r, n), contiguous: by columns (n, r)."""
    handle, _ = cuda.handles()
    batch, r, n = rhs.shape
    info = ctypes.c_int(0)  # of the arguments alone, and on the host
    where, on = pointers(cuda, a), pointers(cuda, rhs)
    cuda.cublas.dgetrsBatched(
        *(handle, PLAIN, n, r, cuda.address(where), n, cuda.address(pivots)),  # op; factors, ld
        *(cuda.address(on), n, _address(info), batch),  # rhs, ld
    )


def _address(value: Any) -> int:
    return ctypes.addressof(value)
