"""How far a gradient is to be trusted, and what proves that there is none, per element."""

from collections.abc import Sequence

from kktdiff._arrays import concat, namespace, spread
from kktdiff._least_squares import RANK, matrix
from kktdiff._parts import Kept
from kktdiff._problem import Problem
from kktdiff._residuals import Point, multipliers
from kktdiff._status import Status
from kktdiff._typing import Array

WEAK = 1e-6  # s and lam both below this, in the scaled metric: weakly active


def diagnostics(problem: Problem, status: Array, kept: Sequence[Kept]) -> dict[str, Array]:
    """The fields of `Diagnostics`, each (...); an element that is not solved has no trust."""
    p, length = problem.qp.p, problem.length
    xp = namespace(p)
    found = [(group.index, diagnose(group)) for group in kept]
    fields = {
        name: spread([(i, d[name]) for i, d in found], (), length, like, fill)
        for name, like, fill in (
            ("margin", p, xp.nan),
            ("weakly_active", xp.astype(p[:0, 0], xp.int64), 0),
            ("condition", p, xp.nan),
            ("decided", status < 0, False),
        )
    }
    regular = fields.pop("decided") & (fields["condition"] < xp.inf)
    trust = regular & (fields["weakly_active"] == 0) & (status == int(Status.SOLVED))
    return {name: problem.given.give(v) for name, v in (fields | {"trustworthy": trust}).items()}


def certificate(problem: Problem, proofs: Sequence[tuple[Array, Point]]) -> dict[str, Array]:
    """The fields of `Certificate`; NaN for an element that has none."""
    qp = problem.qp
    n, m, k = qp.sizes
    sizes = {"x": n, "lam": m, "nu": k, "lam_lb": n, "lam_ub": n}
    pieces: dict[str, list[tuple[Array, Array]]] = {name: [] for name in sizes}
    for index, point in proofs:
        lam, lower, upper = qp.split(point.lam)
        sides = [v if v.shape[1] else 0 * point.x for v in (lower, upper)]
        for name, value in zip(pieces, (point.x, lam, point.nu, *sides), strict=True):
            pieces[name].append((index, value))
    nan = namespace(qp.p).nan
    return {
        name: problem.given.give(spread(found, (sizes[name],), problem.length, qp.p, nan))
        for name, found in pieces.items()
    }


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
