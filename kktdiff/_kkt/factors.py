"""Records of a factored KKT system."""

from typing import NamedTuple

from kktdiff._arrays import namespace, taken
from kktdiff._records import QP
from kktdiff._typing import Array
from kktdiff.backends import Cholesky

SINGULAR = 1e-10  # ratio of pivots below which a matrix counts as singular


class Weights(NamedTuple):
    """Weights of the KKT matrix of a scaled QP."""

    w: Array  # (B, M): lam/s, 0 for a row that takes no part, inf for one that is an equality
    held: Array | None  # (B, n) bool: variables that an active bound, or a fixed value, holds
    theta: Array  # (B,): the natural size of lam/s
    rho: Array  # (B,): proximal weight of x, in units of theta
    delta: Array  # (B,): proximal weight of the multipliers, in units of 1/theta
    large: Array | None = None  # (B,): multipliers, in their unit, at least 1; None: 1


class Border(NamedTuple):
    """The rows of the border, and S."""

    S: Cholesky
    V: Array  # (B, n, r): L^-1 B', with H = L L' and B the rows of A, then some of G
    stretch: Array  # (B, r): 1/(1 - theta/w), from the border's unknowns to multipliers
    order: Array | None  # (B, r - k): the rows of G in it; None: none
    used: Array | None  # (B, r - k) bool: False where a place is empty
    place: Array | None  # (B, m): the place of each row of G that is in it
    stiff: Array | None  # (B, m) bool: the rows of G in it


class Factors(NamedTuple):
    """Cholesky factors of H and S, and what a solve with them needs."""

    weights: Weights
    H: Cholesky | None  # None: H is diagonal
    h: Array  # (B, n): the diagonal, where H is that
    border: Border | None  # None: no equalities, and no rows of large weight
    condensed: Array  # (B, m): weights of the rows of G in H
    augmented: Array  # (B, 1): weight of the rows of A in H
    sides: Array  # (B, M): weights of the bounds that hold no variable, 0 for the rows of G
    held: Array | None  # (B, M) bool: the bounds that hold their variable; None: no variable is
    ok: Array  # (B,) bool

    @property
    def singular(self) -> Array:  # (B,) bool
        """True where a pivot is no larger than what the proximal terms leave."""
        pivots = [self.h if self.H is None else self.H.pivots]
        if self.border is not None:
            pivots.append(self.border.S.pivots)
        xp = namespace(self.h)
        small = [xp.min(v, axis=1) <= SINGULAR * xp.max(v, axis=1) for v in pivots]
        return small[0] if len(small) == 1 else small[0] | small[1]

    def take(self, index: Array) -> "Factors":
        """Return the factors of the elements `index`."""
        return Factors(*taken(self, index, shared=True))


def bound_weights(qp: QP, weights: Weights) -> tuple[Array, Array | None]:  # (B, M) each
    """Return the weights of bounds that hold no variable, and where a bound does; None: nowhere."""
    xp, w = namespace(weights.w), weights.w
    bound = xp.arange(w.shape[1], device=w.device)[None, :] >= qp.G.shape[-2]
    sides = xp.where(bound & (w < xp.inf), w, 0.0)
    if weights.held is None:
        return sides, None
    holds = bound & (w == xp.inf)
    return sides, holds if bool(xp.any(holds)) else None
