"""BLAS and LAPACK inside compiled code: SciPy's own, by the addresses that it publishes.

The addresses are arguments of what is compiled, not constants in it, so that it can be kept on
disk. Matrices are rows after rows here and columns after columns there: what is symmetric stays as
it is, with the other triangle, and what is not arrives transposed.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg.cython_blas
import scipy.linalg.cython_lapack  # noqa: F401 (both publish the addresses)
from llvmlite import ir
from numba import types
from numba.extending import get_cython_function_address, intrinsic

from kktdiff.backends.compiled._jit import exact


class Routines(NamedTuple):
    """Addresses."""

    syrk: int
    trsm: int
    potrf: int
    getrf: int
    getrs: int


class Lapack(NamedTuple):
    """The routines and what they take by address, for one thread."""

    call: Routines
    sizes: Any  # (4,) int32: dimensions, and what a routine has to say
    letters: Any  # (3,) uint8: "LNT"
    one: Any  # (1,): 1.0


def routines() -> Routines:
    """Those of the SciPy that is installed."""
    blas, lapack = ("dsyrk", "dtrsm"), ("dpotrf", "dgetrf", "dgetrs")
    return Routines(
        *(get_cython_function_address("scipy.linalg.cython_blas", name) for name in blas),
        *(get_cython_function_address("scipy.linalg.cython_lapack", name) for name in lapack),
    )


def tools(call: Routines) -> Lapack:
    """New memory."""
    return Lapack(call, np.empty(4, np.int32), np.array([76, 78, 84], np.uint8), np.ones(1))


@intrinsic
def _call(typing_context: Any, address: Any, arguments: Any) -> Any:  # (int, tuple of addresses)
    """Call what is at `address`, a void function of pointers."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kinds = [byte] * len(arguments)
        function = ir.FunctionType(ir.VoidType(), kinds).as_pointer()
        target = builder.inttoptr(values[0], function)
        parts = [builder.extract_value(values[1], place) for place in range(len(arguments))]
        builder.call(target, [builder.inttoptr(part, byte) for part in parts])
        return context.get_dummy_value()

    return types.void(address, arguments), build


@exact
def factor(H: Any, la: Lapack) -> bool:  # H: (n, n)
    """Cholesky of a symmetric matrix in place, H = R'R with R above; whether it is positive."""
    if not len(H):
        return True
    la.sizes[0] = len(H)
    lower, n, info = la.letters.ctypes.data, la.sizes.ctypes.data, la.sizes[3:].ctypes.data
    _call(la.call.potrf, (lower, n, H.ctypes.data, n, info))
    return la.sizes[3] == 0


@exact
def solve_half(R: Any, rhs: Any, la: Lapack) -> None:  # R: (n, n), rhs: (r, n)
    """Solve with R' alone for each row of `rhs`, in place."""
    la.sizes[0], la.sizes[1] = len(R), len(rhs)
    left, no = la.letters.ctypes.data, la.letters[1:].ctypes.data
    n, r, one = la.sizes.ctypes.data, la.sizes[1:].ctypes.data, la.one.ctypes.data
    _call(la.call.trsm, (left, left, no, no, n, r, one, R.ctypes.data, n, rhs.ctypes.data, n))


@exact
def add_square(rows: Any, H: Any, la: Lapack) -> None:  # (m, n), (n, n)
    """Add rows'rows to H where `factor` reads it."""
    _add(rows, H, rows.shape[0], la.letters[1:], la)


@exact
def add_products(rows: Any, S: Any, la: Lapack) -> None:  # (m, n), (m, m)
    """Add rows rows' to S where `factor` reads it."""
    _add(rows, S, rows.shape[1], la.letters[2:], la)


@exact
def _add(rows: Any, H: Any, inner: int, how: Any, la: Lapack) -> None:
    if not len(rows):
        return
    la.sizes[0], la.sizes[1], la.sizes[2] = len(H), inner, rows.shape[1]
    size, inner_size, stride = la.sizes.ctypes.data, la.sizes[1:].ctypes.data, la.sizes[2:]
    lower, one = la.letters.ctypes.data, la.one.ctypes.data
    left = (lower, how.ctypes.data, size, inner_size, one, rows.ctypes.data, stride.ctypes.data)
    _call(la.call.syrk, (*left, one, H.ctypes.data, size))


@exact
def lu_factor(K: Any, pivots: Any, la: Lapack) -> bool:  # K: (n, n)
    """LU of a symmetric matrix in place; whether no pivot is zero."""
    la.sizes[0] = len(K)
    n, info = la.sizes.ctypes.data, la.sizes[3:].ctypes.data
    _call(la.call.getrf, (n, n, K.ctypes.data, n, pivots.ctypes.data, info))
    return la.sizes[3] == 0


@exact
def lu_solve(K: Any, pivots: Any, rhs: Any, la: Lapack) -> None:  # rhs: (n,)
    """Solve in place with what `lu_factor` left."""
    la.sizes[0], la.sizes[1] = len(K), 1
    n, r = la.sizes.ctypes.data, la.sizes[1:].ctypes.data
    no, info = la.letters[1:].ctypes.data, la.sizes[3:].ctypes.data
    left = (no, n, r, K.ctypes.data, n, pivots.ctypes.data)
    _call(la.call.getrs, (*left, rhs.ctypes.data, n, info))
