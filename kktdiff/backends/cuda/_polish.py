"""The host's side of polishing: from the loop's points to solutions and the factors of active sets.

The host waits twice: for the size of the largest active set, and for how many problems are to be
tried again with another one.
"""

from typing import Any, NamedTuple

from kktdiff._settings import CORRECTIONS, GIVEN_UP, NEAR
from kktdiff._typing import Array
from kktdiff.backends.cuda import _libraries as libraries
from kktdiff.backends.cuda._kernels import threads_for
from kktdiff.backends.cuda._loop import Slots
from kktdiff.backends.cuda._table import Polish, packed

TRIED, AGAIN, POLISHED = 0, 1, 2  # states of a problem; else GIVEN_UP
SPARE = 4  # rows that a matrix has room for beyond the largest active set, for corrections


class Solutions(NamedTuple):
    """What came of it."""

    polish: Polish  # solutions, factors, and what else is kept of them
    iterations: Array  # GIVEN_UP where the loop failed, NEAR less their number where polishing did


def polish(slots: Slots) -> Solutions:
    """Solve for the active sets that the loop's points show."""
    xp, q = slots.cuda.xp, slots.batch
    q.slots[...] = xp.arange(q.length, dtype=xp.int32)
    slots, work = slots._replace(used=q.length), _memory(slots)
    slots.launch("choose", packed(work, slots.cuda))
    r = min(q.m, int(xp.max(work.count)) + SPARE)
    work = _with_matrices(slots, work._replace(r=r))
    work = work._replace(K=work.own, pivots=work.own_pivots)
    left = _try(slots, work, packed(work, slots.cuda))
    for _ in range(CORRECTIONS):
        if not left:
            break
        slots = slots.gathered(work.state, AGAIN, left)
        work = _with_matrices(slots, work)
        table = packed(work, slots.cuda)
        slots.launch("choose", table)
        left = _try(slots, work, table)
    done, count = work.state == POLISHED, xp.where(q.state >= 0, q.state, NEAR - q.state)
    short = xp.where(_came_near(slots), NEAR - count, GIVEN_UP)
    points = {name: (getattr(work, name), getattr(q, name)) for name in ("x", "s", "lam", "nu")}
    chosen = {name: xp.where(done[:, None], *both) for name, both in points.items()}
    return Solutions(work._replace(**chosen), xp.where(done, count, short))


def _came_near(slots: Slots) -> Array:  # (B,) bool
    """Which problems the loop solved, or left near the solution."""
    state = slots.batch.state
    return (state >= 0) | (state <= NEAR)


def _try(slots: Slots, work: Polish, table: Array) -> int:
    """Solve for the active sets that were chosen; how many are to be tried again."""
    slots.launch("assemble", table)
    libraries.lu(slots.cuda, work.own, work.own_pivots, work.info)
    more = threads_for(slots.threads, work.own.shape[-1])
    slots._replace(threads=more).launch("refine", table)
    slots.launch("settle", table)
    return slots.cuda.later(work.again)()


def _with_matrices(slots: Slots, work: Polish) -> Polish:
    """Memory for the KKT matrices of the problems in the slots."""
    xp, q = slots.cuda.xp, slots.batch
    N = q.n + q.k + work.r
    return work._replace(
        own=xp.empty((slots.used, N, N), dtype=xp.float64),
        own_pivots=xp.empty((slots.used, N), dtype=xp.int32),
        info=xp.empty(slots.used, dtype=xp.int32),
        rhs=xp.empty((slots.used, 2 * N), dtype=xp.float64),
        again=xp.zeros(1, dtype=xp.int32),
    )


def _memory(slots: Slots) -> Polish:
    """Memory for solutions; none for matrices, whose size is not known yet."""
    xp, q = slots.cuda.xp, slots.batch

    def empty(*shape: int, dtype: Any = xp.float64) -> Array:
        return xp.empty((q.length, *shape), dtype=dtype)

    M, none, whole = q.d.array.shape[1], xp.zeros(0, dtype=xp.float64), xp.zeros(0, dtype=xp.int32)
    state = xp.where(_came_near(slots), TRIED + 0 * q.state, GIVEN_UP)
    return Polish(
        r=0,
        **{name: empty(size) for name, size in {"x": q.n, "s": M, "lam": M, "nu": q.k}.items()},
        numbers=empty(4),
        activity=empty(M),
        **{name: empty(q.m, dtype=xp.int64) for name in ("order", "place")},
        x_weight=empty(q.n),
        g_weight=empty(q.m),
        held=empty(M, dtype=xp.bool),
        count=xp.zeros(q.length, dtype=xp.int64),
        wrong=empty(dtype=xp.int64),
        state=state,
        K=none,
        pivots=whole,
        own=none,
        own_pivots=whole,
        info=whole,
        rhs=none,
        again=whole,
    )
