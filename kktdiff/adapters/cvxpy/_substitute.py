"""y = t - M x put into a QP's objective, on arrays of torch or of JAX.

`xp` is the framework. An element of the batch in which something isn't finite is kept apart: its
share of a gradient is 0, and in products with what is not a number it wouldn't be.
"""

from functools import reduce
from operator import and_
from typing import Any


def substituted(xp: Any, data: dict[str, Any]) -> tuple[dict[str, Any], Any, Any]:
    """Return the QP's blocks without y, given all blocks by name; M and t, or None.

    But for a constant, ``1/2 x'Qx + p'x + 1/2 y'Q_yy y + p_y'y`` is

        1/2 x'(Q + M'Q_yy M)x + (p - M'(Q_yy t + p_y))'x.
    """
    if "M" not in data:
        return data, None, None
    own = {name: data[name] for name in ("M", "t", "p_y", "d_y", "Q_yy") if name in data}
    rest = {name: value for name, value in data.items() if name not in own}
    finite = {name: xp.isfinite(value) for name, value in own.items()}
    for name in own:
        core = (-1, -2) if name in ("M", "Q_yy") else (-1,)
        for _ in core:
            finite[name] = finite[name].all(-1)
        fine = finite[name][(..., *(None for _ in core))]
        own[name] = xp.where(fine, own[name], 0.0)
    M, t = own["M"], own["t"]
    if "d_y" in own:
        weighted, shifted = own["d_y"][..., None] * M, own["d_y"] * t
    else:
        weighted, shifted = own["Q_yy"] @ M, _product(own["Q_yy"], t)
    Q = rest["Q"] + M.mT @ weighted
    p = rest["p"] - _product(M.mT, shifted + own["p_y"])
    whole = reduce(and_, finite.values())[..., None]
    return rest | {"Q": Q, "p": xp.where(whole, p, float("nan"))}, M, t


def defined(xp: Any, M: Any, t: Any, solution: Any) -> Any:
    """y, NaN where x is: with no part in a gradient there."""
    solved = solution.solved[..., None]
    y = t - _product(M, xp.where(solved, solution.x, 0.0))
    return xp.where(solved, y, float("nan"))


def _product(matrix: Any, vector: Any) -> Any:
    return (matrix @ vector[..., None])[..., 0]
