"""The prices of soft rows: checked."""

from collections.abc import Mapping
from typing import Any

from kktdiff._arrays import namespace
from kktdiff._given import Given
from kktdiff._layout import PRICES
from kktdiff._typing import Array


def by_name(values: Mapping[str, Any] | None, what: str = "soft") -> dict[str, Any]:
    """Return what is given for right-hand sides under the names of their prices, such as soft_h.

    Raises
    ------
    TypeError
        Not a dict.
    ValueError
        Not a right-hand side.
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise TypeError(
            f"{what}={values!r:.60}: expected a dict of prices by right-hand side, "
            "such as {'h': 10.0}"
        )
    for side in values:
        if f"soft_{side}" not in PRICES:
            raise ValueError(f"{what} has {side!r}: expected some of 'h', 'b', 'lb', 'ub'")
    return {f"soft_{side}": value for side, value in values.items() if value is not None}


def flat_names(tangents: Mapping[str, Any]) -> dict[str, Any]:
    """Return tangents with those of the prices under names of their own, such as soft_h."""
    own = dict(tangents)
    return by_name(own.pop("soft", None), "the tangent of soft") | own


def price_arguments(
    soft: Mapping[str, Array | float | None] | None, arrays: dict[str, Array | None]
) -> dict[str, Any]:
    """Return the prices by the names of `PRICES`, those that are there.

    Raises
    ------
    TypeError, ValueError
        As `by_name`; or a price of a right-hand side that was not given.
    """
    prices = by_name(soft)
    for name in prices:
        side = name.removeprefix("soft_")
        if arrays[side] is None:
            raise ValueError(f"soft has {side!r}, but {side} is None: pass {side}, or no price")
    return prices


def check_prices(given: Given) -> dict[str, Array]:
    """Return the prices by name, each (B or 1, size), of those that there are.

    Raises
    ------
    ValueError
        A price that is not positive; NaN is no wrong call.
    """
    prices: dict[str, Any] = {v: given.flat(v) for v in PRICES if v in given.arrays}
    for name, price in prices.items():
        xp = namespace(price)
        if not bool(xp.any(price <= 0)):
            continue
        place = tuple(int(i[0]) for i in xp.nonzero(price <= 0))
        place = place if given.batch and name not in given.shared else place[1:]
        side = name.removeprefix("soft_")
        raise ValueError(
            f"soft[{side!r}] has a price that is not positive, at {place}: expected positive "
            f"prices, infinite for hard rows; a row without effect has an infinite {side}"
        )
    return prices
