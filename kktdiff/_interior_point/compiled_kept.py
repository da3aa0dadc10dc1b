"""What the kernels keep of the problems that they have solved."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from kktdiff import _kkt as kkt
from kktdiff._arrays import namespace, take
from kktdiff._interior_point.active_set import PROXIMAL, held_variables
from kktdiff._interior_point.newton import border_groups
from kktdiff._interior_point.parts import Kept, refine
from kktdiff._interior_point.program import Program, program
from kktdiff._kkt import AnyFactors, Weights
from kktdiff._problem import assemble
from kktdiff._records import QP, Data, Point, Rhs, Scaling
from kktdiff._settings import CURVATURE, SHARP, SPARSE_PROXIMAL
from kktdiff._sparse.structure import structure
from kktdiff._typing import Array
from kktdiff.backends import Backend
from kktdiff.kernels import method
from kktdiff.kernels.results import Pulled, kept_parts


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
        return kept_parts(self.data, self.kept).scaling[:, -1]

    @cached_property
    def point(self) -> Point:
        """The solutions, in the caller's units."""
        parts, n = kept_parts(self.data, self.kept), self.data.sizes[0]
        rows = self.data.sizes[1] + sum(self.data.bounds)  # without the slacks of soft rows
        return Point(parts.x[:, :n], parts.s[:, :rows], parts.lam[:, :rows], parts.nu)

    @property
    def multipliers(self) -> Array:  # (B, M)
        """lam with each fixed variable's multiplier placed on the bound of its sign."""
        parts = kept_parts(self.data, self.kept)
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
        data = [None if v is None else backend.to_host(v) for v in self.data.arrays]
        there = self.data.structure
        patterns = None if there is None else structure(there.Q, there.G, there.A)
        own = (self.index, self.kept, self.active)
        index, kept, active = (backend.to_host(v) for v in own)
        return replace(
            self,
            index=index,
            data=Data._make([*data, patterns]),
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
        own = kept_parts(self.data, self.kept).scaling
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

    def refine(self, rhs: Rhs, target: float, *, sharp: bool = False) -> tuple[Rhs, Array, Array]:
        """Solve in the caller's units; return the relative residual and what is singular, (B,).

        If `sharp`, sparse systems have proximal terms near rounding.
        """
        if not self.backend.compiled:  # a copy from a device, on a host without kernels
            return refine(self.program, self.factors, rhs, target, self.backend.host)
        return method.derive(
            self.data,
            self.kept,
            self.active,
            rhs,
            target,
            weights=self.weights,
            factors=None if sharp else self.kernel_factors,
            proximal=SHARP if sharp else SPARSE_PROXIMAL,
            separable=self.separable,
            call=self.backend.call,
        )

    def pull(
        self, cotangents: tuple[Array | None, ...], names: list[str], accuracy: tuple[float, float]
    ) -> tuple[Pulled, Array | None]:
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
    def factors(self) -> AnyFactors:
        """The factors of the array code, for the few elements that need more than `refine`."""
        qp, theta = self.program.qp, self.program.units.weight
        small = PROXIMAL + 0 * theta
        weights = Weights(self.w, held_variables(qp, self.w), theta, small, small)
        places = max(count for _, count in border_groups(qp, weights))
        return kkt.factor(qp, weights, self.backend.host, separable=self.separable, border=places)


KeptGroup = Kept | CompiledKept
