"""The options of a solve, checked once, and the constants of the method."""

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Settings"]

BIG = 1e300  # larger than any residual
INFINITE = 1e20  # bounds of this size and beyond are absent
ROUNDING = 16 * 2.0**-52  # residuals of this size, relative to the terms, are rounding
LOOSE = 1e-5  # ALMOST_SOLVED: residuals relative to 1 plus the size of their terms
REGULARISATION = 1e-8  # proximal weight of the interior-point system, scaled data
LU_REGULARISATION = 1e-11  # the same for the LU system, undone by refinement
TROUBLE = 1e-5  # the same, raised where Cholesky failed: a sign that LU is called for
STALL = 6  # iterations without progress after which an element is given up
FIXED = 1e20  # stiffness of a fixed variable, in units of the scaled data
KEEP_OFF = 0.995  # share of the step to the boundary that is taken
KEEP_WELL_OFF = 0.9  # the same for a short step: closer, and Mehrotra's method can cycle
SHORT = 0.8
POOR = 0.1  # a step shorter than this is tried again without the corrector,
PLAIN = 0.5  # aimed at this share of mu
HANDOVER = 1e-6  # accuracy at which polishing takes over from the condensed loop
CLOSE = 1e-4  # relative residual from which polishing is worth a try, where the loop has to stop
CORRECTIONS = 2  # of the active set, per element
MANY_WRONG = 4  # with more than 4 and the number of rows by this it is another problem's set
STEPS = 8  # of polishing: one solves a linear system; the others take out what rounding left
FINE = 1e-12  # absolute residual below which there is nothing to gain
MUCH = 1e-9  # absolute residual from which it is worth a second try
CLEAN = 8 * ROUNDING  # relative to 1 + the size of the terms: rounding
REFINEMENTS = 8  # of a solve with kept factors; it stops when its residual no longer halves
REFINED = 1e-14  # relative residual below which there is nothing to refine
INNER_TOL, INNER_ITER = 1e-8, 100  # of a QP that the solution of another one needs, at least
WORKSPACE = 64 * 2**20  # bytes of matrices that one chunk of a batch may take

DEFAULT_TOL = {"float64": 1e-8, "float32": 1e-5}
CURVATURE = {"float64": 1e-10, "float32": 1e-6}  # negative, relative to Q, that is but rounding


class Settings(NamedTuple):
    """The checked options of one call of `solve_qp`."""

    tol: float
    max_iter: int
    report: Callable[[dict[str, Any]], None] | None
    barrier: float = 0.0  # > 0: stop on the central path at this parameter
    exacting: bool = False  # give up an element at the first step that is not accurate
    linger: int = 0  # iterations for which a solved element may go on until its active set shows
    nested: bool = False  # it is another QP's solve that asks
    curvature: float = CURVATURE["float64"]


def checked(
    tol: float | None,
    max_iter: int,
    dtype: str,
    report: Callable[[dict[str, Any]], None] | None,
) -> Settings:
    """Settings from the user's words; a ValueError says which one is wrong, and why."""
    tol = DEFAULT_TOL[dtype] if tol is None else tol
    if not isinstance(tol, int | float) or not 0 < tol < 1:
        raise ValueError(f"tol={tol!r}: expected a number between 0 and 1")
    if isinstance(max_iter, bool) or not isinstance(max_iter, int) or max_iter < 0:
        raise ValueError(f"max_iter={max_iter!r}: expected an integer, 0 or more")
    return Settings(float(tol), max_iter, report, curvature=CURVATURE[dtype])


def one_of(name: str, given: object, allowed: tuple[str, ...]) -> None:
    """Raise a ValueError unless `given` is one of `allowed`."""
    if given not in allowed:
        raise ValueError(f"{name}={given!r}: expected one of {', '.join(map(repr, allowed))}")
