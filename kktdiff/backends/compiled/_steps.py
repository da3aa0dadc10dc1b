"""The steps of one element: the first point, Mehrotra's direction, how far it is followed."""

from typing import Any

from kktdiff._settings import BIG, KEEP_OFF, KEEP_WELL_OFF, PLAIN, POOR, SHORT
from kktdiff.backends.compiled import _newton as newton
from kktdiff.backends.compiled import _recalled as recalled
from kktdiff.backends.compiled._data import (
    AIM,
    DLAM,
    DNU,
    DS,
    DX,
    GIVE,
    PER_LAM,
    PER_S,
    PRESENT,
    R_C,
    RECALLS,
    ROW_WEIGHT,
    TARGET,
    VALUE,
    Data,
    Options,
    Point,
    W,
    Work,
    copy,
    fill,
)
from kktdiff.backends.compiled._jit import exact, fast, inlined
from kktdiff.backends.compiled._residuals import evaluate


@inlined
def start(e: Data, o: Options, f: Work, at: Point) -> bool:
    """As `kktdiff._ipm.start`: the minimiser of the data's sum of squares, made positive."""
    copy(e.x[VALUE], at.x)
    for v in (at.s, at.lam, at.nu):
        fill(v, 0.0)
    evaluate(e, o, f, at)
    for i in range(len(f.c[W])):
        f.c[W, i] = e.c[ROW_WEIGHT, i] ** 2 / e.cost if e.c[PRESENT, i] else 0.0
        f.c[TARGET, i] = -f.c[R_C, i]
    if not newton.factor(e, o, f):
        return False
    newton.solve(e, o, f)
    newton.finish(e, f)
    for j in range(len(f.x[DX])):
        at.x[j] += f.x[DX, j]
    copy(f.k[DNU], at.nu)
    for i in range(len(f.c[W])):
        at.s[i] = -f.c[DLAM, i] * e.cost / e.c[ROW_WEIGHT, i]
        at.lam[i] = f.c[DLAM, i] * e.cost / e.c[ROW_WEIGHT, i]
    _make_positive(e.c[PRESENT], at.s)
    _make_positive(e.c[PRESENT], at.lam)
    for i in range(len(f.c[W])):
        at.s[i] = at.s[i] / e.c[ROW_WEIGHT, i] if e.c[PRESENT, i] else 1.0
        at.lam[i] = at.lam[i] * e.c[ROW_WEIGHT, i] / e.cost if e.c[PRESENT, i] else 0.0
    return True


@exact
def _make_positive(present: Any, v: Any) -> None:
    low, size = BIG, 0.0
    for i in range(len(v)):
        if present[i]:
            low, size = min(low, v[i]), max(size, abs(v[i]))
    if low <= 1e-8 * max(size, 1.0):
        for i in range(len(v)):
            v[i] += 1 - low


@fast
def mean_product(e: Data, s: Any, lam: Any) -> float:
    """The mean of ``s_i lam_i`` over the rows that are present."""
    total, count = 0.0, 0.0
    for i in range(len(s)):
        total += s[i] * lam[i]
        count += e.c[PRESENT, i]
    return total / max(1.0, count)


@inlined
def direction(e: Data, o: Options, f: Work, at: Point, mu: float, linear: bool) -> None:
    """Mehrotra's predictor and corrector; where that goes astray, a plain step to the centre."""
    fill(f.c[AIM], o.barrier)
    _newton_to(e, o, f, at)
    alpha, beta = lengths(f, linear)
    total, count = 0.0, 0.0
    for i in range(len(f.c[W])):
        total += (at.s[i] + alpha * f.c[DS, i]) * (at.lam[i] + beta * f.c[DLAM, i])
        count += e.c[PRESENT, i]
    share = (total / max(1.0, count) / (mu if mu > 0 else 1.0)) ** 3
    centre = max(share * mu, o.barrier)
    for i in range(len(f.c[W])):
        f.c[AIM, i] = centre - f.c[DS, i] * f.c[DLAM, i]
    _newton_to(e, o, f, at)
    if min(lengths(f, linear)) < POOR:
        fill(f.c[AIM], max(PLAIN * mu, o.barrier))
        _newton_to(e, o, f, at)
    newton.finish(e, f)


@fast
def weigh(e: Data, f: Work, at: Point) -> None:
    """What this iteration's steps divide by: an absent row counts for nothing."""
    for i in range(len(at.s)):
        present = e.c[PRESENT, i] > 0
        f.c[PER_S, i] = 1 / at.s[i] if present else 0.0
        f.c[PER_LAM, i] = 1 / at.lam[i] if present else 0.0
        f.c[W, i] = at.lam[i] * f.c[PER_S, i]
        f.c[GIVE, i] = at.s[i] * f.c[PER_LAM, i]


@fast
def _newton_to(e: Data, o: Options, f: Work, at: Point) -> None:
    """Newton's step towards ``lam_i s_i = aim_i``."""
    for i in range(len(f.c[W])):
        aim = f.c[AIM, i] * f.c[PER_LAM, i]
        f.c[TARGET, i] = e.c[PRESENT, i] * (at.s[i] - f.c[R_C, i] - aim)
        f.c[DS, i] = e.c[PRESENT, i] * (aim - at.s[i])
    newton.solve(e, o, f)
    for i in range(len(f.c[W])):
        f.c[DS, i] -= f.c[GIVE, i] * f.c[DLAM, i]


@exact
def lengths(f: Work, linear: bool) -> tuple[float, float]:
    """Largest steps that keep s, and lam, from below zero; one for both unless Q is zero."""
    alpha = 1 / max(_fall(f.c[DS], f.c[PER_S]), KEEP_OFF)
    beta = 1 / max(_fall(f.c[DLAM], f.c[PER_LAM]), KEEP_OFF)
    return (alpha, beta) if linear else (min(alpha, beta), min(alpha, beta))


@exact
def _fall(dv: Any, per: Any) -> float:
    """Largest entry of ``-dv/v``: four maxima at once, since each waits for the one before."""
    a = b = c = d = 0.0
    whole = len(dv) - len(dv) % 4
    for i in range(0, whole, 4):
        a, b = max(a, -dv[i] * per[i]), max(b, -dv[i + 1] * per[i + 1])
        c, d = max(c, -dv[i + 2] * per[i + 2]), max(d, -dv[i + 3] * per[i + 3])
    for i in range(whole, len(dv)):
        a = max(a, -dv[i] * per[i])
    return max(max(a, b), max(c, d))


@inlined
def move(e: Data, f: Work, at: Point, linear: bool) -> tuple[float, float]:
    """Follow the direction, but for a little, as far as s and lam stay positive."""
    alpha, beta = lengths(f, linear)
    alpha = min((KEEP_WELL_OFF if alpha < SHORT else KEEP_OFF) * alpha, 1.0)
    beta = min((KEEP_WELL_OFF if beta < SHORT else KEEP_OFF) * beta, 1.0)
    for j in range(0 if f.flags[RECALLS] else len(f.x[DX])):
        at.x[j] += alpha * f.x[DX, j]
    for i in range(len(f.c[W])):
        at.s[i] += alpha * f.c[DS, i]
        at.lam[i] += beta * f.c[DLAM, i]
    for i in range(len(f.k[DNU])):
        at.nu[i] += beta * f.k[DNU, i]
    if f.flags[RECALLS]:
        recalled.shrink(e, f, alpha)
    return alpha, beta
