"""A chunk of the batch with its scaled data and units: what every stage of the method works on."""

from typing import NamedTuple

from kktdiff._arrays import (
    concat,
    dot,
    is_sparse,
    mv,
    namespace,
    norm_inf,
    pick,
    placed,
    plus_diagonal,
    take,
    taken,
    top,
)
from kktdiff._interior_point.scaling import (
    Units,
    equilibrate,
    power_of_two,
    scaled,
    to_given,
    units,
)
from kktdiff._kkt import cho_solve, divide_sparse, has_diagonal_form, is_separable
from kktdiff._records import QP, Point, Scaling
from kktdiff._settings import CURVATURE, ROUNDING
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra

_FLAT = 1e8  # ratio of the minimiser of the objective alone to |p|/|Q| that shows flat directions


class Program(NamedTuple):
    """Some elements' QPs as given and scaled."""

    given: QP
    scaling: Scaling
    qp: QP  # scaled
    units: Units
    rows: Array  # (B,): number of inequalities that are present, at least 1
    linear: Array  # (B,) bool: the objective has no curvature, and no row gives way
    separable: bool  # H is diagonal for all elements

    def take(self, index: Array) -> "Program":
        """Return the elements `index` of the batch."""
        qp, units = self.qp.take(index), self.units.take(index)
        scaling, rows, linear = taken((self.scaling, self.rows, self.linear), index, shared=True)
        return Program(self.given.take(index), scaling, qp, units, rows, linear, self.separable)

    def mean_product(self, s: Array, lam: Array) -> Array:  # (B,)
        """Return mu, the mean of ``s_i lam_i`` over the rows that are present."""
        return dot(s, lam) / self.rows


def program(
    given: QP, rounding: float, backend: LinearAlgebra, *, separable: bool
) -> tuple[Program, Array]:
    """Scale `given` and find its units; return the program and the convex elements, (B,) bool.

    Q counts as convex if it has no negative eigenvalue beyond `rounding`, relative to its largest
    entry.
    """
    if rounding > CURVATURE["float64"] and not is_sparse(given.Q):
        given = given._replace(Q=without_noise(given.Q, rounding, backend))
    scaling = equilibrate(given)
    qp = without_idle_rows(scaled(given, scaling))
    if qp.A.shape[-2] and not (separable or is_sparse(qp.A)):
        qp = qp._replace(AA=qp.A.mT @ qp.A)
    xp = namespace(qp.p)
    convex, free = _lowest(given, backend, separable=separable)
    size = units(qp, norm_inf(free / scaling.cols))
    if not qp.d.shape[1]:  # nothing is natural but Q itself: factors stay shared
        one = xp.ones_like(size.x)
        size = Units(one, one, size.bend, size.far)
    rows = xp.sum(xp.astype(qp.present, qp.p.dtype), axis=1)
    rows = xp.where(rows > 0, rows, 1.0)
    linear = (norm_inf(norm_inf(qp.Q)) == 0) & (qp.compliance is None)
    whole = Program(given, scaling, qp, size, rows, linear, separable)
    return whole, xp.broadcast_to(convex, (qp.length,))


def _lowest(qp: QP, backend: LinearAlgebra, *, separable: bool) -> tuple[Array, Array]:
    """Return where Q is convex to rounding, and the minimiser of the objective alone, (B, n).

    It is infinite where p has a part along which there is no curvature.
    """
    xp = namespace(qp.p)
    bend = norm_inf(norm_inf(qp.Q))
    unit = 1 / power_of_two(bend)  # a root of other powers of two would round otherwise
    Q, p = unit[:, None, None] * qp.Q, unit[:, None] * qp.p
    shift = CURVATURE["float64"] * (unit * bend)[:, None]
    shift = xp.where(shift > 0, shift, 1.0)
    if separable:
        diagonal = xp.linalg.diagonal(Q) + shift
        convex, lowest = xp.all(diagonal >= 0, axis=1), p / diagonal
    elif is_sparse(Q):
        convex, lowest = divide_sparse(Q, shift, p)
    else:
        factor = backend.cholesky(plus_diagonal(Q, shift + xp.zeros_like(Q[:, 0, :])))
        convex, lowest = factor.ok, cho_solve(factor, p[..., None], backend)[..., 0]
    flat = (bend == 0) | (norm_inf(lowest) * unit * bend > _FLAT * norm_inf(p))
    return convex, xp.where(flat[:, None], xp.inf, lowest)


def point_in_given(program: Program, point: Point) -> Point:
    """Return a scaled problem's point in the caller's units; idle rows with their own slack."""
    given = program.given
    out = to_given(given, program.scaling, point)
    if given.fixed is None:
        return out
    xp = namespace(out.x)
    slack = given.d - given.C(out.x[..., None])[..., 0]
    slack = xp.where(slack > 0, slack, 0.0)
    return out._replace(s=xp.where(given.present & ~program.qp.present, slack, out.s))


def without_idle_rows(qp: QP) -> QP:
    """Drop the rows of G that touch fixed variables only and are met.

    Nothing can move such a row: its slack is a constant, and an interior may not exist.
    """
    if qp.fixed is None or not qp.G.shape[-2]:
        return qp
    xp = namespace(qp.p)
    touches = top(abs(qp.G) * xp.astype(~qp.fixed, qp.p.dtype)[:, None, :]) > 0
    G_x, (d, *_) = mv(qp.G, qp.value), qp.split(qp.d)
    idle = ~touches & (d - G_x >= -ROUNDING * (xp.abs(d) + xp.abs(G_x)))
    rows, lower, upper = qp.split(qp.present)
    present = concat([rows & ~idle, lower, upper], axis=1)
    return qp._replace(present=present, d=xp.where(present, qp.d, 0.0))


def without_noise(Q: Array, rounding: float, backend: LinearAlgebra) -> Array:
    """Set the eigenvalues of Q that are at rounding level of single precision to zero.

    A Gram matrix made in float32 has negative ones, along which x would run to a saddle. Where Q is
    positive definite it is left alone, and where it is clearly indefinite.
    """
    xp = namespace(Q)
    shift = CURVATURE["float64"] * norm_inf(norm_inf(Q))
    fails = ~backend.cholesky(plus_diagonal(Q, shift[:, None] + xp.zeros_like(Q[:, 0, :]))).ok
    finite = xp.all(xp.isfinite(Q), axis=(1, 2))
    index = xp.nonzero(fails & finite)[0]
    if not index.shape[0]:
        return Q
    some = take(Q, index)
    values, vectors = xp.linalg.eigh(some)
    least = rounding * xp.max(xp.abs(values), axis=1, keepdims=True)
    noise = xp.where(values < least, 0.0, values)
    clean = (vectors * noise[:, None, :]) @ vectors.mT
    rounded = xp.all(values >= -least, axis=1)
    return placed(index, pick(rounded, (clean + clean.mT) / 2, some), Q)


def separable_elements(given: QP) -> Array:  # (B or 1,) bool
    """Return True for elements whose H is diagonal in any scaling."""
    form = has_diagonal_form(given)
    if not bool(namespace(form).any(form)):
        return form
    return is_separable(scaled(given, equilibrate(given)))
