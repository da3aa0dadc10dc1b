"""``infeasible="closest"``: the closest feasible QP.

Two QPs, one after the other. The first finds the least shift of the right-hand sides,

    minimise 1/2 t'Wt   subject to   Gx - t_h <= h,   Ax - t_b = b,
                                     -x - t_lb <= -lb,   x - t_ub <= ub,

with positive weights W: always feasible, t unique. Its optimality says ``t = lam/w`` for each
row, so t is no unknown of its own: the rows are *compliant*, they give way by lam/w. The second is
the given QP with the shifts added. A row that had to be shifted holds with equality at every point
that the shifts admit, so the second QP has it as an equality, and the rest has an interior.
Both are differentiable, and so is the one after the other. (The idea of ProxQP's closest feasible
QP, Bambade et al. 2023.)
"""

from dataclasses import replace
from typing import Any, NamedTuple

from kktdiff._arrays import broadcast, largest, mv, namespace, norm_inf, take, top
from kktdiff._infeasibility.auxiliary import Data, solve
from kktdiff._problem import NAMES, Problem
from kktdiff._settings import Settings
from kktdiff._solution import Solution
from kktdiff._typing import Array

_SMALL = 1e-3  # shifts below this are solved for in their own unit
SHIFTED = 1e-9  # shifts below this, relative to the largest, are rounding

_MULTIPLIER = {"h": "lam", "b": "nu", "lb": "lam_lb", "ub": "lam_ub"}


def elements(problem: Problem, index: Array) -> Data:
    """Return the arguments of the elements `index`, each with a full batch dimension."""
    out: Data = {}
    if problem.data.structure is not None:
        own = problem.data.take(index).on_dense()
        flats = {name: getattr(own, name) for name in NAMES}
        count = index.shape[0]
        return {
            k: v if v is None else broadcast(v, (count, *v.shape[1:])) for k, v in flats.items()
        }
    for name in NAMES:
        flat = problem.given.flat(name)
        if flat is not None:
            xp = namespace(flat)
            flat = xp.broadcast_to(flat, (problem.length, *flat.shape[1:]))
            flat = take(flat, index)
        out[name] = flat
    return out


class Shifts(NamedTuple):
    """Solution of the first QP, whose multipliers give the shifts."""

    solution: Solution
    give: Data  # 1/w for each right-hand side that there is, (B or 1, size)

    def of(self, record: Any) -> Data:
        """Return each right-hand side's shift from the multipliers, or its tangent from theirs."""
        sign = {"lb": -1.0}
        return {
            name: sign.get(name, 1.0) * give * getattr(record, _MULTIPLIER[name])
            for name, give in self.give.items()
        }

    def cotangents(self, g: Data) -> Data:
        """Return the cotangents of the first QP's multipliers, given those of the shifts."""
        sign = {"lb": -1.0}
        return {_MULTIPLIER[v]: sign.get(v, 1.0) * give * g[v] for v, give in self.give.items()}


def least_shift(data: Data, give: Data, settings: Settings, x: Array) -> Shifts:
    """Find the least shifts: solve the first QP.

    Shifts far smaller than x are solved for with x centred near the solution and in units of the
    shifts, where they are of size one; the result gives the first QP's active set.

    Parameters
    ----------
    x
        The points at hand, (B, n), NaN where there is none.
    """
    xp = namespace(data["p"])
    feasibility = data | {"Q": xp.zeros_like(data["Q"]), "p": xp.zeros_like(data["p"])}
    small = _is_small(_violation(data, x))
    if not bool(xp.all(small)):
        first = solve(feasibility, settings, compliance=give)
        x = xp.where(small[:, None], x, first.x)
        small = _is_small(_violation(data, x))
        if not bool(xp.any(small)):
            return Shifts(first, give)
    unit = xp.where(small, _violation(data, x), 1.0)[:, None]
    centre = xp.where(small[:, None], x, 0.0)
    found = solve(feasibility | _around(data, centre, unit), settings, compliance=give)
    names = ("lam", "nu", "lam_lb", "lam_ub")
    scaled = {name: unit * getattr(found, name) for name in names}
    near = replace(found, x=centre + unit * found.x, **scaled)
    return Shifts(solve(feasibility, settings, compliance=give, near=near), give)


