"""Some elements of a batch on their way to a solution, and what is kept of them when done."""

from typing import NamedTuple

from kktdiff import _kkt as kkt
from kktdiff._arrays import namespace, pick, take
from kktdiff._problem import QP
from kktdiff._residuals import Point, evaluate
from kktdiff._scaling import Scaling, activity, decided
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff.backends import Backend


class Kept(NamedTuple):
    """What the sensitivities of some elements are solved with."""

    index: Array  # (B,): each element's place in the caller's flat batch
    qp: QP
    point: Point
    factors: kkt.Factors


class Part(NamedTuple):
    """Some elements and how far they have come."""

    index: Array  # (B,)
    qp: QP
    scaling: Scaling
    point: Point
    status: Array  # (B,)
    iterations: Array  # (B,)

    def take(self, index: Array) -> "Part":
        """The elements `index`."""
        records = self.qp.take(index), self.scaling.take(index), self.point.take(index)
        vectors = [take(v, index) for v in (self.status, self.iterations)]
        return Part(take(self.index, index), *records, *vectors)

    def split(self, mask: Array) -> tuple["Part", "Part"]:
        """The elements where `mask` holds, and the others."""
        xp = namespace(mask)
        if bool(xp.all(mask)):
            return self, self.take(self.index[:0])
        return self.take(xp.nonzero(mask)[0]), self.take(xp.nonzero(~mask)[0])

    def marked(self, status: Status) -> "Part":
        """The same elements with another status."""
        return self._replace(status=0 * self.status + int(status))

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(self.index.shape[0])


def room(qp: QP, backend: Backend) -> int:
    """How many elements the array code may take at once, for the memory that it needs."""
    n, m, k = qp.sizes
    doubles = (n + m + k) ** 2 * 3 + (m + k) * n * 2 + n * n
    return max(1, backend.workspace // (8 * doubles))


def keep_solved(part: Part, shown: Point, backend: Backend) -> Kept:
    """Factors for the active set that `shown` shows, or, if it shows none, for the point itself.

    The multipliers that polishing finds for dependent rows may have tiny wrong signs although those
    of the interior point are right, and so is its active set.
    """
    a = activity_at(part, shown)
    clear = decided(part.qp, part.scaling, shown.s, shown.lam)
    return _keep(part, pick(clear, namespace(a).round(a), activity_at(part, part.point)), backend)


def keep_interior(part: Part, backend: Backend) -> Kept:
    """Factors at an interior point, whose activities lie between 0 and 1."""
    a = activity(part.qp, part.scaling, part.point.s, part.point.lam)
    return _keep(part, a, backend)


def activity_at(part: Part, point: Point) -> Array:
    """Which rows take part at `point`; that soft rows give way does not count."""
    return activity(part.qp._replace(soft=None), part.scaling, point.s, point.lam)


def _keep(part: Part, a: Array, backend: Backend) -> Kept:
    a = kkt.with_fixed(part.qp, a, evaluate(part.qp, part.point).y)
    factors = kkt.factor(part.qp, part.scaling, a, backend)
    return Kept(part.index, part.qp, part.point, factors)
