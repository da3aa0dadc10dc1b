"""What kernels are told, packed as the structs of the same names in `kernels/` have it."""

import struct
from typing import NamedTuple

import numpy as np

from kktdiff._typing import Array
from kktdiff.backends.cuda._cuda import Cuda


class Given(NamedTuple):
    """An array with one entry for each problem, or, of length one, for all of them."""

    array: Array


class Batch(NamedTuple):
    """`struct Batch`, field by field."""

    n: int
    m: int
    k: int
    lower: int
    upper: int
    separable: int
    length: int
    max_iter: int
    tol: float
    barrier: float
    Q: Given
    p: Given
    G: Given
    A: Given
    b: Given
    d: Given
    present: Given
    fixed: Given
    value: Given
    x_weight: Given
    row_weight: Given
    nu_weight: Given
    cost: Given
    x: Array
    s: Array
    lam: Array
    nu: Array
    least: Array
    allowed: Array
    progress: Array
    linear: Array
    state: Array
    H: Array
    W: Array
    V: Array
    S: Array
    vectors: Array
    H_info: Array
    S_info: Array
    slots: Array
    live: Array


class Polish(NamedTuple):
    """`struct Polish`."""

    r: int
    x: Array
    s: Array
    lam: Array
    nu: Array
    numbers: Array
    activity: Array
    order: Array
    place: Array
    x_weight: Array
    g_weight: Array
    held: Array
    count: Array
    wrong: Array
    state: Array
    K: Array
    pivots: Array
    own: Array
    own_pivots: Array
    info: Array
    rhs: Array
    again: Array


class Kkt(NamedTuple):
    """`struct Kkt`."""

    n: int
    m: int
    k: int
    lower: int
    upper: int
    N: int
    r: int
    columns: int
    Q: Given
    G: Given
    A: Given
    x_scale: Given
    row_scale: Given
    nu_scale: Given
    cost: Given
    x_weight: Given
    g_weight: Given
    activity: Given
    slack: Given
    stiff: Given
    held: Given
    order: Given
    place: Given
    K: Given
    pivots: Given
    rhs_x: Array
    rhs_c: Array
    rhs_nu: Array
    x: Array
    c: Array
    nu: Array
    error: Array
    work: Array


class Ruiz(NamedTuple):
    """`struct Ruiz`."""

    n: int
    m: int
    k: int
    passes: int
    low: float
    high: float
    Q: Given
    G: Given
    A: Given
    x: Array
    rows: Array
    nu: Array
    size: Array
    norms: Array


def packed(record: Batch | Polish | Kkt | Ruiz, cuda: Cuda) -> Array:
    """The record as a struct in the device's memory; it must not outlive its arrays."""
    text = b"".join(_bytes(value, cuda) for value in record)
    return cuda.to_device(np.frombuffer(text, dtype=np.int64))


def _bytes(value: object, cuda: Cuda) -> bytes:
    if isinstance(value, float):
        return struct.pack("=d", value)
    if isinstance(value, int):
        return struct.pack("=q", value)
    if not isinstance(value, Given):
        return struct.pack("=Q", cuda.address(value))
    array = value.array
    step = 0 if array.shape[0] == 1 else array.size // array.shape[0]
    return struct.pack("=Qq", cuda.address(array), step)
