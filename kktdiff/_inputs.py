"""The caller's arrays: checked once, brought to the backend, and back."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from kktdiff import _sparse_inputs as sparse_inputs
from kktdiff import backends
from kktdiff._arrays import namespace, reshaped
from kktdiff._layout import CORE, DIMENSIONS, LOOSE, SIDES, Layout, Shape, check_real, layout
from kktdiff._records import MOST_DENSE
from kktdiff._sparse.pattern import Pattern, Sparse, dense
from kktdiff._sparse_inputs import MATRICES, SparseInputs
from kktdiff._typing import Array
from kktdiff.backends import Backend

_PAIRS = (("G", "h"), ("A", "b"))


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


def framework(arrays: dict[str, Any]) -> str | None:
    """Return the framework that one of the arrays is of, "torch" or "jax", or None.

    Neither is imported for that: whoever passes its arrays has done so.
    """
    if backends.USUAL.issuperset(map(type, arrays.values())):
        return None
    parts = [v.values if isinstance(v, Sparse) else v for v in arrays.values()]
    return next((found for found in map(backends.framework, parts) if found), None)


def check(
    arrays: dict[str, Any],
    backend: str | None,
    *,
    by_arrays: bool = False,
    soft: bool = False,
) -> Given:
    """Check the caller's arrays against each other; errors name the array.

    Parameters
    ----------
    by_arrays
        Array code is to do the work, which takes dense matrices.
    soft
        There are prices, most of whose derivatives array code finds.

    Raises
    ------
    TypeError
        Not an array, of another library, dtype or device than the others, or not of a float dtype.
    ValueError
        Wrong or clashing shapes, one of a pair (G, h or A, b) missing, unknown backend.
    """
    for first, second in _PAIRS:
        if (arrays[first] is None) != (arrays[second] is None):
            raise _half_a_pair(arrays)
    home: Backend = backends.NUMPY
    loose, kinds = frozenset[str](), dict[str, sparse_inputs.Kind | None]()
    if not backends.USUAL.issuperset(map(type, arrays.values())):
        arrays, kinds = sparse_inputs.adopt(arrays)
        arrays, home, loose = _adopted(arrays)
    forms = [(k, tuple(v.shape), v.dtype) for k, v in arrays.items() if v is not None]
    if loose:
        forms = [(k, shape, LOOSE if k in loose else dtype) for k, shape, dtype in forms]
    found = layout(home.name, *forms)
    if found.cast or found.stands_for:
        arrays = _filled(arrays, found, home, loose)
    work = home if backend is None else backends.get(backend)
    sparse = None
    if kinds:
        if work.host is not work:
            first = next(iter(kinds))
            raise TypeError(
                f"{first} is sparse: backend={work.name!r} works on dense matrices; leave backend "
                f"out, or pass {first}.toarray() if {first} is of scipy.sparse, {first}.to_dense() "
                "if it is a kktdiff.Sparse"
            )
        small = soft and sum(found.sizes.values()) <= MOST_DENSE
        kernels = work is backends.NUMPY and not (by_arrays or small)
        sizes = found.sizes, found.length, found.dtype
        sparse = sparse_inputs.choose(arrays, kinds, *sizes, for_kernels=kernels)
    return Given(arrays, *found[:5], home, work, found.stands_for, sparse)


def _half_a_pair(arrays: dict[str, Any]) -> ValueError:
    """Return the error for G without h and the like, which may be a mixup of both pairs."""
    halves = [
        (there, missing)
        for pair in _PAIRS
        for there, missing in (pair, reversed(pair))
        if arrays[there] is not None and arrays[missing] is None
    ]
    said = "; ".join(f"{there} was given without {missing}" for there, missing in halves)
    advice = "pass both or neither" if len(halves) == 1 else "G belongs to h, and A to b"
    return ValueError(f"{said}: {advice}")


def _filled(
    arrays: dict[str, Any], found: Layout, home: Backend, loose: frozenset[str]
) -> dict[str, Any]:
    """Give arrays the common dtype; make arrays of what is absent or one number."""
    out, dtype = dict(arrays), getattr(home.xp, found.dtype)
    like = next((v for k, v in arrays.items() if v is not None and k not in loose), None)
    like = like.values if isinstance(like, Sparse) else like
    for name in found.cast:
        own = arrays[name]
        if isinstance(own, Sparse):
            out[name] = sparse_inputs.with_dtype(own, found.dtype)
        elif name not in loose or home is backends.NUMPY:
            out[name] = home.xp.astype(own, dtype)
        else:
            out[name] = home.receive(own, dtype, like)
    for name, shape in found.stands_for.items():
        core = tuple(found.sizes[letter] for letter in DIMENSIONS[name])
        if name == "Q" and any(isinstance(v, Sparse) for v in arrays.values()):
            out[name] = sparse_inputs.zero(found.sizes["n"], found.dtype)
        elif shape is None:
            device = None if like is None else like.device
            out[name] = home.xp.zeros(core, dtype=dtype, device=device)
        elif home is backends.NUMPY:
            out[name] = home.xp.full(core, out[name], dtype=dtype)
        else:
            out[name] = home.xp.broadcast_to(out[name], core)
    return out


def check_weights(given: Given, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Weights of the shifts of each right-hand side that was given, (B or 1, size); else 1.

    Raises
    ------
    TypeError
        Not an array of the inputs' library.
    ValueError
        Not a right-hand side that was given, a wrong shape, or an entry that is not positive
        and finite.
    """
    if not isinstance(weights, Mapping):
        raise TypeError(f"shift_weights={weights!r:.60}: expected a dict, such as {{'h': weights}}")
    like: Array = given.flat("p")
    xp = namespace(like)
    sides = [name for name in SIDES if given.arrays[name] is not None]
    sizes = {name: given.sizes[CORE[name]] for name in sides}
    flat = {
        name: xp.ones((1, size), dtype=xp.float64, device=like.device)
        for name, size in sizes.items()
    }
    for name, array in weights.items():
        if name not in sizes:
            raise ValueError(f"shift_weights has {name!r}: expected some of {', '.join(sides)}")
        array = like_given(array, f"shift_weights[{name!r}]", given)
        if not array.shape:
            array = namespace(array).broadcast_to(array, (sizes[name],))
        shape, wanted = tuple(array.shape), (*given.batch, sizes[name])
        if not _broadcasts(shape, wanted):
            raise ValueError(
                f"shift_weights[{name!r}] has shape {shape}: expected one that broadcasts to "
                f"{wanted} and ends in {sizes[name]}"
            )
        flat[name] = given._replace(arrays=given.arrays | {name: array}).flat(name)
        if not bool(xp.all((flat[name] > 0) & (flat[name] < xp.inf))):
            raise ValueError(f"shift_weights[{name!r}]: expected positive, finite numbers")
    return flat


