"""Equilibration by powers of two, and the units of a scaled problem.

With ``x = D x'`` and positive weights E of G's rows, F of A's and c of the objective, the scaled
data are ``c D Q D``, ``c D p``, ``E G D``, ``E h``, ``F A D``, ``F b``. The objective and each
row are first normalised on their own, so that a power of two in either changes nothing but
exponents; Ruiz's passes (Ruiz 2001) then balance rows against columns. A variable whose bounds keep
it far within its rows is in units of its bounds: coefficients of rows that it never reaches say
nothing of its size. All weights are powers of two: to scale and to scale back rounds nothing.
"""

from typing import Any, NamedTuple

from kktdiff._arrays import broadcast, concat, diagonal_of, largest, namespace, norm_inf, top
from kktdiff._records import QP, Point, Scaling
from kktdiff._typing import Array

PASSES = 40  # most elements need none or few
_BALANCED = 0.25, 4.0  # row norms within these need no further pass
_FAR, _FAR_LIMIT = 1e6, 1e3  # times what right-hand sides ask for: more is not taken for the unit
_FARTHEST = 1e5  # units of x: an iterate that runs away is not compared with itself
ORDINARY = 10.0  # multipliers, in their unit, up to which proximal terms do not fall with them
_NOISE = 1e-12  # right-hand sides below this are rounding, where others are above


class Units(NamedTuple):
    """Sizes that a scaled problem's unknowns are expected to have; each (B,)."""

    x: Array  # variables and slacks
    price: Array  # gradients and multipliers
    bend: Array  # the largest entry of Q
    far: Array  # the size of x that residuals are compared with at most

    @property
    def weight(self) -> Array:
        """The value of lam/s that is natural."""
        return self.price / self.x

    def size_of_multipliers(self, largest: Array) -> Array:  # (B,)
        """Return the size of multipliers in what is ordinary for them, at least 1."""
        own = largest / (ORDINARY * self.price)
        return namespace(own).maximum(own, 1 + 0 * own)

    def take(self, index: Array) -> "Units":
        """Return the elements `index` of the batch."""
        xp = namespace(index)
        return Units(*(xp.take(v, index, axis=0) for v in self))


def power_of_two(v: Array) -> Array:
    """Round each entry to a power of two; 1 where it is not positive and finite."""
    xp = namespace(v)
    good = (v > 0) & (v < xp.inf)
    return 2.0 ** xp.round(xp.log2(xp.where(good, v, 1.0)))


def equilibrate(qp: QP) -> Scaling:
    """Weights, all powers of two, under which the rows of the KKT matrix are of size about one."""
    xp = namespace(qp.p)
    Q, G, A = abs(qp.Q), abs(qp.G), abs(qp.A)
    cost = 1 / power_of_two(norm_inf(norm_inf(Q)))
    E, F = (1 / power_of_two(top(M)) for M in (G, A))
    Q, G, A = cost[:, None, None] * Q, E[..., None] * G, F[..., None] * A
    D, rows, eqs = (power_of_two(v) for v in _ruiz(Q, G, A, qp.p))
    if any(qp.bounds):
        D, rows, eqs = _in_box_units(qp, (Q, G, A), (D, rows, eqs))
    size = norm_inf(norm_inf(Q * D[:, None, :]) * D)
    if bool(xp.any(size == 0)):  # else the weight is shared where Q is
        size = xp.where(size > 0, size, norm_inf(qp.p * D))
    cost = cost / power_of_two(size)
    rows = concat([E * rows] + [1 / D for count in qp.bounds if count], axis=1)
    return Scaling(D, rows, F * eqs, cost)


