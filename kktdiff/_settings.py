"""The options of a solve, checked once, and the constants of the method."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple

__all__ = ["Settings"]

BIG = 1e300  # larger than any residual
INFINITE = 1e20  # bounds of this size and beyond are absent
ROUNDING = 16 * 2.0**-52  # residuals of this size, relative to the terms, are rounding
CONTRADICTION = 2e-6  # a violation that may be rounding, of constraints with entries of about one
LOOSE = 1e-5  # ALMOST_SOLVED: residuals relative to 1 plus the size of their terms
STALL = 6  # iterations without progress after which an element is given up
HANDOVER = 1e-6  # relative error at which polishing takes over
# proximal weights, in natural units
MAX_REGULARISATION, MIN_REGULARISATION = 1e-8, 1e-15
SPARSE_PROXIMAL = 1e-9  # of sparse systems, at least,
SHARP = 1e-13  # and where they tell a singular matrix from one that is nearly so
REFINED = 1e-15  # of a derivative: relative residual, times the root of n, that rounding leaves
CONVERGED = 1e-7  # of the same: relative residual above which the KKT system counts as singular
ENOUGH_ITERATIONS = 50  # an element out of iterations after as many is analysed as stalled
INNER_TOL, INNER_ITER = 1e-8, 100  # of a QP that the solution of another one needs, at least
WORKSPACE = 64 * 2**20  # bytes of matrices that one chunk of a batch may take

DEFAULT_TOL = {"float64": 1e-8, "float32": 1e-5}
CURVATURE = {"float64": 1e-10, "float32": 1e-6}  # rounding level of curvature, relative to Q


class Settings(NamedTuple):
    """The checked options of one call of `solve_qp`."""

    tol: float
    max_iter: int
    report: Callable[[dict[str, Any]], None] | None
    curvature: float = CURVATURE["float64"]


def checked(
    tol: float | None, max_iter: int, dtype: str, report: Callable[[dict[str, Any]], None] | None
) -> Settings:
    """Settings from the user's words; a ValueError says which one is wrong, and why."""
    tol = DEFAULT_TOL[dtype] if tol is None else tol
    if not isinstance(tol, float | Real) or not 0 < tol < 1:
        raise ValueError(f"tol={tol!r}: expected a number between 0 and 1")
    if isinstance(max_iter, bool) or not isinstance(max_iter, int | Integral) or max_iter < 0:
        raise ValueError(f"max_iter={max_iter!r}: expected an integer, 0 or more")
    return Settings(float(tol), int(max_iter), report, curvature=CURVATURE[dtype])


def one_of(name: str, given: object, allowed: tuple[str, ...]) -> None:
    """Raise a ValueError unless `given` is one of `allowed`."""
    if given not in allowed:
        single = ", and one alone" if isinstance(given, tuple | list) else ""
        raise ValueError(
            f"{name}={given!r}: expected one of {', '.join(map(repr, allowed))}{single}"
        )
