"""The arguments of the problem with slacks: constants, and a part linear in the given arguments."""

from kktdiff._arrays import broadcast, concat, namespace
from kktdiff._layout import CORE, DIMENSIONS
from kktdiff._soft.layout import Layout
from kktdiff._typing import Array

Data = dict[str, Array | None]  # arguments, or their tangents, by name, each (B or 1, ...)

# What each argument is made from.
SOURCES = {name: (name,) for name in CORE} | {
    "p": ("p", "soft_b", "soft_h", "soft_lb", "soft_ub"),
    "h": ("h", "lb", "ub"),
}


def arguments(layout: Layout, data: Data) -> Data:
    """Return the arguments of the problem with slacks, each (B or 1, ...)."""
    out = {name: _linear(name, layout, data) for name in CORE}
    if out["G"] is not None:
        out["G"] = out["G"] + _inequalities(layout, like=data["p"])
    if out["A"] is not None and "b" in layout.sides:
        out["A"] = out["A"] + _equalities(layout, like=data["p"])
    for name, sign in (("lb", -1.0), ("ub", 1.0)):
        out[name] = _hard_bounds(layout, name, sign, out[name], like=data["p"])
    return out


def tangents(layout: Layout, d: dict[str, Array], own: Data) -> dict[str, Array]:
    """Return what the arguments `own` of the problem with slacks move by along `d`."""
    like: Array = own["p"]
    sizes = dict(zip("nmk", layout.sizes, strict=True))
    moved = {}
    for name, sources in SOURCES.items():
        array = own[name]
        if array is None or not any(source in d for source in sources):
            continue
        zeros = {v: _zeros((1, *(sizes[s] for s in DIMENSIONS[v])), like) for v in sources}
        moved[name] = broadcast(_linear(name, layout, zeros | d), array.shape)
    return moved


def _linear(name: str, layout: Layout, a: Data) -> Array | None:
    """Return an argument without its constants; None if it is made from nothing."""
    n, m, k = layout.sizes
    array, width = a.get(name), n + layout.slacks
    if name == "p":
        return _with_prices(layout, a)
    if name == "h":
        return _with_bounds(layout, a)
    if name in ("lb", "ub"):
        return None if array is None else _without_soft(layout, name, array)
    if name == "G" and array is None and layout.bound_rows:
        array = _zeros((1, 0, n), a["p"])
    if name == "b" or array is None:
        return array
    rows = {"Q": width, "G": m + layout.bound_rows, "A": k}[name]
    out = _zeros((array.shape[0], rows, width), array)
    out[:, : array.shape[1], :n] = array
    return out


def _with_prices(layout: Layout, a: Data) -> Array:  # (B or 1, n + q)
    """Return p with the prices of the slacks."""
    prices = [a["p"]]
    for name, side in layout.sides.items():
        own = side.gather(a[f"soft_{name}"])
        prices += [own, own] if name == "b" else [own]
    return concat(prices, axis=1)


def _with_bounds(layout: Layout, a: Data) -> Array | None:  # (B or 1, m + rows)
    """Return h with the limits of the soft bounds."""
    parts = [] if a["h"] is None else [a["h"]]
    for name, side in layout.sides.items():
        if name in ("lb", "ub") and (side.soft or parts):
            limits = side.gather(a[name])
            parts.append(-limits if name == "lb" else limits)
    return concat(parts, axis=1) if parts else None


def _without_soft(layout: Layout, name: str, bound: Array) -> Array:  # (B or 1, n + q)
    """Return a bound with 0 where it is soft, and for the slacks."""
    if name in layout.sides:
        bound = namespace(bound).where(layout.sides[name].mask, 0.0, bound)
    return concat([bound, _zeros((1, layout.slacks), bound)], axis=1)


def _hard_bounds(
    layout: Layout, name: str, sign: float, bound: Array | None, like: Array
) -> Array | None:  # (B or 1, n + q)
    """Return a bound of x and the slacks, infinite where there is none; None without any."""
    xp, n, q = namespace(like), layout.sizes[0], layout.slacks
    side = layout.sides.get(name)
    if name == "ub" and (bound is None or (side is not None and side.soft == n)):
        return None
    if bound is None and not q:
        return None
    absent = xp.zeros(n, dtype=xp.bool, device=like.device)
    if bound is None:
        bound, absent = _zeros((1, n + q), like), ~absent
    if side is not None:
        absent = side.mask
    slacks = xp.zeros(q, dtype=xp.bool, device=like.device)
    slacks = ~slacks if name == "ub" else slacks
    return xp.where(xp.concat([absent, slacks]), sign * xp.inf, bound)


def _inequalities(layout: Layout, like: Array) -> Array:  # (1, m + rows, n + q)
    """Return the entries of G that the soft rows have besides those given."""
    xp, (n, m, _) = namespace(like), layout.sizes
    numbers = xp.arange(m + layout.bound_rows, device=like.device)
    units = _zeros((numbers.shape[0], n), like)
    for name, side in layout.sides.items():
        if name in ("lb", "ub"):
            columns = _selection(side.places, xp.arange(n, device=like.device), like)
            own = _selection(numbers, side.rows, like) @ columns
            units = units + own if name == "ub" else units - own
    slacks, rows = _zeros((numbers.shape[0], layout.slacks), like), layout.slack_rows
    if rows is not None:
        slacks[:, layout.slacks - rows.shape[0] :] = -_selection(numbers, rows, like)
    return xp.concat([units, slacks], axis=1)[None, ...]


def _equalities(layout: Layout, like: Array) -> Array:  # (1, k, n + q)
    """Return the entries of A for the slacks of its soft rows."""
    n, _, k = layout.sizes
    numbers = namespace(like).arange(k, device=like.device)
    own = _selection(numbers, layout.sides["b"].places, like)
    out = _zeros((1, k, n + layout.slacks), like)
    out[0, :, n : n + 2 * own.shape[1]] = namespace(like).concat([-own, own], axis=1)
    return out


def _selection(left: Array, right: Array, like: Array) -> Array:  # (a,), (b,) -> (a, b)
    """Return 1 where the numbers are the same, else 0."""
    return namespace(like).astype(left[:, None] == right[None, :], like.dtype)


def _zeros(shape: tuple[int, ...], like: Array) -> Array:
    return namespace(like).zeros(shape, dtype=like.dtype, device=like.device)
