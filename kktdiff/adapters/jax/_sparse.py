"""Sparse matrices of JAX and `kktdiff.Sparse`: a pattern, and an array of values with derivatives.

The pattern is analysed before anything is computed, so it is no array of a transformation: a
`Sparse` is a pytree whose only leaf are its values.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from kktdiff import Pattern, Sparse
from kktdiff._typing import Array
from kktdiff.adapters._fields import MATRICES

Patterns = tuple[tuple[str, Pattern], ...]  # with a hash, as static arguments have


def in_values(arguments: dict[str, Any]) -> tuple[dict[str, Any], Patterns]:
    """Return the arguments with the values of sparse matrices in their place, and their patterns.

    Raises
    ------
    TypeError
        Indices that are traced; a sparse matrix of another class than BCOO and BCSR.
    ValueError
        Dense dimensions, or a batch with several patterns.
    """
    out, patterns = dict(arguments), []
    for name in MATRICES:
        value: Any = arguments.get(name)
        if isinstance(value, Sparse):
            pattern, values = value.pattern, value.values
        elif type(value).__module__.startswith("jax.experimental.sparse"):
            pattern, values = _parts(name, value)
        elif type(value).__module__.startswith("scipy.sparse"):
            own = value.tocsr(copy=True)
            own.sum_duplicates()
            pattern, values = Pattern.of(own), own.data
        else:
            continue
        patterns.append((name, pattern))
        out[name] = values
    return out, tuple(patterns)


def _parts(name: str, matrix: Any) -> tuple[Pattern, Any]:
    """Return the pattern of a matrix of JAX, and its values, (..., nnz)."""
    from jax.experimental import sparse  # late: whoever has one has imported it

    kind = type(matrix).__name__
    if not isinstance(matrix, sparse.BCOO | sparse.BCSR):
        raise TypeError(f"{name} is a {kind}: expected a BCOO or BCSR, or a dense array")
    if matrix.n_dense or matrix.ndim - matrix.n_batch != 2:
        raise ValueError(
            f"{name} is a {kind} with n_batch={matrix.n_batch}, n_dense={matrix.n_dense} and "
            f"{matrix.ndim} dimensions: expected n_dense=0, and batch dimensions before the last "
            "two alone"
        )
    by_rows = isinstance(matrix, sparse.BCSR)
    indices = (matrix.indptr, matrix.indices) if by_rows else (matrix.indices,)
    if any(isinstance(v, Tracer) for v in indices):
        raise TypeError(
            f"{name} is a {kind} whose indices are traced: expected constants, as the pattern is "
            "analysed before the solve; make pattern = kktdiff.Pattern(shape, rows, cols) outside "
            f"of the function that is transformed, and pass kktdiff.Sparse(pattern, {name}.data)"
        )
    index = [np.asarray(v) for v in indices]
    rows, cols = _of_bcsr(name, *index) if by_rows else _of_bcoo(name, *index)
    shape = tuple(matrix.shape[-2:])
    inside = (rows < shape[0]) & (cols < shape[1])  # entries outside are JAX's padding
    values = jnp.broadcast_to(matrix.data, (*matrix.shape[:-2], matrix.data.shape[-1]))
    if not inside.all():
        values = values[..., np.flatnonzero(inside)]
    return Pattern(shape, rows[inside], cols[inside]), values


def _of_bcoo(name: str, indices: Array) -> tuple[Array, Array]:  # (..., nnz, 2) -> (nnz,), twice
    places = _shared(name, indices, 2)
    return places[:, 0], places[:, 1]


def _of_bcsr(name: str, starts: Array, indices: Array) -> tuple[Array, Array]:
    start, cols = _shared(name, starts, 1), _shared(name, indices, 1)
    rows = np.repeat(np.arange(start.size), np.diff(start, append=cols.size))  # padding: no row
    return rows, cols


def _shared(name: str, indices: Array, core: int) -> Array:
    """Return the indices that all elements of a batch have."""
    tail = indices.shape[indices.ndim - core :]
    flat = indices.reshape(-1, *tail) if indices.size else np.zeros((1, *tail), dtype=int)
    if not (flat == flat[:1]).all():
        raise ValueError(
            f"{name} is a batch of sparse matrices with entries in different places: expected the "
            "same in all; store a zero where one has no entry, or pass a kktdiff.Sparse"
        )
    one: Array = flat[0]
    return one


def _flatten(matrix: Sparse) -> tuple[tuple[Any], Pattern]:
    return (matrix.values,), matrix.pattern


def _flatten_with_keys(matrix: Sparse) -> tuple[tuple[Any], Pattern]:
    return ((jax.tree_util.GetAttrKey("values"), matrix.values),), matrix.pattern


def _unflatten(pattern: Pattern, values: Any) -> Sparse:
    """Return a `Sparse` of anything: JAX puts other things than arrays where leaves are."""
    matrix = object.__new__(Sparse)
    matrix.pattern, (matrix.values,) = pattern, values
    return matrix


jax.tree_util.register_pytree_with_keys(Sparse, _flatten_with_keys, _unflatten, _flatten)
