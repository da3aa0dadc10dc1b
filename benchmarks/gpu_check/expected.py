"""What was expected of W1 in float64, in ms per batch.

Estimates, made before any GPU was at hand: from published rates (34 TFLOP/s) for the floor, and
from counts of launches and operations for the rest. Reports set them beside what was measured.
"""

from typing import NamedTuple


class Expected(NamedTuple):
    """Forward, ten iterations, n = m = 100; a range is (low, high)."""

    arithmetic: float  # 1.53 MFLOP for each iteration
    memory: float  # every number read once
    library: tuple[float, float]  # batched calls of cuBLAS and cuSOLVER
    qpth: tuple[float, float]


W1 = {
    128: Expected(0.06, 0.005, (4, 6), (25, 40)),
    1024: Expected(0.46, 0.04, (7, 12), (40, 70)),
    8192: Expected(3.7, 0.31, (60, 90), (200, 400)),
}
