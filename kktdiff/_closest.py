"""``infeasible="closest"``: the closest feasible QP, and its derivatives.

Two QPs, one after the other. The first finds the least shift of the right-hand sides,

    minimise 1/2 |t|^2   subject to   Gx - t_h <= h,   Ax - t_b = b,
                                      -x - t_lb <= -lb,   x - t_ub <= ub,

always feasible, t unique. The second is the given QP with the shifts added. A row that had
to be shifted holds with equality at every point that the shifts admit, so the second QP
has it as an equality, and has an interior in what is left. Both are differentiable, and so is
the one after the other. (The idea of ProxQP's closest feasible QP, Bambade et al. 2023.)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from kktdiff._arrays import diagonal, largest, namespace, norm_inf, take
from kktdiff._problem import NAMES, Problem
from kktdiff._settings import INFINITE
from kktdiff._solution import Solution
from kktdiff._status import Status
from kktdiff._typing import Array

CLEARLY = 1e-5  # least shift or ray, relative to the data, that is no rounding
SHIFTED = 1e-9  # shifts below this, relative to the largest, are rounding

Solve = Callable[..., Solution]
Data = dict[str, Any]  # the arguments of solve_qp, each (B, ...) in float64
SIDES = ("h", "b", "lb", "ub")  # the right-hand sides, in the order of their shifts


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
    """The first QP's solution, and where each right-hand side's shifts stand in it."""

    solution: Solution
    columns: dict[str, slice]

    def of(self, name: str) -> Array:  # (B, size of the right-hand side)
        """What is added to the right-hand side `name`: at least 0 for h and ub, at most for lb."""
        return self.solution.x[:, self.columns[name]]


def least_shift(data: Data, solve: Solve) -> Shifts:
    """Solve the first QP."""
    p = data["p"]
    xp = namespace(p)
    columns: dict[str, slice] = {}
    size = p.shape[1]
    for name in SIDES:
        if data[name] is not None:
            columns[name] = slice(size, size + data[name].shape[1])
            size = columns[name].stop
    shift = xp.arange(size, device=p.device) >= p.shape[1]
    Q = diagonal(xp.astype(shift, p.dtype)[None, :])[0, ...]
    zero = xp.zeros((p.shape[0], size), dtype=p.dtype, device=p.device)
    return Shifts(solve(Q, zero, **first_arguments(data, columns, 1.0)), columns)


def first_arguments(data: Data, columns: dict[str, slice], one: float) -> dict[str, Array]:
    """The first QP's constraints; for tangents of the data with 0 for `one`."""
    p = data["p"]
    xp = namespace(p)
    n = p.shape[1]
    size = max(where.stop for where in columns.values())
    eye = xp.eye(size, dtype=p.dtype, device=p.device)
    rows: list[Array] = []
    limits: list[Array] = []
    out: dict[str, Array] = {}
    for name, (matrix, shift, sign) in _rows(data, one * eye[:n, :n]).items():
        row = matrix @ eye[:n, :] + one * shift * eye[columns[name], :]
        row = xp.broadcast_to(row, (p.shape[0], *row.shape[-2:]))
        if name == "b":
            out = {"A": row, "b": data[name]}
        else:
            rows, limits = [*rows, row], [*limits, sign * data[name]]
    if rows:
        out |= {"G": xp.concat(rows, axis=1), "h": xp.concat(limits, axis=1)}
    return out


def _rows(data: Data, eye: Array) -> dict[str, tuple[Array, float, float]]:
    """Per right-hand side: its matrix, the sign of its shift in the row, its own sign."""
    rows = {"h": (data["G"], -1.0, 1.0), "b": (data["A"], -1.0, 1.0)}
    rows |= {"lb": (-eye, 1.0, -1.0), "ub": (eye, -1.0, 1.0)}
    return {name: row for name, row in rows.items() if data[name] is not None}


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


def repair(data: Data, solve: Solve) -> Repaired:
    """Find the least shifts, and solve the QP that they make feasible."""
    shifts = least_shift(data, solve)
    xp = namespace(data["p"])
    n = data["p"].shape[1]
    least = SHIFTED * norm_inf(shifts.solution.x[:, n:])[:, None]
    moved = {name: xp.abs(shifts.of(name)) > least for name in shifts.columns}
    second = second_arguments(data, {name: shifts.of(name) for name in moved}, moved, absent=xp.inf)
    return Repaired(data, shifts, solve(**second), moved)


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


def feasibility(data: Data, solve: Solve) -> Array:  # (B,): a Status
    """What the matter is with elements on which the solver got stuck.

    PRIMAL_INFEASIBLE if the least shift is not small: by optimality of the first QP it is a
    Farkas certificate itself (``G't_h + A't_b + ... = 0`` with ``h't_h + b't_b + ... =
    -|t|^2``). DUAL_INFEASIBLE if the projection of -p on the directions in which no constraint
    and no curvature stops it is not small. NUMERICAL_ERROR otherwise.
    """
    p = data["p"]
    xp = namespace(p)
    n = p.shape[1]
    status = xp.full((p.shape[0],), int(Status.NUMERICAL_ERROR), device=p.device)
    ray = _descent_ray(data, solve)
    descent = ray.solved & (norm_inf(ray.x) > CLEARLY * norm_inf(p))
    status = xp.where(descent, int(Status.DUAL_INFEASIBLE), status)
    if all(data[name] is None for name in SIDES):
        return status
    first = least_shift(data, solve).solution
    size = xp.ones_like(p[:, 0])
    for name in SIDES:
        if data[name] is not None:
            finite = xp.abs(data[name]) < INFINITE
            size = largest(size, norm_inf(xp.where(finite, data[name], 0.0)))
    apart = first.solved & (norm_inf(first.x[:, n:]) > CLEARLY * size)
    return xp.where(apart, int(Status.PRIMAL_INFEASIBLE), status)


def _descent_ray(data: Data, solve: Solve) -> Solution:
    """The direction nearest to -p along which the objective falls for ever, or 0."""
    p = data["p"]
    xp = namespace(p)
    eye = xp.eye(p.shape[1], dtype=p.dtype, device=p.device)
    equal = [data["Q"] + data["Q"].mT] + ([] if data["A"] is None else [data["A"]])
    A = xp.concat(equal, axis=1)
    out = {"A": A, "b": xp.zeros_like(A[:, :, 0])}
    if data["G"] is not None:
        limited = data["h"] < INFINITE
        out |= {"G": data["G"], "h": xp.where(limited, 0.0, xp.inf)}
    if data["lb"] is not None:
        out["lb"] = xp.where(data["lb"] > -INFINITE, xp.zeros_like(p), -xp.inf)
    if data["ub"] is not None:
        out["ub"] = xp.where(data["ub"] < INFINITE, xp.zeros_like(p), xp.inf)
    return solve(eye, p, **out)
