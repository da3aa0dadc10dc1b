"""`torch.func.vmap`: the mapped dimension becomes the first dimension of the batch.

Every input is expanded along it, also those that are the same for all, so that each element has a
gradient of its own.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kktdiff.adapters._fields import INPUTS, Patterns, core
from kktdiff.adapters.torch._exchange import Tensors

N = len(INPUTS)
Apply = Callable[..., tuple[Tensor, ...]]


def solve_rule(apply: Apply, info: Any, in_dims: Any, call: Any, inputs: Tensors) -> Any:
    """Apply vmap to `Solve`."""
    dims = in_dims[1:]
    rank = _rank(inputs, dims, call.patterns)
    out = apply(call, *_physical(inputs, dims, info.batch_size, rank, call.patterns))
    return out, (0,) * len(out)


def derivative_rule(
    apply: Apply, info: Any, in_dims: Any, arguments: Any, groups: tuple[str, ...]
) -> Any:
    """Apply vmap to a derivative; `groups`: the shapes of the tensors after the inputs.

    If the inputs are mapped, so was the solve. If they are not, several cotangents or tangents
    share one solution, as in a Jacobian.
    """
    head, tensors, dims = arguments[:3], arguments[3:], in_dims[3:]
    if all(dim is None for dim in dims[:N]):
        rows = [
            apply(*head, *(_select(t, dim, i) for t, dim in zip(tensors, dims, strict=True)))
            for i in range(info.batch_size)
        ]
        out = tuple(torch.stack(column) for column in zip(*rows, strict=True))
        return out, (0,) * len(out)
    patterns = head[0].patterns
    rank = _rank(tensors[:N], dims[:N], patterns)
    physical = _physical(tensors[:N], dims[:N], info.batch_size, rank, patterns)
    at = N
    for group in groups:
        count = N if group == "inputs" else len(head[0].floats)
        part, own = tensors[at : at + count], dims[at : at + count]
        if group == "inputs":
            physical += _physical(part, own, info.batch_size, rank, patterns)
        else:
            pairs = zip(part, own, strict=True)
            physical += [_mapped(t, dim, info.batch_size) for t, dim in pairs]
        at += count
    out = apply(*head, *physical)
    return out, (0,) * len(out)


def _physical(
    tensors: Tensors, dims: Any, size: int, rank: int, patterns: Patterns
) -> list[Tensor | None]:
    """Inputs with the mapped dimension before `rank` batch dimensions."""
    out: list[Tensor | None] = []
    for own, tensor, dim in zip(core(patterns).values(), tensors, dims, strict=True):
        t = _mapped(tensor, dim, size)
        if t is not None:
            missing = rank - (t.ndim - 1 - own)
            t = t.reshape(size, *(1,) * missing, *t.shape[1:])
        out.append(t)
    return out


def _mapped(tensor: Tensor | None, dim: int | None, size: int) -> Tensor | None:
    if tensor is None:
        return None
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _select(tensor: Tensor | None, dim: int | None, i: int) -> Tensor | None:
    return tensor if tensor is None or dim is None else tensor.select(dim, i)


def _rank(inputs: Tensors, dims: Any, patterns: Patterns) -> int:
    """Batch dimensions without the mapped one."""
    ranks = [
        t.ndim - own - (dim is not None)
        for own, t, dim in zip(core(patterns).values(), inputs, dims, strict=True)
        if t is not None
    ]
    return max(ranks)
