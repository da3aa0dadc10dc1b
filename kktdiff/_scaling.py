"""Ruiz equilibration (Ruiz 2001), as weights instead of scaled copies.

Scaled data would be ``c D Q D``, ``E G D``, ``F A D``, ``c D p``. The matrices are left as
they are, so that what a batch shares stays shared: the method is the same in both metrics but
for its regularisation, its starting point and the pivoting of LU, and these read the
weights here. Nothing has to be scaled back, neither solutions nor gradients.
"""

from typing import NamedTuple

from kktdiff._arrays import concat, largest, namespace, norm_inf, take_shared, top
from kktdiff._problem import QP
from kktdiff._typing import Array
from kktdiff.backends import Backend

PASSES = 10
_DECIDED = 1e-6  # distance of each activity from 0 or 1 at which a point shows an active set
_BALANCED = 0.25, 4.0  # row norms within these need no further pass


class Scaling(NamedTuple):
    """Positive weights per element, or shared where all matrices are."""

    x: Array  # (B, n): D
    rows: Array  # (B, M): E for G, 1/D for the bounds, so that their scaled rows are unit
    nu: Array  # (B, k): F
    cost: Array  # (B,): c

    @property
    def prox_x(self) -> Array:  # (B, n)
        """Weight of a proximal term in x that is 1 in the scaled metric."""
        return 1 / (self.cost[:, None] * self.x**2)

    @property
    def unit_rows(self) -> Array:  # (B, M)
        """Value of s/lam that is 1 in the scaled metric."""
        return self.cost[:, None] / self.rows**2

    @property
    def unit_nu(self) -> Array:  # (B, k)
        """The same for the equalities' regularisation."""
        return self.cost[:, None] / self.nu**2

    def take(self, index: Array) -> "Scaling":
        """The elements `index`."""
        return Scaling(*(take_shared(v, index) for v in self))


def activity(qp: QP, scaling: Scaling, s: Array, lam: Array) -> Array:  # (B, M)
    """``lam/(lam + s)`` in the scaled metric, s with its shift; absent rows have lam = 0."""
    return lam / (lam + (s + qp.shift(lam)) / scaling.unit_rows)


def decided(qp: QP, scaling: Scaling, s: Array, lam: Array) -> Array:  # (B,) bool
    """Whether every activity is as good as 0 or 1."""
    xp = namespace(s)
    a = activity(qp, scaling, s, lam)
    return xp.all(xp.abs(a - xp.round(a)) <= _DECIDED, axis=1)


def equilibrate(qp: QP, backend: Backend) -> Scaling:
    """Weights under which all rows of the KKT matrix are of size about one."""
    xp = namespace(qp.p)
    D, E, F, size = _equilibrated(qp)
    if qp.d.shape[1]:  # without inequalities multipliers may have any size
        size = largest(size, norm_inf(qp.p * D))
    cost = 1 / xp.where(size > 0, size, xp.ones_like(size))
    if qp.soft is not None:
        cost = xp.ones_like(cost)
    rows = concat([E] + [1 / D for rows in qp.bounds if rows], axis=1)
    return Scaling(D, rows, F, cost)


def _equilibrated(qp: QP) -> tuple[Array, Array, Array, Array]:
    """Weights of x, of G's rows and of A's, and the largest entry of Q under them."""
    xp = namespace(qp.p)
    Q, G, A = xp.abs(qp.Q), xp.abs(qp.G), xp.abs(qp.A)
    batch = max(Q.shape[0], G.shape[0], A.shape[0])

    def ones(size: int) -> Array:
        return xp.ones((batch, size), dtype=qp.p.dtype, device=qp.p.device)

    D, E, F = (ones(size) for size in qp.sizes)
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
    return D, E, F, top(top(Q * D[:, None, :]) * D)
