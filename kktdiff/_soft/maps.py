"""Between the outputs and gradients of the problem with slacks and those of the given problem.

Each map is linear and acts on the second axis, whatever follows it. The maps that bring results
back ask for what they need by name.
"""

from collections.abc import Callable

from kktdiff._arrays import namespace
from kktdiff._soft.layout import Layout, Side
from kktdiff._typing import Array

# The core dimensions of the outputs that soft rows add, in the letters of the docs.
VIOLATIONS = {"violation_h": "m", "violation_b": "k", "violation_lb": "n", "violation_ub": "n"}

Found = Callable[[str], Array | None]  # the same of the problem with slacks, by name


def output(layout: Layout, name: str, found: Found) -> Array:
    """Return an output, (B, size, ...), from those of the problem with slacks."""
    n, m, _ = layout.sizes
    if name in VIOLATIONS:
        name = name.removeprefix("violation_")
        return layout.sides[name].scatter(_of_slacks(layout.sides[name], name, found("x")))
    if name in ("lam_lb", "lam_ub"):
        hard: Array = found(name)[:, :n, ...]  # type: ignore[index]
        side = layout.sides.get(name.removeprefix("lam_"))
        return hard if side is None else side.scatter(_rows(side, found("lam")), hard)
    if name.startswith("shift_"):
        return _shift(layout, name.removeprefix("shift_"), found)
    own: Array = found(name)
    size = {"x": n, "s": m, "lam": m}.get(name)
    return own if size is None else own[:, :size, ...]


def _shift(layout: Layout, name: str, found: Found) -> Array:
    """Return the shift of a right-hand side, zero where it is soft."""
    (n, m, k), own = layout.sizes, found(f"shift_{name}")
    if own is None:
        return namespace(found("x")).zeros_like(found("x"))[:, :n]
    own = own[:, : {"h": m, "b": k}.get(name, n)]
    side = layout.sides.get(name)
    return own if side is None else namespace(own).where(side.mask, 0.0, own)


def gradient(layout: Layout, name: str, found: Found) -> Array:
    """Return the gradient of an input, (B or 1, ...), from those of the problem with slacks."""
    n, m, _ = layout.sizes
    if name.startswith("soft_"):
        name = name.removeprefix("soft_")
        return layout.sides[name].scatter(_of_slacks(layout.sides[name], name, found("p"), 1.0))
    own = found(name)
    if name in ("lb", "ub"):
        side = layout.sides.get(name)
        if side is None:
            return own[:, :n]  # type: ignore[index]
        rows = _rows(side, found("h")) if side.soft else own[:, :0]  # type: ignore[index]
        hard = 0.0 if own is None else own[:, :n]
        return side.scatter(-rows if name == "lb" else rows, hard)
    assert own is not None
    if name == "Q":
        return own[:, :n, :n]
    if name in ("G", "A"):
        return own[:, : m if name == "G" else own.shape[1], :n]
    return own[:, : {"p": n, "h": m}.get(name, own.shape[1])]


def cotangents(layout: Layout, g: dict[str, Array], like: Array) -> dict[str, Array]:
    """Return the cotangents of the problem with slacks from the given ones, each (B, size).

    like: (B, anything), an array of the batch's length.
    """
    xp, (n, m, _) = namespace(like), layout.sizes

    def part(name: str, size: int, side: Side | None = None) -> Array:
        if name not in g:
            size = size if side is None else side.soft
            return xp.zeros((like.shape[0], size), dtype=like.dtype, device=like.device)
        return g[name] if side is None else side.gather(g[name])

    out: dict[str, Array] = {name: g[name] for name in ("nu", "objective") if name in g}
    if "x" in g or any(name in VIOLATIONS for name in g):
        slacks = {v: part(f"violation_{v}", 0, side) for v, side in layout.sides.items()}
        again = [-slacks["b"]] if "b" in slacks else []
        out["x"] = xp.concat([part("x", n), *slacks.values(), *again], axis=1)
    if "s" in g:
        out["s"] = xp.concat([g["s"], part("", layout.bound_rows)], axis=1)
    soft = [(f"lam_{v}", side) for v, side in layout.sides.items() if v in ("lb", "ub")]
    if "lam" in g or any(name in g for name, _ in soft):
        rows = [part(name, 0, side) for name, side in soft]
        out["lam"] = xp.concat([part("lam", m), *rows], axis=1)
    for name in ("lam_lb", "lam_ub"):
        if name in g:
            side = layout.sides.get(name.removeprefix("lam_"))
            hard = g[name] if side is None else xp.where(side.mask, 0.0, g[name])
            out[name] = xp.concat([hard, part("", layout.slacks)], axis=1)
    return out


def _of_slacks(side: Side, name: str, v: Array | None, other: float = -1.0) -> Array:
    """Return the part of `v` that belongs to the slacks, the second ones of "b" times `other`."""
    assert v is not None
    middle, end = side.slack + side.soft, side.slack + 2 * side.soft
    first = v[:, side.slack : middle, ...]
    return first + other * v[:, middle:end, ...] if name == "b" else first


def _rows(side: Side, v: Array | None) -> Array:
    """Return the part of `v` that belongs to the rows of soft bounds."""
    assert v is not None
    return v[:, side.row : side.row + side.soft, ...]
