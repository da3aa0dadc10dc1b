"""Classify stalled elements: infeasible, unbounded, infeasible by rounding, or numerical failure.

Two QPs that always have a solution tell them apart. The least shifts of the right-hand sides that
make the constraints feasible are zero, or their multipliers are a Farkas proof. The projection of
-p on the directions that neither a constraint nor curvature stops is a ray, or zero.
"""

from typing import NamedTuple

from kktdiff._arrays import concat, namespace, pick_all, placed, plus_diagonal, take
from kktdiff._infeasibility.auxiliary import Data, solve
from kktdiff._infeasibility.closest import Shifts, unweighted_shifts
from kktdiff._inputs import check
from kktdiff._interior_point.certificates import EXACT, farkas, ray
from kktdiff._interior_point.program import Program, program
from kktdiff._interior_point.scaling import to_given, to_scaled
from kktdiff._interior_point.start import origin
from kktdiff._problem import build
from kktdiff._records import QP, Point
from kktdiff._settings import INFINITE, Settings
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra


class Verdict(NamedTuple):
    """Status and infeasibility proof of each stalled element, each (B, ...)."""

    status: Array  # NUMERICAL_ERROR where neither proof holds
    proof: Point  # in the caller's units


def classify(
    data: Data,
    settings: Settings,
    x: Array,  # (B, n): the points at hand
    stuck: Array,  # (B,) bool
) -> tuple[Verdict, Shifts | None]:
    """Look for proofs that the elements `stuck` of `data` have no solution.

    Return the least shifts of all elements, too; None where there are no constraints.
    """
    given = check(data, None)
    qp = build(given).qp
    xp = namespace(qp.p)
    known, _ = program(qp, settings.curvature, given.backend.host, separable=False)
    zero, multipliers, shifts = origin(qp), origin(qp), None
    if qp.d.shape[1] or qp.b.shape[1]:
        shifts = unweighted_shifts(data, settings, x)
        multipliers = to_scaled(qp, known.scaling, _multipliers(qp, shifts))
    apart = farkas(known.qp, known.units, multipliers.lam, multipliers.nu, 0 * zero.x)
    maybe = stuck & ~apart.holds & ~_bent(known, given.backend.host)
    steepest, rest = 0 * zero.x, xp.nonzero(maybe)[0]
    if rest.shape[0]:
        some: Data = {name: None if v is None else take(v, rest) for name, v in data.items()}
        steepest = placed(rest, _descent(some, settings), steepest)
    direction = to_scaled(qp, known.scaling, zero._replace(x=steepest))
    down = ray(known.qp, known.units, direction.x, direction.lam, direction.nu)
    status = xp.zeros_like(down.holds, dtype=xp.int64) + int(Status.NUMERICAL_ERROR)
    status = xp.where(stuck & down.holds, int(Status.DUAL_INFEASIBLE), status)
    status = xp.where(stuck & apart.holds, int(Status.PRIMAL_INFEASIBLE), status)
    proof = pick_all(apart.holds, apart.point, down.point)
    return Verdict(status, _unit(known, proof)), shifts


def _unit(known: Program, proof: Point) -> Point:
    """Rescale a proof from unit objective in the scaled problem to unit objective in the given."""
    cost = known.scaling.cost[:, None]
    point = to_given(known.given, known.scaling, proof)
    return Point(point.x * cost, point.s, point.lam * cost, point.nu * cost)


def _multipliers(qp: QP, shifts: Shifts) -> Point:
    """Return the multipliers of the least shifts: a Farkas proof where the shifts are not zero."""
    found = shifts.solution
    bounds = zip((found.lam_lb, found.lam_ub), qp.bounds, strict=True)
    rows = [found.lam] + [v for v, count in bounds if count]
    lam = concat(rows, axis=1)
    xp = namespace(lam)
    lam, nu = (xp.where(xp.isfinite(v), v, 0.0) for v in (lam, found.nu))
    return Point(found.x, xp.ones_like(lam), lam, nu)


def _bent(known: Program, backend: LinearAlgebra) -> Array:  # (B,) bool
    """Return True where Q has more curvature in all directions than a ray may have in one."""
    Q, bend = known.qp.Q, known.units.bend
    xp, n = namespace(Q), Q.shape[1]
    least = (2 * EXACT * n**0.5 * bend)[:, None] + xp.zeros_like(known.qp.p)
    return backend.cholesky(plus_diagonal(Q, -least)).ok


def _descent(data: Data, settings: Settings) -> Array:  # (B, n)
    """Project -p on the recession directions of zero curvature; 0 where the projection fails."""
    p = data["p"]
    xp = namespace(p)
    eye = xp.eye(p.shape[1], dtype=p.dtype, device=p.device)
    equal = [data["Q"] + data["Q"].mT] + ([] if data["A"] is None else [data["A"]])
    A = xp.concat(equal, axis=1)
    out = {"Q": eye, "p": p, "A": A, "b": xp.zeros_like(A[:, :, 0])}
    if data["G"] is not None:
        limited = data["h"] < INFINITE
        out |= {"G": data["G"], "h": xp.where(limited, xp.zeros_like(data["h"]), xp.inf)}
    if data["lb"] is not None:
        out["lb"] = xp.where(data["lb"] > -INFINITE, xp.zeros_like(p), -xp.inf)
    if data["ub"] is not None:
        out["ub"] = xp.where(data["ub"] < INFINITE, xp.zeros_like(p), xp.inf)
    x = solve(out, settings).x
    return xp.where(xp.isfinite(x), x, 0.0)