def unweighted_shifts(data: Data, settings: Settings, x: Array) -> Shifts:
    """Find the least shifts where a shift costs the same for each entry; see `least_shift`."""
    sides = [name for name in _MULTIPLIER if data[name] is not None]
    give = {name: namespace(x).ones_like(data[name][:1, ...]) for name in sides}
    return least_shift(data, give, settings, x)


def _is_small(violation: Array) -> Array:  # (B,) bool
    return (violation > 0) & (violation < _SMALL)


def _violation(data: Data, x: Array) -> Array:  # (B,)
    """Return the largest violation of a constraint at x."""
    beyond = [top(_positive(-v)) for v in _slacks(data, x).values()]
    if data["b"] is not None:
        beyond.append(norm_inf(data["b"] - mv(data["A"], x)))
    return largest(*beyond) if beyond else 0 * x[:, 0]


def _positive(v: Array) -> Array:
    return namespace(v).where(v > 0, v, 0.0)


def _slacks(data: Data, x: Array) -> Data:
    """Return the distance from x to each limit, (B, size), negative where x violates it."""
    out: Data = {}
    if data["h"] is not None:
        out["h"] = data["h"] - mv(data["G"], x)
    if data["lb"] is not None:
        out["lb"] = x - data["lb"]
    if data["ub"] is not None:
        out["ub"] = data["ub"] - x
    return out


def _around(data: Data, centre: Array, unit: Array) -> Data:
    """Transform the right-hand sides to the variable ``(x - centre) / unit``."""
    out = {name: v / unit for name, v in _slacks(data, centre).items()}
    if "lb" in out:
        out["lb"] = -out["lb"]
    if data["b"] is not None:
        out["b"] = (data["b"] - mv(data["A"], centre)) / unit
    return out


class Repaired(NamedTuple):
    """Both QPs solved, for elements whose constraints contradict each other."""

    data: Data
    shifts: Shifts
    solution: Solution  # of the second QP
    shift: Data  # what was added to each right-hand side
    moved: dict[str, Array]  # right-hand side -> (B, size) bool: was shifted

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of inequalities and equalities: m, k."""
        m, k = (0 if self.data[v] is None else self.data[v].shape[1] for v in ("h", "b"))
        return m, k


def repair(
    data: Data, shifts: Shifts, settings: Settings, near: Solution | None = None
) -> Repaired:
    """Solve the QP that the least shifts make feasible; near: of a nearby second QP."""
    xp = namespace(data["p"])
    shift = shifts.of(shifts.solution)
    least = SHIFTED * largest(*(norm_inf(v) for v in shift.values()))[:, None]
    moved = {name: xp.abs(v) > least for name, v in shift.items()}
    second = second_arguments(data, shift, moved, absent=xp.inf)
    return Repaired(data, shifts, solve(second, settings, near=near), shift, moved)


def second_arguments(
    data: Data, shift: dict[str, Array], moved: dict[str, Array], absent: float
) -> dict[str, Array]:
    """Build the second QP's arguments; or their tangents, with `absent` zero (they are linear)."""
    xp = namespace(data["p"])
    out: dict[str, Array] = {"Q": data["Q"], "p": data["p"]}
    equal, right = [], []
    if data["b"] is not None:
        equal, right = [data["A"]], [data["b"] + shift["b"]]
    if data["h"] is not None:
        held = moved["h"]
        out |= {"G": data["G"], "h": xp.where(held, absent, data["h"])}
        equal.append(xp.where(held[..., None], data["G"], 0.0))
        right.append(xp.where(held, data["h"] + shift["h"], 0.0))
    if equal:
        out |= {"A": xp.concat(equal, axis=1), "b": xp.concat(right, axis=1)}
    return out | _second_bounds(data, shift, moved, absent)


def _second_bounds(
    data: Data, shift: dict[str, Array], moved: dict[str, Array], absent: float
) -> dict[str, Array]:
    """Build the second QP's bounds: a shifted bound fixes its variable."""
    xp = namespace(data["p"])
    if data["lb"] is None and data["ub"] is None:
        return {}
    none = xp.full(data["p"].shape, absent, dtype=data["p"].dtype, device=data["p"].device)
    lower = -none if data["lb"] is None else data["lb"]
    upper = none if data["ub"] is None else data["ub"]
    for name in ("ub", "lb"):  # where both were shifted they meet: either will do
        if data[name] is not None:
            value = data[name] + shift[name]
            lower, upper = (xp.where(moved[name], value, v) for v in (lower, upper))
    return {"lb": lower, "ub": upper}
