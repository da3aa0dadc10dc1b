"""The problem as given and as computed with: the one place that knows batching and dtypes.

`Problem` is made from the caller's arrays, each checked once. Its `QP` holds them with the
batch flattened to one dimension, in float64; shared arrays keep a batch dimension of length one.
"""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from kktdiff._arrays import broadcast, concat, mv, namespace
from kktdiff._inputs import Given
from kktdiff._records import QP
from kktdiff._settings import CONTRADICTION, INFINITE, ROUNDING
from kktdiff._typing import Array

Result = TypeVar("Result")

NAMES = ("Q", "p", "G", "h", "A", "b", "lb", "ub")


class Problem(NamedTuple):
    """The caller's arrays, checked, and the flat batch that is computed with."""

    given: Given
    qp: QP
    invalid: Array  # (B,) bool: NaN, or an infinity where none may be
    contradictory: Array  # (B,) bool: lb > ub, or a right-hand side that nothing meets
    crossing: Array  # (B,): least violation of bounds that cross by rounding

    @property
    def length(self) -> int:
        """Number of elements of the flat batch."""
        return math.prod(self.given.batch)


def build(given: Given, soft: dict[str, Array] | None = None) -> Problem:
    """Build the flat batch of `given` and mark the elements that can't be attempted.

    Parameters
    ----------
    soft
        By right-hand side ("h", "b", "lb", "ub"), (B or 1, size): a unit of a row's multiplier
        shifts it so far. Such rows can always be met, crossed bounds too.
    """
    a: dict[str, Any] = {name: given.flat(name) for name in NAMES}
    n = given.sizes["n"]
    p = a["p"]
    xp = namespace(p)

    def zeros(*shape: int) -> Array:
        return xp.zeros((1, *shape), dtype=p.dtype, device=p.device)

    G, h = (zeros(0, n), zeros(0)) if a["G"] is None else (a["G"], a["h"])
    A, b = (zeros(0, n), zeros(0)) if a["A"] is None else (a["A"], a["b"])
    lb, ub = a["lb"], a["ub"]
    sides = [side for side in (None if lb is None else -lb, ub) if side is not None]
    d = concat([h, *sides], axis=1)
    absent = d >= INFINITE
    fixed = value = None
    crossing = zeros(n)
    if lb is not None and ub is not None and soft is None:
        fixed, value, crossing = _fixed(lb, ub)
        never = xp.zeros(h.shape, dtype=xp.bool, device=p.device)
        absent = absent | concat([never, fixed, fixed], axis=1)
        if not bool(xp.any(fixed)):
            fixed = value = None
    bounds = (0 if lb is None else n, 0 if ub is None else n)
    Q = given.backend.symmetric(a["Q"])
    clean = xp.where(absent, xp.zeros_like(d), d)
    qp = QP(Q, p, G, A, b, clean, ~absent, fixed, value, None, None, None, bounds)
    if soft is not None:
        rows = [soft[name] for name in ("h", "lb", "ub") if name in soft]
        qp = qp._replace(soft=concat(rows, axis=1) if rows else None, soft_nu=soft.get("b"))
    return Problem(given, qp, *_faults(qp, d, crossing, given))


def _fixed(lb: Array, ub: Array) -> tuple[Array, Array, Array]:  # each (B, n)
    """Find the fixed variables, their values, and the excess of lb over ub (0 if there is none).

    Bounds meet where they are equal up to rounding, or where they cross by no more than the
    tolerated contradiction of constraints.
    """
    xp = namespace(lb)
    finite = (xp.abs(lb) < INFINITE) & (xp.abs(ub) < INFINITE)
    low, high = (xp.where(finite, v, 0.0) for v in (lb, ub))
    size = xp.maximum(xp.abs(low), xp.abs(high))
    crossing = xp.where(finite, low - high, 0.0)
    fixed = finite & (crossing >= -ROUNDING * size) & (crossing <= CONTRADICTION * (1 + size))
    value = xp.where(fixed, low / 2 + high / 2, 0.0)
    wrong_way = xp.where(~finite & (lb > ub), xp.inf, crossing)
    return fixed, xp.where(low == high, low, value), xp.where(wrong_way > 0, wrong_way, 0.0)


def _faults(qp: QP, d: Array, crossing: Array, given: Given) -> tuple[Array, Array, Array]:
    """Return which elements are invalid, which contradict themselves, and the crossing left."""
    xp = namespace(qp.p)
    shape = (math.prod(given.batch),)

    def over(bad: Array) -> Array:  # any over all but the first axis, for every element
        return broadcast(xp.any(bad, axis=tuple(range(1, bad.ndim))), shape)

    invalid = over(xp.isnan(d))
    for array in (qp.Q, qp.p, qp.G, qp.A):
        invalid = invalid | over(~xp.isfinite(array))
    invalid = invalid | over(~(xp.abs(qp.b) < INFINITE))
    contradictory = over(d <= -INFINITE)
    beyond = crossing > 0
    if qp.fixed is not None:
        beyond = beyond & ~qp.fixed
    contradictory = contradictory | over(beyond)
    half = xp.max(xp.where(beyond, 0.0, crossing), axis=1) / 2
    return invalid, contradictory & ~invalid, broadcast(half, shape)


def objective(qp: QP, x: Array) -> Array:  # (B, n) -> (B,)
    """Return the objective ``1/2 x'Qx + p'x``."""
    xp = namespace(x)
    return xp.sum((mv(qp.Q, x) / 2 + qp.p) * x, axis=-1)


def at_work(method: Callable[..., Result]) -> Callable[..., Result]:
    """Run a method of an engine within the context of its backend."""

    @wraps(method)
    def inside(engine: Any, *arguments: Any, **options: Any) -> Result:
        problem = engine.problem
        with problem.given.backend.at(problem.qp.p):
            return method(engine, *arguments, **options)

    return inside
