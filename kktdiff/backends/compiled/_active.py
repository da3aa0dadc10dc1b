"""The active set of one element: which rows take part, and points that lie on it."""

from kktdiff.backends.compiled._data import (
    ACTIVE,
    FIXED,
    PRESENT,
    R_X,
    ROW_WEIGHT,
    VALUE,
    WANTED,
    D,
    Data,
    Options,
    Point,
    Work,
)
from kktdiff.backends.compiled._jit import exact, inlined
from kktdiff.backends.compiled._products import rows_times
from kktdiff.backends.compiled._residuals import evaluate


@inlined
def choose(e: Data, o: Options, f: Work, at: Point) -> bool:
    """Take the rows with ``lam > s`` in the scaled metric; whether that is a choice."""
    for i in range(len(at.s)):
        s = at.s[i] * e.c[ROW_WEIGHT, i] ** 2 / e.cost
        f.c[ACTIVE, i] = 1.0 if e.c[PRESENT, i] and at.lam[i] > s else 0.0
    return is_choice(e, o, f)


@exact
def is_choice(e: Data, o: Options, f: Work) -> bool:
    """Whether no variable is to be at both of its bounds."""
    m = len(e.G)
    if o.lower and o.upper:
        for j in range(o.lower):
            if f.c[ACTIVE, m + j] and f.c[ACTIVE, m + o.lower + j]:
                return False
    return True


@exact
def put_on(e: Data, o: Options, f: Work, point: Point) -> None:
    """Variables on their active bounds; slack 0 on active rows, multiplier 0 on the others.

    The multipliers of active bounds are what the stationarity leaves for them.
    """
    m, held = len(e.G), False
    for j in range(len(point.x)):
        if e.x[FIXED, j]:
            point.x[j] = e.x[VALUE, j]
        if o.lower and f.c[ACTIVE, m + j]:
            point.x[j], held = -e.c[D, m + j], True
        if o.upper and f.c[ACTIVE, m + o.lower + j]:
            point.x[j], held = e.c[D, m + o.lower + j], True
    rows_times(e, o, point.x, point.s)
    for i in range(len(point.s)):
        active = f.c[ACTIVE, i] > 0
        slack = 0.0 if active else e.c[D, i] - point.s[i]
        point.s[i] = slack if e.c[PRESENT, i] else 1.0
        if not active or i >= m:
            point.lam[i] = 0.0
    if held:
        evaluate(e, o, f, point)
        for j in range(len(point.x)):
            if o.lower and f.c[ACTIVE, m + j]:
                point.lam[m + j] = f.x[R_X, j]
            if o.upper and f.c[ACTIVE, m + o.lower + j]:
                point.lam[m + o.lower + j] = -f.x[R_X, j]


@inlined
def release(e: Data, f: Work, point: Point) -> None:
    """Note the active set that the signs found ask for, and put right what has a wrong one."""
    for i in range(len(point.s)):
        wanted = point.lam[i] > 0 if f.c[ACTIVE, i] else point.s[i] < 0
        f.c[WANTED, i] = 1.0 if wanted and e.c[PRESENT, i] else 0.0
        point.s[i] = max(point.s[i], 0.0)
        point.lam[i] = max(point.lam[i], 0.0)


@inlined
def correct(e: Data, o: Options, f: Work) -> int:
    """Take the active set that `release` noted: how many rows differ, 0 if it is no choice."""
    wrong = 0
    for i in range(f.c.shape[1]):
        wrong += f.c[WANTED, i] != f.c[ACTIVE, i]
        f.c[ACTIVE, i] = f.c[WANTED, i]
    return wrong if is_choice(e, o, f) else 0
