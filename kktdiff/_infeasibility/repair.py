"""Replace elements whose constraints contradict each other by their closest feasible QPs."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from kktdiff._arrays import largest, mv, namespace, norm_inf, placed, spread, take, take_shared
from kktdiff._infeasibility.auxiliary import Data
from kktdiff._infeasibility.closest import (
    Repaired,
    Shifts,
    elements,
    least_shift,
    repair,
    unweighted_shifts,
)
from kktdiff._infeasibility.closest_derivatives import ClosestEngine, as_given
from kktdiff._interior_point.compiled_kept import KeptGroup
from kktdiff._problem import Problem
from kktdiff._sensitivity.derivatives import Engine
from kktdiff._settings import ROUNDING, Settings
from kktdiff._solution import Solution
from kktdiff._status import Status
from kktdiff._typing import Array

_ROUNDING_SHIFT = 1e-5  # the largest shift that may be rounding, of rows with entries up to one


class Known(NamedTuple):
    """Elements with known least shifts."""

    index: Array  # (b,)
    shifts: Shifts

    def of(self, index: Array) -> Shifts | None:
        """Return the shifts if they are those of the elements `index`."""
        same = self.index.shape == index.shape and namespace(index).all(self.index == index)
        return self.shifts if bool(same) else None


def repaired_elements(
    problem: Problem,
    fields: dict[str, Array],
    engine: Engine,
    unsettled: Array,  # (b,): elements that stalled, or violate a constraint, without a proof
    weights: Data,
    settings: Settings,
) -> tuple[dict[str, Array], Engine | ClosestEngine]:
    """Replace fields and derivatives of infeasible elements by their closest feasible QPs'."""
    xp = namespace(fields["status"])
    index = xp.nonzero(fields["status"] == int(Status.PRIMAL_INFEASIBLE))[0]
    index = xp.sort(xp.concat([index, unsettled]))
    n, m, k = problem.qp.sizes
    sizes = {"h": m, "b": k, "lb": n, "ub": n}
    there = [name for name in sizes if problem.given.arrays[name] is not None]
    zeros = {name: spread([], (sizes[name],), problem.length, problem.qp.p) for name in there}
    out = fields | {f"shift_{name}": zero for name, zero in zeros.items()}
    if not (index.shape[0] and there):
        return out, engine
    data = elements(problem, index)
    give = {name: 1 / take_shared(weights[name], index) for name in there}
    shifts = least_shift(data, give, settings, take(fields["x"], index))
    repaired = repair(data, shifts, settings)
    done = xp.nonzero(repaired.shifts.solution.solved)[0]
    at = take(index, done)  # not those with a right-hand side that no finite shift meets
    own = _fields(repaired, fields)
    own |= {f"shift_{name}": v for name, v in repaired.shift.items()}
    out = {name: placed(at, take(own[name], done), v) for name, v in out.items()}
    kept = tuple(_without(engine.kept, index))
    return out, ClosestEngine(replace(engine, kept=kept), index, repaired)


def nearly_feasible_elements(
    problem: Problem,
    fields: dict[str, Array],
    engine: Engine,
    index: Array,  # (b,): elements that stalled or violate a constraint, without a proof
    known: Known | None,
    settings: Settings,
    tol: float,
) -> tuple[dict[str, Array], Engine | ClosestEngine]:
    """Replace elements that are infeasible by rounding by their least infeasible points.

    Their constraints contradict each other by no more than rounding may: the least-squares shifts
    make them feasible, and the status tells whether these are within `tol`.
    """
    xp = namespace(index)
    for _ in range(2):  # once more without those that are not infeasible by rounding alone
        if not index.shape[0]:
            return fields, engine
        data = elements(problem, index)
        shifts = None if known is None else known.of(index)
        if shifts is None:
            shifts = unweighted_shifts(data, settings, take(fields["x"], index))
        repaired = repair(data, shifts, settings, _second_start(shifts, fields, index))
        size = largest(*(norm_inf(v) for v in repaired.shift.values()))
        small = _relative_shift(repaired) <= _ROUNDING_SHIFT
        good = xp.nonzero(repaired.solution.solved & (size > 0) & small)[0]
        if good.shape[0] == index.shape[0]:
            break
        index = take(index, good)
    own = _with_signs(repaired, _fields(repaired, fields))
    gap, rounding = _duality_gap(repaired.data, own)
    inside = (size <= tol) & (gap <= tol + rounding)
    status = xp.where(inside, int(Status.SOLVED) + 0 * own["status"], int(Status.ALMOST_SOLVED))
    own |= {"status": status, "primal_residual": size, "duality_gap": gap}
    own["iterations"] = own["iterations"] + take(fields["iterations"], index)
    out = {name: placed(index, own[name], v) for name, v in fields.items()}
    kept = tuple(_without(engine.kept, index))
    main = replace(engine, status=out["status"], kept=kept)
    return out, ClosestEngine(main, index, repaired, asked=False)


