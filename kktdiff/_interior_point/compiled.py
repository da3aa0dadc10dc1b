"""The method by compiled kernels: many problems side by side in the lanes of vectors.

They follow the stages of the driver, and polish and prove as it does. What has neither a solution
nor a proof there is left to the array code, which judges points by their residuals.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

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
    active: Array  # (B, M) bool: rows that hold as equalities
    scaling: Array  # (B, n + m + k + 2): of the kernels
    kernel_factors: Array | None  # (B, ...): of the kernels; None: not kept
    separable: bool  # H is diagonal
    backend: Backend

    @cached_property
    def w(self) -> Array:  # (B, M)
        """Weights of the rows: infinite for an active row, 0 for an idle one."""
        xp = namespace(self.active)
        return xp.where(self.active, xp.inf, 0.0)

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
            take(self.active, index),
            take(self.scaling, index),
            None,
            self.separable,
            self.backend,
        )

    def refine(self, rhs: Rhs, target: float, backend: Backend) -> tuple[Rhs, Array, Array]:
        """Solve in the caller's units; return the relative residual and what is singular, (B,)."""
        system = self.qp, self.scaling, self.active, rhs, target
        return method.derive(*system, factors=self.kernel_factors, separable=self.separable)

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


Piece = tuple[Array, dict[str, Array]]  # places of some elements, and their fields, each (b, ...)
Proof = tuple[Array, Point]  # places of elements without a solution, and why


class Compiled(NamedTuple):
    """What the kernels have found for some elements."""

    piece: Piece  # of those that are solved, or have no solution
    kept: CompiledKept  # of those that are solved
    proof: Proof
    left: Array  # (b,): places of the others


def solve_compiled(
    qp: QP,
    index: Array,
    warm: Point | None,
    settings: Settings,
    backend: Backend,
    *,
    separable: bool,
) -> Compiled:
    """Solve what the kernels can."""
    if settings.curvature > CURVATURE["float64"]:
        qp = without_noise(qp, settings.curvature, backend)
    out = method.solve(
        qp,
        warm,
        settings.max_iter,
        tol=settings.tol,
        separable=separable,
        traced=settings.report is not None,
    )
    if settings.report is not None:
        report_trace(out.trace, settings.report)
    none = index[:0]
    if not out.failures:
        kept = _kept(qp, index, out, backend, separable=separable)
        return Compiled((index, method.fields(qp, out)), kept, (none, kept.point.take(none)), none)
    xp = namespace(index)
    settled, solved, without = (
        xp.nonzero(mask)[0]
        for mask in (
            out.status >= 0,
            out.status == int(Status.SOLVED),
            (out.status == int(Status.PRIMAL_INFEASIBLE))
            | (out.status == int(Status.DUAL_INFEASIBLE)),
        )
    )
    piece = take(index, settled), method.fields(qp.take(settled), out.take(settled))
    kept = _kept(
        qp.take(solved), take(index, solved), out.take(solved), backend, separable=separable
    )
    proof = take(index, without), Point(out.x, out.s, out.lam, out.nu).take(without)
    return Compiled(piece, kept, proof, take(index, xp.nonzero(out.status < 0)[0]))


def _kept(
    qp: QP, index: Array, out: method.Solved, backend: Backend, *, separable: bool
) -> CompiledKept:
    point = Point(out.x, out.s, out.lam, out.nu)
    return CompiledKept(index, qp, point, out.active, out.scaling, out.factors, separable, backend)
