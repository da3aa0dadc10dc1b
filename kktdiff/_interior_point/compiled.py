"""The method by compiled kernels: many problems side by side in the lanes of vectors.

They follow the stages of the driver, and polish and prove as it does. What has neither a solution
nor a proof there is left to the array code, which judges points by their residuals.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

from kktdiff import _kkt as kkt
from kktdiff._arrays import largest, namespace, norms_inf, take
from kktdiff._interior_point.active_set import PROXIMAL, held_variables
from kktdiff._interior_point.newton import border_groups
from kktdiff._interior_point.parts import Kept, refine
from kktdiff._interior_point.program import Program, program, without_noise
from kktdiff._interior_point.reports import report_trace
from kktdiff._kkt import Factors, Weights
from kktdiff._problem import assemble
from kktdiff._records import QP, Data, Point, Rhs, Scaling
from kktdiff._settings import CURVATURE, INFINITE, LOOSE, Settings
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff.backends import Backend
from kktdiff.kernels import method


@dataclass(frozen=True, eq=False)
class CompiledKept:
    """Points and weights of the rows of some elements, for sensitivities; like `parts.Kept`."""

    index: Array  # (B,): each element's place in the caller's flat batch
    data: Data
    kept: Array  # (B, ...): of the kernels
    active: Array  # (B, M) bool: rows that hold as equalities
    weights: Array | None  # (B, M): of the other rows, on the central path; None: 0
    kernel_factors: Array | None  # (B, ...): of the kernels; None: not kept
    separable: bool  # H is diagonal
    backend: Backend

    @cached_property
    def qp(self) -> QP:
        """The QPs as given."""
        with self.backend.at(self.data.p):
            return assemble(self.data, self.backend)[0]

    @cached_property
    def w(self) -> Array:  # (B, M)
        """Weights of the rows: infinite for an active row, at a solution 0 for an idle one."""
        xp = namespace(self.active)
        return xp.where(self.active, xp.inf, 0.0 if self.weights is None else self.weights)

    @property
    def theta(self) -> Array:  # (B,)
        """The natural size of the weights."""
        return method.kept_parts(self.data, self.kept).scaling[:, -1]

    @cached_property
    def point(self) -> Point:
        """The solutions, in the caller's units."""
        parts, n = method.kept_parts(self.data, self.kept), self.data.sizes[0]
        rows = self.data.sizes[1] + sum(self.data.bounds)  # without the slacks of soft rows
        return Point(parts.x[:, :n], parts.s[:, :rows], parts.lam[:, :rows], parts.nu)

    @property
    def multipliers(self) -> Array:  # (B, M)
        """lam with each fixed variable's multiplier placed on the bound of its sign."""
        parts = method.kept_parts(self.data, self.kept)
        if 0 in self.data.bounds:
            return parts.lam
        xp, (rows, lower, upper) = namespace(parts.lam), self.data.split(parts.lam)
        y = parts.y
        return xp.concat([rows, xp.where(y < 0, -y, lower), xp.where(y > 0, y, upper)], axis=1)

    def take(self, index: Array) -> Self:
        """Return the elements `index` of the batch."""
        return replace(
            self,
            index=take(self.index, index),
            data=self.data.take(index),
            kept=take(self.kept, index),
            active=take(self.active, index),
            weights=None if self.weights is None else take(self.weights, index),
            kernel_factors=None,
        )

    def on_host(self) -> Self:
        """Return the same in the memory of the array code; without the kernels' factors there."""
        backend = self.backend
        if backend.host is backend:
            return self
        data = [None if v is None else backend.to_host(v) for v in self.data]
        own = (self.index, self.kept, self.active)
        index, kept, active = (backend.to_host(v) for v in own)
        return replace(
            self,
            index=index,
            data=Data._make(data),
            kept=kept,
            active=active,
            weights=None if self.weights is None else backend.to_host(self.weights),
            kernel_factors=None,
            backend=backend.host,
        )

    @property
    def scaling(self) -> Scaling:
        """Weights of variables and rows."""
        n, m, k = self.data.sizes
        own = method.kept_parts(self.data, self.kept).scaling
        cols, rows = own[:, :n], own[:, n : n + m]
        sides = [1 / cols for count in self.data.bounds if count]
        eqs = own[:, n + m : n + m + k]
        return Scaling(cols, namespace(own).concat([rows, *sides], axis=1), eqs, own[:, -2])

    @property
    def is_large(self) -> bool:
        """True if matrices are sparse, and too large for array code."""
        return self.data.is_large

    def on_dense(self) -> Self:
        """Return the elements with dense matrices, for array code.

        Raises
        ------
        ValueError
            If sparse matrices are too large for that.
        """
        if self.data.structure is None:
            return self
        return replace(self, data=self.data.on_dense(), kernel_factors=None)

    def refine(self, rhs: Rhs, target: float) -> tuple[Rhs, Array, Array]:
        """Solve in the caller's units; return the relative residual and what is singular, (B,)."""
        if not self.backend.compiled:  # a copy from a device, on a host without kernels
            return refine(self.program, self.factors, rhs, target, self.backend.host)
        return method.derive(
            self.data,
            self.kept,
            self.active,
            rhs,
            target,
            weights=self.weights,
            factors=self.kernel_factors,
            separable=self.separable,
            call=self.backend.call,
        )

    def pull(
        self, cotangents: tuple[Array | None, ...], names: list[str], accuracy: tuple[float, float]
    ) -> tuple[method.Pulled, Array | None]:
        """Pull cotangents back to gradients, each (B, ...); return where they are not accurate.

        That is a mask, (B,), or None: nowhere, as far as can be known without a wait.
        """
        system = self.kept, self.active, self.weights
        found = method.vjp(
            self.data,
            system,
            cotangents,
            names,
            accuracy,
            factors=self.kernel_factors,
            separable=self.separable,
            call=self.backend.call,
        )
        bad = found.inaccurate
        some = self.backend.may_wait() and int(namespace(bad).count_nonzero(bad))
        return found, bad if some else None

    @cached_property
    def program(self) -> Program:
        """The scaled problems of the array code."""
        algebra, qp = self.backend.host, self.on_dense().qp
        return program(qp, CURVATURE["float64"], algebra, separable=self.separable)[0]

    @cached_property
    def factors(self) -> Factors:
        """The factors of the array code, for the few elements that need more than `refine`."""
        qp, theta = self.program.qp, self.program.units.weight
        small = PROXIMAL + 0 * theta
        weights = Weights(self.w, held_variables(qp, self.w), theta, small, small)
        places = max(count for _, count in border_groups(qp, weights))
        return kkt.factor(qp, weights, self.backend.host, separable=self.separable, border=places)


