"""The solution of a batch with soft rows, and its derivatives, from those with slack variables."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any, NamedTuple

from kktdiff._arrays import namespace, reshaped, spread, take, take_shared
from kktdiff._inputs import Given
from kktdiff._layout import CORE, DIMENSIONS, VIOLATIONS
from kktdiff._problem import Problem, at_work
from kktdiff._results import Derivatives
from kktdiff._sensitivity.arguments import OUTPUTS, flat_cotangents, flat_tangents
from kktdiff._settings import one_of
from kktdiff._soft.arguments import SOURCES, tangents
from kktdiff._soft.layout import SIDES, Part
from kktdiff._soft.maps import cotangents, gradient, output
from kktdiff._typing import Array

Values = dict[str, Array]
Named = Mapping[str, Array | None]
Pieces = list[tuple[Array, Array]]  # places in the flat batch, and values


class Solved(NamedTuple):
    """A part of the batch with the solution of its problems with slacks."""

    part: Part
    problem: Problem  # with slacks
    fields: Values  # each (b, ...)
    engine: Derivatives  # of the problem with slacks

    def output(self, name: str) -> Array:
        """Return a field of the solution in the given problem's shape, (b, ...)."""
        return output(self.part.layout, name, self.fields.get)


def fields(given: Given, solved: tuple[Solved, ...]) -> Values:
    """Return the fields of the solution, each (B, ...), with the violations."""
    first, priced = solved[0].fields, [v for v in SIDES if f"soft_{v}" in given.arrays]
    names = [v for v in first if not v.startswith("shift_")] + [f"violation_{v}" for v in priced]
    if any(v.startswith("shift_") for v in first):
        names += [f"shift_{v}" for v in SIDES if given.arrays[v] is not None]
    return {
        name: _joined([(s.part.index, s.output(name)) for s in solved], given.length)
        for name in names
    }


def _joined(pieces: Pieces, length: int) -> Array:
    like = pieces[0][1]
    return spread(pieces, like.shape[1:], length, like)


