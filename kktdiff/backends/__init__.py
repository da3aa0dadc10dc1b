"""Choose the array library that does the work, by the arrays' type or by name.

A backend is an array API namespace plus a few batched factorizations
(`kktdiff.backends._protocol.Backend`), one file each in this folder.

>>> import kktdiff
>>> kktdiff.backends.available()["numpy"] is None
True
"""

import importlib
from typing import Any

import array_api_compat
import numpy as np

from kktdiff.backends._combination import combination as combination
from kktdiff.backends._numbers import USUAL as USUAL
from kktdiff.backends._numbers import framework as framework
from kktdiff.backends._numbers import from_numbers as from_numbers
from kktdiff.backends._protocol import LU, Backend, Cholesky, LinearAlgebra
from kktdiff.backends.array_api import ArrayAPIBackend
from kktdiff.backends.cuda import _detect
from kktdiff.backends.numpy import BACKEND

__all__ = [
    "LU",
    "Backend",
    "Cholesky",
    "LinearAlgebra",
    "adopt",
    "available",
    "for_array",
    "get",
]

NUMPY = BACKEND
_ON_HOST, _ON_CUDA = (1, 3), (2, 13)  # DLPack's kinds of devices: plain, and pinned or managed


def available() -> dict[str, str | None]:
    """Return, for each backend by name, None or a sentence on why it can't be used.

    Returns
    -------
    dict of str to (str or None)

    Examples
    --------
    >>> from kktdiff import backends
    >>> sorted(backends.available())
    ['array_api', 'cupy', 'numpy']
    """
    return {"numpy": None, "array_api": None, "cupy": _detect.problem()}


def get(name: str) -> Backend:
    """Return the backend called `name`.

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
    known = available()
    reason = known.get(name, f"there is no such backend; known are {sorted(known)}")
    if reason is not None:
        raise ValueError(f"backend={name!r}: {reason}")
    return _cupy()


def for_array(array: Any) -> Backend:
    """Return the backend that owns `array`, by its type.

    Raises
    ------
    TypeError
        If `array` is of no array library that follows the array API standard, or of CuPy where
        that can't be used (the message says why).
    """
    if NUMPY.owns(array):
        return NUMPY
    if array_api_compat.is_cupy_array(array):
        reason = _detect.problem()
        if reason is not None:
            raise TypeError(f"a CuPy array was given, but {reason}")
        return _cupy()
    if not array_api_compat.is_array_api_obj(array):
        raise TypeError(f"expected an array, got {type(array).__name__}: convert it first")
    return ArrayAPIBackend(array_api_compat.array_namespace(array))


def _cupy() -> Backend:
    """Import the CuPy backend; only called where CuPy can be used."""
    from kktdiff.backends.cupy import backend

    return backend()


def adopt(array: Any, name: str) -> Any:
    """Return a foreign array as an array of a known library, without a copy.

    Memory on a CUDA device becomes a CuPy array and memory of the host a NumPy array, through
    DLPack (which orders the work of two streams) or else ``__cuda_array_interface__``. Whatever
    speaks neither is left alone, and so are None and the arrays of known libraries.

    Raises
    ------
    TypeError
        Memory on a CUDA device where CuPy can't be used, or that can't be read; `name` is what
        the message calls the array.

    Examples
    --------
    >>> from kktdiff import backends
    >>> backends.adopt([1.0, 2.0], "p")
    [1.0, 2.0]
    """
    if array is None or NUMPY.owns(array) or array_api_compat.is_array_api_obj(array):
        return array
    speaks_dlpack = hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__")
    kind = array.__dlpack_device__()[0] if speaks_dlpack else None
    on_cuda = kind in _ON_CUDA or hasattr(array, "__cuda_array_interface__")
    if not on_cuda and kind not in _ON_HOST:
        return array
    reason = _detect.problem() if on_cuda else None
    if reason is not None:
        raise TypeError(f"{name}: a {type(array).__name__} on a CUDA device needs CuPy: {reason}")
    try:
        if not on_cuda:
            return np.from_dlpack(array)
        xp = importlib.import_module("cupy")
        return xp.from_dlpack(array) if kind in _ON_CUDA else xp.asarray(array)
    except (BufferError, RuntimeError, ValueError) as error:
        raise TypeError(f"{name}: the {type(array).__name__} can't be read: {error}") from error
