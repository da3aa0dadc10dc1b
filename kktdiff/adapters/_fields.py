"""Names and dimensions of the inputs and outputs that the adapters translate."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import kktdiff

PRICES = ("soft_h", "soft_b", "soft_lb", "soft_ub")
INPUTS = tuple(field.name for field in dataclasses.fields(kktdiff.Grads))
_OUTPUTS = tuple(field.name for field in dataclasses.fields(kktdiff.Tangents))
# The dimensions of one of each input.
CORE = {"Q": 2, "p": 1, "G": 2, "h": 1, "A": 2, "b": 1, "lb": 1, "ub": 1} | dict.fromkeys(PRICES, 1)


def floats(names: Iterable[str]) -> tuple[str, ...]:
    """Return the outputs with derivatives that a solve with the inputs `names` has."""
    missing = {f"violation_{name[5:]}" for name in set(PRICES) - set(names)}
    return tuple(name for name in _OUTPUTS if name not in missing)


def arguments(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs by name, or tangents, as `kktdiff.solve_qp` and `Solution.jvp` take them."""
    prices = {name[5:]: v for name, v in inputs.items() if name in PRICES}
    own = {name: v for name, v in inputs.items() if name not in PRICES}
    return own | {"soft": prices} if prices else own


def prices(
    soft: Mapping[str, Any] | None,
    given: Mapping[str, Any],
    full: Callable[[str, Any, Any], Any],
) -> dict[str, Any]:
    """Return the prices by the names of `PRICES`, at least (size,) each.

    Parameters
    ----------
    soft, given
        The argument `soft`, and the right-hand sides by name.
    full
        Makes an array from a name, one number for all rows, and the right-hand side.

    Raises
    ------
    ValueError
        The price of something that is no right-hand side, or was not given.
    """
    if soft is not None and not isinstance(soft, Mapping):
        raise TypeError(f"soft={soft!r:.60}: expected a dict of prices by right-hand side")
    found = {}
    for side, price in (soft or {}).items():
        if f"soft_{side}" not in PRICES:
            raise ValueError(f"soft has {side!r}: expected some of 'h', 'b', 'lb', 'ub'")
        if price is None:
            continue
        if given[side] is None:
            raise ValueError(f"soft has {side!r}, but {side} is None: pass {side}, or no price")
        one = isinstance(price, int | float) or getattr(price, "shape", None) == ()
        found[f"soft_{side}"] = full(f"soft[{side!r}]", price, given[side]) if one else price
    return found
