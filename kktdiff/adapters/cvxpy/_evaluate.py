"""Evaluate the QP's blocks and the results of a call, on arrays of torch or of JAX.

An element of the batch in which something isn't finite is kept apart: its share of a gradient is 0,
and in products with what is not a number it wouldn't be.
"""

from collections.abc import Callable
from functools import reduce
from operator import and_
from typing import Any, NamedTuple


class Framework(NamedTuple):
    """Functions of torch or of JAX."""

    xp: Any  # the module
    array: Callable[[Any], Any]  # of a constant
    multiply: Callable[[Any, Any], Any]  # (sparse matrix, (..., columns)) -> (..., rows)


def filled(
    framework: Framework, plan: tuple[Any, Any], flat: list[Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Evaluate the blocks; return those of the QP, and those of the results.

    The plan has the inner parameters, each with maps of those before it, and the blocks by name,
    with maps of all parameters.
    """
    (products, blocks), xp, flat = plan, framework.xp, list(flat)
    for left, right, sums in products:
        factors, finite = [], []
        for block in (left, right):
            value = _block(framework, block, flat)
            finite.append(xp.isfinite(value))
            factors.append(xp.where(finite[-1], value, 0.0))
        whole = finite[0].all(-1) & finite[1].all(-1)
        value = framework.multiply(sums, factors[0] * factors[1])
        flat.append(xp.where(whole[..., None], value, float("nan")))
    data = {name: _block(framework, block, flat) for name, block in blocks.items()}
    return _substituted(xp, data)


def _block(framework: Framework, block: tuple[Any, Any], flat: list[Any]) -> Any:
    """Evaluate a block: its constant part plus the part linear in each parameter."""
    constant, maps, *_ = block
    value, shape = framework.array(constant), constant.shape
    for which, matrix in maps.items():
        added = framework.multiply(matrix, flat[which])
        value = value + added.reshape((*flat[which].shape[:-1], *shape))
    return value


def _substituted(xp: Any, data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Put y = t - M x into the QP's objective; return what else results need apart.

    But for a constant, ``1/2 x'Qx + p'x + 1/2 y'Q_yy y + p_y'y`` is

        1/2 x'(Q + M'Q_yy M)x + (p - M'(Q_yy t + p_y))'x.
    """
    results = {name: data.pop(name) for name in ("fixed",) if name in data}
    if "M" not in data:
        return data, results
    own = {name: data.pop(name) for name in ("M", "t", "p_y", "d_y", "Q_yy") if name in data}
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
    Q = data["Q"] + M.mT @ weighted
    p = data["p"] - _product(M.mT, shifted + own["p_y"])
    whole = reduce(and_, finite.values())[..., None]
    return data | {"Q": Q, "p": xp.where(whole, p, float("nan"))}, results | {"M": M, "t": t}


def pool(xp: Any, solution: Any, results: dict[str, Any], fields: tuple[str, ...]) -> Any:
    """Concatenate a 0 and fields: those of the solution, y, and what parameters fix.

    y and the fixed are NaN where x is: with no part in a gradient there.
    """
    solved = solution.solved[..., None]
    found = {name: getattr(solution, name) for name in fields if name not in ("y", "fixed")}
    if "y" in fields:
        y = results["t"] - _product(results["M"], xp.where(solved, solution.x, 0.0))
        found["y"] = xp.where(solved, y, float("nan"))
    if "fixed" in fields:
        found["fixed"] = xp.where(solved, results["fixed"], float("nan"))
    zero = xp.zeros_like(solution.x[..., :1])
    return xp.concatenate([zero, *(found[name] for name in fields)], -1)


def _product(matrix: Any, vector: Any) -> Any:
    return (matrix @ vector[..., None])[..., 0]
