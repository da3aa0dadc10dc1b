"""Batched array idioms that the array API standard spells out at length.

A batch dimension of length one stands for an array that the whole batch shares.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from array_api_compat import array_namespace

from kktdiff._typing import Array, Namespace

Record = TypeVar("Record", bound=Iterable[Any])  # a NamedTuple of arrays

_NAMESPACES: dict[type, Namespace] = {}  # asking takes as long as a small operation


def namespace(array: Array) -> Namespace:
    """Return the array API namespace of `array`."""
    found = _NAMESPACES.get(type(array))
    if found is None:
        found = _NAMESPACES[type(array)] = array_namespace(array)
    return found


def mv(matrix: Array, vector: Array) -> Array:  # (B or 1, r, c), (B, c) -> (B, r)
    """Multiply matrix and vector of each element, by one product per element.

    One product of a shared matrix with all vectors would be faster; its bits would
    depend on the batch.
    """
    return (matrix @ vector[..., None])[..., 0]


def is_sparse(matrix: Any) -> bool:
    """Return True for a `SparseMatrix`, which has the operations of arrays that matrices need."""
    return hasattr(matrix, "pattern")


def dot(a: Array, b: Array) -> Array:  # (B, n), (B, n) -> (B,)
    """Return the inner product over the last axis."""
    return namespace(a).sum(a * b, axis=-1)


def outer(a: Array, b: Array, c: Array, d: Array) -> Array:  # (B, r), (B, c), twice -> (B, r, c)
    """Return ``a b' + c d'`` for each element."""
    return a[:, :, None] * b[:, None, :] + c[:, :, None] * d[:, None, :]


def norm_inf(a: Array, axis: int = -1) -> Array:
    """Return the largest absolute value along `axis`, 0 if the axis is empty; NaN propagates."""
    return top(abs(a), axis)


def norms_inf(*arrays: Array) -> Array:  # (B, n) each -> (B,)
    """Return the largest absolute value of several arrays along the last axis."""
    return norm_inf(concat(arrays, axis=1))


def top(a: Array, axis: int = -1) -> Array:
    """Return the largest entry of a nonnegative array along `axis`, 0 where the axis is empty."""
    if is_sparse(a):
        return a.top(axis)
    xp = namespace(a)
    return xp.max(a, axis=axis) if a.shape[axis] else xp.sum(a, axis=axis)


def largest(*values: Array) -> Array:
    """Return the elementwise maximum of several arrays."""
    xp = namespace(values[0])
    out = values[0]
    for value in values[1:]:
        out = xp.maximum(out, value)
    return out


def clip(v: Array, low: Array | float, high: Array | float) -> Array:
    """Clip `v` to the interval from `low` to `high`."""
    xp = namespace(v)
    v = xp.where(v < low, low, v)
    return xp.where(v > high, high, v)


def take(array: Array, index: Array) -> Array:
    """Return the elements `index` of a batch."""
    return namespace(array).take(array, index, axis=0)


def take_shared(array: Array, index: Array) -> Array:
    """Return the elements `index` of a batch; a shared array (length one) is returned unchanged."""
    return array if array.shape[0] == 1 else take(array, index)


def taken(values: Iterable[Any], index: Array, *, shared: bool = False) -> list[Any]:
    """Return the elements `index` of arrays and of records of such; None stays None.

    With `shared`, arrays of length one are taken for shared ones.
    """
    one = take_shared if shared else take
    out: list[Any] = []
    for v in values:
        if isinstance(v, tuple):
            out.append(type(v)(*taken(v, index, shared=shared)))
        elif is_sparse(v):
            out.append(v.take(index))
        else:
            out.append(None if v is None else one(v, index))
    return out


def pick(mask: Array, a: Array, b: Array) -> Array:  # mask: (B,)
    """Select `a` for the elements where `mask` is True, else `b`."""
    xp = namespace(a)
    return xp.where(xp.reshape(mask, (-1,) + (1,) * (a.ndim - 1)), a, b)


def pick_all(mask: Array, a: Record, b: Record) -> Record:  # mask: (B,)
    """Apply `pick` to each pair of arrays of two records."""
    return type(a)(*(pick(mask, u, v) for u, v in zip(a, b, strict=True)))


def diagonal(vector: Array) -> Array:  # (B, n) -> (B, n, n)
    """Return a diagonal matrix for each element."""
    xp = namespace(vector)
    eye = xp.eye(vector.shape[-1], dtype=vector.dtype, device=vector.device)
    return vector[..., None] * eye


def diagonal_of(matrix: Array) -> Array:  # (B, n, n) -> (B, n)
    """Return the diagonals of dense or sparse matrices."""
    return matrix.diagonal() if is_sparse(matrix) else namespace(matrix).linalg.diagonal(matrix)


def plus_diagonal(matrix: Array, vector: Array) -> Array:  # (B or 1, n, n), (B, n) -> (B, n, n)
    """Return ``matrix + diag(vector)`` without forming the diagonal matrix."""
    xp = namespace(matrix)
    shape = (common([matrix.shape[0], vector.shape[0]]), *matrix.shape[1:])
    own = xp.empty(shape, dtype=matrix.dtype, device=matrix.device)
    own[...] = matrix  # a copy of what was broadcast would keep its order of memory, batch last
    return onto_diagonal(own, vector)


def onto_diagonal(own: Array, vector: Array) -> Array:  # (B, n, n), (B, n) -> (B, n, n)
    """Return ``own + diag(vector)``; `own` may be overwritten."""
    xp, (batch, n, _) = namespace(own), own.shape
    flat = xp.reshape(own, (batch, n * n))
    flat[:, :: n + 1] += vector
    return xp.reshape(flat, own.shape)


def common(lengths: Sequence[int]) -> int:
    """Return the length that equal lengths, or lengths of one, broadcast to."""
    return next((length for length in lengths if length != 1), 1)


def broadcast(array: Array, shape: tuple[int, ...]) -> Array:
    """Broadcast `array` to `shape`; skip the costly call if it has that shape already."""
    return array if array.shape == shape else namespace(array).broadcast_to(array, shape)


def reshaped(array: Array, shape: tuple[int, ...]) -> Array:
    """Reshape `array`; skip the costly call where a dimension of one is all that differs."""
    own = array.shape
    if own == shape:
        return array
    if shape == (1, *own):
        return array[None, ...]
    if own == (1, *shape):
        return array[0, ...]
    if shape == (1, *own, 1):
        return array[None, ..., None]
    return namespace(array).reshape(array, shape)


def concat(parts: Sequence[Array], axis: int) -> Array:
    """Concatenate along `axis`, with batch dimensions of length one broadcast first."""
    xp = namespace(parts[0])
    batch = common([part.shape[0] for part in parts])
    full = [broadcast(part, (batch, *part.shape[1:])) for part in parts]
    return full[0] if len(full) == 1 else xp.concat(full, axis=axis)


def spread(
    pieces: Sequence[tuple[Array, Array]],  # (places (b,), values (b, *tail)), disjoint
    tail: tuple[int, ...],
    length: int,
    like: Array,
    fill: float = 0.0,
) -> Array:  # (length, *tail)
    """Scatter values to their places in a batch, `fill` elsewhere, with the dtype of `like`."""
    if len(pieces) == 1 and pieces[0][0].shape[0] == length:
        return pieces[0][1]
    xp = namespace(like)
    everywhere = xp.arange(length, device=like.device)
    places = xp.concat([index for index, _ in pieces] or [everywhere[:0]])
    values = [value for _, value in pieces]
    if places.shape[0] < length or not values:
        ordered = xp.concat([xp.sort(places), everywhere[:1] + length])
        found = take(ordered, xp.searchsorted(ordered, everywhere))
        missing = xp.nonzero(found != everywhere)[0]
        places = xp.concat([places, missing])
        shape = (missing.shape[0], *tail)
        values.append(xp.full(shape, fill, dtype=like.dtype, device=like.device))
    return take(xp.concat(values, axis=0), xp.argsort(places))


def placed(index: Array, values: Array, array: Array) -> Array:
    """Return `array` with the elements `index` replaced by `values`."""
    xp = namespace(array)
    length, tail = array.shape[0], array.shape[1:]
    mask = spread([(index, index >= 0)], (), length, index >= 0, fill=False)
    return pick(mask, spread([(index, xp.astype(values, array.dtype))], tail, length, array), array)


def placed_all(index: Array, values: Record, record: Record) -> Record:
    """Apply `placed` to each array of a record."""
    return type(record)(*(placed(index, v, own) for v, own in zip(values, record, strict=True)))
