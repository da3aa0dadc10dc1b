"""The caller's sparse matrices: checked, flattened, and their gradients in their own type."""

import math
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from kktdiff import kernels
from kktdiff._arrays import namespace, reshaped
from kktdiff._sparse.pattern import Pattern, Sparse, by_rows, canonical, dense, like
from kktdiff._sparse.structure import Structure, structure, without_factor
from kktdiff._typing import Array
from kktdiff.kernels import amounts

MATRICES = ("Q", "G", "A")
_LIBRARIES = ("scipy.sparse", "cupyx.scipy.sparse")
_SMALL = 32  # n + m + k up to which dense matrices are faster whatever the pattern
_FASTER = (2.0, 5.0)  # operations on dense matrices in the time of one on sparse ones: on those
# that always go into lanes, and on others, between what single problems and batches take
_MOST_DENSE = 1 << 32  # bytes of dense matrices that are made of sparse ones


class Kind(NamedTuple):
    """The type of a sparse input of `scipy.sparse`, or of CuPy's."""

    library: str
    format: str
    matrix: bool  # not an array: `*` is the matrix product


class SparseInputs(NamedTuple):
    """Which inputs are sparse, and how the work is done."""

    kinds: Mapping[str, Kind | None]  # by name; None: a `Sparse`
    structure: Structure | None  # None: on dense copies, which are faster for these


class Arguments(Protocol):
    """The caller's arguments: `_inputs.Given`."""

    @property
    def arrays(self) -> dict[str, Any]:
        """The arguments by name."""

    @property
    def sparse(self) -> SparseInputs | None:
        """Which are sparse."""

    def flat_array(self, array: Array, core: int) -> Array:
        """Flatten the batch of an array with so many core dimensions."""

    def fold_array(self, name: str, grad: Array, own: tuple[int, ...], core: int) -> Array:
        """Sum a gradient to the shape `own`, with so many core dimensions."""


def adopt(arrays: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Kind | None]]:
    """Return the arrays with sparse ones as `Sparse`, and what these were by name.

    Raises
    ------
    TypeError
        Entries that are no real numbers, or not of NumPy.
    ValueError
        A sparse array that is no matrix.
    """
    out, kinds = dict(arrays), dict[str, Kind | None]()
    for name in MATRICES:
        value = arrays[name]
        if isinstance(value, Sparse):
            kinds[name] = None
        elif library := _library(value):
            matrix = sys.modules[library].isspmatrix(value)
            kinds[name] = Kind(library, value.format, matrix)
            out[name] = _from_library(name, value)
        else:
            continue
        if getattr(out[name].dtype, "kind", "f") not in "fiu":
            raise TypeError(
                f"{name} has dtype {out[name].dtype}: expected float64 or float32; "
                f"{name}.astype(float) converts it, if it holds numbers"
            )
    return out, kinds


def _library(value: Any) -> str:
    """Return the library of a sparse matrix or array, or "": whoever has one has imported it."""
    modules = ((name, sys.modules.get(name)) for name in _LIBRARIES)
    return next((name for name, own in modules if own is not None and own.issparse(value)), "")


def _from_library(name: str, value: Any) -> Sparse:
    if value.ndim != 2:
        raise ValueError(f"{name} has shape {value.shape}: expected a sparse matrix")
    if _library(value) == _LIBRARIES[0]:
        own = canonical(value)
        return Sparse(Pattern.of(own), own.data)
    own = value.tocsr()  # of CuPy
    own = own.copy() if own is value else own
    own.sum_duplicates()
    return Sparse(by_rows(own.shape, own.indptr.get(), own.indices.get()), own.data)


def with_dtype(matrix: Sparse, dtype: str) -> Sparse:
    """Return a matrix with values of another dtype."""
    xp = namespace(matrix.values)
    return Sparse(matrix.pattern, xp.astype(matrix.values, getattr(xp, dtype)))


def zero(n: int, none: Array) -> Sparse:  # none: (0,)
    """Return a Q without entries."""
    return Sparse(Pattern((n, n), [], []), none)


