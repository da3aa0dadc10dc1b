"""Tensors to arrays and back, without a copy: NumPy on the CPU, CuPy on CUDA."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kktdiff import backends
from kktdiff._typing import Array
from kktdiff.adapters import _streams

_LOW = (torch.float16, torch.bfloat16)

_ON_HOST = contextlib.nullcontext()

Tensors = Sequence[Tensor | None]


def to_array(tensor: Tensor | None) -> Array | None:
    """The array that shares a tensor's memory; of CUDA tensors within `on_stream` alone."""
    if tensor is None:
        return None
    if tensor._is_zerotensor():  # torch's zeros that have no memory
        tensor = tensor.clone()
    if tensor.is_cuda:
        import cupy  # type: ignore[import-not-found, unused-ignore]

        return cupy.from_dlpack(tensor.detach().resolve_neg())  # a sign to come would be lost
    return tensor.numpy(force=True)


def to_tensor(array: Array) -> Tensor:
    """Return the tensor that shares a result's memory."""
    if not isinstance(array, np.ndarray):
        if hasattr(array, "__cuda_array_interface__"):
            return torch.from_dlpack(array)
        array = np.asarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def on_stream(tensors: Sequence[Tensor | None]) -> contextlib.AbstractContextManager[Any]:
    """CuPy's work goes to the stream that torch is at, on the device of the tensors.

    Both belong to the thread, and torch has threads of its own for the backward: whatever
    touches arrays is inside of this.

    Raises
    ------
    TypeError
        Tensors on CUDA where CuPy can't be used; the message says why.
    """
    device = next(t for t in tensors if t is not None).device
    if device.type != "cuda":
        return _ON_HOST
    reason = backends.available()["cupy"]
    if reason is not None:
        raise TypeError(f"the tensors are on {device}, but {reason}")
    return _streams.on(device.index, torch.cuda.current_stream(device).cuda_stream)


def checked(arguments: dict[str, Any]) -> list[Tensor | None]:
    """The tensors in their order, in one dtype under autocast.

    Raises
    ------
    TypeError
        Something that is not a tensor, or tensors on several devices.
    """
    for name in ("Q", "p"):
        if arguments[name] is None:
            raise TypeError(f"{name} is None: it is required")
    first, device = next((n, v.device) for n, v in arguments.items() if isinstance(v, Tensor))
    known = device.type in ("cpu", "cuda")
    for name, value in arguments.items():
        if value is None:
            continue
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name} is a {type(value).__name__}: expected a torch.Tensor; kktdiff.solve_qp "
                "takes arrays of other libraries"
            )
        if value.device != device:
            raise TypeError(
                f"{name} is on {value.device}, but {first} is on {device}: move all to one device"
            )
        if not known:
            raise TypeError(f"{name} is on {device}: expected a tensor on the CPU or on CUDA")
    tensors = list(arguments.values())
    if torch.is_autocast_enabled(device.type):
        tensors = _one_dtype(tensors)
    for name, tensor in zip(arguments, tensors, strict=True):
        if tensor is not None and tensor.dtype == torch.bfloat16:  # NumPy has none
            raise TypeError(
                f"{name} has dtype bfloat16: expected float64 or float32; convert it first"
            )
    return tensors


def _one_dtype(tensors: list[Tensor | None]) -> list[Tensor | None]:
    """Undo autocast: cast all tensors to float64 if any is float64, else to float32."""
    given = [t for t in tensors if t is not None]
    if not any(t.dtype in _LOW for t in given):
        return tensors
    double = any(t.dtype == torch.float64 for t in given)
    dtype = torch.float64 if double else torch.float32
    return [None if t is None else t.to(dtype) for t in tensors]
