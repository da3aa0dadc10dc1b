"""How far one element's point is from the optimality conditions, as `kktdiff._residuals` has it."""

from typing import NamedTuple

from kktdiff.backends.compiled._data import (
    AN,
    CL,
    FIXED,
    FORCE,
    PRESENT,
    QX,
    R_C,
    R_NU,
    R_X,
    VALUE,
    B,
    D,
    Data,
    Options,
    P,
    Point,
    Work,
    fill,
)
from kktdiff.backends.compiled._jit import exact, fast
from kktdiff.backends.compiled._products import (
    add_rows,
    add_rows_of,
    rows_times,
    times,
    times_rows,
    top,
)


class Norms(NamedTuple):
    """Norms of the residuals, and the sizes of the terms whose differences they are."""

    primal: float
    dual: float
    gap: float
    rows: float  # the equations Cx + s = d alone,
    equalities: float  # and Ax = b
    primal_size: float
    dual_size: float
    gap_size: float


@fast
def evaluate(e: Data, o: Options, f: Work, at: Point) -> Norms:
    """Write r_x, r_c, r_nu and the multipliers of fixed variables; return the norms."""
    r_x, r_c, r_nu = f.x[R_X], f.c[R_C], f.k[R_NU]
    fill(f.x[CL], 0.0)
    fill(f.x[AN], 0.0)
    add_rows(e, o, at.lam, f.x[CL])
    add_rows_of(e, e.few_a, e.A, len(e.G), at.nu, f.x[AN])
    if e.diagonal:
        for j in range(len(r_x)):
            f.x[QX, j] = e.Q[j, j] * at.x[j]
    else:
        times(e.Q, at.x, f.x[QX])
    times_rows(e, e.few_a, e.A, len(e.G), at.x, r_nu)
    rows_times(e, o, at.x, r_c)
    primal_size = max(max(top(e.c[D]), top(e.k[B])), top(r_nu))
    primal, gap, gap_size = 0.0, 0.0, 0.0
    for i in range(len(r_nu)):
        r_nu[i] -= e.k[B, i]
        gap += at.nu[i] * e.k[B, i]
        gap_size += abs(at.nu[i] * e.k[B, i])
    for i in range(len(r_c)):
        if e.c[PRESENT, i]:
            primal_size = max(primal_size, abs(r_c[i]))
            r_c[i] -= e.c[D, i]
            primal = max(primal, r_c[i])
            r_c[i] += at.s[i]
            gap += at.lam[i] * e.c[D, i]
            gap_size += abs(at.lam[i] * e.c[D, i])
        else:
            r_c[i] = 0.0
    for j in range(len(r_x)):
        r_x[j] = f.x[QX, j] + e.x[P, j] + f.x[CL, j] + f.x[AN, j]
        f.x[FORCE, j] = 0.0
        if e.x[FIXED, j]:
            f.x[FORCE, j] = -r_x[j]
            gap -= r_x[j] * e.x[VALUE, j]
            gap_size += abs(r_x[j] * e.x[VALUE, j])
            primal = max(primal, abs(at.x[j] - e.x[VALUE, j]))
            r_x[j] = 0.0
        gap += at.x[j] * (f.x[QX, j] + e.x[P, j])
        gap_size += abs(at.x[j] * f.x[QX, j]) + abs(at.x[j] * e.x[P, j])
    equalities = top(r_nu)
    dual_size = max(max(top(f.x[QX]), top(e.x[P])), max(top(f.x[CL]), top(f.x[AN])))
    norms = max(primal, equalities), top(r_x), abs(gap)
    return Norms(*norms, top(r_c), equalities, primal_size, dual_size, gap_size)


@exact
def are_within(r: Norms, most: float) -> bool:
    """Whether none of the three relative residuals is more, or NaN."""
    primal, dual = r.primal <= most * (1 + r.primal_size), r.dual <= most * (1 + r.dual_size)
    return primal and dual and r.gap <= most * (1 + r.gap_size)
