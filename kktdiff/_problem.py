"""The problem as given and as computed with: the one place that knows batching and dtypes.

`Problem` is made from the caller's arrays, each checked once. Its `QP` holds them with the
batch flattened to one dimension, in float64; shared arrays keep a batch dimension of length one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, NamedTuple, TypeVar

from kktdiff._arrays import broadcast, concat, is_sparse, mv, namespace
from kktdiff._given import Given
from kktdiff._records import QP, Data
from kktdiff._settings import CONTRADICTION, INFINITE, ROUNDING
from kktdiff._sparse.matrix import entries, symmetric_part
from kktdiff._typing import Array
from kktdiff.backends import Backend, LinearAlgebra

Result = TypeVar("Result")

NAMES = ("Q", "p", "G", "h", "A", "b", "lb", "ub")


class Faults(NamedTuple):
    """What is wrong with the data of each element."""

    invalid: Array  # (B,) bool: NaN, or an infinity where none may be
    contradictory: Array  # (B,) bool: lb > ub, or a right-hand side that nothing meets
    crossing: Array  # (B,): least violation of bounds that cross by rounding


class Limits(NamedTuple):
    """The right-hand sides of the rows of C, and how far the bounds cross."""

    d: Array  # (B, M): h, -lb, ub
    crossing: Array | None  # (B, n): the excess of lb over ub; None: nowhere, and none is fixed


@dataclass(frozen=True, eq=False)
class Problem:
    """The caller's arrays, checked, and the flat batch that is computed with.

    Parameters
    ----------
    compliance
        By right-hand side ("h", "b", "lb", "ub"), (B or 1, size): a unit of a row's multiplier
        shifts it so far. Such rows can always be met, crossed bounds too.
    """

    given: Given
    data: Data  # the flat batch as given
    compliance: dict[str, Array] | None

    @property
    def length(self) -> int:
        """Number of elements of the flat batch."""
        return self.given.length

    @property
    def qp(self) -> QP:
        """The flat batch of the array code."""
        return self._built[0]

    @cached_property
    def faults(self) -> Faults | None:
        """The elements that can't be attempted; None: no element has any fault."""
        with self.given.backend.at(self.data.p):
            return _faults(self.data, *self._built, self.given.backend.host)

    @cached_property
    def _built(self) -> tuple[QP, Limits]:
        with self.given.backend.at(self.data.p):
            return assemble(self.data, self.given.backend, self.compliance)


def build(given: Given, compliance: dict[str, Array] | None = None) -> Problem:
    """Flatten the batch of `given`; what the array code needs beside that waits until asked for."""
    data = Data(*(given.flat(name) for name in NAMES))
    if given.sparse is not None:
        data = data._replace(structure=given.sparse.structure)
    return Problem(given, data, compliance)


def assemble(
    data: Data, backend: Backend, compliance: dict[str, Array] | None = None
) -> tuple[QP, Limits]:
    """Build the QP of the array code; return its limits as they were given, too."""
    data = data.with_matrices()
    Q, p, lb, ub = data.Q, data.p, data.lb, data.ub
    xp = namespace(p)
    G, h = _rows(data, data.G, data.h)
    A, b = _rows(data, data.A, data.b)
    sides = [side for side in (None if lb is None else -lb, ub) if side is not None]
    d = concat([h, *sides], axis=1) if sides else h
    absent = d >= INFINITE
    fixed = value = crossing = None
    if lb is not None and ub is not None and compliance is None and _may_meet(lb, ub):
        fixed, value, crossing = _fixed(lb, ub)
        never = xp.zeros(h.shape, dtype=xp.bool, device=p.device)
        absent = absent | concat([never, fixed, fixed], axis=1)
        if not bool(xp.any(fixed)):
            fixed = value = None
    S = symmetric_part(Q) if data.structure is not None else backend.symmetric(Q)
    limits = xp.where(absent, 0.0, d)
    sides_of = (fixed, value, None, None, None, data.bounds)
    qp = QP(S, p, G, A, b, limits, ~absent, *sides_of)
    if compliance is not None:
        rows = [compliance[name] for name in ("h", "lb", "ub") if name in compliance]
        own = concat(rows, axis=1) if rows else None
        qp = qp._replace(compliance=own, compliance_nu=compliance.get("b"))
    return qp, Limits(d, crossing)


def for_arrays(data: Data, backend: Backend) -> QP:
    """Build the QP as the array code factors it: sparse matrices have both triangles."""
    qp, _ = assemble(data, backend)
    return qp._replace(Q=qp.Q.merged()) if is_sparse(qp.Q) else qp


def _rows(data: Data, matrix: Array | None, limits: Array | None) -> tuple[Array, Array]:
    """Return rows with their right-hand sides, none of them where these were not given."""
    if limits is not None:
        return matrix, limits
    return data.Q[:1, :0, :] if matrix is None else matrix, data.p[:1, :0]


def _may_meet(lb: Array, ub: Array) -> bool:
    """Return False if lb is below ub by more than rounding in all entries."""
    xp = namespace(lb)
    size = xp.minimum(xp.abs(lb), xp.abs(ub))
    return bool(xp.any(ub - lb - 2 * ROUNDING * size <= 0))  # NaN, not met, for no bounds at all


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


def _faults(data: Data, qp: QP, limits: Limits, backend: LinearAlgebra) -> Faults | None:
    """Find the elements that are invalid, those that contradict themselves, and the crossing.

    None: there are none of these.
    """
    xp, (d, crossing), length = namespace(qp.p), limits, data.length
    finite = [v for v in (data.Q, data.p, data.G, data.A, data.b) if v is not None]
    if crossing is None and backend.bounded(finite, d, INFINITE):
        return None

    def over(bad: Array) -> Array:  # any over all but the first axis, for every element
        return broadcast(xp.any(bad, axis=tuple(range(1, bad.ndim))), (length,))

    invalid = over(xp.isnan(d))
    for array in map(entries, (qp.Q, qp.p, qp.G, qp.A)):
        invalid = invalid | over(~xp.isfinite(array))
    invalid = invalid | over(~(xp.abs(qp.b) < INFINITE))
    contradictory = over(d <= -INFINITE)
    if crossing is None:
        return Faults(invalid, contradictory & ~invalid, xp.zeros_like(invalid, dtype=d.dtype))
    beyond = crossing > 0
    if qp.fixed is not None:
        beyond = beyond & ~qp.fixed
    contradictory = contradictory | over(beyond)
    half = xp.max(xp.where(beyond, 0.0, crossing), axis=1) / 2
    return Faults(invalid, contradictory & ~invalid, broadcast(half, (length,)))


def objective(qp: QP, x: Array) -> Array:  # (B, n) -> (B,)
    """Return the objective ``1/2 x'Qx + p'x``."""
    xp = namespace(x)
    return xp.sum((mv(qp.Q, x) / 2 + qp.p) * x, axis=-1)


def at_work(method: Callable[..., Result]) -> Callable[..., Result]:
    """Run a method of an engine within the context of its backend."""

    @wraps(method)
    def inside(engine: Any, *arguments: Any, **options: Any) -> Result:
        problem = engine.problem
        with problem.given.backend.at(problem.data.p):
            return method(engine, *arguments, **options)

    return inside
