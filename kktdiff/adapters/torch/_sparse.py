"""Sparse tensors and `kktdiff.Sparse`: a pattern, and a tensor of values with derivatives."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kktdiff import Pattern, Sparse
from kktdiff._typing import Array
from kktdiff.adapters._fields import MATRICES, Patterns

_BY_LINES = (torch.sparse_csr, torch.sparse_csc)


def are_dense(arguments: dict[str, Any]) -> bool:
    """Return True if no matrix is sparse."""
    return not any(_is_sparse(arguments[name]) for name in MATRICES)


def _is_sparse(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.layout != torch.strided
    return isinstance(value, Sparse) or type(value).__module__.startswith("scipy.sparse")


def in_values(arguments: dict[str, Any]) -> tuple[dict[str, Any], Patterns]:
    """Return the arguments with the values of sparse matrices in their place, and their patterns.

    Raises
    ------
    TypeError
        A sparse tensor of another layout than COO, CSR and CSC, or not on the CPU or on CUDA; a
        `Sparse` of something else than tensors; a matrix of SciPy.
    ValueError
        A batch of sparse tensors with several patterns.
    """
    out, patterns = dict(arguments), dict[str, Pattern]()
    for name in filter(lambda name: _is_sparse(arguments[name]), MATRICES):
        value = arguments[name]
        tensor = value if isinstance(value, Tensor) else _values(name, value)
        if tensor.device.type not in ("cpu", "cuda"):
            raise TypeError(f"{name} is sparse and on {tensor.device}: expected the CPU or CUDA")
        whole = isinstance(value, Sparse)
        patterns[name], out[name] = (value.pattern, tensor) if whole else _parts(name, tensor)
    return out, patterns


def _values(name: str, matrix: Any) -> Tensor:
    if not isinstance(matrix, Sparse):
        raise TypeError(
            f"{name} is a {type(matrix).__name__} of SciPy: expected a tensor, dense or sparse, or "
            f"kktdiff.Sparse(kktdiff.Pattern.of({name}), torch.as_tensor({name}.tocsr().data))"
        )
    if not isinstance(matrix.values, Tensor):
        raise TypeError(
            f"{name}.values is a {type(matrix.values).__name__}: expected a torch.Tensor; "
            "torch.as_tensor makes one"
        )
    tensor: Tensor = matrix.values
    return tensor


def _parts(name: str, tensor: Tensor) -> tuple[Pattern, Tensor]:
    """Return the pattern of a sparse tensor, and its values, (..., nnz), with derivatives."""
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        raise TypeError(
            f"{name} is a sparse tensor that torch.func transforms, which torch can't: pass "
            "kktdiff.Sparse(pattern, values) of values that it transforms"
        )
    if tensor.layout != torch.sparse_coo and tensor.layout not in _BY_LINES:
        layout = str(tensor.layout).removeprefix("torch.")
        raise TypeError(
            f"{name} has layout {layout}: expected a sparse COO, CSR or CSC tensor, or a dense one"
        )
    if tensor.ndim < 2 or tensor.dense_dim():
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)} and {tensor.dense_dim()} dense dimensions: "
            "expected a sparse matrix or a batch of them, without dense dimensions"
        )
    places, values = (_entries if tensor.layout == torch.sparse_coo else _lines)(tensor)
    if places is None or not (places == places[:, :1]).all():
        raise ValueError(
            f"{name} is a batch of sparse tensors with entries in different places: expected the "
            "same in all; store a zero where one has no entry, or pass a kktdiff.Sparse"
        )
    lead, shape = tensor.shape[:-2], tuple(tensor.shape[-2:])
    rows, cols = places[:, 0, :] if len(places[0]) else np.zeros((2, 0), dtype=np.int64)
    return Pattern(shape, rows, cols), values.reshape(*lead, rows.size)


def _entries(tensor: Tensor) -> tuple[Array | None, Tensor]:
    """Return rows and columns, (2, B, nnz), of a COO tensor, and its values in that order.

    None if the elements have different numbers of entries.
    """
    tensor = tensor.coalesce()  # in order of the batch, without duplicates
    index, lead = tensor.indices().numpy(force=True), tuple(tensor.shape[:-2])
    count = index.shape[1] // max(math.prod(lead), 1)
    element = np.ravel_multi_index(tuple(index[:-2]), lead) if lead else np.zeros_like(index[0])
    if not np.array_equal(element, np.repeat(np.arange(math.prod(lead)), count)):
        return None, tensor.values()
    return index[-2:].reshape(2, math.prod(lead), count), tensor.values()


def _lines(tensor: Tensor) -> tuple[Array, Tensor]:
    """Return rows and columns, (2, B, nnz), of a CSR or CSC tensor, and its values."""
    starts, index = (v.numpy(force=True) for v in _indices(tensor))
    starts = starts.reshape(-1, starts.shape[-1])
    index = index.reshape(len(starts), index.shape[-1])
    lines = np.arange(starts.shape[1] - 1)
    line = [np.repeat(lines, np.diff(own)) for own in starts]
    places = np.array([np.reshape(line, index.shape), index])
    return places[:: 1 if tensor.layout == torch.sparse_csr else -1], _Values.apply(tensor)


def _indices(tensor: Tensor) -> tuple[Tensor, Tensor]:
    if tensor.layout == torch.sparse_csr:
        return tensor.crow_indices(), tensor.col_indices()
    return tensor.ccol_indices(), tensor.row_indices()


class _Values(torch.autograd.Function):
    """The values of a CSR or CSC tensor; `Tensor.values` has no second derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(tensor: Tensor) -> Tensor:
        return tensor.values().detach()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        (tensor,) = inputs
        ctx.indices, ctx.shape, ctx.layout = _indices(tensor), tensor.shape, tensor.layout

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return torch.sparse_compressed_tensor(
            *ctx.indices,
            g,
            ctx.shape,
            dtype=g.dtype,
            layout=ctx.layout,
            check_invariants=False,  # asked for, or torch warns
        )