def _ruiz(Q: Array, G: Array, A: Array, like: Array) -> tuple[Array, Array, Array]:
    """Find weights of the columns and of the rows of G and A that balance the KKT matrix."""
    xp = namespace(like)
    batch = max(Q.shape[0], G.shape[0], A.shape[0])

    def ones(size: int) -> Array:
        return xp.ones((batch, size), dtype=like.dtype, device=like.device)

    D, E, F = ones(Q.shape[1]), ones(G.shape[1]), ones(A.shape[1])
    low, high = _BALANCED
    for _ in range(PASSES):
        row_Q, row_G, row_A = (top(M * D[:, None, :]) for M in (Q, G, A))
        columns = (top(w[:, :, None] * M, axis=1) for w, M in ((E, G), (F, A)))
        norms = largest(row_Q, *columns) * D, row_G * E, row_A * F
        flat = concat(norms, axis=1)
        off = xp.any(((flat < low) | (flat > high)) & (flat > 0), axis=1)
        if not bool(xp.any(off)):
            break
        D, E, F = (
            xp.where(off[:, None] & (norm > 0), w / xp.sqrt(xp.where(norm > 0, norm, 1.0)), w)
            for w, norm in zip((D, E, F), norms, strict=True)
        )
    return D, E, F


def _in_box_units(
    qp: QP, matrices: tuple[Array, Array, Array], weights: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array]:
    """Reweight the variables that `_boxes` finds, and the rows that hold none of size one then."""
    D, *sides = weights
    empty = sum(top(M, axis=1) for M in matrices) == 0
    boxes, unit = _boxes(qp, D, empty)
    xp = namespace(D)
    if not bool(xp.any(boxes > 0)):
        return weights  # shared where the matrices are
    D = D * power_of_two(boxes / unit)
    norms = (
        top(w[..., None] * M * D[:, None, :]) for w, M in zip(sides, matrices[1:], strict=True)
    )
    some = xp.any(boxes > 0, axis=1)[:, None]
    rows, eqs = (
        w / xp.where(some, _below(norm, _BALANCED[0]), 1.0)
        for w, norm in zip(sides, norms, strict=True)
    )
    return D, rows, eqs


def _below(norm: Array, low: float) -> Array:
    """Return each norm below `low` as a power of two, 1 for the others."""
    return power_of_two(namespace(norm).where(norm < low, norm, 1.0))


def _boxes(qp: QP, D: Array, empty: Array) -> tuple[Array, Array]:  # (B, n), (B, 1)
    """Return sizes that bounds give to variables, 0 for the others, and the unit of x, scaled by D.

    A size is the larger bound of a variable far below the unit: the largest of the distances at
    which each variable reaches its nearest limit, or the minimum of the objective. A variable that
    no matrix holds (`empty`) ends at the bound that its price selects.
    """
    xp = namespace(D)
    h, *limits = qp.split(xp.abs(qp.d))
    lower, upper = (  # 0 where absent
        v if v.shape[1] else xp.zeros_like(qp.p) for v in limits
    )
    box = xp.zeros_like(qp.p)
    if all(qp.bounds):
        _, has_lower, has_upper = qp.split(qp.present)
        box = xp.where(has_lower & has_upper, xp.maximum(lower, upper), 0.0)
    near = largest(
        top(abs(qp.G) * _inverse(h)[..., None], axis=1),
        top(abs(qp.A) * _inverse(xp.abs(qp.b))[..., None], axis=1),
        xp.abs(diagonal_of(qp.Q)) * _inverse(xp.abs(qp.p)),
    )
    nearest = largest(near, _inverse(lower), _inverse(upper))
    sizes = _inverse(xp.where(near > 0, nearest, 0.0)) / D
    unit = top(sizes)[:, None]
    end = xp.where(qp.p > 0, lower, xp.where(qp.p < 0, upper, 0.0))
    boxes = xp.where(empty, end, xp.where(box < unit * D, box, 0.0)) / D
    return boxes, xp.where(unit > 0, unit, 1.0)


def _inverse(v: Array) -> Array:
    """Return 1/v, 0 where v is 0."""
    xp = namespace(v)
    return xp.where(v > 0, 1 / xp.where(v > 0, v, 1.0), 0.0)


