"""Between the outputs and gradients of the problem with slacks and those of the given problem.

Each map is linear and acts on the second axis, whatever follows it. The maps that bring results
back ask for what they need by name.
"""

from collections.abc import Callable

from kktdiff._arrays import namespace
from kktdiff._layout import VIOLATIONS
from kktdiff._soft.layout import Layout, Side
from kktdiff._typing import Array

Found = Callable[[str], Array | None]  # the same of the problem with slacks, by name


def output(layout: Layout, name: str, found: Found) -> Array:
    """Return an output, (B, size, ...), from those of the problem with slacks."""
    n, m, k = layout.sizes
    what, _, side_name = name.rpartition("_")
    side = layout.sides.get(side_name)
    if what == "violation":
        return layout.sides[side_name].scatter(_of_slacks(layout, side_name, found("x"), -1.0))
    if what == "lam":
        hard = _block(found(name), n)
        return hard if side is None else side.scatter(_rows(side, found("lam")), hard)
    if what == "shift":
        if found(name) is None:  # all bounds are soft
            return namespace(hard := _block(found("x"), n)).zeros_like(hard)
        shift = _block(found(name), {"h": m, "b": k}.get(side_name, n))
        return shift if side is None else namespace(shift).where(side.mask, 0.0, shift)
    own: Array = found(name)
    size = {"x": n, "s": m, "lam": m}.get(name)
    return own if size is None else _block(own, size)


def gradient(layout: Layout, name: str, found: Found) -> Array:
    """Return the gradient of an input, (B or 1, ...), from those of the problem with slacks."""
    n, m, k = layout.sizes
    if name.startswith("soft_"):
        side_name = name.removeprefix("soft_")
        return layout.sides[side_name].scatter(_of_slacks(layout, side_name, found("p"), 1.0))
    own, side = found(name), layout.sides.get(name)
    if name not in ("lb", "ub") or side is None:
        sizes = {"Q": (n, n), "G": (m, n), "A": (k, n), "h": (m,), "b": (k,)}
        return _block(own, *sizes.get(name, (n,)))
    hard = 0.0 if own is None else _block(own, n)
    if not side.soft:
        return _block(own, n)
    rows = _rows(side, found("h"))
    return side.scatter(-rows if name == "lb" else rows, hard)


def cotangents(layout: Layout, g: dict[str, Array], length: int, like: Array) -> dict[str, Array]:
    """Return the cotangents of the problem with slacks from the given ones, each (length, size)."""
    xp, (n, m, _) = namespace(like), layout.sizes

    def part(name: str, size: int, side: Side | None = None) -> Array:
        if name not in g:
            size = size if side is None else side.soft
            return xp.zeros((length, size), dtype=like.dtype, device=like.device)
        return g[name] if side is None else side.gather(g[name])

    out: dict[str, Array] = {name: g[name] for name in ("nu", "objective") if name in g}
    if "x" in g or any(name in VIOLATIONS for name in g):
        slacks = [part("x", n)]
        for name, side in layout.sides.items():
            own = part(f"violation_{name}", 0, side)
            slacks += [own, -own] if name == "b" else [own]
        out["x"] = xp.concat(slacks, axis=1)
    if "s" in g:
        out["s"] = xp.concat([g["s"], part("", layout.bound_rows)], axis=1)
    soft = [(f"lam_{v}", side) for v, side in layout.sides.items() if v in ("lb", "ub")]
    if "lam" in g or any(name in g for name, _ in soft):
        rows = [part(name, 0, side) for name, side in soft]
        out["lam"] = xp.concat([part("lam", m), *rows], axis=1)
    for name in ("lam_lb", "lam_ub"):
        if name in g:
            priced = layout.sides.get(name.removeprefix("lam_"))
            hard = g[name] if priced is None else xp.where(priced.mask, 0.0, g[name])
            out[name] = xp.concat([hard, part("", layout.slacks)], axis=1)
    return out


def _of_slacks(layout: Layout, name: str, v: Array | None, second: float) -> Array:
    """Return the part of `v` for the slacks of a side, the second ones of "b" times `second`."""
    assert v is not None
    first, count = layout.sides[name].slack, layout.sides[name].soft
    own = v[:, first : first + count, ...]
    return own + second * v[:, first + count : first + 2 * count, ...] if name == "b" else own


def _rows(side: Side, v: Array | None) -> Array:
    """Return the part of `v` that belongs to the rows of soft bounds."""
    assert v is not None
    return v[:, side.row : side.row + side.soft, ...]


def _block(v: Array | None, *sizes: int) -> Array:
    """Return the first entries of `v` along the axes after the batch's, in memory of their own."""
    assert v is not None
    part = v[(slice(None), *(slice(size) for size in sizes), ...)]
    return namespace(v).asarray(part, copy=True)
