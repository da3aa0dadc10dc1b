"""From the caller's cotangents and tangents to the KKT solves, and back.

Everything here is bookkeeping: shapes, groups of elements, sums over what is shared. The
mathematics is in `kktdiff._sensitivity`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from kktdiff import _sensitivity as sensitivity
from kktdiff._arrays import namespace, spread, take_shared
from kktdiff._central_path import on_central_path
from kktdiff._diagnostics import diagnose
from kktdiff._inputs import CORE
from kktdiff._parts import Kept
from kktdiff._problem import Problem
from kktdiff._residuals import Point, multipliers
from kktdiff._sensitivity import Adjoint, Cotangents
from kktdiff._settings import one_of
from kktdiff._status import Status
from kktdiff._typing import Array

OUTPUTS = {"x": "n", "s": "m", "lam": "m", "nu": "k", "lam_lb": "n", "lam_ub": "n", "objective": ""}
MODES = ("exact", "smoothed", "least_squares")
SMOOTHING = 1e-4  # barrier parameter where none is given

# Values of some elements: their places in the flat batch, and the values.
Pieces = list[tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Engine:
    """A problem and the factors that its solve left; what `Solution`'s methods call."""

    problem: Problem
    status: Array  # (B,)
    kept: tuple[Kept, ...]
    proofs: tuple[tuple[Array, Point], ...]  # places of elements without a solution, and why

    def vjp(
        self, cotangents: dict[str, Array | None], mode: str, smoothing: float | None
    ) -> dict[str, Array | None]:
        """Gradients by input name, in the inputs' own shapes."""
        g = Cotangents(**self.flat_cotangents(cotangents))
        pieces: dict[str, Pieces] = {name: [] for name in self.inputs}
        for group in self._groups(mode, smoothing) if any(v is not None for v in g) else ():
            u = self._adjoint(group, g.take(group.index), mode)
            lam = multipliers(group.qp, group.point)
            for name, found in pieces.items():
                value = sensitivity.gradient(
                    name, group.qp, lam, group.point, u, shared=self.shared(name)
                )
                found.append((group.index, value))
        given = self.problem.given
        folded = {
            name: given.fold(name, self._total(name, found)) for name, found in pieces.items()
        }
        return dict.fromkeys(CORE) | folded

    def jvp(
        self, tangents: dict[str, Array | None], mode: str, smoothing: float | None
    ) -> dict[str, Array]:
        """Tangents by output name, in the outputs' shapes."""
        d = self.flat_tangents(tangents)
        pieces: dict[str, Pieces] = {name: [] for name in OUTPUTS}
        for group in self._groups(mode, smoothing):
            here = {name: take_shared(v, group.index) for name, v in d.items()}
            lam = multipliers(group.qp, group.point)
            backend, exact = self.problem.given.backend, mode != "least_squares"
            t = sensitivity.tangent(
                group.qp, lam, group.point, group.factors, here, backend, least_squares=not exact
            )
            lam_G, lam_lb, lam_ub = group.qp.split(t.lam)
            values = (t.x, t.s, lam_G, t.nu, lam_lb, lam_ub, t.objective)
            for name, value in zip(OUTPUTS, values, strict=True):
                if value.shape[1:] == self.shape(OUTPUTS[name]):  # a bound that was not given: 0
                    pieces[name].append((group.index, value))
        give = self.problem.given.give
        return {
            name: give(self._spread(found, self.shape(OUTPUTS[name])))
            for name, found in pieces.items()
        }

    def jacobian(self, of: str, wrt: str, mode: str, smoothing: float | None) -> Array:
        """Derivative of one output by one input, (..., *of, *wrt)."""
        one_of("of", of, tuple(OUTPUTS))
        one_of("wrt", wrt, self.inputs)
        rows = math.prod(self.shape(OUTPUTS[of]))
        tail = (*self.shape(OUTPUTS[of]), *self.shape(CORE[wrt]))
        pieces: Pieces = []
        for group in self._groups(mode, smoothing) if rows else ():
            xp = namespace(group.index)
            count, like = group.index.shape[0], group.point.x
            eye = xp.eye(rows, dtype=like.dtype, device=like.device)
            g = Cotangents(**{of: xp.broadcast_to(eye, (count, rows, rows))})
            u = self._adjoint(group, g, mode)
            flat = Adjoint(*(xp.reshape(v.mT, (count * rows, -1, 1)) for v in u))
            point = type(group.point)(*(xp.repeat(v, rows, axis=0) for v in group.point))
            lam = xp.repeat(multipliers(group.qp, group.point), rows, axis=0)
            value = sensitivity.gradient(wrt, group.qp, lam, point, flat, shared=False)
            pieces.append((group.index, xp.reshape(value, (count, *tail))))
        return self.problem.given.give(self._spread(pieces, tail))

    def diagnostics(self) -> dict[str, Array]:
        """The fields of `Diagnostics`, each (...); an element that is not solved has no trust."""
        give, length, p = self.problem.given.give, self.problem.length, self.problem.qp.p
        found = [(group.index, diagnose(group)) for group in self.kept]
        xp = namespace(p)
        fields = {
            name: spread([(i, d[name]) for i, d in found], (), length, like, fill)
            for name, like, fill in (
                ("margin", p, xp.nan),
                ("weakly_active", xp.astype(p[:0, 0], xp.int64), 0),
                ("condition", p, xp.nan),
                ("decided", self.status < 0, False),
            )
        }
        regular = fields.pop("decided") & (fields["condition"] < xp.inf)
        trust = regular & (fields["weakly_active"] == 0) & (self.status == int(Status.SOLVED))
        return {name: give(v) for name, v in (fields | {"trustworthy": trust}).items()}

    def certificate(self) -> dict[str, Array]:
        """The fields of `Certificate`; NaN for an element that has none."""
        length, like = self.problem.length, self.problem.qp.p
        xp = namespace(like)
        pieces: dict[str, Pieces] = {name: [] for name in ("x", "lam", "nu", "lam_lb", "lam_ub")}
        for index, point in self.proofs:
            lam, lower, upper = self.problem.qp.split(point.lam)
            sides = [v if v.shape[1] else 0 * point.x for v in (lower, upper)]
            for name, value in zip(pieces, (point.x, lam, point.nu, *sides), strict=True):
                pieces[name].append((index, value))
        return {
            name: self.problem.given.give(
                spread(found, self.shape(OUTPUTS[name]), length, like, xp.nan)
            )
            for name, found in pieces.items()
        }

    def _adjoint(self, group: Kept, g: Cotangents, mode: str) -> Adjoint:
        backend, flat = self.problem.given.backend, mode == "least_squares"
        return sensitivity.adjoint(
            group.qp, group.point, group.factors, g, backend, least_squares=flat
        )

    def _groups(self, mode: str, smoothing: float | None) -> Iterator[Kept]:
        """The kept factors, or those of the central path."""
        one_of("gradient", mode, MODES)
        if smoothing is not None and not (mode == "smoothed" and smoothing > 0):
            raise ValueError(
                f'smoothing={smoothing!r}: expected a positive number, with gradient="smoothed"'
            )
        backend = self.problem.given.backend
        for group in self.kept:
            with backend.quiet():
                if mode == "smoothed":
                    yield from on_central_path(group, smoothing or SMOOTHING, backend)
                else:
                    yield group

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that were given."""
        return tuple(name for name in CORE if self.problem.given.arrays[name] is not None)

    def shape(self, core: str) -> tuple[int, ...]:
        """Sizes of the core dimensions `core`, such as "mn"."""
        return tuple(self.problem.given.sizes[letter] for letter in core)

    def shared(self, name: str) -> bool:
        """Whether input `name` is one array for the whole batch."""
        array = self.problem.given.arrays[name]
        return math.prod(array.shape[: array.ndim - len(CORE[name])]) == 1  # type: ignore[union-attr]

    def _total(self, name: str, pieces: Pieces) -> Array:
        """An input's gradient: summed if it is shared, else element by element."""
        if not self.shared(name):
            return self._spread(pieces, self.shape(CORE[name]))
        total = self._spread([], self.shape(CORE[name]), length=1)
        for _, value in pieces:
            total = total + value
        return total

    def _spread(self, pieces: Pieces, tail: tuple[int, ...], length: int | None = None) -> Array:
        """Pieces put in their places of the flat batch, with zeros in between."""
        length = self.problem.length if length is None else length
        return spread(pieces, tail, length, self.problem.qp.p)

    def flat_cotangents(self, cotangents: dict[str, Array | None]) -> dict[str, Array]:
        """Those that are not None, checked, each (B, size, 1)."""
        given = self.problem.given
        flat = {}
        for name, array in cotangents.items():
            if array is None:
                continue
            shape = (*given.batch, *self.shape(OUTPUTS[name]))
            _same_shape("cotangent", name, array, shape, given)
            size = math.prod(self.shape(OUTPUTS[name]))
            flat[name] = given.receive(array, (self.problem.length, size, 1))
        return flat

    def flat_tangents(self, tangents: dict[str, Array | None]) -> dict[str, Array]:
        """Those that are not None, checked, each (B or 1, ...)."""
        given = self.problem.given
        flat = {}
        for name, array in tangents.items():
            if array is None:
                continue
            own = given.arrays[name]
            if own is None:
                raise ValueError(f"a tangent was given for {name}, which was None in the solve")
            _same_shape("tangent", name, array, tuple(own.shape), given)
            flat[name] = given._replace(arrays=given.arrays | {name: array}).flat(name)
        return flat


def _same_shape(kind: str, name: str, array: Array, shape: tuple[int, ...], given: object) -> None:
    owns = given.home.owns  # type: ignore[attr-defined]
    if not owns(array):
        raise TypeError(
            f"the {kind} of {name} is a {type(array).__name__}: expected the array type of "
            "the inputs"
        )
    if tuple(array.shape) != shape:
        raise ValueError(
            f"the {kind} of {name} has shape {tuple(array.shape)}: expected {shape}, as {name} has"
        )