def scaled(qp: QP, s: Scaling) -> QP:
    """Return the scaled problem; shared arrays stay shared."""
    D, cost = s.cols, s.cost
    E, _, _ = qp.split(s.rows)
    names = ("value", "compliance", "compliance_nu")
    sides: dict[str, Any] = {name: getattr(qp, name) for name in names}
    if qp.value is not None:
        sides["value"] = qp.value / D
    if qp.compliance is not None:
        sides["compliance"] = qp.compliance * s.rows**2 / cost[:, None]
    if qp.compliance_nu is not None:
        sides["compliance_nu"] = qp.compliance_nu * s.eqs**2 / cost[:, None]
    return qp._replace(
        Q=cost[:, None, None] * D[:, :, None] * qp.Q * D[:, None, :],
        p=cost[:, None] * D * qp.p,
        G=E[:, :, None] * qp.G * D[:, None, :],
        A=s.eqs[:, :, None] * qp.A * D[:, None, :],
        b=s.eqs * qp.b,
        d=s.rows * qp.d,
        **sides,
    )


def to_scaled(qp: QP, s: Scaling, point: Point) -> Point:
    """Convert a point of `qp` to the scaled problem's units."""
    xp, cost = namespace(point.x), s.cost[:, None]
    slack = xp.where(qp.present, point.s * s.rows, 1.0)
    return Point(point.x / s.cols, slack, cost * point.lam / s.rows, cost * point.nu / s.eqs)


def to_given(qp: QP, s: Scaling, point: Point) -> Point:
    """Convert a point of the scaled problem to the units of `qp`."""
    xp, cost = namespace(point.x), s.cost[:, None]
    slack = xp.where(qp.present, point.s / s.rows, 1.0)
    return Point(s.cols * point.x, slack, s.rows * point.lam / cost, s.eqs * point.nu / cost)


def units(qp: QP, free: Array) -> Units:
    """Sizes of x and of the multipliers, from the data of the scaled `qp`.

    x has to move as far as the right-hand sides that 0 violates ask for; beyond that it goes no
    further than `free`, (B,), where the objective alone is least, or the nearest limit. A limit
    that is far away, or an optimum of 0, does not set the unit.
    """
    xp, length = namespace(qp.p), qp.length
    sides = [xp.where(qp.present, qp.d, 0.0), xp.abs(qp.b) + xp.zeros_like(qp.p[:, :1])]
    if qp.fixed is not None:
        sides.append(xp.abs(qp.value) + xp.zeros_like(qp.p[:, :1]))
    sides = [xp.abs(v) for v in sides]
    free = xp.where(free > 0, free, xp.inf)
    size = largest(*(top(v) for v in sides), xp.where(free < xp.inf, free, 0.0))[:, None]
    noise = xp.where(size > _NOISE, _NOISE, 0 * size)
    asked = [xp.where(qp.present & (qp.d < -noise), -qp.d, 0.0), *sides[1:]]
    needed = largest(*(top(v) for v in asked))
    needed = xp.where(needed > noise[:, 0], needed, 0.0)
    limit = _lowest(xp.where(qp.present & (qp.d > noise), qp.d, xp.inf))
    reach = xp.minimum(xp.minimum(limit, _FAR_LIMIT * needed), xp.minimum(free, _FAR * needed))
    between = xp.where(free > limit, xp.sqrt(limit) * xp.sqrt(free), free)
    between = xp.where(free < xp.inf, between, limit)
    x = xp.where(needed > 0, xp.maximum(needed, reach), between)
    x = xp.where((x > 0) & (x < xp.inf), x, 1.0)
    bend, linear = norm_inf(norm_inf(qp.Q)), norm_inf(qp.p)
    price = xp.maximum(linear, bend * needed)
    price = xp.where(price > 0, price, bend * x)
    if qp.compliance is not None or qp.compliance_nu is not None:
        price = xp.maximum(price, x / _most_compliant(qp))
    price = xp.where((price > 0) & (price < xp.inf), price, 1.0)
    far = xp.maximum(_FARTHEST * x, xp.where(free < xp.inf, 10 * free, 0.0))
    return Units(*(broadcast(v, (length,)) for v in (x, price, bend, far)))


def _lowest(v: Array) -> Array:  # (B, M) -> (B,)
    xp = namespace(v)
    return xp.min(v, axis=1) if v.shape[1] else xp.sum(v, axis=1) + xp.inf


def _most_compliant(qp: QP) -> Array:  # (B,)
    """Return the largest shift of a row per unit of its multiplier."""
    gives = [v for v in (qp.compliance, qp.compliance_nu) if v is not None and v.shape[1]]
    return largest(*(norm_inf(v) for v in gives))
