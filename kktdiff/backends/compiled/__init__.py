"""Compiled code for the NumPy backend: by numba, one element of the batch per thread at a time.

Optional: without numba, or with the environment variable ``KKTDIFF_COMPILED=0``, NumPy does the
same work, more slowly. numba is imported when it is first needed, not before.
"""

import os
from importlib.util import find_spec
from types import ModuleType

_NEEDED = ("numba", "threadpoolctl")
_DISABLED = "switched off by KKTDIFF_COMPILED=0"
_LOADED: list[ModuleType | None] = []


def missing() -> str | None:
    """None if compiled code can be used, or the sentence that says why not."""
    if os.environ.get("KKTDIFF_COMPILED") == "0":
        return _DISABLED
    for name in _NEEDED:
        if find_spec(name) is None:
            return f"{name} is not installed: pip install 'kktdiff[fast]'"
    return None


def problem() -> str | None:
    """None if compiled code is used, or the sentence that says why not; imports it to find out."""
    if loaded() is not None:
        return None
    return missing() or "numba is installed, but can't be imported: try python -c 'import numba'"


def loaded() -> ModuleType | None:
    """The module that does the work; None where it can't be used. The answer is kept."""
    if not _LOADED:
        _LOADED.append(_load() if missing() is None else None)
    return _LOADED[0]


def processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _load() -> ModuleType | None:
    try:
        from kktdiff.backends.compiled import _run
    except ImportError:  # an installation of numba that does not fit the NumPy or Python here
        return None
    return _run
