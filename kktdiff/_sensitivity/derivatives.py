"""From the caller's cotangents and tangents to the KKT solves, and back.

Everything here is bookkeeping: shapes, groups of elements, sums over shared inputs. The
mathematics is in `first_order` and `second_order`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add

from kktdiff._arrays import namespace, spread, taken
from kktdiff._interior_point.compiled_kept import KeptGroup
from kktdiff._interior_point.residuals import multipliers
from kktdiff._layout import CORE, DIMENSIONS
from kktdiff._problem import Problem, at_work
from kktdiff._records import Point
from kktdiff._sensitivity import first_order, pullback, second_order
from kktdiff._sensitivity.arguments import OUTPUTS, flat_cotangents, flat_tangents, wanted_inputs
from kktdiff._sensitivity.central_path import on_central_path
from kktdiff._sensitivity.diagnostics import certificate, diagnostics
from kktdiff._sensitivity.first_order import Adjoint, Cotangents
from kktdiff._sensitivity.tangent import Tangent, tangent
from kktdiff._settings import one_of
from kktdiff._sparse_inputs import MATRICES
from kktdiff._typing import Array

MODES = ("exact", "smoothed", "least_squares")
SMOOTHING = 1e-4  # barrier parameter where none is given

# Values of some elements: their places in the flat batch, and the values.
Pieces = list[tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Engine:
    """A problem and the kept factors of its solve: the derivatives behind `Solution`."""

    problem: Problem
    status: Array  # (B,)
    kept: tuple[KeptGroup, ...]
    proofs: tuple[tuple[Array, Point], ...]  # places of elements without a solution, and why

    @at_work
    def vjp(
        self,
        cotangents: dict[str, Array | None],
        mode: str,
        smoothing: float | None,
        wrt: tuple[str, ...] | None = None,
    ) -> dict[str, Array | None]:
        """Return the gradients by input name, in the inputs' shapes; of `wrt` only if given."""
        g = Cotangents(**flat_cotangents(self.problem.given, cotangents))
        backend = self.problem.given.backend
        pieces, groups = self.wanted(wrt), self._groups(mode, smoothing)
        for group in groups if any(v is not None for v in g) else ():
            own, flat = self._of(g, group), mode == "least_squares"
            shared = self.problem.given.shared
            structure = self.problem.data.structure
            values = pullback.vjp(
                pieces, group, own, backend, shared, structure, least_squares=flat
            )
            for name, value in values.items():
                pieces[name].append((group.index, value))
        return self.folded(pieces)

    @at_work
    def jvp(
        self, tangents: dict[str, Array | None], mode: str, smoothing: float | None
    ) -> dict[str, Array]:
        """Return the tangents by output name, in the outputs' shapes."""
        d = flat_tangents(self.problem.given, tangents)
        groups = self._groups(mode, smoothing)
        return self._outputs([(g, self._tangent(g, _of(d, g), mode)) for g in groups])

    @at_work
    def hvp(
        self,
        cotangents: dict[str, Array | None],
        tangents: dict[str, Array | None],
        mode: str,
        wrt: tuple[str, ...] | None = None,
    ) -> dict[str, Array | None]:
        """Differentiate the gradients of `vjp` along `tangents`, in the inputs' shapes."""
        g = Cotangents(**flat_cotangents(self.problem.given, cotangents))
        d = flat_tangents(self.problem.given, tangents)
        backend, flat = self.problem.given.backend, mode == "least_squares"
        pieces, groups = self.wanted(wrt), self._at_solution(mode)
        for group in groups if any(v is not None for v in g) else ():
            here = _of(d, group)
            u, y = self._adjoint(group, g, mode), self._tangent(group, here, mode)
            v = second_order.moved_adjoint(group, u, here, least_squares=flat)
            lam = multipliers(group.qp, group.point)
            for name, found in pieces.items():
                value = second_order.moved_gradient(
                    name,
                    lam,
                    group.point,
                    y,
                    u,
                    v,
                    group.qp,
                    backend,
                    shared=name in self.problem.given.shared,
                    structure=self.problem.data.structure,
                )
                found.append((group.index, value))
        return self.folded(pieces)

    @at_work
    def second_jvp(
        self, first: dict[str, Array | None], second: dict[str, Array | None], mode: str
    ) -> dict[str, Array]:
        """Differentiate the tangents of `jvp` along `first` in the direction `second`."""
        d, e = flat_tangents(self.problem.given, first), flat_tangents(self.problem.given, second)
        flat = mode == "least_squares"
        found = []
        for group in self._at_solution(mode):
            ways = _of(d, group), _of(e, group)
            moved = self._tangent(group, ways[0], mode), self._tangent(group, ways[1], mode)
            lam = multipliers(group.qp, group.point)
            t = second_order.second_tangent(group, lam, *ways, moved, least_squares=flat)
            found.append((group, t))
        return self._outputs(found)

    @at_work
    def jacobian(self, of: str, wrt: str, mode: str, smoothing: float | None) -> Array:
        """Return the derivative of one output by one input, (..., *of, *wrt)."""
        one_of("of", of, tuple(OUTPUTS))
        one_of("wrt", wrt, self.problem.given.inputs)
        rows = math.prod(self.shape(OUTPUTS[of]))
        tail = (*self.shape(OUTPUTS[of]), *self.problem.given.places(wrt))
        pieces: Pieces = []
        backend = self.problem.given.backend
        for group in self._groups(mode, smoothing) if rows else ():
            xp = namespace(group.index)
            count, like = group.index.shape[0], group.point.x
            eye = xp.eye(rows, dtype=like.dtype, device=like.device)
            g = Cotangents(**{of: xp.broadcast_to(eye, (count, rows, rows))})
            u = first_order.adjoint(group, g, least_squares=mode == "least_squares")
            flat = Adjoint(
                *(None if v is None else xp.reshape(v.mT, (count * rows, -1, 1)) for v in u)
            )
            point = type(group.point)(*(xp.repeat(v, rows, axis=0) for v in group.point))
            lam = xp.repeat(multipliers(group.qp, group.point), rows, axis=0)
            structure = self.problem.data.structure
            value = first_order.gradients(
                (wrt,), group.qp, lam, point, flat, backend, structure=structure
            )[wrt]
            value = self.problem.given.in_entries(wrt, value)
            pieces.append((group.index, xp.reshape(value, (count, *tail))))
        return self.problem.given.give(self.per_number(wrt, self._spread(pieces, tail)))

    @at_work
    def diagnostics(self) -> dict[str, Array]:
        """Return the fields of `Diagnostics`, each (...); unsolved elements are not trustworthy."""
        return diagnostics(self.problem, self.status, self.kept)

    @at_work
    def certificate(self) -> dict[str, Array]:
        """Return the fields of `Certificate`; NaN for an element that has none."""
        return certificate(self.problem, self.proofs)

    def wanted(self, wrt: tuple[str, ...] | None) -> dict[str, Pieces]:
        """Return an empty list of pieces for each input whose gradient is wanted."""
        return {name: [] for name in wanted_inputs(self.problem.given, wrt)}

    def folded(self, pieces: dict[str, Pieces]) -> dict[str, Array | None]:
        """Fold gradients to the inputs' own shapes; None for inputs that are not in `pieces`."""
        given = self.problem.given
        found = {name: given.fold(name, self._total(name, v)) for name, v in pieces.items()}
        return dict.fromkeys(CORE) | found

    def _outputs(self, found: list[tuple[KeptGroup, Tangent]]) -> dict[str, Array]:
        """Assemble the tangents in the outputs' shapes."""
        pieces: dict[str, Pieces] = {name: [] for name in OUTPUTS}
        for group, t in found:
            lam_G, lam_lb, lam_ub = group.qp.split(t.lam)
            values = (t.x, t.s, lam_G, t.nu, lam_lb, lam_ub, t.objective)
            for name, value in zip(OUTPUTS, values, strict=True):
                if value.shape[1:] == self.shape(OUTPUTS[name]):  # a bound that was not given: 0
                    pieces[name].append((group.index, value))
        give = self.problem.given.give
        return {
            name: give(self._spread(v, self.shape(OUTPUTS[name]))) for name, v in pieces.items()
        }

    def _tangent(self, group: KeptGroup, d: dict[str, Array], mode: str) -> Tangent:
        lam = multipliers(group.qp, group.point)
        return tangent(group, lam, d, least_squares=mode == "least_squares")

    def _at_solution(self, mode: str) -> Iterator[KeptGroup]:
        """Return the groups of kept factors at the solution, for second derivatives."""
        one_of("gradient", mode, ("exact", "least_squares"))
        return self._groups(mode, None)

    def _adjoint(self, group: KeptGroup, g: Cotangents, mode: str) -> Adjoint:
        return first_order.adjoint(group, self._of(g, group), least_squares=mode == "least_squares")

    def _of(self, g: Cotangents, group: KeptGroup) -> Cotangents:
        """Restrict cotangents to a group's elements."""
        return g if group.index.shape[0] == self.problem.length else g.take(group.index)

    def _groups(self, mode: str, smoothing: float | None) -> Iterator[KeptGroup]:
        """Check the options; return the kept factors, or those at the central path."""
        check_mode(mode, smoothing)
        return self._each_group(mode, smoothing)

    def _each_group(self, mode: str, smoothing: float | None) -> Iterator[KeptGroup]:
        for group in self.kept:
            if mode == "smoothed":
                yield from on_central_path(group, smoothing or SMOOTHING)
            else:
                yield group

    def per_number(self, wrt: str, value: Array) -> Array:
        """Sum a Jacobian over the entries of an input for which one number was given."""
        number = wrt in self.problem.given.stands_for
        return namespace(value).sum(value, axis=-1) if number else value

    def shape(self, core: str) -> tuple[int, ...]:
        """Return the sizes of the core dimensions `core`, such as "mn"."""
        return tuple(self.problem.given.sizes[letter] for letter in core)

    def tail(self, name: str) -> tuple[int, ...]:
        """Return the shape of an input in the flat batch, without that of the batch."""
        structure = self.problem.data.structure
        if structure is not None and name in MATRICES:
            return structure.pattern(name).column.shape
        return self.shape(DIMENSIONS[name])

    def _total(self, name: str, pieces: Pieces) -> Array:
        """Assemble an input's gradient: the sum over the batch if it is shared, else (B, ...)."""
        tail = self.tail(name)
        if name not in self.problem.given.shared:
            return self._spread(pieces, tail)
        if not pieces:
            return self._spread([], tail, length=1)
        return reduce(add, [value for _, value in pieces])

    def _spread(self, pieces: Pieces, tail: tuple[int, ...], length: int | None = None) -> Array:
        """Scatter pieces to their places in the flat batch, zeros elsewhere."""
        length = self.problem.length if length is None else length
        return spread(pieces, tail, length, self.problem.data.p)


def check_mode(mode: str, smoothing: float | None) -> None:
    """Raise a ValueError for an unknown mode, or a smoothing that is not positive."""
    one_of("gradient", mode, MODES)
    if smoothing is not None and not (mode == "smoothed" and smoothing > 0):
        raise ValueError(
            f'smoothing={smoothing!r}: expected a positive number, with gradient="smoothed"'
        )


def _of(d: dict[str, Array], group: KeptGroup) -> dict[str, Array]:
    """Restrict a direction to a group's elements."""
    return dict(zip(d, taken(d.values(), group.index, shared=True), strict=True))
