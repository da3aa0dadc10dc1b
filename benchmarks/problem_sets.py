"""The public problem sets, and how good an answer to one of their problems is.

The problems are no part of the repository: see `CONTRIBUTING.md`.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from tests.problems import Data
from tests.robustness.datasets import load

SETS = ("maros_meszaros", "mpc", "netlib_lp", "netlib_infeas")
INFINITE = 1e20


class Problem(NamedTuple):
    """A problem of a set, with what the set's makers know of it."""

    name: str
    data: Data
    constant: float  # of the objective
    optimum: float  # with the constant; NaN where there is none


class Quality(NamedTuple):
    """Residuals in the problem's own units, beside the sizes of the terms that cancel in them."""

    primal: float
    dual: float
    gap: float
    sizes: tuple[float, float, float]
    objective_error: float  # relative to 1 + the optimum

    @property
    def absolute(self) -> float:
        """The worst of the three."""
        return max(self[:3])

    @property
    def relative(self) -> float:
        """The worst of the three, each relative to 1 + the size of its terms."""
        return max(r / (1 + size) for r, size in zip(self[:3], self.sizes, strict=True))


def problems(
    folder: Path, name: str, most: int | None = None, *, whole: bool = False
) -> Iterator[Problem]:
    """The problems of a set, with at most `most` unknowns.

    Of Maros-Meszaros the dense subset, or if `whole` all, on sparse matrices as the other sets.
    """
    with (folder / "reference.csv").open() as file:
        best = {(row["set"], row["name"]): row["f_ref"] for row in csv.DictReader(file)}
    with (folder / "index.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == name]
    for row in rows:
        path = folder / row["file"]
        small = most is None or int(row["n"]) + int(row["m"]) <= most
        dense = whole or name != "maros_meszaros" or row["dense_subset"] == "True"
        if path.exists() and small and dense:
            with np.load(path, allow_pickle=False) as file:
                constant = float(file["r"])
            optimum = best.get((name, row["name"])) or "nan"
            yield Problem(row["name"], load(path, sparse=whole), constant, float(optimum))


def rows_of(data: Data, point: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, bool]]:
    """(C, d, multipliers, is an equality) for the finite rows of each block, bounds as rows."""
    n = len(data.p)
    eye = sparse.eye_array(n, format="csr") if sparse.issparse(data.Q) else np.eye(n)
    blocks = (
        (data.G, data.h, point.lam, False),
        (-eye, None if data.lb is None else -data.lb, point.lam_lb, False),
        (eye, data.ub, point.lam_ub, False),
        (data.A, data.b, point.nu, True),
    )
    for C, d, multipliers, equal in blocks:
        if d is not None:
            rows = np.abs(d) < INFINITE
            yield C[rows], d[rows], multipliers[rows], equal


def quality(problem: Problem, point: Any) -> Quality:
    """How good `point` (x, lam, nu, lam_lb, lam_ub) is, from the data alone."""
    data, x = problem.data, np.asarray(point.x)
    Qx = (data.Q + data.Q.T) @ x / 2
    primal, negative, primal_size, support = 0.0, 0.0, 0.0, []
    dual, dual_terms = Qx + data.p, [Qx, data.p]
    for C, d, multipliers, equal in rows_of(data, point):
        Cx = C @ x
        primal = max(primal, np.max(np.abs(Cx - d) if equal else Cx - d, initial=0.0))
        negative = max(negative, 0.0 if equal else -np.min(multipliers, initial=0.0))
        primal_size = max(primal_size, _top(Cx), _top(d))
        dual, dual_terms = dual + C.T @ multipliers, [*dual_terms, C.T @ multipliers]
        support.append(multipliers @ d)
    terms = [x @ Qx, data.p @ x, *support]
    value = x @ Qx / 2 + data.p @ x + problem.constant
    sizes = primal_size, max(map(_top, dual_terms)), float(np.max(np.abs(terms)))
    error = abs(value - problem.optimum) / (1 + abs(problem.optimum))
    dual_residual = max(_top(dual), float(negative))
    return Quality(float(primal), dual_residual, float(abs(sum(terms))), sizes, float(error))


def farkas_error(data: Data, proof: Any) -> float:
    """What a Farkas proof leaves of ``G'lam + A'nu - lam_lb + lam_ub = 0``, relative to its terms.

    Raises if its multipliers have a wrong sign, or do not prove one unit.
    """
    point = SimpleNamespace(**{name: np.asarray(v) for name, v in vars(proof).items()})
    left, size, proven = 0 * data.p, 1e-300, 0.0
    for C, d, multipliers, equal in rows_of(data, point):
        if not equal and np.min(multipliers, initial=0.0) < 0:
            raise ValueError("a multiplier of an inequality is negative")
        left = left + C.T @ multipliers
        size = max(size, _top(abs(C.T) @ np.abs(multipliers)))
        proven -= multipliers @ d
    if not abs(proven - 1) < 1e-6:
        raise ValueError(f"the multipliers prove {proven}, not 1")
    return _top(left) / size


def _top(v: np.ndarray) -> float:
    return float(np.max(np.abs(v), initial=0.0))
