"""What is right: solutions by Clarabel, derivatives by central differences; and errors.

Differences are taken of our layer's solutions at a tolerance of 1e-12, and each of the solutions
that they are taken of is compared with Clarabel's. Where differences with two steps do not agree,
there is a kink nearby: the direction is left out.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np

from benchmarks.cvxpy_layers.kinds import Model

DIRECTIONS = 3  # for each parameter
STEP = 1e-5  # relative to the parameter
NOTHING = 1e-9  # of the largest slope: one so small is zero but for rounding
AGREE = 1e-5  # of differences with two steps, relative to the largest
CLARABEL = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-12)
Arrays = dict[str, Any]
Solve = Callable[[list[Any]], list[Any]]  # parameters -> variables, each with the batch in front


class Truth(NamedTuple):
    """Of one model with some values of its parameters."""

    x: list[Any]  # (B, *shape) of each variable
    goals: Any  # (B,)
    directions: list[Any]  # (DIRECTIONS, *shape of the data) of each parameter
    slopes: list[Any]  # (DIRECTIONS, B), or (DIRECTIONS, 1) of what is shared; NaN: a kink nearby
    disagreement: float  # largest relative difference between our solutions and Clarabel's


def clarabel(model: Model, data: list[Any], batch: int) -> tuple[list[Any], Any]:
    """Variables and optimal values, problem by problem."""
    found, goals = [], []
    for i in range(batch):
        for parameter, value in zip(model.parameters, data, strict=True):
            parameter.value = value[i] if np.ndim(value) > parameter.ndim else value
        model.problem.solve(solver=cp.CLARABEL, **CLARABEL)
        found.append([np.array(v.value) for v in model.variables])
        goals.append(model.problem.value)
    return [np.stack(values) for values in zip(*found, strict=True)], np.array(goals)


def truth_of(
    model: Model, solve: Solve, data: list[Any], cotangents: list[Any], rng: np.random.Generator
) -> Truth:
    """The reference; `solve` is our layer, tight."""
    batch = len(cotangents[0])
    x, goals = clarabel(model, data, batch)
    gaps = [error(solve(data), x)]

    def losses(j: int, direction: Any, step: float) -> Any:
        moved = [v + step * direction if i == j else v for i, v in enumerate(data)]
        found = solve(moved)
        gaps.append(error(found, clarabel(model, moved, batch)[0]))
        each = sum(_products(c, v) for c, v in zip(cotangents, found, strict=True))
        return each if np.ndim(data[j]) > model.parameters[j].ndim else each.sum(keepdims=True)

    directions, slopes = [], []
    for j, value in enumerate(data):
        drawn = rng.standard_normal((DIRECTIONS, *np.shape(value)))
        directions.append(drawn)
        step = STEP * float(np.sqrt(np.mean(np.square(value))))
        slopes.append(_without_kinks(np.stack([_slope(losses, j, d, step) for d in drawn])))
    return Truth(solve(data), goals, directions, slopes, max(gaps))


def _slope(losses: Callable[..., Any], j: int, direction: Any, step: float) -> Any:  # (2, B)
    """By two steps."""
    near, far = (
        (losses(j, direction, h) - losses(j, direction, -h)) / (2 * h) for h in (step, 2 * step)
    )
    return np.stack([near, far])


def _without_kinks(slopes: Any) -> Any:  # (DIRECTIONS, 2, B) -> (DIRECTIONS, B)
    near, far = slopes[:, 0], slopes[:, 1]
    agree = np.abs(near - far) <= AGREE * np.abs(near).max(0)
    return np.where(agree, (4 * near - far) / 3, np.nan)


def _products(a: Any, b: Any) -> Any:  # (B,)
    return (a * b).reshape(len(a), -1).sum(1)


def error(found: list[Any], x: list[Any]) -> float:
    """The worst of all elements and variables, in the largest entry, relative."""
    pairs = [(a.reshape(len(b), -1), b.reshape(len(b), -1)) for a, b in zip(found, x, strict=True)]
    worst = max((np.abs(a - b).max(1) / np.abs(b).max(1)).max() for a, b in pairs)
    return float(np.nan_to_num(worst, nan=np.inf))


def errors_of(model: Model, truth: Truth, data: list[Any], found: Arrays) -> dict[str, Any]:
    """Of x, of the objective there, and of each parameter's gradient: the worst ones."""
    x = [found[f"x{i}"] for i in range(len(truth.x))]
    largest = max(float(np.nanmax(np.abs(slopes), initial=0.0)) for slopes in truth.slopes)
    return {
        "x": error(x, truth.x),
        "objective": _of_the_objective(model, truth, data, x),
        "gradients": {
            parameter.name(): _of_a_gradient(
                found[f"d{j}"], truth.directions[j], truth.slopes[j], largest
            )
            for j, parameter in enumerate(model.parameters)
        },
    }


def _of_the_objective(model: Model, truth: Truth, data: list[Any], x: list[Any]) -> float:
    worst = 0.0
    for i, goal in enumerate(truth.goals):
        for parameter, value in zip(model.parameters, data, strict=True):
            parameter.value = value[i] if np.ndim(value) > parameter.ndim else value
        for variable, value in zip(model.variables, x, strict=True):
            variable.value = value[i]
        worst = max(worst, abs(float(model.problem.objective.value) - goal) / (1 + abs(goal)))
    return float(worst)


def _of_a_gradient(gradient: Any, directions: Any, slopes: Any, largest: float) -> float:
    count = slopes.shape[1]
    gradient, directions = gradient.reshape(count, -1), directions.reshape(DIRECTIONS, count, -1)
    found = np.einsum("bn,dbn->db", gradient, directions)
    kept = ~np.isnan(slopes)
    size = np.where(kept, np.abs(slopes), 0.0).max(0)
    size = np.where(size > NOTHING * largest, size, largest)
    relative = (np.abs(found - slopes) / size)[kept]
    return float(np.nan_to_num(relative.max(initial=0.0), nan=np.inf))


def left_out(truth: Truth) -> list[int]:
    """Directions near a kink, and all of them."""
    return [int(sum(np.isnan(s).sum() for s in truth.slopes)), sum(s.size for s in truth.slopes)]