def _second_start(shifts: Shifts, fields: dict[str, Array], index: Array) -> Solution:
    """Return the points at hand for the second QP; the multipliers of its equalities ran off."""
    own = {name: take(fields[name], index) for name in ("x", "lam", "nu", "lam_lb", "lam_ub")}
    own["nu"] = 0 * namespace(index).concat([own["nu"], own["lam"]], axis=1)
    return replace(shifts.solution, **own)


def _relative_shift(r: Repaired) -> Array:  # (B,)
    """The largest shift, that of a row relative to the row's entries where these exceed one."""
    rows = {"h": r.data["G"], "b": r.data["A"]}
    shifts = [
        norm_inf(v / (1 + norm_inf(rows[name]))) if name in rows else norm_inf(v)
        for name, v in r.shift.items()
    ]
    return largest(*shifts)


def _fields(repaired: Repaired, fields: dict[str, Array]) -> dict[str, Array]:
    return as_given(repaired, {name: getattr(repaired.solution, name) for name in fields})


def _duality_gap(data: Data, own: dict[str, Array]) -> tuple[Array, Array]:  # (B,) each
    """Return the duality gap of the problem as given, and the rounding of its terms."""
    x = own["x"]
    xp = namespace(x)
    terms = [x * mv((data["Q"] + data["Q"].mT) / 2, x), x * data["p"]]
    signs = {"h": ("lam", 1), "b": ("nu", 1), "lb": ("lam_lb", -1), "ub": ("lam_ub", 1)}
    for name, (multiplier, sign) in signs.items():
        if data[name] is not None:
            lam = own[multiplier]
            terms.append(sign * lam * xp.where(lam != 0, data[name], 0.0))
    total = sum(xp.sum(v, axis=1) for v in terms)
    size = sum(xp.sum(xp.abs(v), axis=1) for v in terms)
    return xp.abs(total), ROUNDING * size


def _with_signs(r: Repaired, own: dict[str, Array]) -> dict[str, Array]:
    """Return the fields with nonnegative multipliers of the shifted rows.

    The multipliers of the least shifts satisfy ``C'lam + A'nu = 0`` and are positive on the
    shifted rows: the least multiple of them that makes all signs right is added.
    """
    xp, shifts = namespace(own["x"]), r.shifts.solution
    add = shifts.lam > 0
    short = xp.where(add & (own["lam"] < 0), -own["lam"] / xp.where(add, shifts.lam, 1.0), 0.0)
    share = norm_inf(short)[:, None]
    names = ("lam", "nu", "lam_lb", "lam_ub")
    moved = {name: own[name] + share * getattr(shifts, name) for name in names}
    return own | moved | {"lam": xp.where(moved["lam"] > 0, moved["lam"], 0.0)}  # -0 by rounding


def _without(kept: tuple[KeptGroup, ...], index: Array) -> Iterator[KeptGroup]:
    """Yield the groups without the elements `index`."""
    xp = namespace(index)
    for group in kept:
        left = xp.nonzero(xp.all(group.index[:, None] != index[None, :], axis=1))[0]
        if left.shape[0]:
            yield group if left.shape[0] == group.index.shape[0] else group.take(left)