def choose(
    arrays: Mapping[str, Any],
    kinds: Mapping[str, Kind | None],
    sizes: Mapping[str, int],
    length: int,
    dtype: str,
    *,
    on_dense: bool,  # what is asked for needs dense matrices
) -> SparseInputs:
    """Decide whether work is done on sparse matrices, or on dense copies: what is faster.

    Raises
    ------
    ValueError
        If dense copies are needed and would be too large.
    """
    n, m, k = (sizes[letter] for letter in "nmk")
    shapes = [arrays[name].shape[:-2] for name in kinds]
    bytes_needed = 8 * sum(math.prod(lead) * n * max(n, m, k) for lead in shapes)
    if not on_dense and n + m + k > _SMALL:
        rows = {"Q": n, "G": m, "A": k}
        patterns = (_pattern(arrays.get(name), rows[name], n) for name in MATRICES)
        found = (structure if kernels.available() is None else without_factor)(*patterns)
        faster = found.operations * _FASTER[0 if amounts.in_lanes(n, m, k) else 1]
        if faster < amounts.operations(n, m, k) or bytes_needed > _MOST_DENSE:
            return SparseInputs(kinds, found)
    if bytes_needed > _MOST_DENSE:
        raise ValueError(
            f"this call works on dense matrices, and {', '.join(kinds)} would take "
            f"{bytes_needed / 1e9:.1f} GB; see docs/sparse.md"
        )
    return SparseInputs(kinds, None)


def _pattern(matrix: Any, rows: int, n: int) -> Pattern:
    """Return the pattern of an input: of a dense one all places, of an absent one none."""
    if isinstance(matrix, Sparse):
        return matrix.pattern
    if matrix is None:
        return Pattern((rows, n), [], [])
    return full(rows, n)


@lru_cache(8)  # a dense matrix beside sparse ones has it in each call
def full(rows: int, cols: int) -> Pattern:
    """Return the pattern of a dense matrix."""
    return Pattern((rows, cols), *(v.ravel() for v in np.indices((rows, cols))))


def flat(given: Arguments, name: str) -> Array | None:
    """Return matrix `name` in float64 with one batch dimension: entries, or a dense copy."""
    own, sparse = given.arrays[name], given.sparse
    assert sparse is not None
    if own is None:
        return None
    if not isinstance(own, Sparse):
        out = given.flat_array(own, 2)  # of a full pattern, by rows
        size = own.shape[-2] * own.shape[-1]
        return out if sparse.structure is None else reshaped(out, (out.shape[0], size))
    values = own.pattern.sort(given.flat_array(own.values, 1))
    return values if sparse.structure is not None else dense(own.pattern, values)


def fold(given: Arguments, name: str, grad: Array) -> Any:
    """Sum a gradient, as `flat` gives the input, to the input's own shape, type and entries."""
    own, sparse = given.arrays[name], given.sparse
    assert sparse is not None
    assert own is not None
    if not isinstance(own, Sparse):
        return given.fold_array(
            name, reshaped(grad, (grad.shape[0], *own.shape[-2:])), own.shape, 2
        )
    values = given.fold_array(name, in_entries(given, name, grad), own.values.shape, 1)
    return in_own_type(own.pattern, values, sparse.kinds[name])


def in_entries(given: Arguments, name: str, values: Array) -> Array:  # (B, ...) -> (B, nnz)
    """Return what there is for each place of a matrix for the entries of a sparse input."""
    own = given.arrays[name]
    if not isinstance(own, Sparse):
        return values
    if values.ndim == 3:
        values = values[:, like(own.pattern.row, values), like(own.pattern.column, values)]
    return own.pattern.unsort(values)


def in_own_type(pattern: Pattern, values: Array, kind: Kind | None) -> Any:
    """Return values as a matrix of the type of the input."""
    if kind is None:
        return Sparse(pattern, values)
    sparse = sys.modules[kind.library]
    make = sparse.csr_matrix if kind.matrix else sparse.csr_array
    places = like(pattern.column, values), like(pattern.start, values)
    out = make((values, *places), shape=pattern.shape)
    return out.asformat(kind.format)


def tangent(given: Arguments, name: str, array: Any) -> Sparse:
    """Return the tangent of a sparse input, checked: on the same pattern.

    Raises
    ------
    TypeError
        Neither a matrix of `scipy.sparse` nor a `Sparse`.
    ValueError
        Another shape or pattern than that of the input.
    """
    own = given.arrays[name]
    assert own is not None
    found = _from_library(name, array) if _library(array) else array
    if not isinstance(found, Sparse):
        raise TypeError(
            f"the tangent of {name} is a {type(array).__name__}: expected a sparse matrix, as "
            f"{name} is"
        )
    if found.shape != own.shape or found.pattern.key != own.pattern.key:
        raise ValueError(
            f"the tangent of {name} has shape {found.shape} and {found.pattern.nnz} entries: "
            f"expected shape {own.shape}, and the {own.pattern.nnz} entries of {name}"
        )
    return found
