"""The caller's arrays, checked once."""

from collections.abc import Mapping
from typing import Any

from kktdiff import _sparse_inputs as sparse_inputs
from kktdiff import backends, kernels
from kktdiff._arrays import namespace
from kktdiff._given import Given
from kktdiff._layout import CORE, DIMENSIONS, LOOSE, SIDES, Layout, check_real, layout
from kktdiff._records import MOST_DENSE
from kktdiff._sparse.pattern import Sparse
from kktdiff._typing import Array
from kktdiff.backends import Backend

_PAIRS = (("G", "h"), ("A", "b"))


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
        for name in kinds if home is not backends.NUMPY and home.host is home else ():
            raise TypeError(
                f"{name}.values is a {type(arrays[name].values).__name__}: expected an array of "
                "NumPy or CuPy"
            )
    forms = [(k, tuple(v.shape), v.dtype) for k, v in arrays.items() if v is not None]
    if loose:
        forms = [(k, shape, LOOSE if k in loose else dtype) for k, shape, dtype in forms]
    found = layout(home.name, *forms)
    if found.cast or found.stands_for:
        arrays = _filled(arrays, found, home, loose)
    work = home if backend is None else backends.get(backend)
    sparse = None
    if kinds:
        small = sum(found.sizes.values()) <= MOST_DENSE or not work.compiled
        on_device = work.host is not work and work.compiled and kernels.available() is None
        able = work is backends.NUMPY or on_device  # the host finds the order of elimination
        on_dense = not able or by_arrays or (soft and small)
        sizes = found.sizes, found.length, found.dtype
        sparse = sparse_inputs.choose(arrays, kinds, *sizes, on_dense=on_dense)
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
            none = home.xp.zeros(0, dtype=dtype, device=None if like is None else like.device)
            out[name] = sparse_inputs.zero(found.sizes["n"], none)
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
    first, kind, loose = "", "", set()
    for name, value in arrays.items():
        array, is_loose = (value, False) if isinstance(value, Sparse) else _array(value, name)
        out[name] = array
        if is_loose:
            loose.add(name)
        if array is None or is_loose:
            continue
        if isinstance(array, Sparse):
            name, array = f"{name}.values", array.values
        if home is None:
            home, device, first = _library(name, array), array.device, name
            kind = type(array).__name__
        elif not home.owns(array) and _library(name, array) != home:
            raise TypeError(
                f"{name} is a {type(array).__name__}, but {first} is a "
                f"{kind}: convert all arrays to one library"
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
