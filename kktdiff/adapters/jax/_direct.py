"""Small problems on the CPU: compiled code calls the kernels themselves, by XLA's own interface.

What this is not for is done by the callback, and so is a batch that the kernels leave to array code
in part. What the pullback needs of a solution travels to it as an array, beside the number under
which the callback keeps one.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kktdiff.adapters._fields import floats
from kktdiff.adapters.jax._kept import REPORTS, Call, Names
from kktdiff.kernels import xla

Spaces = tuple[tuple[str, Names], ...]
Plan = Callable[..., xla.Attributes | None]  # of abstract values, and a primitive's parameters


def words(*inputs: Any, names: Names, call: Call, keep: Names) -> int:
    """Return how many int32 of each element travel to its derivatives."""
    problem = _problem(inputs, names, call, keep) if keep else None
    return 0 if problem is None else problem.words


def solve(*inputs: Any, names: Names, call: Call, keep: Names) -> xla.Attributes | None:
    """Return the attributes of the custom call that solves, or None."""
    problem = _problem(inputs, names, call, keep)
    fields = (*floats(names), *REPORTS, "state" if keep else "nothing")
    return None if problem is None else xla.solve(problem, fields)


def pullback(
    _: Any,
    state: Any,  # (..., words)
    *arrays: Any,
    names: Names,
    call: Call,
    keep: Names,
    spaces: Spaces,
    result: tuple[str, Names],
    rows: int,
) -> xla.Attributes | None:
    """Return the attributes of the custom call for a derivative, or None: of a vjp it gives one."""
    ((kind, cotangents), *more), (to, wanted) = spaces, result
    if rows or more or (kind, to) != ("out", "in") or call.gradient != "exact":
        return None
    problem = _problem(arrays[: len(names)], names, call, (*keep, *wanted))
    if problem is None or math.prod(state.shape) != problem.sizes[0] * problem.words:
        return None
    return xla.vjp(problem, cotangents, wanted)


def _problem(inputs: Any, names: Names, call: Call, moved: Names) -> xla.Problem | None:
    """Return the form of problems with derivatives in `moved`, if the custom call is for it."""
    if call.patterns:  # sparse matrices
        return None
    shapes = {name: v.shape for name, v in zip(names, inputs, strict=True)}
    problem = xla.problem(shapes, str(inputs[0].dtype), **dict(call.options))
    is_for_it = problem is not None and (not moved or problem.can_keep(moved))
    return problem if is_for_it and _is_registered() else None


def custom_call(
    attributes: xla.Attributes,
    kinds: list[Any],  # of the results
    arrays: tuple[Any, ...],
    otherwise: Callable[..., list[Any]],  # the same of the arrays, by the callback
) -> list[Any]:
    """Call the kernels, and back where these leave something."""
    plain = {k: np.array(v, float if k == "options" else np.int64) for k, v in attributes.items()}
    left = jax.ShapeDtypeStruct((), jnp.int32)
    *found, left = jax.ffi.ffi_call(xla.TARGET, [*kinds, left])(*arrays, **plain)
    return jax.lax.cond(left != 0, lambda _, v: otherwise(*v), lambda v, _: v, found, arrays)


@cache
def _is_registered() -> bool:
    """Make the kernels known to XLA; False where there are none, or XLA's interface is another."""
    handler = xla.handler()
    if handler is None:
        return False
    try:
        jax.ffi.register_ffi_target(xla.TARGET, handler, platform="cpu")
    except jax.errors.JaxRuntimeError:
        return False
    return True