KeptGroup = Kept | CompiledKept
_JUDGED = 1e-2  # of what array code accepts, which looks at points more closely


Piece = tuple[Array, dict[str, Array]]  # places of some elements, and their fields, each (b, ...)
Proof = tuple[Array, Point]  # places of elements without a solution, and why


class Compiled(NamedTuple):
    """What the kernels have found for some elements."""

    piece: Piece  # of those that are solved, or have no solution
    kept: CompiledKept  # of those that are solved
    proof: Proof | None = None  # None: all are solved
    left: Array | None = None  # (b,): places of those that have neither, if any
    unsound: Array | None = None  # (b,): places of those whose data are to be looked at, if any


def solve_compiled(
    data: Data,
    index: Array,
    warm: Point | None,
    settings: Settings,
    backend: Backend,
    separable: bool,
    *,
    examined: bool,
) -> Compiled:
    """Solve what the kernels can; `examined`: the data are known to have no faults."""
    data, out = run_kernel(data, warm, settings, backend, separable, examined=examined)
    if data.is_large and bool(namespace(index).any(out.status == method.LEFT)):
        out = out._replace(status=judged(data, out, settings))
    if not out.failures:
        kept = keep(data, index, out, backend, separable=separable)
        return Compiled((index, method.fields(out)), kept)
    xp = namespace(index)
    settled, solved, without = (
        xp.nonzero(mask)[0]
        for mask in (
            out.status >= 0,
            (out.status >= 0) & (out.status <= int(Status.ALMOST_SOLVED)),
            (out.status == int(Status.PRIMAL_INFEASIBLE))
            | (out.status == int(Status.DUAL_INFEASIBLE)),
        )
    )
    piece = take(index, settled), method.fields(out.take(settled))
    kept = keep(
        data.take(solved), take(index, solved), out.take(solved), backend, separable=separable
    )
    parts = method.kept_parts(data, out.kept)
    proof = take(index, without), Point(parts.x, parts.s, parts.lam, parts.nu).take(without)
    left, unsound = (_places(index, out.status == v) for v in (method.LEFT, method.UNSOUND))
    return Compiled(piece, kept, proof, left, unsound)


