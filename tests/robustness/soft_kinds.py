"""Soft rows of known answers, built backwards: rows that are met below their price, or violated.

Where a multiplier is below its price the row is met; where the price is the multiplier, the limit
may lie anywhere beyond the row: that is the violation. Neither moves x* or a multiplier, so that
the optimality conditions are those of the problem whose limits are moved onto the violated rows.
"""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

import kktdiff
from tests.problems import Data
from tests.robustness.backwards import build, decades, draw_sizes, in_units, positive, refer, units

SIDES = {"h": "lam", "b": "nu", "lb": "lam_lb", "ub": "lam_ub"}


class Soft(NamedTuple):
    """Data, the prices of the rows by side, and the violations of the answer."""

    data: Data
    prices: dict
    violations: dict


def solve(soft):
    """Solve; return the solution, its objective less the price that the answer pays.

    What the violations are off by counts as an error of the objective.
    """
    solution = kktdiff.solve_qp(*soft.data, soft=soft.prices, on_failure="ignore")
    paid, off = 0.0, 0.0
    for side, price in soft.prices.items():
        wanted, found = soft.violations[side], getattr(solution, f"violation_{side}")
        cost = np.where(wanted != 0, price, 0.0)
        paid = paid + np.sum(cost * np.abs(found), axis=1)
        off = off + np.sum(
            np.where(np.isfinite(price), price, 0.0) * np.abs(found - wanted), axis=1
        )
    names = ("x", "lam", "nu", "lam_lb", "lam_ub", "status", "iterations")
    own = {name: getattr(solution, name) for name in names}
    return SimpleNamespace(**own, objective=solution.objective - paid + off)


def _drawn(rng, multiplier, limit, sign):
    """Return the prices of a side, its limits and violations; sign: of a limit's way inwards."""
    violated = (multiplier != 0) & (rng.random(multiplier.shape) < 0.5)
    size = np.abs(multiplier)
    price = np.where(
        size > 0, size * (1 + decades(rng, -2, 3, size.shape)), decades(rng, -2, 3, size.shape)
    )
    price = np.where(rng.random(size.shape) < 0.2, np.inf, price)
    amount = np.where(violated, positive(rng, size.shape), 0.0)
    moved = amount * (np.sign(multiplier) if sign is None else 1.0)
    shift = -moved if sign is None else sign * amount
    return np.where(violated, size, price), limit + shift, moved


def soft_rows(rng, batch):
    """Soft rows of every side, some hard, at prices over decades, in units of their own."""
    built = build(rng, batch, draw_sizes(rng, rank=12))
    data, reference = refer(built.data, built.x, built.prices)
    factors = units(rng, data, objective=6, rows=3, variables=3)
    u, w = factors["variables"], factors["objective"][:, None]
    unit = {"h": factors["rows"], "b": factors["equalities"], "lb": u, "ub": u}
    data, reference = in_units(data, reference, **factors)
    prices, violations, limits = {}, {}, {}
    for side, sign in (("h", -1.0), ("b", None), ("lb", 1.0), ("ub", -1.0)):
        limit = getattr(built.data, side)
        if limit is None or rng.random() < 0.3:
            continue
        multiplier = getattr(built.prices, SIDES[side])
        price, moved, violation = _drawn(rng, multiplier, limit, sign)
        exact = np.abs(getattr(reference.prices, SIDES[side]))
        prices[side] = np.where(price == np.abs(multiplier), exact, w * price / unit[side])
        limits[side], violations[side] = unit[side] * moved, unit[side] * violation
    return Soft(data._replace(**limits), prices, violations), reference
