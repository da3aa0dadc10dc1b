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
from kktdiff.adapters._fields import Patterns, to_fill
from kktdiff.adapters.torch import _sparse as sparse

_LOW = (torch.float16, torch.bfloat16)
_FLOATS = {torch.float32, torch.float64}
_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)

_ON_HOST = contextlib.nullcontext()

Tensors = Sequence[Tensor | None]


def to_array(tensor: Tensor) -> Array:
    """Return the array that shares a tensor's memory; of CUDA tensors within `on_stream` alone."""
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


def checked(arguments: dict[str, Any]) -> tuple[list[Tensor | None], Patterns]:
    """Return the tensors in their order, in one dtype; Q, p and sides of one number filled in.

    Of sparse matrices these are the values; their patterns come beside.

    Raises
    ------
    TypeError
        Something that is not a tensor, nor a list or a number; a sparse vector, a nested tensor;
        tensors on several devices.
    ValueError
        A batch of sparse tensors with several patterns.
    """
    patterns: Patterns = {}
    if not sparse.are_dense(arguments):
        arguments, patterns = sparse.in_values(arguments)
    given = {name: value for name, value in arguments.items() if value is not None}
    tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    if not tensors:
        for name, value in given.items():
            _array(name, value)
        raise TypeError(f"no torch.Tensor among {', '.join(given)}: make one with torch.as_tensor")
    first = next(iter(tensors))
    device = tensors[first].device
    for name, value in tensors.items():
        if value.layout != torch.strided or value.is_nested or value.device != device:
            raise _misplaced(name, value, first, device)
    if device.type not in ("cpu", "cuda"):
        raise TypeError(f"{first} is on {device}: expected a tensor on the CPU or on CUDA")
    tensors = _common(given, tensors, device)
    shapes, patterns = to_fill({name: v.shape for name, v in tensors.items()}, patterns)
    for name, shape in shapes.items():
        if name in tensors:
            tensors[name] = tensors[name].expand(shape)
        else:
            tensors[name] = torch.zeros(shape, dtype=tensors[first].dtype, device=device)
    return [tensors.get(name) for name in arguments], patterns


def _misplaced(name: str, value: Tensor, first: str, device: torch.device) -> TypeError:
    """Return the error for a tensor that has no plain memory, or is elsewhere than `first`."""
    if value.is_nested:
        cure = "expected a dense one; call once for each size"
        return TypeError(f"{name} is a nested tensor: {cure}")
    if value.layout != torch.strided:
        return TypeError(
            f"{name} is a sparse tensor: expected a dense one; {name}.to_dense() makes one"
        )
    where = f"{name} is on {value.device}, but {first} is on {device}"
    return TypeError(f"{where}: move all to one device")


def _common(
    given: dict[str, Any], tensors: dict[str, Tensor], device: torch.device
) -> dict[str, Tensor]:
    """Return tensors of all arguments; integers, lists and numbers in the dtype of the others."""
    if torch.is_autocast_enabled(device.type):
        tensors = _one_dtype(tensors)
    dtypes = {t.dtype for t in tensors.values()}
    if len(dtypes) == 1 and dtypes <= _FLOATS and len(tensors) == len(given):
        return tensors
    floats = [v.dtype for v in tensors.values() if v.dtype.is_floating_point]
    dtype = floats[0] if floats else torch.get_default_dtype()
    for name, tensor in tensors.items():
        if not (tensor.dtype in _FLOATS or tensor.dtype in _INTEGERS or tensor.is_complex()):
            kind = str(tensor.dtype).removeprefix("torch.")
            raise TypeError(
                f"{name} has dtype {kind}: expected float64 or float32; {name}.double() converts it"
            )
        if tensor.dtype in _INTEGERS:
            tensors[name] = tensor.to(dtype)
    if len(tensors) < len(given):
        for name, value in given.items():
            if name not in tensors:
                tensors[name] = torch.as_tensor(_array(name, value), dtype=dtype, device=device)
    return tensors


def _array(name: str, value: Any) -> Array:
    """Return a list or a number as a NumPy array."""
    array, loose = backends.from_numbers(value, name)
    if not loose:
        raise TypeError(
            f"{name} is a {type(value).__name__}: expected a torch.Tensor; torch.as_tensor({name}) "
            "makes one, and kktdiff.solve_qp takes NumPy arrays if all are"
        )
    return array


def _one_dtype(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo autocast: cast all tensors to float64 if any is float64, else to float32."""
    given = [t.dtype for t in tensors.values()]
    if not any(dtype in _LOW for dtype in given):
        return tensors
    dtype = torch.float64 if torch.float64 in given else torch.float32
    return {name: t.to(dtype) for name, t in tensors.items()}
