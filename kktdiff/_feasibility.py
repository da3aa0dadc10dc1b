"""What the matter is with elements on which the iteration got stuck.

The embedding of `kktdiff._homogeneous` finds a Farkas proof where there is one. For the objective,
-p is projected on the directions that neither a constraint nor curvature stops: a ray, or zero.
"""

from kktdiff import _kkt as kkt
from kktdiff._arrays import namespace, pick_all
from kktdiff._batch import solve
from kktdiff._certificates import CLEARLY, ray
from kktdiff._closest import Data
from kktdiff._homogeneous import prove_infeasible
from kktdiff._inputs import check
from kktdiff._ipm import origin
from kktdiff._problem import build
from kktdiff._residuals import Point
from kktdiff._scaling import equilibrate
from kktdiff._settings import INFINITE, Settings
from kktdiff._status import Status
from kktdiff._typing import Array


def verdict(data: Data, violation: Array, settings: Settings) -> tuple[Array, Point]:
    """A status for each element, (B,), and what proves it.

    NUMERICAL_ERROR where neither proof holds, or where the iteration came so near to meeting the
    constraints, `violation`, (B,), that they contradict each other by rounding at most.
    """
    given = check(data, None)
    qp = build(given).qp
    xp = namespace(qp.p)
    zero, down = origin(qp), _descent(data, settings)
    unbounded = ray(qp, equilibrate(qp, given.backend), down, zero.lam, zero.nu)
    stuck = xp.zeros_like(unbounded.holds, dtype=xp.int64) + int(Status.NUMERICAL_ERROR)
    status = xp.where(unbounded.holds, int(Status.DUAL_INFEASIBLE), stuck)
    if not (qp.d.shape[1] or qp.b.shape[1]):
        return status, unbounded.point
    rows = build(given, soft={}).qp  # a fixed variable by two rows, like any other
    rows = rows._replace(Q=0 * rows.Q, p=0 * rows.p)
    apart = prove_infeasible(rows, equilibrate(rows, given.backend), kkt.system(given.backend))
    holds = apart.holds & (violation > CLEARLY)
    status = xp.where(holds, int(Status.PRIMAL_INFEASIBLE), status)
    return status, pick_all(holds, apart.point, unbounded.point)


def _descent(data: Data, settings: Settings) -> Array:  # (B, n)
    """The projection of -p on the directions that nothing stops; 0 where it can't be found."""
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
