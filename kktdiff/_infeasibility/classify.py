"""Classify stalled elements: infeasible, unbounded, infeasible by rounding, or numerical failure.

Two QPs that always have a solution tell them apart. The least shifts of the right-hand sides that
make the constraints feasible are zero, or their multipliers are a Farkas proof. The projection of
-p on the directions that neither a constraint nor curvature stops is a ray, or zero.
"""

from typing import NamedTuple

from kktdiff._arrays import concat, namespace, pick_all
from kktdiff._infeasibility.auxiliary import Data, solve
from kktdiff._infeasibility.closest import least_shift
from kktdiff._inputs import check
from kktdiff._interior_point.certificates import farkas, ray
from kktdiff._interior_point.program import Program, program
from kktdiff._interior_point.scaling import to_given, to_scaled
from kktdiff._interior_point.start import origin
from kktdiff._problem import build
from kktdiff._records import QP, Point
from kktdiff._settings import INFINITE, Settings
from kktdiff._status import Status
from kktdiff._typing import Array


class Verdict(NamedTuple):
    """Status and infeasibility proof of each stalled element, each (B, ...)."""

    status: Array  # NUMERICAL_ERROR where neither proof holds
    proof: Point  # in the caller's units


def classify(data: Data, settings: Settings) -> Verdict:
    """Look for proofs that the elements of `data` have no solution."""
    given = check(data, None)
    qp = build(given).qp
    xp = namespace(qp.p)
    known, _ = program(qp, settings.curvature, given.backend, separable=False)
    zero = origin(qp)
    direction = to_scaled(qp, known.scaling, zero._replace(x=_descent(data, settings)))
    down = ray(known.qp, known.units, direction.x, direction.lam, direction.nu)
    stuck = xp.zeros_like(down.holds, dtype=xp.int64) + int(Status.NUMERICAL_ERROR)
    status = xp.where(down.holds, int(Status.DUAL_INFEASIBLE), stuck)
    if not (qp.d.shape[1] or qp.b.shape[1]):
        return Verdict(status, _unit(known, down.point))
    multipliers = to_scaled(qp, known.scaling, _shift_multipliers(qp, data, settings))
    apart = farkas(known.qp, known.units, multipliers.lam, multipliers.nu, 0 * zero.x)
    status = xp.where(apart.holds, int(Status.PRIMAL_INFEASIBLE), status)
    return Verdict(status, _unit(known, pick_all(apart.holds, apart.point, down.point)))


def _unit(known: Program, proof: Point) -> Point:
    """Rescale a proof from unit objective in the scaled problem to unit objective in the given."""
    cost = known.scaling.cost[:, None]
    point = to_given(known.given, known.scaling, proof)
    return Point(point.x * cost, point.s, point.lam * cost, point.nu * cost)


def _shift_multipliers(qp: QP, data: Data, settings: Settings) -> Point:
    """Return the multipliers of the least shifts: a Farkas proof where the shifts are not zero."""
    sides = [name for name in ("h", "b", "lb", "ub") if data.get(name) is not None]
    give = {name: namespace(data[name]).ones_like(data[name][:1, ...]) for name in sides}
    found = least_shift(data, give, settings).solution
    bounds = zip((found.lam_lb, found.lam_ub), qp.bounds, strict=True)
    rows = [found.lam] + [v for v, count in bounds if count]
    lam = concat(rows, axis=1)
    xp = namespace(lam)
    lam, nu = (xp.where(xp.isfinite(v), v, 0.0) for v in (lam, found.nu))
    return Point(found.x, xp.ones_like(lam), lam, nu)


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
