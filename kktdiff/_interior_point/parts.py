"""Some elements of a batch: under way, and solved with what their derivatives need."""

from typing import NamedTuple

from kktdiff import _kkt as kkt
from kktdiff._arrays import is_sparse, namespace, taken
from kktdiff._interior_point.active_set import PROXIMAL, held_variables, with_fixed
from kktdiff._interior_point.newton import border_groups, weights_at
from kktdiff._interior_point.program import Program, point_in_given
from kktdiff._interior_point.residuals import evaluate
from kktdiff._kkt import AnyFactors, Weights
from kktdiff._kkt.sparse import factor_sparse
from kktdiff._records import QP, Point, Rhs, Scaling
from kktdiff._settings import SHARP
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra

_DECIDED = 1e-6  # distance of each activity from 0 or 1 at which a point shows an active set


class Part(NamedTuple):
    """Some elements with their current points and status."""

    index: Array  # (B,): each element's place in the caller's flat batch
    program: Program
    point: Point  # scaled
    active: Array  # (B, M) bool: the rows that the point shows as active
    status: Array  # (B,)
    iterations: Array  # (B,)
    hopeless: Array  # (B,) bool: infeasible, by no more than rounding may be

    def take(self, index: Array) -> "Part":
        """Return the elements `index`, increasing places in the batch."""
        if index.shape[0] == self.size:
            return self
        place, *rest = taken((self.index, *self[2:]), index)
        return Part(place, self.program.take(index), *rest)

    def where(self, mask: Array) -> "Part":
        """Return the elements where `mask`, (B,), is True."""
        return self.take(namespace(mask).nonzero(mask)[0])

    def with_status(self, status: Status) -> "Part":
        """Return the elements with their status replaced."""
        return self._replace(status=0 * self.status + int(status))

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(self.index.shape[0])


class Kept(NamedTuple):
    """Points and KKT factors of some elements, kept for their sensitivities."""

    index: Array  # (B,): each element's place in the caller's flat batch
    program: Program
    point: Point  # in the caller's units
    factors: AnyFactors  # of the scaled problem
    backend: LinearAlgebra

    @property
    def qp(self) -> QP:
        """The elements' QPs as given."""
        return self.program.given

    @property
    def w(self) -> Array:  # (B, M)
        """Weights of the rows: lam/s, infinite for an active row, 0 for an idle one."""
        return self.factors.weights.w

    @property
    def theta(self) -> Array:  # (B or 1,)
        """The natural size of the weights."""
        return self.factors.weights.theta

    @property
    def scaling(self) -> Scaling:
        """Weights of variables and rows."""
        return self.program.scaling

    @property
    def is_large(self) -> bool:
        """True if matrices are sparse, and too large for dense linear algebra."""
        return self.qp.is_large

    def on_dense(self) -> "Kept":
        """Return the elements with dense copies of sparse matrices."""
        own = self.program
        dense = own._replace(given=own.given.on_dense(), qp=own.qp.on_dense())
        return self._replace(program=dense)

    def take(self, index: Array) -> "Kept":
        """Return the elements `index` of the batch."""
        place, point = taken((self.index, self.point), index)
        program, factors = self.program.take(index), self.factors.take(index)
        return Kept(place, program, point, factors, self.backend)

    def refine(self, rhs: Rhs, target: float, *, sharp: bool = False) -> tuple[Rhs, Array, Array]:
        """Solve in the caller's units; return the relative residual and what is singular, (B,).

        If `sharp`, sparse systems have proximal terms near rounding.
        """
        factors = self.factors
        if sharp and is_sparse(self.qp.Q):
            small = SHARP + 0 * self.theta
            weights = factors.weights._replace(rho=small, delta=small)
            factors = factor_sparse(self.program.qp, weights, SHARP)
        return refine(self.program, factors, rhs, target, self.backend)


def kept_at(part: Part, factors: AnyFactors, backend: LinearAlgebra) -> Kept:
    """Keep the factors at the elements' points."""
    point = point_in_given(part.program, part.point)
    return Kept(part.index, part.program, point, factors, backend)


def keep_accepted(part: Part, backend: LinearAlgebra) -> list[Kept]:
    """Factor at unpolished points; for the active set, where the point shows one clearly."""
    qp, theta = part.program.qp, part.program.units.weight
    xp = namespace(theta)
    w = weights_at(qp, part.point, theta, theta).w
    share = w / (w + theta[:, None])
    clear = xp.all(xp.abs(share - xp.round(share)) <= _DECIDED, axis=1)[:, None]
    w = xp.where(clear, xp.where(share > 0.5, xp.inf, xp.zeros_like(w)), w)
    return _keep(part, w, backend)


def keep_interior(part: Part, backend: LinearAlgebra) -> list[Kept]:
    """Factor at interior points, with all rows weighted by lam/s."""
    theta = part.program.units.weight
    return _keep(part, weights_at(part.program.qp, part.point, theta, theta).w, backend)


def _keep(part: Part, w: Array, backend: LinearAlgebra) -> list[Kept]:
    qp, theta = part.program.qp, part.program.units.weight
    w = with_fixed(qp, w, evaluate(qp, part.point).y)
    small = PROXIMAL + 0 * theta
    weights = Weights(w, held_variables(qp, w), theta, small, small)
    kept = []
    for index, border in border_groups(qp, weights):
        own = Weights(*taken(weights, index))
        some = part.take(index)
        factors = kkt.factor(some.program.qp, own, backend, border=border)
        kept.append(kept_at(some, factors, backend))
    return kept


def refine(
    program: Program, factors: AnyFactors, rhs: Rhs, target: float, backend: LinearAlgebra
) -> tuple[Rhs, Array, Array]:
    """Solve in the caller's units; return the relative residual and what is singular, (B,)."""
    scaling = program.scaling
    out, error = kkt.refine(program.qp, factors, scaled_rhs(scaling, rhs), backend, target)
    return _unscaled(scaling, out), error, factors.singular


def scaled_rhs(s: Scaling, rhs: Rhs) -> Rhs:
    """Scale a right-hand side of the KKT system."""
    return Rhs(
        (s.cost[:, None] * s.cols)[..., None] * rhs.x,
        s.rows[..., None] * rhs.c,
        s.eqs[..., None] * rhs.nu,
    )


def _unscaled(s: Scaling, out: Rhs) -> Rhs:
    """Bring a solution of the scaled KKT system back to the caller's units."""
    cost = s.cost[:, None, None]
    return Rhs(
        s.cols[..., None] * out.x,
        s.rows[..., None] * out.c / cost,
        s.eqs[..., None] * out.nu / cost,
    )
