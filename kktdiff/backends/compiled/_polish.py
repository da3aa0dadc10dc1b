"""From an interior point to the solution, as `kktdiff._polish` has it, for the easy elements.

The variables that bounds hold are put there, the others and the multipliers are solved for. What
leaves more than rounding is given up: the array code takes it from the start.
"""

from kktdiff._settings import (
    BIG,
    CLEAN,
    CORRECTIONS,
    FINE,
    MANY_WRONG,
    MUCH,
    ROUNDING,
    STEPS,
)
from kktdiff.backends.compiled._active import choose, correct, put_on, release
from kktdiff.backends.compiled._data import (
    DLAM,
    DNU,
    DS,
    DX,
    QX,
    Data,
    Options,
    P,
    Point,
    Work,
    copy,
)
from kktdiff.backends.compiled._jit import exact, inlined
from kktdiff.backends.compiled._kept import Kept, factor, step
from kktdiff.backends.compiled._residuals import Norms, are_within, evaluate


@exact
def polish(e: Data, o: Options, f: Work, at: Point, k: Kept) -> bool:
    """Write the solution near `at` and what is kept of it to `k`; whether that succeeded.

    `f` holds the residuals of `at`, since the loop ends with them.
    """
    if not choose(e, o, f, at):
        return False
    most = 4 + len(at.s) // MANY_WRONG
    for _ in range(1 + CORRECTIONS):
        if not factor(e, o, f, k):
            return False
        _solve(e, o, f, at, k)
        release(e, f, k.point)
        r = evaluate(e, o, f, k.point)
        if are_within(r, CLEAN):
            _tell(e, f, k, r)
            worst = max(max(r.primal, r.dual), r.gap)
            return max(worst, ROUNDING / 8 * r.dual_size) <= MUCH
        wrong = correct(e, o, f)
        if not 0 < wrong < most:
            return False
        most = wrong
    return False


@inlined
def _solve(e: Data, o: Options, f: Work, at: Point, k: Kept) -> None:
    """Newton's method on the equations for the active set, which are linear: steps refine."""
    point, trial = k.point, Point(f.x[DX], f.c[DS], f.c[DLAM], f.k[DNU])
    copy_point(at, point)
    put_on(e, o, f, point)
    left = _left(evaluate(e, o, f, point))
    for _ in range(STEPS):
        if not left < BIG:
            return
        step(e, f, k, trial)
        put_on(e, o, f, trial)
        r = evaluate(e, o, f, trial)
        now = _left(r)
        if not now < left:
            return
        copy_point(trial, point)
        much, left = now < left / 2, now
        rest = max(max(r.equalities, r.dual), r.gap)
        if not ((much and (left > CLEAN / 4 or rest > FINE)) or rest > MUCH):
            return


@exact
def copy_point(source: Point, out: Point) -> None:
    """All of one."""
    copy(source.x, out.x)
    copy(source.s, out.s)
    copy(source.lam, out.lam)
    copy(source.nu, out.nu)


@exact
def _left(r: Norms) -> float:
    """What is left of the equations; the slacks of the other rows meet theirs."""
    primal = max(r.rows, r.equalities) / (1 + r.primal_size)
    return primal + r.dual / (1 + r.dual_size) + r.gap / (1 + r.gap_size)


@inlined
def _tell(e: Data, f: Work, k: Kept, r: Norms) -> None:
    """The numbers that users are told."""
    k.numbers[0] = 0.0
    for j in range(len(k.point.x)):
        k.numbers[0] += (f.x[QX, j] / 2 + e.x[P, j]) * k.point.x[j]
    k.numbers[1], k.numbers[2], k.numbers[3] = r.primal, r.dual, r.gap
