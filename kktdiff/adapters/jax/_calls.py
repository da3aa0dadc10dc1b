"""How the primitives reach their work, which is on arrays of NumPy or, on CUDA, of CuPy.

Outside of `jax.jit` it is called at once. Compiled code calls the kernels itself where they can do
it (`_direct`). Else it calls back with its own buffers, which are read and written where they are
(`jax.experimental.buffer_callback`). On other devices than CPUs and CUDA's, and on CUDA without
CuPy, what is on the device is copied to the host and back (`jax.pure_callback`).
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from typing import Any

import jax
import numpy as np
from jax.experimental.buffer_callback import buffer_callback
from jax.interpreters import mlir

from kktdiff import backends
from kktdiff.adapters import _streams
from kktdiff.adapters.jax import _direct as direct

_GPU = "gpu"  # of a device of JAX: its platform

Work = Callable[..., list[Any]]  # of arrays, and of the primitive's parameters by name


def register(
    primitive: Any, work: Work, shapes: Callable[..., list[Any]], plan: direct.Plan | None = None
) -> None:
    """Let a primitive do `work`; `shapes` has the same arguments, and gives abstract values.

    On the CPU the kernels do what `plan` has a custom call for.
    """
    primitive.def_impl(partial(_now, primitive, work))
    primitive.def_abstract_eval(shapes)
    by_copies = _lowering(partial(_with_copies, work, shapes))
    mlir.register_lowering(primitive, by_copies)
    on_cpu = _lowering(partial(_by_kernels, plan, work, shapes))
    mlir.register_lowering(primitive, on_cpu, "cpu")
    on_cuda = _lowering(partial(_in_place, _cuda, work, shapes))

    def where_cupy_is(*arguments: Any, **how: Any) -> Any:
        return (on_cuda if _cupy_is_usable() else by_copies)(*arguments, **how)

    mlir.register_lowering(primitive, where_cupy_is, "cuda")


def _lowering(function: Callable[..., Any]) -> Any:
    return mlir.lower_fun(function, multiple_results=True)


@cache
def _cupy_is_usable() -> bool:
    return backends.available()["cupy"] is None


def _now(primitive: Any, work: Work, *arrays: Any, **how: Any) -> list[Any]:
    """On the host without compilation, with Python's own errors and warnings; on CUDA compiled."""
    devices = [next(iter(v.devices())) for v in arrays if isinstance(v, jax.Array)]
    if any(device.platform == _GPU for device in devices) and _cupy_is_usable():
        return _compiled(primitive, tuple(how.items()))(*arrays)
    place = None
    for v in arrays:
        if isinstance(v, jax.Array) and v.committed and len(v.devices()) == 1:
            place = next(iter(v.devices()))
    return jax.device_put(work(*map(np.asarray, arrays), **how), place)


@lru_cache(maxsize=1024)
def _compiled(primitive: Any, how: tuple[tuple[str, Any], ...]) -> Any:
    return jax.jit(partial(primitive.bind, **dict(how)))


def _with_copies(work: Work, shapes: Any, *arrays: Any, **how: Any) -> Any:
    def call(*copies: Any) -> list[Any]:
        return work(*map(np.asarray, copies), **how)

    return jax.pure_callback(call, _kinds(shapes, arrays, how), *arrays, vmap_method="sequential")


def _by_kernels(plan: direct.Plan | None, work: Work, shapes: Any, *arrays: Any, **how: Any) -> Any:
    call_back = partial(_in_place, _host, work, shapes, **how)
    attributes = plan(*map(jax.typeof, arrays), **how) if plan else None
    if attributes is None:
        return call_back(*arrays)
    return direct.custom_call(attributes, _kinds(shapes, arrays, how), arrays, call_back)


def _in_place(place: Any, work: Work, shapes: Any, *arrays: Any, **how: Any) -> Any:
    def call(context: Any, out: list[Any], *buffers: Any) -> None:
        with place(context, out[0]) as array:
            found = work(*map(array, buffers), **how)
            for buffer, value in zip(out, found, strict=True):
                array(buffer)[...] = value

    return buffer_callback(call, _kinds(shapes, arrays, how))(*arrays)


def _kinds(shapes: Any, arrays: Any, how: Any) -> list[Any]:
    avals = shapes(*map(jax.typeof, arrays), **how)
    return [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in avals]


@contextlib.contextmanager
def _host(context: Any, buffer: Any) -> Iterator[Callable[[Any], Any]]:
    """Yield the conversion of buffers to NumPy arrays."""
    yield np.asarray


@contextlib.contextmanager
def _cuda(context: Any, buffer: Any) -> Iterator[Callable[[Any], Any]]:
    """Yield the conversion of buffers to CuPy arrays, within XLA's stream."""
    with _streams.on(buffer.__dlpack_device__()[1], context.stream) as cupy:
        yield lambda b: cupy.asarray(b) if all(b.shape) else cupy.empty(b.shape, b.dtype)
