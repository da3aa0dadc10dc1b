"""The KKT system of `kktdiff._kkt` solved and refined, one right-hand side at a time."""

from typing import Any, NamedTuple

from kktdiff._settings import REFINED, REFINEMENTS
from kktdiff.backends.compiled import _kkt as kkt
from kktdiff.backends.compiled._data import copy, fill, of
from kktdiff.backends.compiled._jit import exact, fast, inlined
from kktdiff.backends.compiled._kkt import Factors
from kktdiff.backends.compiled._lapack import Lapack
from kktdiff.backends.compiled._products import add_transposed, dot, times, top

RIGHT, LEFT, OUT, STEP, MOVE, FORCES = range(6)  # rows of the vectors in `Vectors`


class System(NamedTuple):
    """Of a batch, or of one element; leading dimensions are B or 1."""

    Q: Any  # (B, n, n)
    G: Any  # (B, m, n)
    A: Any  # (B, k, n)
    order: Any  # (B, r) int64; and so on: as in `kktdiff._kkt.Factors`
    place: Any  # (B, m) int64
    activity: Any  # (B, M)
    slack: Any  # (B, M)
    x: Any  # (B, n)
    g: Any  # (B, m)
    stiff: Any  # (B, M)
    held: Any  # (B, M) bool
    scale: Any  # (B, n), scaling: of the variables,
    rows: Any  # (B, M): of the inequalities,
    nu: Any  # (B, k): of the equalities,
    cost: Any  # (B,): and of the objective


class Columns(NamedTuple):
    """Right-hand sides or solutions of a batch, or of one element."""

    x: Any  # (B, r, n)
    c: Any  # (B, r, M)
    nu: Any  # (B, r, k)


class Vectors(NamedTuple):
    """Memory for one column: rows are RIGHT, LEFT, OUT, STEP, MOVE, FORCES."""

    x: Any  # (6, n)
    c: Any  # (6, M)
    nu: Any  # (6, k)
    rhs: Any  # (N,): of the matrix that was factored
    room: Any  # (N,)
    la: Lapack


def run(
    systems: System, lower: int, factors: Factors, places: Any, v: Vectors,
    columns: Columns, error: Any, first: int, end: int,
) -> None:  # fmt: skip
    """Solve in place; error: (B,), what is left of the worst column, relative to it."""
    for i in range(first, end):
        s, f = system_of(systems, i), kkt.element_of(factors, of(places, i))
        error[i] = 0.0
        for r in range(columns.x.shape[1]):
            x, c, nu = columns.x[i, r], columns.c[i, r], columns.nu[i, r]
            put(x, c, nu, v, RIGHT)
            now = solve_one(s, lower, f, v)
            copy(v.x[OUT], x)
            copy(v.c[OUT], c)
            copy(v.nu[OUT], nu)
            if not now <= error[i]:  # NaN stays
                error[i] = now


@inlined
def system_of(s: System, i: int) -> System:
    """One element's."""
    return System(
        of(s.Q, i), of(s.G, i), of(s.A, i), of(s.order, i), of(s.place, i), of(s.activity, i),
        of(s.slack, i), of(s.x, i), of(s.g, i), of(s.stiff, i), of(s.held, i), of(s.scale, i),
        of(s.rows, i), of(s.nu, i), of(s.cost, i),
    )  # fmt: skip


@exact
def put(x: Any, c: Any, nu: Any, v: Vectors, row: int) -> None:
    """Write one column to a row of the vectors."""
    copy(x, v.x[row])
    copy(c, v.c[row])
    copy(nu, v.nu[row])


@inlined
def solve_one(s: System, lower: int, f: Factors, v: Vectors) -> float:
    """RIGHT to OUT, refined while that halves what is left; the relative residual."""
    fill(v.x[OUT], 0.0)
    fill(v.c[OUT], 0.0)
    fill(v.nu[OUT], 0.0)
    put(v.x[RIGHT], v.c[RIGHT], v.nu[RIGHT], v, LEFT)
    size = size_of(s, v, RIGHT)
    error, going = size, True
    for attempt in range(1 + REFINEMENTS):
        if not going:
            break
        solve_once(s, lower, f, v)
        for j in range(v.x.shape[1]):
            v.x[STEP, j] += v.x[OUT, j]
        for i in range(v.c.shape[1]):
            v.c[STEP, i] += v.c[OUT, i]
        for i in range(v.nu.shape[1]):
            v.nu[STEP, i] += v.nu[OUT, i]
        residual(s, lower, v)
        now = size_of(s, v, LEFT)
        better = attempt == 0 or now < error
        going = better and now > REFINED * size and (attempt == 0 or now < error / 2)
        if better:
            put(v.x[STEP], v.c[STEP], v.nu[STEP], v, OUT)
            error = now
    return error / size if size > 0 else error


