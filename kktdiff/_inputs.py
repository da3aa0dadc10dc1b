"""The caller's arrays: checked once, brought to the backend, and back.

Broadcasting rules and dtype rules stand here and in `_problem`, nowhere else.
"""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, NamedTuple

from kktdiff import backends
from kktdiff._arrays import namespace, reshaped
from kktdiff._typing import Array
from kktdiff.backends import Backend

# The core dimensions of each argument, in the letters of the docs.
CORE = {"Q": "nn", "p": "n", "G": "mn", "h": "m", "A": "kn", "b": "k", "lb": "n", "ub": "n"}
# The prices of violating a right-hand side, by the names that they have beside those of the data.
PRICES = {"soft_h": "m", "soft_b": "k", "soft_lb": "n", "soft_ub": "n"}
DIMENSIONS = CORE | PRICES
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
        if name in PRICES and not array.ndim:
            size = self.sizes[PRICES[name]]
            array = namespace(array).broadcast_to(array, (size,))
        if not self.batch:
            return self.backend.receive(array, self.backend.xp.float64, None)[None, ...]
        split = array.ndim - len(DIMENSIONS[name])
        lead, tail = array.shape[:split], array.shape[split:]
        if math.prod(lead) == 1:
            return self.receive(array, (1, *tail))
        if lead != self.batch:
            array = namespace(array).broadcast_to(array, (*self.batch, *tail))
        return self.receive(array, (self.length, *tail))

    def receive(self, array: Array, shape: tuple[int, ...]) -> Array:
        """Bring `array` to the backend, in float64, reshaped."""
        return reshaped(self.backend.receive(array, self.backend.xp.float64, None), shape)

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
        like = self.arrays["p"]
        return self.home.receive(array, getattr(self.home.xp, str(array.dtype)), like=like)

    def fold(self, name: str, grad: Array) -> Array:
        """Sum a gradient (B or 1, ...) to argument `name`'s own shape.

        By the chain rule, the gradient of an entry that several elements share is the sum of
        their contributions.
        """
        own = self.arrays[name].shape  # type: ignore[union-attr]
        if not own:  # one price for all rows
            grad = namespace(grad).sum(grad, keepdims=True)
        if name not in self.shared:
            lead = own[: len(own) - len(DIMENSIONS[name])]
            lead = (1,) * (len(self.batch) - len(lead)) + tuple(lead)
            axes = tuple(i for i, (a, b) in enumerate(zip(lead, self.batch, strict=True)) if a != b)
            if axes:
                xp = namespace(grad)
                grad = xp.reshape(grad, (*self.batch, *grad.shape[1:]))
                grad = xp.sum(grad, axis=axes)
        return self.send(reshaped(grad, own))


def check(arrays: dict[str, Any], backend: str | None) -> Given:
    """Check the caller's arrays against each other; errors name the array.

    Raises
    ------
    TypeError
        Not an array, of another library, dtype or device than Q, or not of a float dtype.
    ValueError
        Wrong or clashing shapes, one of a pair (G, h or A, b) missing, unknown backend.
    """
    for first, second in _PAIRS:
        if (arrays[first] is None) != (arrays[second] is None):
            there, missing = (first, second) if arrays[second] is None else (second, first)
            raise ValueError(f"{there} was given without {missing}: pass both or neither")
    for name in ("Q", "p"):
        if arrays[name] is None:
            raise TypeError(
                f"{name} is None: it is required, of shape (..., {', '.join(CORE[name])})"
            )
    arrays, home = _adopted(arrays)
    forms = [(k, tuple(v.shape), v.dtype) for k, v in arrays.items() if v is not None]
    work = home if backend is None else backends.get(backend)
    return Given(arrays, *_layout(type(arrays["Q"]).__name__, *forms), home, work)


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
    like: Array = given.flat("p")
    xp = namespace(like)
    sides = [name for name in ("h", "b", "lb", "ub") if given.arrays[name] is not None]
    sizes = {name: given.sizes[CORE[name]] for name in sides}
    flat = {
        name: xp.ones((1, size), dtype=xp.float64, device=like.device)
        for name, size in sizes.items()
    }
    for name, array in weights.items():
        if name not in sizes:
            raise ValueError(f"shift_weights has {name!r}: expected some of {', '.join(sides)}")
        array = backends.adopt(array, f"shift_weights[{name!r}]")
        if not given.home.owns(array):
            raise TypeError(
                f"shift_weights[{name!r}] is a {type(array).__name__}: expected the array type of "
                "the inputs"
            )
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


