"""The problem as given and as computed with: the one place that knows batching and dtypes.

`Problem` is made from the caller's arrays, each checked once. Its `QP` holds them with the
batch flattened to one dimension, in float64, what is shared kept shared (length one).
"""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from kktdiff._arrays import broadcast, common, concat, mv, namespace, take_shared
from kktdiff._inputs import Given
from kktdiff._settings import INFINITE
from kktdiff._typing import Array

Result = TypeVar("Result")

NAMES = ("Q", "p", "G", "h", "A", "b", "lb", "ub")


class QP(NamedTuple):
    """A flat batch of QPs; each array's leading dimension is the batch's length or one.

    The inequalities are one block ``C x <= d``: the m rows of G, then, where bounds were
    given, the rows of ``-I`` (lb) and of ``I`` (ub), which are never formed.
    """

    Q: Array  # (B, n, n), symmetric
    p: Array  # (B, n)
    G: Array  # (B, m, n)
    A: Array  # (B, k, n)
    b: Array  # (B, k)
    d: Array  # (B, M): h, -lb, ub; 0 where absent
    present: Array  # (B, M) bool: the row has a finite right-hand side and is no fixed bound
    fixed: Array | None  # (B, n) bool: lb == ub; None if there are no bounds
    value: Array | None  # (B, n): the value of each fixed variable, 0 elsewhere
    soft: Array | None  # (B, M): how far a unit of multiplier shifts each row; None: not at all
    soft_nu: Array | None  # (B, k): the same for A
    bounds: tuple[int, int]  # rows of the lower and of the upper bounds: 0 or n each

    @property
    def sizes(self) -> tuple[int, int, int]:
        """n, m, k."""
        return self.p.shape[-1], self.G.shape[-2], self.A.shape[-2]

    @property
    def length(self) -> int:
        """Number of elements."""
        return common([v.shape[0] for v in self._arrays()])

    def take(self, index: Array) -> "QP":
        """The elements `index`."""
        parts = [None if v is None else take_shared(v, index) for v in self[:-1]]
        return QP._make([*parts, self.bounds])

    def shift(self, lam: Array) -> Array | float:  # (B, M)
        """What the multipliers add to d."""
        return 0.0 if self.soft is None else self.soft * lam

    def shift_nu(self, nu: Array) -> Array | float:  # (B, k)
        """What the multipliers add to b."""
        return 0.0 if self.soft_nu is None else self.soft_nu * nu

    def _arrays(self) -> list[Array]:
        return [v for v in self[:-1] if v is not None]

    def split(self, rows: Array) -> tuple[Array, Array, Array]:  # (B, M, ...)
        """The parts of an inequality vector that belong to G, lb and ub."""
        m, (lower, _) = self.G.shape[-2], self.bounds
        return rows[:, :m, ...], rows[:, m : m + lower, ...], rows[:, m + lower :, ...]

    def C(self, x: Array) -> Array:  # (B, n, r) -> (B, M, r)
        """``C x`` for several vectors."""
        parts = [self.G @ x] if self.G.shape[-2] else []
        parts += [-x] if self.bounds[0] else []
        parts += [x] if self.bounds[1] else []
        return concat(parts, axis=1) if parts else x[:, :0, :]

    def Ct(self, z: Array) -> Array:  # (B, M, r) -> (B, n, r)
        """``C' z`` for several vectors."""
        z_G, z_lb, z_ub = self.split(z)
        out = self.G.mT @ z_G
        if self.bounds[0]:
            out = out - z_lb
        return out + z_ub if self.bounds[1] else out


class Problem(NamedTuple):
    """The caller's arrays, checked, and the flat batch that is computed with."""

    given: Given
    qp: QP
    invalid: Array  # (B,) bool: NaN, or an infinity where none may be
    contradictory: Array  # (B,) bool: lb > ub, or a right-hand side that nothing meets

    @property
    def length(self) -> int:
        """Number of elements of the flat batch."""
        return math.prod(self.given.batch)


def build(given: Given, soft: dict[str, Array] | None = None) -> Problem:
    """The flat batch of `given`, and which of its elements can't be attempted.

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
    if lb is not None or ub is not None:
        both = lb is not None and ub is not None and soft is None
        fixed = lb == ub if both else xp.zeros((1, n), dtype=xp.bool, device=p.device)
        value = xp.where(fixed, lb, xp.zeros_like(lb)) if both else zeros(n)
        never = xp.zeros(h.shape, dtype=xp.bool, device=p.device)
        absent = absent | concat([never] + [fixed] * len(sides), axis=1)
    bounds = (0 if lb is None else n, 0 if ub is None else n)
    Q = given.backend.symmetric(a["Q"])
    clean = xp.where(absent, xp.zeros_like(d), d)
    qp = QP(Q, p, G, A, b, clean, ~absent, fixed, value, None, None, bounds)
    if soft is not None:
        rows = [soft[name] for name in ("h", "lb", "ub") if name in soft]
        qp = qp._replace(soft=concat(rows, axis=1) if rows else None, soft_nu=soft.get("b"))
    crossed = lb > ub if lb is not None and ub is not None and soft is None else None
    return Problem(given, qp, *_faults(qp, d, crossed, given))


def _faults(qp: QP, d: Array, crossed: Array | None, given: Given) -> tuple[Array, Array]:
    """Which elements hold invalid data, and which contradict themselves."""
    xp = namespace(qp.p)
    shape = (math.prod(given.batch),)

    def over(bad: Array) -> Array:  # any over all but the first axis, for every element
        return broadcast(xp.any(bad, axis=tuple(range(1, bad.ndim))), shape)

    invalid = over(xp.isnan(d))
    for array in (qp.Q, qp.p, qp.G, qp.A):
        invalid = invalid | over(~xp.isfinite(array))
    invalid = invalid | over(~(xp.abs(qp.b) < INFINITE))
    contradictory = over(d <= -INFINITE)
    if crossed is not None:
        contradictory = contradictory | over(crossed)
    return invalid, contradictory & ~invalid


def objective(qp: QP, x: Array) -> Array:  # (B, n) -> (B,)
    """``1/2 x'Qx + p'x``."""
    xp = namespace(x)
    return xp.sum((mv(qp.Q, x) / 2 + qp.p) * x, axis=-1)


def at_work(method: Callable[..., Result]) -> Callable[..., Result]:
    """A method of an engine, wherever it is called from, in the context of its backend's work."""

    @wraps(method)
    def inside(engine: Any, *arguments: Any, **options: Any) -> Result:
        problem = engine.problem
        with problem.given.backend.at(problem.qp.p):
            return method(engine, *arguments, **options)

    return inside