@exact
def size_of(s: System, v: Vectors, row: int) -> float:
    """Infinity norm in the metric in which the matrix was assembled."""
    size = 0.0
    for j in range(v.x.shape[1]):
        size = largest(size, abs(s.cost * s.scale[j] * v.x[row, j]))
    for i in range(v.c.shape[1]):
        size = largest(size, abs(s.activity[i] ** 0.5 * s.rows[i] * v.c[row, i]))
    for i in range(v.nu.shape[1]):
        size = largest(size, abs(s.nu[i] * v.nu[row, i]))
    return size


@exact
def largest(a: float, b: float) -> float:
    """Of the two, or NaN."""
    return a if b <= a or a != a else b


@exact
def bound(i: int, lower: int) -> tuple[int, float]:
    """The variable of a bound, and its sign in it."""
    return (i, -1.0) if i < lower else (i - lower, 1.0)


@fast
def solve_once(s: System, lower: int, f: Factors, v: Vectors) -> None:
    """LEFT to STEP with the factors as they are; as `kktdiff._kkt.solve_once`."""
    (m, n), first = s.G.shape, s.Q.shape[0] + len(s.A)
    move, right, rhs = v.x[MOVE], v.x[FORCES], v.rhs
    fill(move, 0.0)
    fill(right, 0.0)
    for i in range(m, v.c.shape[1]):
        j, sign = bound(i - m, lower)
        if s.held[i]:
            move[j] += sign * v.c[LEFT, i]
    moved = top(move) > 0
    if moved:
        times(s.Q, move, right)
    for i in range(m, v.c.shape[1]):
        j, sign = bound(i - m, lower)
        right[j] -= sign * s.stiff[i] * (v.c[LEFT, i] - sign * move[j])
    for j in range(n):
        rhs[j] = s.cost * s.x[j] * (v.x[LEFT, j] - right[j])
    for i in range(len(s.A)):
        rhs[n + i] = s.nu[i] * (v.nu[LEFT, i] - (dot(s.A[i], move) if moved else 0.0))
    for t in range(len(s.order)):
        i = s.order[t]
        rhs[first + t] = 0.0
        if s.g[i] != 0.0:
            rhs[first + t] = s.g[i] * (v.c[LEFT, i] - (dot(s.G[i], move) if moved else 0.0))
    kkt.solve_one(f, v.rhs, v.room, v.la)
    for j in range(n):
        v.x[STEP, j] = s.x[j] * rhs[j] + move[j]
    for i in range(len(s.A)):
        v.nu[STEP, i] = s.nu[i] * rhs[n + i] / s.cost
    for i in range(m):
        v.c[STEP, i] = s.g[i] * rhs[first + s.place[i]] / s.cost
    if v.c.shape[1] > m:
        bounds(s, lower, v)


@fast
def bounds(s: System, lower: int, v: Vectors) -> None:
    """Multipliers of the bounds: by their own row, or, where held, by stationarity."""
    m, left = len(s.G), v.x[FORCES]
    times(s.Q, v.x[STEP], left)
    add_transposed(s.G, v.c[STEP], left)
    add_transposed(s.A, v.nu[STEP], left)
    for i in range(m, v.c.shape[1]):
        j, sign = bound(i - m, lower)
        v.c[STEP, i] = s.stiff[i] * (sign * v.x[STEP, j] - v.c[LEFT, i])
        left[j] += sign * v.c[STEP, i]
    for i in range(m, v.c.shape[1]):
        j, sign = bound(i - m, lower)
        if s.held[i]:
            v.c[STEP, i] = sign * (v.x[LEFT, j] - left[j])


@fast
def residual(s: System, lower: int, v: Vectors) -> None:
    """What STEP leaves of RIGHT, to LEFT, in the system without regularisation."""
    m, x, c, nu = len(s.G), v.x[STEP], v.c[STEP], v.nu[STEP]
    left = v.x[LEFT]
    times(s.Q, x, left)
    add_transposed(s.G, c, left)
    add_transposed(s.A, nu, left)
    for i in range(m, v.c.shape[1]):
        j, sign = bound(i - m, lower)
        left[j] += sign * c[i]
        v.c[LEFT, i] = sign * x[j]
    for j in range(len(x)):
        left[j] = v.x[RIGHT, j] - left[j]
    times(s.G, x, v.c[LEFT])
    for i in range(len(c)):
        now = v.c[RIGHT, i] - v.c[LEFT, i] + s.slack[i] * c[i]
        v.c[LEFT, i] = now if s.activity[i] > 0 else 0.0
    times(s.A, x, v.nu[LEFT])
    for i in range(len(nu)):
        v.nu[LEFT, i] = v.nu[RIGHT, i] - v.nu[LEFT, i]
