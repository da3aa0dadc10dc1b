"""The solution of a batch with soft rows, and its derivatives, from those with slack variables."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from operator import add
from typing import Any

from kktdiff._arrays import namespace, reshaped, spread, take, take_shared
from kktdiff._given import Given
from kktdiff._interior_point.compiled_kept import CompiledKept
from kktdiff._layout import CORE, DIMENSIONS
from kktdiff._problem import Problem, at_work
from kktdiff._sensitivity.arguments import (
    OUTPUTS,
    flat_cotangents,
    flat_tangents,
    outputs_of,
    wanted_inputs,
)
from kktdiff._sensitivity.first_order import Cotangents
from kktdiff._sensitivity.pullback import pull
from kktdiff._settings import one_of
from kktdiff._soft.arguments import SOURCES, tangents
from kktdiff._soft.maps import cotangents, gradient, output
from kktdiff._soft.written import Solved, written
from kktdiff._typing import Array

Values = dict[str, Array]
Named = Mapping[str, Array | None]
Pieces = list[tuple[Array, Array]]  # places in the flat batch, and values


def joined(pieces: Pieces, length: int) -> Array:
    """Put the values of some elements each to their places in the flat batch."""
    like = pieces[0][1]
    return spread(pieces, like.shape[1:], length, like)


@dataclass(frozen=True, eq=False)
class SoftEngine:
    """The derivatives behind `Solution` for a batch with soft rows."""

    problem: Problem  # without the prices
    kept: tuple[CompiledKept, ...]  # of the elements that the kernels have solved
    others: tuple[Solved, ...]  # those that they have not

    @property
    def given(self) -> Given:
        """The caller's arrays."""
        return self.problem.given

    @cached_property
    def parts(self) -> tuple[Solved, ...]:
        """All elements with their problems with slacks."""
        return (*(s for kept in self.kept for s in written(self.given, kept)), *self.others)

    @at_work
    def vjp(
        self, cotangents: Named, mode: str, smoothing: float | None, wrt: Any = None
    ) -> dict[str, Array | None]:
        """Return the gradients by input name, in the inputs' shapes; of `wrt` only if given."""
        kernels = mode == "exact" and smoothing is None and bool(self.kept)
        kernels = kernels and self.given.backend.compiled
        return self._reverse(
            cotangents,
            wrt,
            lambda s, g, own: s.engine.vjp(g, mode, smoothing, own),
            kernels=kernels,
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
        sizes = s.problem.given.sizes
        count, size = s.part.index.shape[0], math.prod(sizes[letter] for letter in OUTPUTS[of])

        def found(name: str) -> Array | None:
            if s.problem.given.arrays[name] is None:
                return None
            J = s.engine.jacobian(of, name, mode, smoothing)
            return reshaped(J, (count * size, *(sizes[letter] for letter in CORE[name])))

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
        return outputs_of(self.given)

    def _reverse(
        self,
        given: Named,
        wrt: Any,
        rule: Callable[[Solved, dict[str, Array | None], tuple[str, ...]], dict[str, Any]],
        *,
        kernels: bool = False,
    ) -> dict[str, Array | None]:
        """Assemble what the kernels, or `rule` with slacks, give for cotangents and inputs."""
        names = wanted_inputs(self.given, wrt)
        flat = flat_cotangents(self.given, given, self.outputs)
        pieces: dict[str, Pieces] = {name: [] for name in names}
        parts = self._by_kernels(flat, pieces) if kernels and flat else self.parts
        for s in parts:
            index, layout = s.part.index, s.part.layout
            g = {name: v[..., 0] for name, v in self._taken(flat, index).items()}
            g |= {"objective": g["objective"][:, 0]} if "objective" in g else {}
            own: Any = cotangents(layout, g, index.shape[0], self.problem.data.p)
            wanted = tuple(v for v, sources in SOURCES.items() if set(sources) & set(names))
            found = rule(s, own, wanted)
            for name, values in pieces.items():
                values.append((index, gradient(layout, name, partial(self._total, found, name))))
        out: dict[str, Array | None] = dict.fromkeys(DIMENSIONS)
        return out | {name: self._folded(name, v) for name, v in pieces.items()}

    def _by_kernels(self, flat: Values, pieces: dict[str, Pieces]) -> Iterator[Solved]:
        """Add what the kernels pull back to `pieces`; yield the parts for which they do not."""
        backend, shared = self.given.backend, self.given.shared
        for group in self.kept:
            kept, names = group, list(pieces)
            g = Cotangents(**self._taken(flat, group.index))
            if group.data.soft_b is None:  # no equality is soft
                g, names = g._replace(violation_b=None), [v for v in names if v != "soft_b"]
            values, _, bad = pull(names, kept, g, backend, shared)
            if bad is not None:
                xp = namespace(bad)
                numbers = xp.arange(group.index.shape[0], device=bad.device)
                good = xp.nonzero(~xp.isin(numbers, bad))[0]
                yield from written(self.given, group.take(bad))
                kept = group.take(good)
                values, _, _ = pull(names, kept, g.take(good), backend, shared)
            for name, found in pieces.items():
                value = values.get(name)
                found.append((kept.index, self._zeros(name, kept) if value is None else value))
        yield from self.others

    def _zeros(self, name: str, kept: CompiledKept) -> Array:
        """Return the gradient of prices that are all infinite."""
        p, shared = self.problem.data.p, name in self.given.shared
        shape = (1 if shared else kept.index.shape[0], *self._shape(DIMENSIONS[name]))
        return namespace(p).zeros(shape, dtype=p.dtype, device=p.device)

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
        if pieces and name in self.given.shared:
            return self.given.fold(name, reduce(add, (value for _, value in pieces)))
        if not pieces:
            shape = self.given.length, *self._shape(DIMENSIONS[name])
            p = self.problem.data.p
            return self.given.fold(name, namespace(p).zeros(shape, dtype=p.dtype, device=p.device))
        return self.given.fold(name, joined(pieces, self.given.length))

    def _joined(self, pieces: Pieces) -> Array:
        return self.given.give(joined(pieces, self.given.length))

    def _shape(self, core: str) -> tuple[int, ...]:
        return tuple(self.given.sizes[letter] for letter in core)
