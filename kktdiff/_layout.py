"""Shapes and dtypes of a call's arrays, checked against each other.

The rules for broadcasting and for dtypes stand here and in `_problem`, nowhere else.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

# The core dimensions of each argument, in the letters of the docs.
CORE = {"Q": "nn", "p": "n", "G": "mn", "h": "m", "A": "kn", "b": "k", "lb": "n", "ub": "n"}
# The prices of violating a right-hand side, by the names that they have beside those of the data.
PRICES = {"soft_h": "m", "soft_b": "k", "soft_lb": "n", "soft_ub": "n"}
DIMENSIONS = CORE | PRICES
# What soft rows are violated by: outputs, in the same letters.
VIOLATIONS = {"violation_h": "m", "violation_b": "k", "violation_lb": "n", "violation_ub": "n"}
SIDES = ("h", "b", "lb", "ub")  # these and their prices may be one number for all entries
_NUMBERS = (*SIDES, *PRICES)
LOOSE = "loose"  # in the place of the dtype of numbers that take the dtype of the arrays

Shape = tuple[int, ...]
Form = tuple[str, Shape, Any]  # an array's name, shape and dtype


class Layout(NamedTuple):
    """Facts that the forms of a call's arrays tell."""

    batch: Shape  # the broadcast batch shape
    length: int  # number of elements
    sizes: dict[str, int]  # n, m, k
    shared: frozenset[str]  # names of the arrays that serve the whole batch
    dtype: str  # "float32" or "float64": what results are given in
    cast: tuple[str, ...]  # names of the arrays that are to be given this dtype
    stands_for: Mapping[str, Shape | None]  # inputs to be filled in: their shape, None if absent


@lru_cache  # calls in a loop are of one form
def layout(kind: str, *forms: Form) -> Layout:
    """Return the facts of the forms of arrays of a library, `kind`.

    Raises
    ------
    TypeError, ValueError
        Dtypes or shapes that do not fit; the message names the array.
    """
    shapes = {name: shape for name, shape, _ in forms}
    dtype, cast = _dtype({name: dtype for name, _, dtype in forms})
    sizes = _core_sizes(shapes)
    batch = _batch(shapes)
    leads = {name: _lead(name, shape) for name, shape in shapes.items()}
    stands_for: dict[str, Shape | None] = {n: None for n in ("Q", "p") if n not in shapes}
    stands_for |= {name: () for name in _NUMBERS if shapes.get(name) == ()}
    shared = {name for name, lead in leads.items() if math.prod(lead) == 1} | stands_for.keys()
    return Layout(batch, math.prod(batch), sizes, frozenset(shared), dtype, cast, stands_for)


def _lead(name: str, shape: Shape) -> Shape:
    return shape[: max(0, len(shape) - len(DIMENSIONS[name]))]


def _dtype(dtypes: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the dtype of results, and the names of the arrays that are of another."""
    short = {name: dtype_name(dtype) for name, dtype in dtypes.items()}
    first, cast = None, []
    for name, dtype in short.items():
        if dtype == LOOSE or dtype.startswith(("int", "uint")):
            cast.append(name)
        elif dtype not in ("float32", "float64"):
            raise _wrong_dtype(name, dtype)
        elif first is None:
            first = name
        elif dtype != short[first]:
            raise TypeError(
                f"{name} has dtype {dtype}, but {first} has {short[first]}: convert all arrays to "
                "one dtype"
            )
    return "float64" if first is None else short[first], tuple(cast)


def dtype_name(dtype: Any) -> str:
    """Return a dtype's name without that of its library."""
    return str(dtype).rsplit(".", maxsplit=1)[-1]


def check_real(name: str, dtype: Any) -> None:
    """Raise a TypeError unless `dtype` is of integers or of floating-point numbers."""
    if not dtype_name(dtype).startswith(("float", "int", "uint", "bfloat")):
        raise _wrong_dtype(name, dtype_name(dtype))


def _wrong_dtype(name: str, dtype: str) -> TypeError:
    cure = f"np.asarray({name}, float) converts it, if it holds numbers"
    if dtype.startswith("complex"):
        cure = f"pass its real part, {name}.real, if the rest is zero"
    return TypeError(f"{name} has dtype {dtype}: expected float64 or float32; {cure}")


def _core_sizes(shapes: dict[str, Shape]) -> dict[str, int]:
    """Find n, m and k; check the core dimensions of all arrays against each other."""
    sizes: dict[str, int] = {}
    source: dict[str, str] = {}
    for name in ("p", *(other for other in DIMENSIONS if other != "p")):
        shape, core = shapes.get(name), DIMENSIONS[name]
        if shape is None or (shape == () and name in _NUMBERS):
            continue
        wanted = "(..., " + ", ".join(core) + ")"
        if len(shape) < len(core):
            raise ValueError(f"{name} has shape {shape}: expected {wanted}{_hint(name, shape)}")
        for letter, size in zip(core, shape[len(shape) - len(core) :], strict=True):
            if size != sizes.setdefault(letter, size):
                known = source[letter]
                raise ValueError(
                    f"{name} has shape {shape}: expected {wanted} with "
                    f"{letter} = {sizes[letter]}, as {known} has shape {shapes[known]}"
                    f"{_column(known, shapes[known], size) or _column(name, shape, sizes[letter])}"
                )
            source.setdefault(letter, name)
    if "n" not in sizes:
        raise ValueError(
            "nothing tells the number of variables: pass p, Q, G or A, or lb or ub with a length"
        )
    if sizes["n"] == 0:
        where = source["n"]
        raise ValueError(f"{where} has shape {shapes[where]}: expected at least one variable")
    return {"n": sizes["n"], "m": sizes.get("m", 0), "k": sizes.get("k", 0)}


def _hint(name: str, shape: Shape) -> str:
    """Say how an array with too few dimensions gets them."""
    if shape == () and name in ("Q", "p"):
        whole = "np.eye(n)" if name == "Q" else "np.ones(n)"
        return f"; leave {name} out if it is zero, or pass {name} * {whole}"
    if len(shape) == 1:
        return f"; for a single row {name}[None, :]" if name != "Q" else "; for a diagonal np.diag"
    return ""


def _column(name: str, shape: Shape, size: int) -> str:
    """Say how a column becomes a vector, if that is what was meant."""
    if len(DIMENSIONS[name]) == 1 and shape[-2:] == (size, 1):
        return f"; if {name} is a column, pass {name}[..., 0]"
    return ""


def _batch(shapes: dict[str, Shape]) -> Shape:
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
