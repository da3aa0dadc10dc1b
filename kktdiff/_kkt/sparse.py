"""The KKT system of sparse problems, by one factorization of the whole matrix.

    [ H   G'   A' ]
    [ G  -D       ]      H = Q + rho + the weights of the bounds,  D = 1/w + delta
    [ A       -D  ]

Variables that are held and rows of weight zero are taken out: zero but for the diagonal. The
proximal terms are larger than where rows are condensed; refinement takes them out again. What a
step leaves of a row's residual is delta times the change of its multiplier: delta falls as these
grow.
"""

from typing import NamedTuple

from kktdiff._arrays import clip, concat, dot, namespace, taken
from kktdiff._kkt.factors import Weights, bound_weights
from kktdiff._records import QP
from kktdiff._settings import SPARSE_PROXIMAL
from kktdiff._sparse import quasidefinite
from kktdiff._sparse.matrix import SparseMatrix
from kktdiff._sparse.quasidefinite import Factored
from kktdiff._typing import Array

_STRETCHED = 1e-3  # of the most that the proximal terms allow: worth a closer look


class SparseFactors(NamedTuple):
    """Factors of the whole system, and what a solve with them needs."""

    weights: Weights
    sides: Array  # (B, M): weights of the bounds that hold no variable, 0 for the rows of G
    held: Array | None  # (B, M) bool: the bounds that hold their variable; None: no variable is
    out: Array  # (B, N) bool: unknowns that are taken out
    K: Factored
    n: int  # unknowns that are variables
    proximal: float  # the least weight of the proximal terms

    @property
    def ok(self) -> Array:  # (B,) bool
        """True where the matrix was factored."""
        return self.K.ok

    @property
    def singular(self) -> Array:  # (B,) bool
        """True where a direction is stretched by about as much as the proximal terms allow.

        By inverse iteration from a scattered vector, which is short of no direction but by chance.
        """
        xp, size = namespace(self.out), self.out.shape[1]
        root = xp.sqrt(self.weights.theta)[:, None]
        place = xp.arange(size)
        unit = xp.where(self.out, 0.0, xp.where(place < self.n, root, 1 / root))
        v = 2 * xp.astype(place * 2654435761 % 2**32, unit.dtype) / 2**32 - 1 + 0 * unit
        lengths = []
        for _ in range(3):
            v = unit * self.K.solve((unit * v)[..., None])[..., 0]
            lengths.append(xp.sqrt(dot(v, v)))
            v = v / lengths[-1][:, None]
        return (lengths[0] > _STRETCHED / self.proximal) & ~(lengths[2] < 0.1 / self.proximal)

    def take(self, index: Array) -> "SparseFactors":
        """Return the factors of the elements `index`."""
        weights, sides, held, out = taken(self[:4], index, shared=True)
        return SparseFactors(weights, sides, held, out, self.K.take(index), self.n, self.proximal)


def factor_sparse(qp: QP, weights: Weights, proximal: float = SPARSE_PROXIMAL) -> SparseFactors:
    """Assemble the system for a scaled `qp` with sparse matrices, and factor it."""
    w, held, unit, own_rho, own_delta, large = weights
    xp, n, theta = namespace(w), qp.p.shape[1], unit[:, None]
    rho, delta = (clip(v, proximal, xp.inf)[:, None] for v in (own_rho, own_delta))
    delta = delta / (theta if large is None else theta * large[:, None])
    sides, holds = bound_weights(qp, weights)
    H = rho * theta + xp.zeros((1, n), dtype=w.dtype)
    for side in qp.split(sides)[1:]:
        H = H + side if side.shape[1] else H
    w_G, hard = qp.split(w)[0], xp.zeros((1, qp.A.shape[-2]), dtype=w.dtype)
    gives = hard if qp.compliance_nu is None else qp.compliance_nu
    D = concat([1 / xp.where(w_G > 0, w_G, xp.inf), gives], axis=1) + delta
    never = gives < 0
    out = concat([H < 0 if held is None else held, w_G == 0, never], axis=1)
    diagonal = concat([xp.where(out[:, :n], 1.0, H), -xp.where(out[:, n:], 1.0, D)], axis=1)
    rows = quasidefinite.stacked(qp.G, qp.A)
    K = quasidefinite.factored(qp.Q, rows, diagonal, out)
    return SparseFactors(weights, sides, holds, out, K, n, proximal)


def solve_sparse(f: SparseFactors, g: Array, c: Array, nu: Array) -> tuple[Array, Array, Array]:
    """Solve for dx and the multipliers of G and A, each (B, ..., r)."""
    right = concat([g, c, nu], axis=1)
    found = f.K.solve(namespace(g).where(f.out[..., None], 0.0, right))
    n, m = f.n, c.shape[1]
    return found[:, :n, :], found[:, n : n + m, :], found[:, n + m :, :]


def divide_sparse(Q: SparseMatrix, shift: Array, p: Array) -> tuple[Array, Array]:
    """Return where ``Q + shift`` is positive definite, (B,), and ``(Q + shift)^-1 p``, (B, n)."""
    xp = namespace(p)
    diagonal = shift + 0 * p[:1, :]
    none = quasidefinite.no_rows(Q)
    found = quasidefinite.factored(Q, none, diagonal, xp.zeros(diagonal.shape, dtype=xp.bool))
    return found.positive, found.solve(p[..., None])[..., 0]
