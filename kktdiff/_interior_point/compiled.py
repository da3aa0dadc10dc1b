"""The method by compiled kernels: many problems side by side in the lanes of vectors.

They follow the stages of the driver and polish as it does. What polishing does not reach there is
left to the array code: proofs of infeasibility, and points that are judged by their residuals.
"""

from dataclasses import dataclass
from functools import cached_property

from kktdiff import _kkt as kkt
from kktdiff._arrays import namespace, take
from kktdiff._interior_point.active_set import PROXIMAL, held_variables
from kktdiff._interior_point.newton import border_groups
from kktdiff._interior_point.parts import Kept
from kktdiff._interior_point.program import Program, program, without_noise
from kktdiff._interior_point.reports import report_trace
from kktdiff._kkt import Factors, Weights
from kktdiff._records import QP, Point, Rhs
from kktdiff._settings import CURVATURE, Settings
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff.backends import Backend
from kktdiff.kernels import method


@dataclass(frozen=True, eq=False)
class CompiledKept:
    """Points and active sets of some elements, for their sensitivities; like `parts.Kept`."""

    index: Array  # (B,): each element's place in the caller's flat batch
    qp: QP  # as given
    point: Point  # in the caller's units
    w: Array  # (B, M): inf for active rows, 0 for the others
    scaling: Array  # (B, n + m + k + 2): of the kernels
    separable: bool  # H is diagonal
    backend: Backend

    @property
    def theta(self) -> Array:  # (B,)
        """The natural size of the weights."""
        return self.scaling[:, -1]

    def take(self, index: Array) -> "CompiledKept":
        """Return the elements `index` of the batch."""
        return CompiledKept(
            take(self.index, index),
            self.qp.take(index),
            self.point.take(index),
            take(self.w, index),
            take(self.scaling, index),
            self.separable,
            self.backend,
        )

    def refine(self, rhs: Rhs, target: float, backend: Backend) -> tuple[Rhs, Array, Array]:
        """Solve in the caller's units; return the relative residual and what is singular, (B,)."""
        return method.derive(
            self.qp, self.scaling, self.w > 0, rhs, target, separable=self.separable
        )

    @cached_property
    def program(self) -> Program:
        """The scaled problems of the array code."""
        return program(self.qp, CURVATURE["float64"], self.backend, separable=self.separable)[0]

    @cached_property
    def factors(self) -> Factors:
        """The factors of the array code, for the few elements that need more than `refine`."""
        qp, theta = self.program.qp, self.program.units.weight
        small = PROXIMAL + 0 * theta
        weights = Weights(self.w, held_variables(qp, self.w), theta, small, small)
        places = max(count for _, count in border_groups(qp, weights))
        return kkt.factor(qp, weights, self.backend, separable=self.separable, border=places)


KeptGroup = Kept | CompiledKept


@dataclass(frozen=True)
class Ready:
    """Fields of the elements that the kernels have solved, each (b, ...)."""

    index: Array  # (b,): places in the caller's flat batch
    fields: dict[str, Array]
    iterations: Array  # (b,)


def solve_compiled(
    qp: QP,
    index: Array,
    warm: Point | None,
    settings: Settings,
    backend: Backend,
    *,
    separable: bool,
) -> tuple[Ready, CompiledKept, Array]:
    """Solve what the kernels can; also return the places of the elements that are left."""
    if settings.curvature > CURVATURE["float64"]:
        qp = without_noise(qp, settings.curvature, backend)
    out = method.solve(
        qp, warm, settings.max_iter, separable=separable, traced=settings.report is not None
    )
    if settings.report is not None:
        report_trace(out.trace, settings.report)
    xp = namespace(index)
    solved = out.status == int(Status.SOLVED)
    if bool(xp.all(solved)):
        left = index[:0]
    else:
        done, left = xp.nonzero(solved)[0], take(index, xp.nonzero(~solved)[0])
        qp, index, out = qp.take(done), take(index, done), out.take(done)
    w = xp.where(out.active, xp.inf, 0.0)
    kept = CompiledKept(
        index, qp, Point(out.x, out.s, out.lam, out.nu), w, out.scaling, separable, backend
    )
    return Ready(index, _fields(qp, out), out.iterations), kept, left


def _fields(qp: QP, out: method.Solved) -> dict[str, Array]:
    """Return the fields of a `Solution` but status and iterations."""
    xp = namespace(out.x)
    rows, lower, upper = qp.split(out.lam)
    none = xp.zeros_like(out.x)
    if qp.fixed is not None:
        lower = xp.where(qp.fixed & (out.y < 0), -out.y, lower)
        upper = xp.where(qp.fixed & (out.y > 0), out.y, upper)
    present = qp.split(qp.present)[0]
    return {
        "x": out.x,
        "s": xp.where(present, qp.split(out.s)[0], xp.inf),
        "lam": rows,
        "nu": out.nu,
        "lam_lb": lower if lower.shape[1] else none,
        "lam_ub": upper if upper.shape[1] else none,
        "objective": out.numbers[:, 0],
        "primal_residual": out.numbers[:, 1],
        "dual_residual": out.numbers[:, 2],
        "duality_gap": out.numbers[:, 3],
    }
