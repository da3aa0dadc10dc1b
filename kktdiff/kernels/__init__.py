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
from typing import Any

from kktdiff._typing import Array

__all__ = ["available", "call", "limit", "threads", "variant"]

_SECONDS_PER_THREAD = 2e-4  # at least: to make one and wait for its end takes 14 to 100 us


def available() -> str | None:
    """Return None, or a sentence on why the kernels can't be used.

    Raises
    ------
    ValueError
        If ``KKTDIFF_KERNELS`` is neither ``off`` nor an instruction set that runs here.
    """
    chosen, reason = _chosen()
    return reason if chosen is None else None


def variant() -> str | None:
    """Return the instruction set whose kernels are used, or None if none are."""
    return _chosen()[0]


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
    chosen, reason = _chosen()
    if chosen is None:
        raise RuntimeError(reason)
    return _extension().call(chosen, name, sizes, options, arrays, threads)


def threads(seconds: float) -> int:
    """Return how many threads to use for so many seconds of work in one.

    Up to `limit`; one where more would take longer to make than they save.

    Raises
    ------
    ValueError
        If ``KKTDIFF_THREADS`` is not a positive integer.
    """
    return max(1, min(limit(), int(seconds / _SECONDS_PER_THREAD)))


def limit() -> int:
    """Return the processors that this process may use, or ``KKTDIFF_THREADS`` if that is less."""
    text = os.environ.get("KKTDIFF_THREADS", "").strip()
    if text and not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ValueError(f"KKTDIFF_THREADS: expected an integer, 1 or more, got {text!r}")
    processors = _processors()
    return min(int(text), processors) if text else processors


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _extension() -> Any:
    return importlib.import_module("kktdiff.kernels._native")


@functools.cache
def _chosen() -> tuple[str | None, str]:
    """Return the instruction set to use, or None and the reason."""
    wanted = os.environ.get("KKTDIFF_KERNELS", "").strip()
    if wanted == "off":
        return None, "KKTDIFF_KERNELS=off"
    known = ("baseline", "avx2", "avx512")
    if wanted and wanted not in known:
        raise ValueError(
            f"KKTDIFF_KERNELS: expected {', '.join(known)} or off, got {wanted!r}; "
            "leave it unset for the best one"
        )
    try:
        variants = _extension().variants()
    except ModuleNotFoundError:
        return None, (
            "not compiled when kktdiff was installed, for want of a C++ compiler or since it "
            "failed: pip install -v shows why"
        )
    except ImportError as error:
        return None, f"they can't be loaded: {error}"
    if wanted and wanted not in variants:
        raise ValueError(f"KKTDIFF_KERNELS={wanted}: {variants[-1]} is the best that runs here")
    return wanted or variants[-1], ""
