"""Reliability of gradients, and proofs that there is no solution, element by element."""

from collections.abc import Sequence

from kktdiff._arrays import concat, namespace, spread
from kktdiff._interior_point.compiled_kept import KeptGroup
from kktdiff._interior_point.residuals import multipliers
from kktdiff._kkt.whole import RANK, activity, matrix, sparse_conditions
from kktdiff._problem import Problem
from kktdiff._records import Point
from kktdiff._sensitivity.first_order import row_activity
from kktdiff._status import Status
from kktdiff._typing import Array

WEAK = 1e-6  # s and lam both below this, in the scaled metric: weakly active


def diagnostics(problem: Problem, status: Array, kept: Sequence[KeptGroup]) -> dict[str, Array]:
    """Return the fields of `Diagnostics`, each (...); unsolved elements are not trustworthy."""
    p, length = problem.data.p, problem.length
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
    """Return the fields of `Certificate`; NaN for an element that has none."""
    data = problem.data
    n, m, k = data.sizes
    sizes = {"x": n, "lam": m, "nu": k, "lam_lb": n, "lam_ub": n}
    pieces: dict[str, list[tuple[Array, Array]]] = {name: [] for name in sizes}
    for index, point in proofs:
        lam, lower, upper = data.split(point.lam)
        sides = [v if v.shape[1] else 0 * point.x for v in (lower, upper)]
        for name, value in zip(pieces, (point.x, lam, point.nu, *sides), strict=True):
            pieces[name].append((index, value))
    nan = namespace(data.p).nan
    return {
        name: problem.given.give(spread(found, (sizes[name],), problem.length, data.p, nan))
        for name, found in pieces.items()
    }


def diagnose(group: KeptGroup) -> dict[str, Array]:
    """Find margin, weakly active count, condition of the KKT matrix, and definiteness.

    "decided" is True where the active set is definite. All in the scaled problem's units, (B,).
    """
    if group.is_large:
        return _diagnose_large(group)
    group = group.on_dense()
    program, w, theta = group.program, group.w, group.theta
    qp, units, scaling = group.qp, program.units, program.scaling
    xp = namespace(group.point.x)
    s = group.point.s * scaling.rows / units.x[:, None]
    cost = scaling.cost[:, None]
    lam = multipliers(qp, group.point) * cost / scaling.rows / units.price[:, None]
    larger = xp.where(qp.present, xp.maximum(s, lam), xp.inf)
    infinite = xp.full((larger.shape[0], 1), xp.inf, dtype=s.dtype, device=s.device)
    root = xp.sqrt(theta)[:, None]
    n = qp.sizes[0]
    unit = 1 / theta[:, None] + xp.zeros_like(w)
    K = matrix(program.qp, activity(w, unit))
    balance = concat([1 / root + 0 * K[:, :n, 0], root + 0 * K[:, n:, 0]], axis=1)
    sizes = xp.abs(xp.linalg.eigvalsh(balance[:, :, None] * K * balance[:, None, :]))
    top, bottom = xp.max(sizes, axis=-1), xp.min(sizes, axis=-1)
    singular = bottom <= RANK * top
    condition = xp.where(singular, xp.inf, top / xp.where(singular, 1.0, bottom))
    known = xp.all((w == 0) | (w == xp.inf), axis=1)
    return {
        "margin": xp.min(xp.concat([larger, infinite], axis=1), axis=1),
        "weakly_active": xp.sum(xp.astype(larger < WEAK, xp.int64), axis=1),
        "condition": xp.broadcast_to(condition, larger.shape[:1]),
        "decided": xp.broadcast_to(known, larger.shape[:1]),
    }


def _diagnose_large(group: KeptGroup) -> dict[str, Array]:
    """Find the same for sparse matrices: sizes relative to x, and the condition by iteration."""
    qp, scaling, theta, w = group.qp, group.scaling, group.theta, group.w
    xp = namespace(w)
    size = xp.max(xp.abs(group.point.x) / scaling.cols, axis=1)[:, None]
    size = xp.where(size > 0, size, 1.0)
    cost = scaling.cost[:, None]
    s = group.point.s * scaling.rows / size
    lam = multipliers(qp, group.point) * cost / scaling.rows / (size * theta[:, None])
    larger = xp.where(qp.present, xp.maximum(s, lam), xp.inf)
    infinite = xp.full((larger.shape[0], 1), xp.inf, dtype=s.dtype)
    root, half = xp.sqrt(theta)[:, None], xp.sqrt(cost)
    balance = concat(
        [scaling.cols * half / root, scaling.eqs * root / half, scaling.rows * root / half], axis=1
    )
    return {
        "margin": xp.min(xp.concat([larger, infinite], axis=1), axis=1),
        "weakly_active": xp.sum(xp.astype(larger < WEAK, xp.int64), axis=1),
        "condition": sparse_conditions(qp, row_activity(group), balance),
        "decided": xp.all((w == 0) | (w == xp.inf), axis=1),
    }
