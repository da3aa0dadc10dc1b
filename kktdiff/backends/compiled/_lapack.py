"""BLAS and LAPACK inside compiled code: SciPy's own, by the addresses that it publishes.

The addresses are arguments of what is compiled, not constants in it, so that it can be kept on
disk. Matrices are rows after rows here and columns after columns there: what is symmetric stays as
it is, with the other triangle, and what is not arrives transposed.
"""

from typing import Any, NamedTuple

import scipy.linalg.cython_blas
import scipy.linalg.cython_lapack  # noqa: F401 (both publish the addresses)
from llvmlite import ir
from numba import types
from numba.extending import get_cython_function_address, intrinsic

from kktdiff.backends.compiled._data import Work
from kktdiff.backends.compiled._jit import exact


class Routines(NamedTuple):
    """Addresses."""

    syrk: int
    potrf: int
    potrs: int
    getrf: int
    getrs: int


def routines() -> Routines:
    """Those of the SciPy that is installed."""
    names = ("dpotrf", "dpotrs", "dgetrf", "dgetrs")
    return Routines(
        get_cython_function_address("scipy.linalg.cython_blas", "dsyrk"),
        *(get_cython_function_address("scipy.linalg.cython_lapack", name) for name in names),
    )


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
def factor(H: Any, call: Routines, f: Work) -> bool:  # H: (n, n)
    """Cholesky of a symmetric matrix in place, H = R'R with R above; whether it is positive."""
    if not len(H):
        return True
    f.sizes[0] = len(H)
    lower, n, info = f.letters.ctypes.data, f.sizes.ctypes.data, f.sizes[3:].ctypes.data
    _call(call.potrf, (lower, n, H.ctypes.data, n, info))
    return f.sizes[3] == 0


@exact
def solve(R: Any, rhs: Any, call: Routines, f: Work) -> None:  # R: (n, n), rhs: (r, n)
    """Solve in place with what `factor` left, for each row of `rhs`."""
    f.sizes[0], f.sizes[1] = len(R), len(rhs)
    lower, n, info = f.letters.ctypes.data, f.sizes.ctypes.data, f.sizes[3:].ctypes.data
    r = f.sizes[1:].ctypes.data
    _call(call.potrs, (lower, n, r, R.ctypes.data, n, rhs.ctypes.data, n, info))


@exact
def add_square(rows: Any, H: Any, call: Routines, f: Work) -> None:  # (m, n), (n, n)
    """Add the square rows'rows to H where `factor` reads it."""
    if not len(rows):
        return
    f.sizes[0], f.sizes[1] = len(H), len(rows)
    lower, no = f.letters.ctypes.data, f.letters[1:].ctypes.data
    n, m, one = f.sizes.ctypes.data, f.sizes[1:].ctypes.data, f.one.ctypes.data
    _call(call.syrk, (lower, no, n, m, one, rows.ctypes.data, n, one, H.ctypes.data, n))


@exact
def lu_factor(K: Any, n: int, pivots: Any, call: Routines, sizes: Any) -> bool:  # K: (N, N)
    """LU of the leading n rows and columns, symmetric, in place; whether no pivot is zero."""
    sizes[0], sizes[1] = n, len(K)
    order, stride, info = sizes.ctypes.data, sizes[1:].ctypes.data, sizes[3:].ctypes.data
    _call(call.getrf, (order, order, K.ctypes.data, stride, pivots.ctypes.data, info))
    return sizes[3] == 0


@exact
def lu_solve(
    K: Any, n: int, pivots: Any, rhs: Any, call: Routines, sizes: Any, letters: Any
) -> None:
    """Solve in place with what `lu_factor` left, for the leading n of each row of rhs, (r, N)."""
    sizes[0], sizes[1], sizes[2] = n, len(K), len(rhs)
    order, stride = sizes.ctypes.data, sizes[1:].ctypes.data
    columns = sizes[2:].ctypes.data
    no, info = letters[1:].ctypes.data, sizes[3:].ctypes.data
    left = (no, order, columns, K.ctypes.data, stride, pivots.ctypes.data)
    _call(call.getrs, (*left, rhs.ctypes.data, stride, info))