def judged(data: Data, out: method.Solved, settings: Settings) -> Array:  # (B,)
    """Return the status with that of points that were not polished, by their residuals."""
    xp = namespace(out.status)
    value, primal, dual, gap = (out.numbers[:, i] for i in range(4))
    sides = [v for v in (data.h, data.b) if v is not None]
    reach = 1 + norms_inf(out.x, *(xp.where(xp.abs(v) < INFINITE, v, 0.0) for v in sides))
    price = 1 + norms_inf(data.p, out.lam, out.nu)
    worst = largest(primal / reach, dual / price, gap / (1 + xp.abs(value)))
    good = largest(primal, dual, gap) <= settings.tol
    ended = out.iterations >= settings.max_iter
    status = xp.where(ended, int(Status.MAX_ITER), int(Status.NUMERICAL_ERROR))
    status = xp.where(worst <= _JUDGED * LOOSE, int(Status.ALMOST_SOLVED), status)
    status = xp.where(good & (worst <= LOOSE), int(Status.SOLVED), status)
    return xp.where(out.status == method.LEFT, status, out.status)


def follow_path(
    kept: CompiledKept, barrier: float, settings: Settings
) -> tuple[CompiledKept, Array | None]:
    """Go to the points of the central path; return them, and the places in `kept` of the others."""
    out = method.solve(
        kept.data,
        None,
        settings.max_iter,
        tol=settings.tol,
        separable=kept.separable,
        examined=True,
        barrier=barrier,
        call=kept.backend.call,
    )
    found, _, left = _split(kept.data, kept.index, out, kept.backend, separable=kept.separable)
    return found, left


def solve_soft(
    data: Data,  # with prices
    index: Array,
    warm: Point | None,
    settings: Settings,
    backend: Backend,
    separable: bool,
) -> Compiled:
    """Solve what the kernels can of problems with soft rows; `left` is whatever is not solved."""
    data, out = run_kernel(data, warm, settings, backend, separable, examined=False)
    kept, own, bad = _split(data, index, out, backend, separable=separable)
    left = None if bad is None else take(index, bad)
    return Compiled((kept.index, method.fields(own)), kept, left=left)


def _split(
    data: Data, index: Array, out: method.Solved, backend: Backend, *, separable: bool
) -> tuple[CompiledKept, method.Solved, Array | None]:
    """Return the solved elements, twice, and the positions of the others; None: there are none."""
    if not out.failures:
        return keep(data, index, out, backend, separable=separable), out, None
    xp, solved = namespace(index), out.status == int(Status.SOLVED)
    good, bad = (xp.nonzero(mask)[0] for mask in (solved, ~solved))
    own = out.take(good)
    kept = keep(data.take(good), take(index, good), own, backend, separable=separable)
    return kept, own, bad


def run_kernel(
    data: Data,
    warm: Point | None,
    settings: Settings,
    backend: Backend,
    separable: bool,
    *,
    examined: bool,
) -> tuple[Data, method.Solved]:
    """Run the kernel; return the data without noise in Q, too."""
    most = CURVATURE["float64"]
    if settings.curvature > most and data.structure is None and backend.host is backend:
        Q = without_noise(backend.symmetric(data.Q), settings.curvature, backend.host)
        data = data._replace(Q=Q)
    out = method.solve(
        data,
        warm,
        settings.max_iter,
        tol=settings.tol,
        separable=separable,
        traced=settings.report is not None,
        examined=examined,
        call=backend.call,
    )
    if settings.report is not None:
        report_trace(backend.to_host(out.trace), settings.report)
    return data, out


def _places(index: Array, mask: Array) -> Array | None:
    """Return the places where the mask is True, or None."""
    some = namespace(mask).nonzero(mask)[0]
    return take(index, some) if some.shape[0] else None


def keep(
    data: Data, index: Array, out: method.Solved, backend: Backend, *, separable: bool
) -> CompiledKept:
    system = out.kept, out.active, out.weights, out.factors
    return CompiledKept(index, data, *system, separable, backend)
