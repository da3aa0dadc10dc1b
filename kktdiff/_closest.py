"""``infeasible="closest"``: the closest feasible QP.

Two QPs, one after the other. The first finds the least shift of the right-hand sides,

    minimise 1/2 t'Wt   subject to   Gx - t_h <= h,   Ax - t_b = b,
                                     -x - t_lb <= -lb,   x - t_ub <= ub,

with positive weights W: always feasible, t unique. Its optimality says ``t = lam/w`` for each
row, so t is no unknown of its own: the rows are *soft*, they give way by lam/w. The second is the
given QP with the shifts added. A row that had to be shifted holds with equality at every point
that the shifts admit, so the second QP has it as an equality, and has an interior in what is left.
Both are differentiable, and so is the one after the other. (The idea of ProxQP's closest feasible
QP, Bambade et al. 2023.)
"""

from typing import Any, NamedTuple

from kktdiff._arrays import largest, namespace, norm_inf, take
from kktdiff._batch import solve
from kktdiff._problem import NAMES, Problem
from kktdiff._settings import Settings
from kktdiff._solution import Solution
from kktdiff._typing import Array

SHIFTED = 1e-9  # shifts below this, relative to the largest, are rounding

Data = dict[str, Any]  # the arguments of solve_qp, each (B, ...) in float64
SIDES = ("h", "b", "lb", "ub")  # the right-hand sides
_MULTIPLIER = {"h": "lam", "b": "nu", "lb": "lam_lb", "ub": "lam_ub"}


def elements(problem: Problem, index: Array) -> Data:
    """The arguments of the elements `index`, none of them shared."""
    out: Data = {}
    for name in NAMES:
        flat = problem.given.flat(name)
        if flat is not None:
            xp = namespace(flat)
            flat = xp.broadcast_to(flat, (problem.length, *flat.shape[1:]))
            flat = take(flat, index)
        out[name] = flat
    return out


class Shifts(NamedTuple):
    """The first QP's solution."""

    solution: Solution
    give: Data  # 1/w for each right-hand side that there is, (B or 1, size)

    def of(self, record: Any) -> Data:
        """What is added to each right-hand side, from the multipliers or from their tangents."""
        sign = {"lb": -1.0}
        return {
            name: sign.get(name, 1.0) * give * getattr(record, _MULTIPLIER[name])
            for name, give in self.give.items()
        }

    def cotangents(self, g: Data) -> Data:
        """Of the first QP's multipliers, from those of the shifts."""
        sign = {"lb": -1.0}
        return {_MULTIPLIER[v]: sign.get(v, 1.0) * give * g[v] for v, give in self.give.items()}


def least_shift(data: Data, give: Data, settings: Settings) -> Shifts:
    """Solve the first QP."""
    xp = namespace(data["p"])
    feasibility = data | {"Q": xp.zeros_like(data["Q"]), "p": xp.zeros_like(data["p"])}
    return Shifts(solve(feasibility, settings, soft=give), give)


class Repaired(NamedTuple):
    """Both QPs solved, for elements whose constraints contradict each other."""

    data: Data
    shifts: Shifts
    solution: Solution  # of the second QP
    moved: dict[str, Array]  # right-hand side -> (B, size) bool: was shifted

    @property
    def sizes(self) -> tuple[int, int]:
        """m and k."""
        m, k = (0 if self.data[v] is None else self.data[v].shape[1] for v in ("h", "b"))
        return m, k


def repair(data: Data, give: Data, settings: Settings) -> Repaired:
    """Find the least shifts, and solve the QP that they make feasible."""
    shifts = least_shift(data, give, settings)
    xp = namespace(data["p"])
    shift = shifts.of(shifts.solution)
    least = SHIFTED * largest(*(norm_inf(v) for v in shift.values()))[:, None]
    moved = {name: xp.abs(v) > least for name, v in shift.items()}
    second = second_arguments(data, shift, moved, absent=xp.inf)
    return Repaired(data, shifts, solve(second, settings), moved)


def second_arguments(
    data: Data, shift: dict[str, Array], moved: dict[str, Array], absent: float
) -> dict[str, Array]:
    """The second QP's arguments; for tangents too, with `absent` zero: they are linear in them."""
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
    """Bounds that were shifted fix their variable."""
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
