"""`jax.vmap`: the mapped dimension becomes the first dimension of the batch.

Inputs that are the same for all stay shared, but for those in which there are derivatives: each
element has one of its own.
"""

from typing import Any

import jax.numpy as jnp

from kktdiff.adapters._fields import core
from kktdiff.adapters.jax._kept import Call, Names


def solve_rule(
    primitive: Any, arrays: Any, dims: Any, *, names: Names, call: Call, keep: Names
) -> Any:
    """One call for the larger batch; the number stays one."""
    size = _size(arrays, dims)
    inputs = _physical(arrays, dims, names, call, keep, size)
    out = primitive.bind(*inputs, names=names, call=call, keep=keep)
    return out, [*[0] * (len(out) - 1), None]


def report_rule(primitive: Any, arrays: Any, dims: Any, **how: Any) -> Any:
    """One call for the larger batch."""
    size = _size(arrays, dims)
    inputs = _physical(arrays, dims, how["names"], how["call"], (), size)
    out = primitive.bind(*inputs, **how)
    return out, [0] * len(out)


def form_rule(primitive: Any, arrays: Any, dims: Any, **how: Any) -> Any:
    """If the inputs are mapped, so was the solve; else these are several rows at one solution."""
    names, rows, size = how["names"], how["rows"], _size(arrays, dims)
    count = 2 + len(names)
    (number, state), inputs, given = arrays[:2], arrays[2:count], arrays[count:]
    own = dims[2:count]
    if dims[0] is not None:  # from cond, which maps it; a state that is mapped fits no longer
        number = jnp.max(number, dims[0])
    if all(dim is None for dim in own):
        lead = [_mapped(v, dim, size, 0) for v, dim in zip(given, dims[count:], strict=True)]
        out = primitive.bind(number, state, *inputs, *lead, **how | {"rows": rows + 1})
        return out, [0] * len(out)
    physical = _physical(inputs, own, names, how["call"], how["keep"], size)
    shapes = {name: v.shape for name, v in zip(names, physical, strict=True)}
    flat = [(kind, name) for kind, part in how["spaces"] for name in part]
    moved = []
    for (kind, name), v, dim in zip(flat, given, dims[count:], strict=True):
        v = _mapped(v, dim, size, rows)
        moved.append(v.reshape(*v.shape[:rows], *shapes[name]) if kind == "in" else v)
    state = _mapped(state, dims[1], size, 0)
    out = primitive.bind(number, state, *physical, *moved, **how)
    kind, wanted = how["result"]
    if kind == "in":
        logical = {n: _logical(v, dim) for n, v, dim in zip(names, inputs, own, strict=True)}
        out = [
            v.reshape(*v.shape[:rows], size, *logical[name])
            for name, v in zip(wanted, out, strict=True)
        ]
    return out, [rows] * len(out)


def _physical(
    inputs: Any, dims: Any, names: Names, call: Call, keep: Names, size: int
) -> list[Any]:
    """Inputs with the mapped dimension before all other batch dimensions."""
    own = core(dict(call.patterns))
    batch = [
        len(_logical(v, dim)) - own[name] for name, v, dim in zip(names, inputs, dims, strict=True)
    ]
    out = []
    for name, v, dim, rank in zip(names, inputs, dims, batch, strict=True):
        if dim is None and name not in keep:
            out.append(v)
            continue
        v = _mapped(v, dim, size, 0)
        out.append(v.reshape(size, *(1,) * (max(batch) - rank), *v.shape[1:]))
    return out


def _mapped(v: Any, dim: int | None, size: int, at: int) -> Any:
    """Move the mapped dimension to `at`."""
    if dim is not None:
        return jnp.moveaxis(v, dim, at)
    return jnp.broadcast_to(jnp.expand_dims(v, at), (*v.shape[:at], size, *v.shape[at:]))


def _logical(v: Any, dim: int | None) -> tuple[int, ...]:
    return tuple(size for i, size in enumerate(v.shape) if i != dim)


def _size(arrays: Any, dims: Any) -> int:
    return next(v.shape[dim] for v, dim in zip(arrays, dims, strict=True) if dim is not None)
