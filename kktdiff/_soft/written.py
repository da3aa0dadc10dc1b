"""The problem with slacks of elements that the kernels have solved, for what they do not derive.

In the kernels each row of a side with prices has a slack: those of "h", "lb", "ub", then two of
each of "b", behind the variables; their bounds stand behind the rows. See `kernels/problem.hpp`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from kktdiff._arrays import concat, namespace, take
from kktdiff._given import Given
from kktdiff._inputs import check
from kktdiff._interior_point.compiled_kept import CompiledKept
from kktdiff._problem import Problem, build
from kktdiff._records import Rhs
from kktdiff._results import Derivatives
from kktdiff._sensitivity.derivatives import Engine
from kktdiff._soft.arguments import arguments
from kktdiff._soft.layout import Layout, Part, parts
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff.kernels.results import kept_parts
from kktdiff.kernels.sizes import slacks


class Solved(NamedTuple):
    """A part of the batch with the derivatives of its problems with slacks."""

    part: Part
    problem: Problem  # with slacks
    engine: Derivatives


def with_slacks(part: Part) -> Problem:
    """Return the problem with slacks of a part of the batch."""
    return build(check(arguments(part.layout, part.data), None))


@dataclass(frozen=True, eq=False)
class WrittenKept(CompiledKept):
    """The same of problems with slacks, whose systems are solved with the slacks eliminated."""

    source: CompiledKept  # of the kernels
    columns: Array  # (n + q,): where each variable stands in the kernels
    rows: Array  # (M,): where each row does; -1 for one that is absent

    def take(self, index: Array) -> "WrittenKept":
        """Return the elements `index` of the batch."""
        return replace(super().take(index), source=self.source.take(index))

    def refine(self, rhs: Rhs, target: float, *, sharp: bool = False) -> tuple[Rhs, Array, Array]:
        """Solve in the caller's units; return the relative residual and what is singular, (B,)."""
        if not self.backend.compiled:
            return super().refine(rhs, target, sharp=sharp)
        xp, parts = namespace(rhs.x), kept_parts(self.source.data, self.source.kept)
        there = xp.nonzero(self.rows >= 0)[0]
        places = take(self.rows, there)
        x, c = (xp.zeros((*v.shape, rhs.x.shape[2])) for v in (parts.x, parts.lam))
        x[:, self.columns, :] = rhs.x
        c[:, places, :] = xp.take(rhs.c, there, axis=1)
        out, error, singular = self.source.refine(Rhs(x, c, rhs.nu), target, sharp=sharp)
        rows = xp.zeros_like(rhs.c)
        rows[:, there, :] = xp.take(out.c, places, axis=1)
        return Rhs(xp.take(out.x, self.columns, axis=1), rows, out.nu), error, singular


def written(given: Given, kept: CompiledKept) -> Iterator[Solved]:
    """Yield the solved elements, part by part, as if their problems with slacks had been solved."""
    xp = namespace(kept.index)
    whole = kept.index.shape[0]
    for part in parts(given, kept.index):
        places, problem = xp.searchsorted(kept.index, part.index), with_slacks(part)
        source = kept if places.shape[0] == whole else kept.take(places)
        numbers = xp.arange(part.index.shape[0], device=kept.index.device)
        engine = Engine(
            problem, numbers * 0 + int(Status.SOLVED), (_kept(part, problem, source, numbers),), ()
        )
        yield Solved(part, problem, engine)


def _kept(part: Part, problem: Problem, source: CompiledKept, numbers: Array) -> WrittenKept:
    """Bring what the kernels keep into the order of the problem with slacks."""
    layout, old = part.layout, kept_parts(source.data, source.kept)
    (n, m, _), every, xp = layout.sizes, old.x.shape[1], namespace(old.x)
    columns = _columns(layout, source, xp.arange(every, device=old.x.device))
    rows = _rows(layout, source, xp.arange(old.lam.shape[1], device=old.x.device), problem)

    def of_rows(v: Array, absent: float) -> Array:
        return xp.where(rows < 0, absent, xp.take(v, xp.where(rows < 0, 0, rows), axis=1))

    cols = old.scaling[:, :every]
    bounds = [side.gather(1 / cols[:, :n]) for v, side in layout.sides.items() if v in ("lb", "ub")]
    more = old.scaling[:, every + m :]
    arrays = [xp.take(cols, columns, axis=1), old.scaling[:, every : every + m], *bounds, more]
    arrays += [xp.take(old.x, columns, axis=1), of_rows(old.s, 1.0), of_rows(old.lam, 0.0)]
    arrays += [old.nu, xp.take(old.y, columns, axis=1)]
    own = numbers, problem.data, concat(arrays, axis=1), of_rows(source.active, False)
    return WrittenKept(*own, None, None, False, source.backend, source, columns, rows)


def _columns(layout: Layout, kept: CompiledKept, numbers: Array) -> Array:  # (n + q,)
    """Return where in the kernels each variable of the problem with slacks stands."""
    n = layout.sizes[0]
    return namespace(numbers).concat([numbers[:n], *_slacks(layout, kept, numbers[n:])])


def _slacks(layout: Layout, kept: CompiledKept, v: Array) -> list[Array]:  # v: (all,)
    """Return those of the slacks that there are, in the order of the layout."""
    sizes = dict(zip(("h", "lb", "ub", "b"), slacks(kept.data), strict=True))
    first = {"h": 0, "lb": sizes["h"], "ub": sizes["h"] + sizes["lb"]}
    first["b"] = first["ub"] + sizes["ub"]
    return [
        take(v[at : at + sizes[name]], side.places)
        for name, side in layout.sides.items()
        for at in (first[name], first[name] + sizes[name])[: 2 if name == "b" else 1]
        if side.soft
    ]


def _rows(layout: Layout, kept: CompiledKept, numbers: Array, problem: Problem) -> Array:  # (M,)
    """Return where in the kernels each row of the problem with slacks stands, -1 if nowhere."""
    xp, (n, m, _) = namespace(numbers), layout.sizes
    lower, upper = kept.data.bounds
    first = {"lb": m, "ub": m + lower}
    slacks = _slacks(layout, kept, numbers[m + lower + upper :])
    none, out, bounds = xp.full((n,), -1, device=numbers.device), [numbers[:m]], []
    for name, given in (("lb", lower), ("ub", upper)):
        side, own = layout.sides.get(name), numbers[first[name] : first[name] + given]
        if side is not None:
            out.append(take(own, side.places))
            own = xp.where(side.mask, -1, own)
        bounds.append(own if given else none)
    if problem.data.bounds[0]:
        out += [bounds[0], *slacks]
    if problem.data.bounds[1]:
        out += [bounds[1], xp.full((layout.slacks,), -1, device=numbers.device)]
    return xp.concat(out)