@dataclass(frozen=True, eq=False)
class SoftEngine:
    """The derivatives behind `Solution` for a batch with soft rows."""

    given: Given
    parts: tuple[Solved, ...]

    @property
    def problem(self) -> Problem:
        """A problem on the device of the work."""
        return self.parts[0].problem

    @at_work
    def vjp(
        self, cotangents: Named, mode: str, smoothing: float | None, wrt: Any = None
    ) -> dict[str, Array | None]:
        """Return the gradients by input name, in the inputs' shapes; of `wrt` only if given."""
        return self._reverse(
            cotangents, wrt, lambda s, g, own: s.engine.vjp(g, mode, smoothing, own)
        )

    @at_work
    def hvp(
        self, cotangents: Named, tangents: Named, mode: str, wrt: Any = None
    ) -> dict[str, Array | None]:
        """Differentiate the gradients of `vjp` along `tangents`, in the inputs' shapes."""
        d = flat_tangents(self.given, tangents)
        return self._reverse(
            cotangents, wrt, lambda s, g, own: s.engine.hvp(g, self._moved(s, d), mode, own)
        )

    @at_work
    def jvp(self, tangents: Named, mode: str, smoothing: float | None) -> Values:
        """Return the tangents by output name, in the outputs' shapes."""
        d = flat_tangents(self.given, tangents)
        return self._forward(lambda s: s.engine.jvp(self._moved(s, d), mode, smoothing))

    @at_work
    def second_jvp(self, first: Named, second: Named, mode: str) -> Values:
        """Differentiate the tangents of `jvp` along `first` in the direction `second`."""
        d, e = flat_tangents(self.given, first), flat_tangents(self.given, second)
        return self._forward(
            lambda s: s.engine.second_jvp(self._moved(s, d), self._moved(s, e), mode)
        )

    @at_work
    def jacobian(self, of: str, wrt: str, mode: str, smoothing: float | None) -> Array:
        """Return the derivative of one output by one input, (..., *of, *wrt)."""
        one_of("of", of, tuple(self.outputs))
        one_of("wrt", wrt, self.given.inputs)
        tail, size = self._shape(DIMENSIONS[wrt]), self._shape(self.outputs[of])
        pieces: Pieces = []
        for s in self.parts:
            rows = partial(self._rows, s, wrt, mode, smoothing)
            value = output(s.part.layout, of, rows)
            shape = (s.part.index.shape[0], *size, *tail)
            pieces.append((s.part.index, namespace(value).reshape(value, shape)))
        whole = self._joined(pieces)
        number = wrt in CORE and wrt in self.given.stands_for  # for all entries
        return namespace(whole).sum(whole, axis=-1) if number else whole

    def _rows(self, s: Solved, wrt: str, mode: str, smoothing: float | None, of: str) -> Array:
        """Return the derivative of an output with slacks by a given input, (b, size, *wrt)."""
        count, size = s.part.index.shape[0], math.prod(s.fields[of].shape[1:])

        def found(name: str) -> Array | None:
            if s.problem.given.arrays[name] is None:
                return None
            J = s.engine.jacobian(of, name, mode, smoothing)
            own = s.problem.given.sizes
            return reshaped(J, (count * size, *(own[letter] for letter in CORE[name])))

        value = gradient(s.part.layout, wrt, found)
        return namespace(value).reshape(value, (count, size, *value.shape[1:]))

    @at_work
    def diagnostics(self) -> Values:
        """Return the fields of `Diagnostics`, of the problems with slacks."""
        found = [(s.part.index, s.engine.diagnostics()) for s in self.parts]
        return {name: self._joined([(i, d[name]) for i, d in found]) for name in found[0][1]}

    @at_work
    def certificate(self) -> Values:
        """Return the fields of `Certificate`; NaN for an element that has none."""
        found = [(s.part, s.engine.certificate()) for s in self.parts]
        return {
            name: self._joined([(p.index, output(p.layout, name, v.get)) for p, v in found])
            for name in found[0][1]
        }

    @property
    def outputs(self) -> dict[str, str]:
        """The core dimensions of each output, by name."""
        soft = {
            v: size for v, size in VIOLATIONS.items() if v[10:] in self.parts[0].part.layout.sides
        }
        return OUTPUTS | soft

    def _reverse(
        self,
        given: Named,
        wrt: Any,
        rule: Callable[[Solved, dict[str, Array | None], tuple[str, ...]], dict[str, Any]],
    ) -> dict[str, Array | None]:
        """Assemble what `rule` gives for cotangents and wanted inputs with slacks."""
        if isinstance(wrt, str):
            raise TypeError(f"wrt={wrt!r}: expected a tuple of names, as in ({wrt!r},)")
        for name in wrt or ():
            one_of("wrt", name, tuple(DIMENSIONS))
        names = [name for name in self.given.inputs if wrt is None or name in wrt]
        flat = flat_cotangents(self.given, given, self.outputs)
        g = {name: v[..., 0] for name, v in flat.items()}
        g |= {"objective": g["objective"][:, 0]} if "objective" in g else {}
        pieces: dict[str, Pieces] = {name: [] for name in names}
        wanted = tuple(v for v, sources in SOURCES.items() if set(sources) & set(names))
        for s in self.parts:
            index, layout = s.part.index, s.part.layout
            own: Any = cotangents(layout, self._taken(g, index), s.fields["x"])
            found = rule(s, own, wanted)
            for name, values in pieces.items():
                values.append((index, gradient(layout, name, partial(self._total, found, name))))
        out: dict[str, Array | None] = dict.fromkeys(DIMENSIONS)
        return out | {name: self._folded(name, v) for name, v in pieces.items()}

    def _forward(self, rule: Callable[[Solved], Values]) -> Values:
        found = [(s.part, rule(s)) for s in self.parts]
        return {
            name: self._joined([(p.index, output(p.layout, name, v.get)) for p, v in found])
            for name in self.outputs
        }

    def _moved(self, s: Solved, d: Values) -> Any:
        """Return the tangents of a part's problem with slacks along the direction `d`."""
        some = {name: take_shared(v, s.part.index) for name, v in d.items()}
        return tangents(s.part.layout, some, s.problem.given.arrays)

    def _taken(self, g: Values, index: Array) -> Values:
        whole = index.shape[0] == self.given.length
        return g if whole else {name: take(v, index) for name, v in g.items()}

    def _total(self, found: dict[str, Any], name: str, own: str) -> Array | None:
        """Return a gradient of the problem with slacks, summed if the input `name` is shared."""
        value = found[own]
        if value is None or name not in self.given.shared or value.shape[0] == 1:
            return value
        return namespace(value).sum(value, axis=0, keepdims=True)

    def _folded(self, name: str, pieces: Pieces) -> Array:
        if name in self.given.shared:
            return self.given.fold(name, reduce(add, (value for _, value in pieces)))
        return self.given.fold(name, _joined(pieces, self.given.length))

    def _joined(self, pieces: Pieces) -> Array:
        return self.given.give(_joined(pieces, self.given.length))

    def _shape(self, core: str) -> tuple[int, ...]:
        return tuple(self.given.sizes[letter] for letter in core)
