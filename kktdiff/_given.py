"""The caller's arrays, brought to the backend and back."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from kktdiff import _sparse_inputs as sparse_inputs
from kktdiff._arrays import namespace, reshaped
from kktdiff._layout import DIMENSIONS, Shape
from kktdiff._sparse.pattern import Pattern, Sparse, dense
from kktdiff._sparse_inputs import MATRICES, SparseInputs
from kktdiff._typing import Array
from kktdiff.backends import Backend


class Given(NamedTuple):
    """The caller's arrays, with their batch shape, sizes, dtype and libraries."""

    arrays: dict[str, Array | None]
    batch: tuple[int, ...]  # the broadcast batch shape
    length: int  # number of elements
    sizes: dict[str, int]  # n, m, k
    shared: frozenset[str]  # names of the arrays that serve the whole batch
    dtype: str  # "float32" or "float64": what results are given in
    home: Backend  # the library of the inputs, where results live
    backend: Backend  # where the work is done
    stands_for: Mapping[str, Shape | None] = {}  # filled-in inputs: shape given, None if absent
    sparse: SparseInputs | None = None  # None: all matrices are dense

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that were given."""
        there = tuple(name for name in DIMENSIONS if self.arrays.get(name) is not None)
        if not self.stands_for:
            return there
        return tuple(name for name in there if self.stands_for.get(name, ()) is not None)

    def at_work(self) -> AbstractContextManager[Any]:
        """Return the context of all work on these arrays."""
        return self.backend.at(self.arrays["p"] if self.home is self.backend else None)

    def flat(self, name: str) -> Array | None:
        """Return argument `name` in float64 with one batch dimension, of length one if shared.

        An array that only some of the batch dimensions share is copied along those.
        """
        array = self.arrays[name]
        if array is None:
            return None
        if self.sparse is not None and name in MATRICES:
            return sparse_inputs.flat(self, name)
        return self.flat_array(array, len(DIMENSIONS[name]))

    def flat_array(self, array: Array, core: int) -> Array:
        """Flatten the batch of an array with so many core dimensions, as `flat` does."""
        if not self.batch:
            return self._received(array)[None, ...]
        split = array.ndim - core
        lead, tail = array.shape[:split], array.shape[split:]
        if math.prod(lead) == 1:
            return self.receive(array, (1, *tail))
        if lead != self.batch:
            array = namespace(array).broadcast_to(array, (*self.batch, *tail))
        return self.receive(array, (self.length, *tail))

    def places(self, name: str) -> tuple[int, ...]:
        """Return the core shape of argument `name`; of a sparse one, the number of its entries."""
        own = self.arrays[name]
        if isinstance(own, Sparse):
            return (own.pattern.nnz,)
        return tuple(self.sizes[letter] for letter in DIMENSIONS[name])

    @property
    def works_sparse(self) -> bool:
        """True if work is done on sparse matrices."""
        return self.sparse is not None and self.sparse.structure is not None

    def is_sparse(self, name: str) -> bool:
        """Return True if `flat` gives the entries of argument `name`."""
        return self.works_sparse and name in MATRICES

    def place(self, name: str, entry: int) -> tuple[int, int]:
        """Return the row and column of one of the entries that `flat` gives."""
        own = self.pattern(name)
        return int(own.row[entry]), int(own.column[entry])

    def dense(self, name: str, entries: Array) -> Array:  # (entries,) -> (rows, columns)
        """Return a dense matrix of the entries that `flat` gives."""
        return dense(self.pattern(name), entries[None, :])[0, ...]

    def pattern(self, name: str) -> Pattern:
        """Return that of the entries that `flat` gives of matrix `name`."""
        structure = None if self.sparse is None else self.sparse.structure
        assert structure is not None
        return structure.pattern(name)

    def in_entries(self, name: str, values: Array) -> Array:
        """Return values for all places of argument `name`, (B, ...), for those of `places`."""
        if self.sparse is None or name not in MATRICES:
            return values
        return sparse_inputs.in_entries(self, name, values)

    def receive(self, array: Array, shape: tuple[int, ...]) -> Array:
        """Bring `array` to the backend, in float64, reshaped."""
        return reshaped(self._received(array), shape)

    def _received(self, array: Array) -> Array:
        if self.home is not self.backend:
            array = self.home.to_host(array)
        return self.backend.receive(array, self.backend.xp.float64, None)

    def give(self, array: Array) -> Array:
        """Return a flat result (B, ...) in the batch's shape, in the caller's library and dtype."""
        if not self.batch:
            array = array[0, ...]
        elif len(self.batch) > 1:
            array = namespace(array).reshape(array, (*self.batch, *array.shape[1:]))
        return self.send(array)

    def give_all(self, fields: dict[str, Array]) -> dict[str, Array]:
        """Apply `give` to several results."""
        if self.batch or self.dtype != "float64" or self.home is not self.backend:
            return {name: self.give(array) for name, array in fields.items()}
        return {name: array[0, ...] for name, array in fields.items()}

    def send(self, array: Array) -> Array:
        """Return a backend array in the caller's library; floats in the caller's dtype."""
        if self.dtype != "float64":
            xp = namespace(array)
            if xp.isdtype(array.dtype, "real floating"):
                array = xp.astype(array, getattr(xp, self.dtype))
        if self.home is self.backend:
            return array
        array, like = self.backend.to_host(array), self.arrays["p"]
        return self.home.receive(array, getattr(self.home.xp, str(array.dtype)), like=like)

    def fold(self, name: str, grad: Array) -> Array:
        """Sum a gradient (B or 1, ...) to argument `name`'s own shape.

        By the chain rule, the gradient of an entry that several elements share is the sum of
        their contributions.
        """
        if name in self.stands_for:
            return self.send(namespace(grad).sum(grad)[...])
        if self.sparse is not None and name in MATRICES:
            return sparse_inputs.fold(self, name, grad)
        own = self.arrays[name].shape  # type: ignore[union-attr]
        return self.fold_array(name, grad, own, len(DIMENSIONS[name]))

    def fold_array(self, name: str, grad: Array, own: tuple[int, ...], core: int) -> Array:
        """Sum a gradient to the shape `own`, with so many core dimensions, as `fold` does."""
        if name not in self.shared:
            lead = own[: len(own) - core]
            lead = (1,) * (len(self.batch) - len(lead)) + tuple(lead)
            axes = tuple(i for i, (a, b) in enumerate(zip(lead, self.batch, strict=True)) if a != b)
            if axes:
                xp = namespace(grad)
                grad = xp.reshape(grad, (*self.batch, *grad.shape[1:]))
                grad = xp.sum(grad, axis=axes)
        return self.send(reshaped(grad, own))