def _adopted(arrays: dict[str, Any]) -> tuple[dict[str, Any], Backend]:
    """Adopt foreign arrays; return all and the one library that they are of."""
    out = dict(arrays)
    home = device = None
    for name, array in arrays.items():
        if array is None:
            continue
        if name in PRICES and home is not None and isinstance(array, int | float):
            kind: Any = out["Q"].dtype
            array = out[name] = home.xp.asarray(array, dtype=kind, device=device)
        if home is None or not home.owns(array):
            array = out[name] = backends.adopt(array, name)
            found = _library(name, array)
            if home is None:
                home, device = found, array.device
            elif found != home:
                raise TypeError(
                    f"{name} is a {type(array).__name__}, but Q is a {type(out['Q']).__name__}: "
                    "convert all arrays to one library"
                )
        if array.device != device:
            raise TypeError(
                f"{name} is on device {array.device}, but Q is on {device}: move all arrays to "
                "one device"
            )
    return out, home  # type: ignore[return-value]  # Q is never None here


def _library(name: str, array: Any) -> Backend:
    try:
        return backends.for_array(array)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None


Form = tuple[str, tuple[int, ...], Any]  # an array's name, shape and dtype


@lru_cache  # calls in a loop are of one form
def _layout(
    kind: str, *forms: Form
) -> tuple[tuple[int, ...], int, dict[str, int], frozenset[str], str]:
    """Return the facts of `Given` that the forms of arrays of a `kind` tell."""
    shapes = {name: shape for name, shape, _ in forms}
    dtype = _same_dtype({name: dtype for name, _, dtype in forms})
    sizes = _core_sizes(shapes)
    batch = _batch(shapes)
    leads = {name: _lead(name, shape) for name, shape in shapes.items()}
    shared = frozenset(name for name, lead in leads.items() if math.prod(lead) == 1)
    return batch, math.prod(batch), sizes, shared, dtype


def _lead(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the batch dimensions of an array."""
    return shape[: max(0, len(shape) - len(DIMENSIONS[name]))]


def _same_dtype(dtypes: dict[str, Any]) -> str:
    short = {name: str(dtype).rsplit(".", maxsplit=1)[-1] for name, dtype in dtypes.items()}
    for name, dtype in short.items():
        if dtype not in ("float32", "float64"):
            raise TypeError(
                f"{name} has dtype {dtype}: expected float64 or float32; convert it first"
            )
        if dtype != short["Q"]:
            raise TypeError(
                f"{name} has dtype {dtype}, but Q has {short['Q']}: convert all arrays to one dtype"
            )
    return short["Q"]


def _core_sizes(shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
    """Find n, m and k; check the core dimensions of all arrays against each other."""
    sizes: dict[str, int] = {}
    source: dict[str, str] = {}
    for name in ("p", *(other for other in DIMENSIONS if other != "p")):
        shape, core = shapes.get(name), DIMENSIONS[name]
        if shape is None or (name in PRICES and not shape):
            continue
        wanted = "(..., " + ", ".join(core) + ")"
        if len(shape) < len(core):
            raise ValueError(f"{name} has shape {shape}: expected {wanted}")
        for letter, size in zip(core, shape[len(shape) - len(core) :], strict=True):
            if size != sizes.setdefault(letter, size):
                known = source[letter]
                raise ValueError(
                    f"{name} has shape {shape}: expected {wanted} with "
                    f"{letter} = {sizes[letter]}, as {known} has shape {shapes[known]}"
                )
            source.setdefault(letter, name)
    if sizes["n"] == 0:
        raise ValueError(f"p has shape {shapes['p']}: expected at least one variable")
    return {"n": sizes["n"], "m": sizes.get("m", 0), "k": sizes.get("k", 0)}


def _batch(shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return the broadcast shape of all leading dimensions."""
    batch: list[int] = []
    source: list[str] = []
    for name, shape in shapes.items():
        lead = _lead(name, shape)
        if len(lead) > len(batch):
            grow = len(lead) - len(batch)
            batch, source = [1] * grow + batch, [name] * grow + source
        for i, size in enumerate(lead, start=len(batch) - len(lead)):
            if batch[i] == 1:
                batch[i], source[i] = size, name
            elif size not in (1, batch[i]):
                other = source[i]
                raise ValueError(
                    f"the batch shapes of {name} with shape {shape} and {other} with "
                    f"shape {shapes[other]} do not broadcast: {size} against {batch[i]}"
                )
    return tuple(batch)
