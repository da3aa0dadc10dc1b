"""Convert lists, numbers and data frames to arrays, and refuse everything else."""

import sys
from typing import Any

import array_api_compat
import numpy as np

USUAL = frozenset({np.ndarray, type(None)})  # the types of most calls' arguments
_LISTS = (list, tuple, range)
_NUMBERS = (int, float, np.number)
_FRAMEWORKS = {"torch": "Tensor", "jax": "Array"}  # and the type of their arrays


def framework(array: Any) -> str | None:
    """Return "torch" or "jax" if `array` is of a framework that differentiates, or None."""
    if type(array) in USUAL:
        return None
    for name, kind in _FRAMEWORKS.items():
        module = sys.modules.get(name)  # whoever has such an array has imported it
        if module is not None and isinstance(array, getattr(module, kind, ())):
            return name
    return None


def from_numbers(value: Any, name: str, shape: str = "") -> tuple[Any, bool]:
    """Return a value as an array, and True if it was numbers of no library.

    Lists, numbers, and whatever turns itself into a NumPy array, become NumPy arrays; arrays of
    known libraries and None are returned as they are.

    Parameters
    ----------
    name, shape
        What messages call it, and say of the shape that is expected.

    Raises
    ------
    TypeError
        No array, or one that can't be taken for a plain one: masked, sparse, of objects; the
        message says how to convert it.
    ValueError
        A list whose rows differ in length.

    Examples
    --------
    >>> from kktdiff.backends import from_numbers
    >>> from_numbers([1, 2], "p", " of shape (..., n)")
    (array([1, 2]), True)
    """
    if value is None or type(value) is np.ndarray:
        return value, False
    _refuse(value, name)
    if isinstance(value, np.matrix):  # has two dimensions whatever is done with it
        return np.asarray(value), False
    if isinstance(value, _LISTS):
        array = _from_list(value, name)
        return array, array.dtype.kind in "iuf"  # what holds something else is refused by its dtype
    if isinstance(value, _NUMBERS) and not isinstance(value, bool):
        return np.asarray(value), True
    if isinstance(value, np.ndarray) or array_api_compat.is_array_api_obj(value):
        return value, False
    for convert in ("to_numpy", "__array__"):  # of pandas and its like; of files and images
        if hasattr(value, convert):
            return np.asarray(getattr(value, convert)()), False
    raise TypeError(
        f"{name} is a {type(value).__name__}: expected an array{shape}; np.asarray({name}, float) "
        "converts what holds numbers"
    )


def _from_list(value: Any, name: str) -> Any:
    leaf = value
    while isinstance(leaf, _LISTS) and len(leaf):
        leaf = leaf[0]
    owner = framework(leaf)
    if owner is not None:  # its gradient would be lost
        call = "torch.stack" if owner == "torch" else "jax.numpy.stack"
        raise TypeError(
            f"{name} is a {type(value).__name__} of {owner} arrays: pass {call}({name})"
        )
    try:
        return np.asarray(value)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise TypeError(f"{name} can't be made an array: {error}") from error
        raise ValueError(
            f"{name} is a {type(value).__name__} whose rows differ in length: expected rows of one "
            "length"
        ) from None


def _refuse(value: Any, name: str) -> None:
    """Raise a TypeError for what looks like an array, and is not to be taken for a plain one."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array: expected a plain one; {name}.filled(value) puts a value in "
            f"the masked places, np.asarray({name}) drops the mask"
        )
    for convert in ("toarray", "todense"):
        if hasattr(value, convert):
            raise TypeError(
                f"{name} is sparse, a {type(value).__name__}: expected a dense array; "
                f"{name}.{convert}() makes one"
            )
