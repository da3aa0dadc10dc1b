"""The caller's cotangents and tangents: checked, with their batch flattened."""

import math
from collections.abc import Mapping
from typing import Any

from kktdiff import _sparse_inputs as sparse_inputs
from kktdiff._arrays import namespace
from kktdiff._given import Given
from kktdiff._inputs import like_given
from kktdiff._layout import DIMENSIONS, VIOLATIONS
from kktdiff._settings import one_of
from kktdiff._sparse.matrix import SparseMatrix
from kktdiff._sparse.pattern import Sparse
from kktdiff._sparse_inputs import MATRICES
from kktdiff._typing import Array

# The core dimensions of each output, in the letters of the docs.
OUTPUTS = {"x": "n", "s": "m", "lam": "m", "nu": "k", "lam_lb": "n", "lam_ub": "n", "objective": ""}


def flat_cotangents(
    given: Given, cotangents: Mapping[str, Array | None], outputs: Mapping[str, str] = OUTPUTS
) -> dict[str, Array]:
    """Check the cotangents and flatten their batch: each (B, size, 1), None left out."""
    flat = {}
    for name, array in cotangents.items():
        if array is None:
            continue
        one_of("cotangent", name, tuple(outputs))
        shape = tuple(given.sizes[letter] for letter in outputs[name])
        array = _checked("cotangent", name, array, (*given.batch, *shape), given)
        flat[name] = given.receive(array, (given.length, math.prod(shape), 1))
    return flat


def flat_tangents(given: Given, tangents: Mapping[str, Array | None]) -> dict[str, Array]:
    """Check the tangents and flatten their batch: each (B or 1, ...), None left out."""
    flat = {}
    for name, array in tangents.items():
        one_of("tangent", name, tuple(DIMENSIONS))
        if array is None:
            continue
        if name not in given.inputs:
            raise ValueError(f"a tangent was given for {name}, which was None in the solve")
        if given.sparse is not None and name in MATRICES:
            flat[name] = _flat_matrix(given, name, array)
            continue
        own = tuple(given.arrays[name].shape)  # type: ignore[union-attr]
        number = name in given.stands_for  # for all entries
        array = _checked("tangent", name, array, () if number else own, given)
        array = namespace(array).broadcast_to(array, own) if number else array
        flat[name] = given._replace(arrays=given.arrays | {name: array}).flat(name)
    return flat


def outputs_of(given: Given) -> dict[str, str]:
    """Return the core dimensions of each output, by name; violations are those of soft rows."""
    return OUTPUTS | {v: size for v, size in VIOLATIONS.items() if f"soft_{v[10:]}" in given.arrays}


def wanted_inputs(given: Given, wrt: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the inputs whose gradients are wanted: all, or those of `wrt` that were given."""
    if isinstance(wrt, str):
        raise TypeError(f"wrt={wrt!r}: expected a tuple of names, as in ({wrt!r},)")
    for name in wrt or ():
        one_of("wrt", name, tuple(DIMENSIONS))
    return tuple(name for name in given.inputs if wrt is None or name in wrt)


def _flat_matrix(given: Given, name: str, array: Any) -> Array:
    """Return the tangent of a matrix, where some are sparse: dense, or a sparse one."""
    own = given.arrays[name]
    if isinstance(own, Sparse):
        array = sparse_inputs.tangent(given, name, array)
    else:
        array = _checked("tangent", name, array, tuple(own.shape), given)  # type: ignore[union-attr]
    flat: Array = given._replace(arrays=given.arrays | {name: array}).flat(name)
    structure = given.sparse.structure if given.sparse is not None else None
    return flat if structure is None else SparseMatrix(structure.pattern(name), flat)


def _checked(kind: str, name: str, array: Any, shape: tuple[int, ...], given: Given) -> Array:
    array = like_given(array, f"the {kind} of {name}", given)
    if tuple(array.shape) != shape:
        raise ValueError(
            f"the {kind} of {name} has shape {tuple(array.shape)}: expected {shape}, as {name} has"
        )
    return array