def _broadcasts(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Return True if `shape` broadcasts to `wanted` and their last dimensions are equal."""
    if not 0 < len(shape) <= len(wanted) or shape[-1] != wanted[-1]:
        return False
    pairs = zip(reversed(shape), reversed(wanted), strict=False)
    return all(own in (1, other) for own, other in pairs)


def _adopted(arrays: dict[str, Any]) -> tuple[dict[str, Any], Backend, frozenset[str]]:
    """Adopt foreign arrays; return all, the library that they are of, and which are of none.

    The last are lists and numbers, as NumPy arrays still: the others tell library and dtype.
    """
    out: dict[str, Any] = dict.fromkeys(arrays)
    home = device = None
    first, loose = "", set()
    for name, value in arrays.items():
        array, is_loose = (value, False) if isinstance(value, Sparse) else _array(value, name)
        out[name] = array
        if is_loose:
            loose.add(name)
        if array is None or is_loose:
            continue
        array = array.values if isinstance(array, Sparse) else array
        if home is None:
            home, device, first = _library(name, array), array.device, name
        elif not home.owns(array) and _library(name, array) != home:
            raise TypeError(
                f"{name} is a {type(array).__name__}, but {first} is a "
                f"{type(out[first]).__name__}: convert all arrays to one library"
            )
        if array.device != device:
            raise TypeError(
                f"{name} is on device {array.device}, but {first} is on {device}: move all arrays "
                "to one device"
            )
    return out, home or backends.NUMPY, frozenset(loose)


def _array(value: Any, name: str) -> tuple[Any, bool]:
    """Return a value as an array, and True if it was numbers without a library or a dtype."""
    if type(value) in backends.USUAL:
        return value, False
    shape = f" of shape (..., {', '.join(DIMENSIONS[name])})" if name in DIMENSIONS else ""
    return backends.from_numbers(backends.adopt(value, name), name, shape)


def like_given(array: Any, name: str, given: Given) -> Array:
    """Return an array that comes after the solve, such as a cotangent, in the inputs' library.

    Lists and numbers become arrays; integers are converted.

    Raises
    ------
    TypeError
        Of another library than the inputs, or not of real numbers.
    """
    like: Array = given.arrays["p"]
    if type(array) is type(like) and array.dtype == like.dtype:  # the usual case
        return array
    array, loose = _array(array, name)
    check_real(name, array.dtype)
    if loose:
        return given.home.receive(array, getattr(given.home.xp, given.dtype), like)
    if not given.home.owns(array):
        told = f"expected a {type(like).__name__}, as the inputs"
        raise TypeError(f"{name} is a {type(array).__name__}: {told}")
    return array


def _library(name: str, array: Any) -> Backend:
    try:
        return backends.for_array(array)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
