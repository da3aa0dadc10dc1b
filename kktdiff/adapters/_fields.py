"""Names and dimensions of the inputs and outputs that the adapters translate."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import kktdiff

PRICES = ("soft_h", "soft_b", "soft_lb", "soft_ub")
INPUTS = tuple(field.name for field in dataclasses.fields(kktdiff.Grads))
_OUTPUTS = tuple(field.name for field in dataclasses.fields(kktdiff.Tangents))
SIZES = {"Q": "nn", "p": "n", "G": "mn", "h": "m", "A": "kn", "b": "k", "lb": "n", "ub": "n"}
SIZES |= {name: SIZES[name[5:]] for name in PRICES}
CORE = {name: len(sizes) for name, sizes in SIZES.items()}  # dimensions of one
SIDES = ("h", "b", "lb", "ub", *PRICES)  # may be one number for all rows or variables
MATRICES = ("Q", "G", "A")  # may be sparse

Patterns = Mapping[str, kktdiff.Pattern]  # of sparse inputs, by name: each travels as its values


def floats(names: Iterable[str]) -> tuple[str, ...]:
    """Return the outputs with derivatives that a solve with the inputs `names` has."""
    missing = {f"violation_{name[5:]}" for name in set(PRICES) - set(names)}
    return tuple(name for name in _OUTPUTS if name not in missing)


def core(patterns: Patterns) -> dict[str, int]:
    """Return the dimensions of one element of each input's array."""
    return CORE | dict.fromkeys(patterns, 1)


def arguments(inputs: Mapping[str, Any], patterns: Patterns) -> dict[str, Any]:
    """Return inputs by name, or tangents, as `kktdiff.solve_qp` and `Solution.jvp` take them."""
    if patterns:
        found = {k: kktdiff.Sparse(patterns[k], v) for k, v in inputs.items() if k in patterns}
        inputs = {**inputs, **found}
    prices = {name[5:]: v for name, v in inputs.items() if name in PRICES}
    own = {name: v for name, v in inputs.items() if name not in PRICES}
    return own | {"soft": prices} if prices else own


def prices(soft: Mapping[str, Any] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the prices of the argument `soft` by the names of `PRICES`.

    Raises
    ------
    ValueError
        The price of something that is no right-hand side, or was not given.
    """
    if soft is not None and not isinstance(soft, Mapping):
        raise TypeError(
            f"soft={soft!r:.60}: expected a dict of prices by right-hand side, "
            "such as {'h': 10.0}"
        )
    found = {}
    for side, price in (soft or {}).items():
        if f"soft_{side}" not in PRICES:
            raise ValueError(f"soft has {side!r}: expected some of 'h', 'b', 'lb', 'ub'")
        if price is None:
            continue
        if given[side] is None:
            raise ValueError(f"soft has {side!r}, but {side} is None: pass {side}, or no price")
        found[f"soft_{side}"] = price
    return found


def in_array(grad: Any) -> Any:
    """Return a gradient as an array: the values of a sparse one."""
    return grad.values if isinstance(grad, kktdiff.Sparse) else grad


def to_fill(
    shapes: Mapping[str, Sequence[int]], patterns: Patterns
) -> tuple[dict[str, tuple[int, ...]], Patterns]:
    """Return the shapes of one problem's Q and p where they are absent, and of sides of shape ().

    Beside sparse matrices Q is sparse, without entries: the patterns come back with its own.

    Raises
    ------
    ValueError
        If nothing tells the number of variables.
    """
    names = [n for n in ("Q", "p") if n not in shapes]
    names += [n for n in SIDES if n in shapes and not shapes[n]]
    if not names:
        return {}, patterns
    shapes = {**shapes, **{k: (*shapes[k][:-1], *own.shape) for k, own in patterns.items()}}
    found: dict[str, int] = {}
    for name in ("p", *SIZES):
        sizes, shape = SIZES[name], tuple(shapes.get(name, ()))
        if len(shape) >= len(sizes):
            for letter, size in zip(sizes, shape[len(shape) - len(sizes) :], strict=True):
                found.setdefault(letter, size)
    if "n" not in found:
        kktdiff.solve_qp()  # says that nothing tells the number of variables
    filled = {name: tuple(found.get(letter, 1) for letter in SIZES[name]) for name in names}
    if patterns and "Q" in filled:
        patterns = {**patterns, "Q": kktdiff.Pattern((found["n"], found["n"]), [], [])}
        filled["Q"] = (0,)
    return filled, patterns
