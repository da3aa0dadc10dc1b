"""Which array library does the work: chosen by the arrays' type, or by name.

A backend is an array API namespace plus a few batched factorizations
(`kktdiff.backends._protocol.Backend`), one file each in this folder.

>>> import kktdiff
>>> kktdiff.backends.available()["numpy"] is None
True
"""

from typing import Any

import array_api_compat

from kktdiff.backends._protocol import LU, Backend, Cholesky, Solved
from kktdiff.backends.array_api import ArrayAPIBackend
from kktdiff.backends.numpy import BACKEND as NUMPY

__all__ = ["LU", "Backend", "Cholesky", "Solved", "available", "for_array", "get"]

_NO_CUPY = "CuPy arrays are not supported by this version of kktdiff: use NumPy arrays"


def available() -> dict[str, str | None]:
    """The backends by name; None, or the sentence that says why one can't be used.

    Returns
    -------
    dict of str to (str or None)

    Examples
    --------
    >>> from kktdiff import backends
    >>> sorted(backends.available())
    ['array_api', 'cupy', 'numpy']
    """
    return {"numpy": None, "array_api": None, "cupy": _NO_CUPY}


def get(name: str) -> Backend:
    """The backend called `name`.

    Raises
    ------
    ValueError
        If there is no such backend, or it can't be used here (the message says why).

    Examples
    --------
    >>> from kktdiff import backends
    >>> backends.get("numpy").name
    'numpy'
    """
    if name == "numpy":
        return NUMPY
    if name == "array_api":
        raise ValueError(
            'backend="array_api" has no namespace of its own: leave backend=None and pass '
            "arrays of the library you want"
        )
    reason = available().get(name, f"there is no such backend; known are {sorted(available())}")
    raise ValueError(f"backend={name!r}: {reason}")


def for_array(array: Any) -> Backend:
    """The backend that owns `array`, by its type.

    Raises
    ------
    TypeError
        If `array` is of no array library that follows the array API standard.
    """
    if NUMPY.owns(array):
        return NUMPY
    if array_api_compat.is_cupy_array(array):
        raise TypeError(_NO_CUPY)
    if not array_api_compat.is_array_api_obj(array):
        raise TypeError(f"expected an array, got {type(array).__name__}: convert it first")
    return ArrayAPIBackend(array_api_compat.array_namespace(array))
