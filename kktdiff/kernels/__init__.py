"""Compiled kernels of the method, where they are installed.

The extension is loaded when it is first asked for. Whoever calls a kernel asks `available`
before, and has array code that does the same without it.

>>> from kktdiff import kernels
>>> kernels.available() is None or len(kernels.available()) > 0
True
"""

import functools
import importlib
import os
from collections.abc import Callable
from typing import NamedTuple

from kktdiff._typing import Array

__all__ = ["available", "call", "limit", "processors", "threads", "variant", "variants"]

_VARIANTS = ("baseline", "avx2", "avx512")
_NOT_COMPILED = (
    "not compiled when kktdiff was installed, for want of a C++ compiler or since the build "
    "failed: pip install -v shows why"
)
_SECONDS_PER_THREAD = 2e-4  # at least: to make one and wait for its end takes 14 to 100 us


class _Loaded(NamedTuple):
    variant: str | None  # the instruction set whose kernels are used
    call: Callable[..., int] | None
    reason: str | None  # why there are none
    variants: tuple[str, ...] = ()


def available() -> str | None:
    """Return None, or a sentence on why the kernels can't be used.

    Raises
    ------
    ValueError
        If ``KKTDIFF_KERNELS`` is neither ``off`` nor an instruction set that runs here, or if
        ``KKTDIFF_THREADS`` is not a positive integer.
    """
    return _load().reason


def variant() -> str | None:
    """Return the instruction set whose kernels are used, or None if none are."""
    return _load().variant


def variants() -> tuple[str, ...]:
    """Return the instruction sets that run here, the best one last; none without kernels."""
    return _load().variants


def call(
    name: str,
    sizes: tuple[int, ...],  # that of the batch first
    options: tuple[float, ...],
    arrays: tuple[Array | None, ...],  # C-contiguous; (B, ...), inputs also (1, ...)
    threads: int = 1,
) -> int:
    """Run a kernel, which fills those of `arrays` that are its outputs.

    What it takes is declared in ``signatures.hpp``. Outputs may not overlap with other arrays.

    Returns
    -------
    int
        How many threads worked.

    Raises
    ------
    RuntimeError
        If the kernels can't be used.
    TypeError, ValueError
        If what is given is not as declared; the message names the array.
    """
    loaded = _load()
    if loaded.call is None:
        raise RuntimeError(f"there are no kernels: {loaded.reason}")
    return loaded.call(loaded.variant, name, sizes, options, arrays, threads)


def threads(seconds: float) -> int:
    """Return how many threads to use for so many seconds of work in one.

    Up to `limit`; one where more would take longer to make than they save.

    Raises
    ------
    ValueError
        If ``KKTDIFF_THREADS`` is not a positive integer.
    """
    worth = int(seconds / _SECONDS_PER_THREAD)
    return min(limit(), worth) if worth > 1 else 1


def limit() -> int:
    """Return the processors that this process may use, or ``KKTDIFF_THREADS`` if that is less."""
    text = os.environ.get("KKTDIFF_THREADS", "").strip()
    if text and not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ValueError(
            f"KKTDIFF_THREADS: expected an integer, 1 or more, got {text!r}; leave it unset for "
            "one thread per processor"
        )
    return min(int(text), processors()) if text else processors()


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _load() -> _Loaded:
    """Import the extension and choose the instruction set, once."""
    limit()  # what it complains of is said by a small batch too, which makes no threads
    wanted = os.environ.get("KKTDIFF_KERNELS", "").strip().lower()
    if wanted == "off":
        return _Loaded(None, None, "switched off by KKTDIFF_KERNELS=off")
    if wanted and wanted not in _VARIANTS:
        raise ValueError(
            f"KKTDIFF_KERNELS: expected {', '.join(_VARIANTS)} or off, got {wanted!r}; "
            "leave it unset for the best one"
        )
    try:
        native = importlib.import_module("kktdiff.kernels._native")
    except ModuleNotFoundError:
        return _Loaded(None, None, _NOT_COMPILED)
    except ImportError as error:
        return _Loaded(None, None, f"they can't be loaded: {error}")
    found = native.variants()
    if wanted and wanted not in found:
        raise ValueError(f"KKTDIFF_KERNELS={wanted}: {found[-1]} is the best that runs here")
    return _Loaded(wanted or found[-1], native.call, None, found)
