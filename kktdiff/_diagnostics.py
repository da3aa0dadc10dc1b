"""How far a gradient is to be trusted: what is known about the KKT system of each element."""

from kktdiff._arrays import concat, namespace
from kktdiff._least_squares import RANK, matrix
from kktdiff._parts import Kept
from kktdiff._residuals import multipliers
from kktdiff._typing import Array

WEAK = 1e-6  # s and lam both below this, in the scaled metric: weakly active


def diagnose(group: Kept) -> dict[str, Array]:
    """Margin, weakly active count, condition of the KKT matrix, whether its active set is known.

    All in the equilibrated metric, each (B,).
    """
    qp, point, factors = group.qp, group.point, group.factors
    xp = namespace(point.x)
    scaling = factors.scaling
    s = point.s * scaling.rows
    lam = multipliers(qp, point) * scaling.cost[:, None] / scaling.rows
    larger = xp.where(qp.present, xp.maximum(s, lam), xp.inf)
    infinite = xp.full((larger.shape[0], 1), xp.inf, dtype=s.dtype, device=s.device)
    root = xp.sqrt(scaling.cost)[:, None]
    weights = concat([root * scaling.x, scaling.nu / root, scaling.rows / root], axis=1)
    K = weights[:, :, None] * matrix(qp, scaling, factors.activity) * weights[:, None, :]
    sizes = xp.abs(xp.linalg.eigvalsh(K))
    top, bottom = xp.max(sizes, axis=-1), xp.min(sizes, axis=-1)
    singular = bottom <= RANK * top
    condition = xp.where(singular, xp.inf, top / xp.where(singular, 1.0, bottom))
    a = factors.activity
    return {
        "margin": xp.min(xp.concat([larger, infinite], axis=1), axis=1),
        "weakly_active": xp.sum(xp.astype(larger < WEAK, xp.int64), axis=1),
        "condition": xp.broadcast_to(condition, larger.shape[:1]),
        "decided": xp.broadcast_to(xp.all((a == 0) | (a == 1), axis=1), larger.shape[:1]),
    }
