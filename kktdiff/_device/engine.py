"""The derivatives of a batch on a device.

First ones are the kernels' there. What they leave, and what needs array code, is done on copies in
the host's memory: second ones, solutions of least squares, diagnostics, all of soft rows but `vjp`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kktdiff._arrays import namespace, pick, placed, take
from kktdiff._device.part import Part, in_matrices, mirror, some_on_host
from kktdiff._given import Given
from kktdiff._interior_point.compiled_kept import CompiledKept
from kktdiff._layout import PRICES
from kktdiff._problem import Problem, at_work
from kktdiff._sensitivity.arguments import flat_cotangents, flat_tangents, outputs_of
from kktdiff._sensitivity.central_path import by_kernels
from kktdiff._sensitivity.derivatives import SMOOTHING, Engine, Pieces, check_mode
from kktdiff._sensitivity.first_order import Cotangents
from kktdiff._sensitivity.pullback import pull
from kktdiff._settings import one_of
from kktdiff._sparse.matrix import entries
from kktdiff._sparse.pattern import Sparse
from kktdiff._sparse_inputs import MATRICES
from kktdiff._typing import Array

Named = Mapping[str, Array | None]


@dataclass(frozen=True, eq=False)
class DeviceEngine:
    """The derivatives behind `Solution` for a batch on a device."""

    base: Engine  # of the elements that have none, with their proofs
    kept: CompiledKept | None  # of those that the kernels have solved
    parts: tuple[Part, ...]  # those that the host has looked at
    unread: Array | None  # (B,) bool: which of `kept` are solved, if that is not known; None: all

    @property
    def problem(self) -> Problem:
        """The problem as given."""
        return self.base.problem

    @property
    def given(self) -> Given:
        """The caller's arrays."""
        return self.problem.given

    @property
    def is_soft(self) -> bool:
        """Return True if any row has a price."""
        return any(name in self.given.arrays for name in PRICES)

    @property
    def outputs(self) -> dict[str, str]:
        """The core dimensions of each output, by name."""
        return outputs_of(self.given)

    @at_work
    def vjp(
        self,
        cotangents: dict[str, Array | None],
        mode: str,
        smoothing: float | None,
        wrt: tuple[str, ...] | None = None,
    ) -> dict[str, Array | None]:
        """Return the gradients by input name, in the inputs' shapes; of `wrt` only if given."""
        g, pieces = flat_cotangents(self.given, cotangents, self.outputs), self.base.wanted(wrt)
        kept, parts = self._at(mode, smoothing)
        if kept is not None and g:
            parts += self._by_kernels(kept, g, pieces)
        for part in parts if g else ():
            found = part.engine.vjp(self._on_host(g, part), mode, smoothing, tuple(pieces))
            self._add(part, found, pieces)
        return self._folded(pieces)

    def _by_kernels(
        self, kept: CompiledKept, g: dict[str, Array], pieces: dict[str, Pieces]
    ) -> tuple[Part, ...]:
        """Add what the kernels pull back to `pieces`; return the elements for the host."""
        own, parts = Cotangents(**_taken(g, kept, self.given)), tuple[Part, ...]()
        shared = frozenset[str]() if self.unread is not None else self.given.shared
        values, _, bad = pull(list(pieces), kept, own, kept.backend, shared)
        if bad is not None:
            xp = namespace(bad)
            numbers = xp.arange(kept.index.shape[0], device=bad.device)
            good = xp.nonzero(~xp.isin(numbers, bad))[0]
            parts, kept, own = (mirror(kept.take(bad)),), kept.take(good), own.take(good)
            values, _, _ = pull(list(pieces), kept, own, kept.backend, shared)
        for name, value in values.items():
            pieces[name].append((kept.index, self._masked(name, value)))
        return parts

    def _masked(self, name: str, value: Array) -> Array:
        """Return a gradient that is zero where elements are not solved, summed if it is shared."""
        if self.unread is None:
            return value
        value = pick(self.unread, value, 0.0)
        many = name in self.given.shared and value.shape[0] > 1
        return namespace(value).sum(value, axis=0, keepdims=True) if many else value

    @at_work
    def hvp(
        self, cotangents: Named, tangents: Named, mode: str, wrt: tuple[str, ...] | None = None
    ) -> dict[str, Array | None]:
        """Differentiate the gradients of `vjp` along `tangents`, in the inputs' shapes."""
        g, pieces = flat_cotangents(self.given, cotangents, self.outputs), self.base.wanted(wrt)
        d = flat_tangents(self.given, tangents)
        for part in self._second(mode):
            ways = self._on_host(g, part), self._on_host(d, part)
            self._add(part, part.engine.hvp(*ways, mode, tuple(pieces)), pieces)
        return self._folded(pieces)

    @at_work
    def jvp(self, tangents: Named, mode: str, smoothing: float | None) -> dict[str, Array]:
        """Return the tangents by output name, in the outputs' shapes."""
        d = flat_tangents(self.given, tangents)
        kept, parts = self._at(mode, smoothing, soft=False)
        found = [(p, p.engine.jvp(self._on_host(d, p), mode, smoothing)) for p in parts]
        total = None
        if kept is not None:
            total = replace(self.base, kept=(kept,)).jvp(dict(tangents), "exact", None)
        return self._outputs(found, total)

    @at_work
    def second_jvp(self, first: Named, second: Named, mode: str) -> dict[str, Array]:
        """Differentiate the tangents of `jvp` along `first` in the direction `second`."""
        d, e = flat_tangents(self.given, first), flat_tangents(self.given, second)
        ways = [(p, self._on_host(d, p), self._on_host(e, p)) for p in self._second(mode)]
        return self._outputs([(p, p.engine.second_jvp(a, b, mode)) for p, a, b in ways])

    @at_work
    def jacobian(self, of: str, wrt: str, mode: str, smoothing: float | None) -> Array:
        """Return the derivative of one output by one input, (..., *of, *wrt)."""
        one_of("of", of, tuple(self.outputs))
        one_of("wrt", wrt, self.given.inputs)
        kept, parts = self._at(mode, smoothing, soft=False)
        shape = *self.base.shape(self.outputs[of]), *self.given.places(wrt)
        found = []
        for part in parts:
            own = self._receive(part.engine.jacobian(of, wrt, mode, smoothing))
            found.append((part.index, self._in_entries(wrt, own, shape)))
        value = self._spread(found, shape)
        total = self.given.give(self.base.per_number(wrt, value))
        if kept is None:
            return total
        return total + replace(self.base, kept=(kept,)).jacobian(of, wrt, "exact", None)

    def _in_entries(self, wrt: str, value: Array, shape: tuple[int, ...]) -> Array:
        """Return a Jacobian of the host's problem for the entries of the caller's input."""
        lead = value.shape[: 1 + len(shape) - len(self.given.places(wrt))]
        xp, tail = namespace(value), value.shape[len(lead) :]
        flat = xp.reshape(value, (math.prod(lead), *tail))
        return xp.reshape(self.given.in_entries(wrt, flat), (lead[0], *shape))

    @at_work
    def diagnostics(self) -> dict[str, Array]:
        """Return the fields of `Diagnostics`, each (...); unsolved elements are not trustworthy."""
        parts = (*self.parts, *self._mirrors())
        return self._placed(self.base.diagnostics(), [(p, p.engine.diagnostics()) for p in parts])

    @at_work
    def certificate(self) -> dict[str, Array]:
        """Return the fields of `Certificate`; NaN for an element that has none."""
        found = [(p, p.engine.certificate()) for p in self.parts]
        return self._placed(self.base.certificate(), found)

    def _at(
        self, mode: str, smoothing: float | None, *, soft: bool = True
    ) -> tuple[CompiledKept | None, tuple[Part, ...]]:
        """Check the options; return what the kernels differentiate there, and the rest.

        soft: they do so for soft rows and sparse matrices, too.
        """
        check_mode(mode, smoothing)
        kept, parts = self.kept, tuple(part for part in self.parts if part.solved)
        arrays_only = not soft and (self.is_soft or self.given.works_sparse)
        if kept is None or mode == "least_squares" or arrays_only:
            return None, (*parts, *self._mirrors())
        if mode == "exact":
            return kept, parts
        if self.is_soft:
            return None, (*parts, *self._mirrors())
        found, left = by_kernels(kept, smoothing or SMOOTHING)
        return found, parts if left is None else (*parts, mirror(kept.take(left)))

    def _mirrors(self) -> Iterable[Part]:
        return () if self.kept is None else (mirror(self.kept),)

    def _second(self, mode: str) -> tuple[Part, ...]:
        """Check the option; return all elements that are solved, for the host."""
        one_of("gradient", mode, ("exact", "least_squares"))
        return *(part for part in self.parts if part.solved), *self._mirrors()

    def _on_host(self, values: dict[str, Array], part: Part) -> dict[str, Any]:
        """Return a part's cotangents, (b, size), or tangents."""
        backend, structure = self.given.backend, self.problem.data.structure
        own = some_on_host({k: entries(v) for k, v in values.items()}, part.index, backend)
        if structure is not None:
            matrices = [name for name in MATRICES if name in own]
            own |= {name: in_matrices(structure, name, own[name]) for name in matrices}
        names = self.outputs
        return {
            name: v if name not in names else v[..., 0] if names[name] else v[:, 0, 0]
            for name, v in own.items()
        }

    def _receive(self, value: Array) -> Array:
        return self.given.backend.receive(value, None, self.problem.data.p)

    def _add(self, part: Part, found: dict[str, Any], pieces: dict[str, Pieces]) -> None:
        for name, values in pieces.items():
            own = found[name]
            own = own.values if isinstance(own, Sparse) else own
            values.append((part.index, self._receive(own)))

    def _outputs(
        self, found: list[tuple[Part, dict[str, Array]]], total: dict[str, Array] | None = None
    ) -> dict[str, Array]:
        """Assemble tangents of the host's elements; add those of the others."""
        out = {}
        for name, core in self.outputs.items():
            pieces = [(part.index, self._receive(v[name])) for part, v in found]
            value = self.given.give(self._spread(pieces, self.base.shape(core)))
            out[name] = value if total is None else total[name] + value
        return out

    def _folded(self, pieces: dict[str, Pieces]) -> dict[str, Array | None]:
        """Fold gradients to the inputs' own shapes; None for inputs that are not in `pieces`."""
        shared = {name: v for name, v in pieces.items() if name in self.given.shared}
        own = {name: v for name, v in pieces.items() if name not in shared}
        found = {
            name: self.given.fold(name, self._spread(v, self.base.tail(name)))
            for name, v in own.items()
        }
        return self.base.folded(shared) | found

    def _spread(self, pieces: Pieces, tail: tuple[int, ...]) -> Array:
        """Write values to their places in the flat batch, zeros elsewhere, without a wait."""
        length, like = self.problem.length, self.problem.data.p
        if len(pieces) == 1 and pieces[0][0].shape[0] == length:
            return pieces[0][1]
        out = namespace(like).zeros((length, *tail), dtype=like.dtype, device=like.device)
        for index, value in pieces:
            out[index] = value
        return out

    def _placed(
        self, base: dict[str, Array], found: list[tuple[Part, dict[str, Array]]]
    ) -> dict[str, Array]:
        """Put what is known of the host's elements into fields, each (..., size)."""
        out, given = {}, self.given
        for name, whole in base.items():
            flat = self._receive(whole)
            flat = namespace(flat).reshape(flat, (given.length, *whole.shape[len(given.batch) :]))
            for part, values in found:
                flat = placed(part.index, self._receive(values[name]), flat)
            out[name] = given.give(flat)
        return out


def _taken(g: dict[str, Array], kept: CompiledKept, given: Given) -> dict[str, Array]:
    whole = kept.index.shape[0] == given.length
    return g if whole else {name: take(v, kept.index) for name, v in g.items()}
