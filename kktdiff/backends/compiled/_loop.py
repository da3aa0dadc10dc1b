"""The interior-point loop of `kktdiff._ipm`, element by element, for those that give no trouble.

The steps are the same. What has trouble, a matrix that is not positive, a step that does not do
what it promised, no progress, is left at once. If it is near the solution by then, as rounding has
it where equalities tie variables without curvature, polishing goes on from there; else the array
code takes it from the start, and decides what it is.
"""

from typing import Any

from kktdiff._settings import BIG, CLOSE, GIVEN_UP, NEAR, POOR, ROUNDING, STALL
from kktdiff.backends.compiled import _newton as newton
from kktdiff.backends.compiled import _recalled as recalled
from kktdiff.backends.compiled import _steps as steps
from kktdiff.backends.compiled._data import (
    DUAL,
    PRESENT,
    RECALLS,
    Batch,
    Data,
    Options,
    Point,
    Work,
    element,
    fill,
    point_of,
)
from kktdiff.backends.compiled._jit import exact
from kktdiff.backends.compiled._products import is_zero
from kktdiff.backends.compiled._residuals import Norms, are_within, evaluate


def run(
    batch: Batch, o: Options, f: Work, at: Point, iterations: Any, first: int, end: int
) -> None:
    """Solve the elements from `first` to `end`; `iterations` is GIVEN_UP where that failed."""
    f.flags[DUAL] = False
    for i in range(first, end):
        count = solve(element(batch, i, first, f), o, f, point_of(at, i))
        iterations[i] = max(count, GIVEN_UP)  # near is not there


@exact
def solve(e: Data, o: Options, f: Work, at: Point) -> int:
    """Solve one element; how many iterations it took, or GIVEN_UP, or NEAR less their number."""
    f.flags[RECALLS] = False
    if not steps.start(e, o, f, at):
        return GIVEN_UP
    linear = is_zero(e.Q)
    fill(f.least, BIG)
    allowed_rows, allowed_dual, progress = BIG, BIG, 0
    if f.flags[DUAL] and o.barrier == 0:
        evaluate(e, o, f, at)
        recalled.begin(e, f)
    for iteration in range(o.max_iter + 1):
        if f.flags[RECALLS]:
            r = recalled.norms(f, at)
            if is_solved(e, o, at, r) or iteration - progress >= STALL or iteration == o.max_iter:
                recalled.end(e, f, at)
                fill(f.least, BIG)
                allowed_rows, allowed_dual = BIG, BIG
        if not f.flags[RECALLS]:
            r = evaluate(e, o, f, at)
        mu = steps.mean_product(e, at.s, at.lam)
        if is_solved(e, o, at, r):
            return iteration
        if has_halved(f, r, max(mu, ROUNDING * r.gap_size / max(1, len(at.s)))):
            progress = iteration
        rows_broken = r.equalities > max(allowed_rows, o.tol * (1 + r.primal_size) ** 0.5)
        dual_broken = not r.dual <= max(allowed_dual, o.tol * (1 + r.dual_size) ** 0.5)
        stuck = iteration - progress >= STALL or iteration == o.max_iter
        if rows_broken or dual_broken or stuck:
            return left_off(o, whole(e, o, f, at, r), iteration)
        steps.weigh(e, f, at)
        if not newton.factor(e, o, f):
            return left_off(o, whole(e, o, f, at, r), iteration)
        steps.direction(e, o, f, at, mu, linear)
        alpha, beta = steps.move(e, f, at, linear)
        clear = min(alpha, beta) > POOR
        allowed_rows = (1 - alpha / 2) * r.equalities if clear else BIG
        allowed_dual = (1 - beta / 2) * r.dual if clear else BIG
    return GIVEN_UP


@exact
def whole(e: Data, o: Options, f: Work, at: Point, r: Norms) -> Norms:
    """`r`, or, where that and x are but recalled, what is evaluated."""
    if not f.flags[RECALLS]:
        return r
    recalled.end(e, f, at)
    return evaluate(e, o, f, at)


@exact
def left_off(o: Options, r: Norms, iteration: int) -> int:
    """What to call an element that is left: polishing does not care how exact the point is."""
    return NEAR - iteration if o.barrier == 0 and are_within(r, CLOSE) else GIVEN_UP


@exact
def is_solved(e: Data, o: Options, at: Point, r: Norms) -> bool:
    """All three norms small or rounding; or, with a barrier, a point of the central path."""
    if not o.barrier:
        primal = r.primal <= o.tol + ROUNDING * r.primal_size
        dual = r.dual <= o.tol + ROUNDING * r.dual_size
        return primal and dual and r.gap <= o.tol + ROUNDING * r.gap_size
    off = max(max(r.rows, r.equalities) / (1 + r.primal_size), r.dual / (1 + r.dual_size))
    for i in range(len(at.s)):
        if e.c[PRESENT, i]:
            off = max(off, abs(at.lam[i] * at.s[i] / o.barrier - 1))
    return off <= o.tol


@exact
def has_halved(f: Work, r: Norms, mu: float) -> bool:
    """Whether any of the residuals, relative residuals and mu is half of the least so far."""
    norms = (r.primal, r.dual, r.gap)
    sizes = (r.primal_size, r.dual_size, r.gap_size)
    found = False
    for i in range(7):
        now = mu if i == 6 else (norms[i] if i < 3 else norms[i - 3] / (1 + sizes[i - 3]))
        if now < f.least[i] / 2:
            f.least[i] = now
            found = True
    return found
