"""What is kept of a solved element: its factors for the active set, as `kktdiff._kkt` has them."""

from typing import Any, NamedTuple

from kktdiff._settings import LU_REGULARISATION
from kktdiff.backends.compiled import _dual as dual
from kktdiff.backends.compiled import _kkt as kkt
from kktdiff.backends.compiled._data import (
    ACTIVE,
    DUAL,
    FIXED,
    FORCE,
    NU_WEIGHT,
    R_C,
    R_NU,
    R_X,
    ROW_WEIGHT,
    WEIGHT,
    Data,
    Options,
    Point,
    Work,
    point_of,
)
from kktdiff.backends.compiled._jit import inlined
from kktdiff.backends.compiled._kkt import Blocks, Factors


class Kept(NamedTuple):
    """Of a batch, or of one element."""

    point: Point
    numbers: Any  # (B, 4): objective, primal residual, dual residual, gap
    activity: Any  # (B, M); and so on: as in `kktdiff._kkt.Factors`
    order: Any  # (B, r) int64
    place: Any  # (B, m) int64
    x: Any  # (B, n)
    g: Any  # (B, m)
    held: Any  # (B, M) bool
    factors: Factors


@inlined
def kept_of(k: Kept, i: int) -> Kept:
    """One element's."""
    return Kept(
        point_of(k.point, i), k.numbers[i], k.activity[i], k.order[i], k.place[i], k.x[i], k.g[i],
        k.held[i], kkt.element_of(k.factors, i),
    )  # fmt: skip


@inlined
def factor(e: Data, o: Options, f: Work, k: Kept) -> bool:
    """Assemble and factor the KKT matrix of the active set; whether that succeeded."""
    _hold(e, o, f, k)
    count = _sort(e, f, k)
    n, r = len(e.Q), len(k.order)
    if count > r:
        return False
    diagonal = k.factors.rest
    for j in range(n):
        diagonal[j] = LU_REGULARISATION + (0.0 if k.x[j] else 1.0)
    for i in range(n, len(diagonal)):
        diagonal[i] = -LU_REGULARISATION - (0.0 if i < n + len(e.A) + count else 1.0)
    blocks = Blocks(e.Q, e.G, e.A, k.x, k.g, e.k[NU_WEIGHT], e.cost, k.order, diagonal)
    kkt.choose(blocks, n + len(e.A) + count, k.factors)
    if f.flags[DUAL]:
        done = dual.keep(e, f, blocks, k.factors)
    else:
        done = kkt.in_blocks(blocks, f.la, k.factors)
    return done or kkt.by_pivoting(blocks, f.la, k.factors)


@inlined
def _hold(e: Data, o: Options, f: Work, k: Kept) -> None:
    """Activities, and weights of the variables; a fixed one is on the side of its force."""
    m = len(e.G)
    for i in range(len(k.activity)):
        k.activity[i] = f.c[ACTIVE, i]
    for j in range(len(k.x)):
        if e.x[FIXED, j]:
            low = f.x[FORCE, j] < 0
            k.activity[m + j] = 1.0 if low else 0.0
            k.activity[m + o.lower + j] = 0.0 if low else 1.0
        held = bool(o.lower) and k.activity[m + j] > 0
        held = held or (bool(o.upper) and k.activity[m + o.lower + j] > 0)
        k.x[j] = 0.0 if held else e.x[WEIGHT, j]
    for i in range(len(k.activity)):
        k.held[i] = i >= m and k.activity[i] > 0


@inlined
def _sort(e: Data, f: Work, k: Kept) -> int:
    """The active rows of G first, as many as there is room for; how many are active."""
    m, count, place = len(e.G), 0, 0
    for i in range(m):
        count += f.c[ACTIVE, i] > 0
        k.g[i] = e.c[ROW_WEIGHT, i] if f.c[ACTIVE, i] else 0.0
    for active in (True, False):
        for i in range(m):
            if (f.c[ACTIVE, i] > 0) == active:
                k.place[i] = 0
                if place < len(k.order):
                    k.place[i] = place
                    k.order[place] = i
                place += 1
    return count


@inlined
def step(e: Data, f: Work, k: Kept, to: Point) -> None:
    """Newton's step from `k.point`, the residuals of which `f` holds, but for held variables."""
    n, rhs, weights = len(e.Q), f.rhs, e.k[NU_WEIGHT]
    for j in range(n):
        rhs[j] = -e.cost * k.x[j] * f.x[R_X, j]
    for i in range(len(weights)):
        rhs[n + i] = -weights[i] * f.k[R_NU, i]
    first = n + len(weights)
    for t in range(len(k.order)):
        rhs[first + t] = -k.g[k.order[t]] * f.c[R_C, k.order[t]]
    kkt.solve_one(k.factors, f.rhs, f.room, f.la)
    for j in range(n):
        to.x[j] = k.point.x[j] + k.x[j] * rhs[j]
    for i in range(len(weights)):
        to.nu[i] = k.point.nu[i] + weights[i] * rhs[n + i] / e.cost
    for i in range(len(k.g)):
        to.lam[i] = k.point.lam[i] + k.g[i] * rhs[first + k.place[i]] / e.cost
