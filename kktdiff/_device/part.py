"""Elements of a batch on a device whose solutions, or derivatives, are the host's."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from kktdiff._arrays import namespace, take_shared
from kktdiff._given import Given
from kktdiff._inputs import check
from kktdiff._interior_point.compiled_kept import CompiledKept
from kktdiff._layout import PRICES
from kktdiff._problem import NAMES, build
from kktdiff._records import Data
from kktdiff._results import Derivatives
from kktdiff._sensitivity.derivatives import Engine
from kktdiff._soft.engine import SoftEngine
from kktdiff._sparse.pattern import Pattern, Sparse
from kktdiff._sparse.structure import Structure
from kktdiff._sparse_inputs import MATRICES
from kktdiff._typing import Array
from kktdiff.backends import Backend


class Part(NamedTuple):
    """Some elements, as a batch of their own in the host's memory."""

    index: Array  # (b,): their places in the flat batch, on the device
    given: Given  # on the host
    engine: Derivatives  # the same
    solved: bool = True  # any of them is


def some_on_host(
    values: Mapping[str, Array], index: Array, backend: Backend
) -> dict[str, Array]:  # (B or 1, ...) each
    """Copy the elements `index` of arrays to the host; what is shared, as it is."""
    return {name: backend.to_host(take_shared(v, index)) for name, v in values.items()}


def given_on_host(data: Data, *, by_arrays: bool = False) -> Given:
    """Return a flat batch in the host's memory as arguments of a call.

    by_arrays: array code is to do the work, which takes dense matrices.
    """
    arrays = dict(zip(data._fields[:-1], data.arrays, strict=True))
    if data.structure is not None:
        arrays |= {name: in_matrices(data.structure, name, arrays[name]) for name in MATRICES}
    given = {name: v for name, v in arrays.items() if name in NAMES or v is not None}
    return check(given, None, by_arrays=by_arrays, soft=any(name in given for name in PRICES))


def in_matrices(structure: Structure, name: str, entries: Array | None) -> Sparse | None:
    """Return entries, (B, ...), as matrices on their pattern."""
    if entries is None:
        return None
    own = structure.pattern(name)  # its own entries may be in another order
    return Sparse(Pattern(own.shape, own.row, own.column), entries)


def mirror(kept: CompiledKept) -> Part:
    """Return solved elements with a copy of all that the host's derivatives are made of."""
    own = kept.on_host()
    numbers = namespace(own.index).arange(own.index.shape[0])
    given, groups = given_on_host(own.data), (replace(own, index=numbers),)
    if given.sparse is not None:
        given = given._replace(sparse=given.sparse._replace(structure=own.data.structure))
    problem = build(given)
    if any(getattr(own.data, name) is not None for name in PRICES):
        return Part(kept.index, given, SoftEngine(problem, groups, ()))
    return Part(kept.index, given, Engine(problem, 0 * numbers, groups, ()))
