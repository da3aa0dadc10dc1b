"""Cholesky factors, H = R'R, on one vector: by loops, since LAPACK takes a matrix for it."""

from typing import Any

from kktdiff._settings import BIG, SOUND
from kktdiff.backends.compiled._jit import exact, fast
from kktdiff.backends.compiled._products import dot


@exact
def forward(R: Any, v: Any) -> None:
    """``v = R'^-1 v``."""
    for i in range(len(R)):
        v[i] /= R[i, i]
        subtract(v[i], R[i, i + 1 :], v[i + 1 :])


@exact
def backward(R: Any, v: Any) -> None:
    """``v = R^-1 v``."""
    for i in range(len(R) - 1, -1, -1):
        v[i] = (v[i] - dot(R[i, i + 1 :], v[i + 1 :])) / R[i, i]


@fast
def subtract(weight: float, row: Any, out: Any) -> None:
    """``out -= weight row``."""
    for j in range(len(row)):
        out[j] -= weight * row[j]


@exact
def solve(R: Any, v: Any) -> None:
    """``v = H^-1 v``."""
    forward(R, v)
    backward(R, v)


@exact
def is_sound(R: Any) -> bool:
    """Whether no pivot is so small that the matrix is ill conditioned."""
    low, high = BIG, 0.0
    for i in range(len(R)):
        if not R[i, i] > 0:  # LAPACK lets NaN pass
            return False
        low, high = min(low, R[i, i]), max(high, R[i, i])
    return len(R) == 0 or low * low > SOUND * high * high
