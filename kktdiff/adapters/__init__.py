"""Thin wrappers of the solver and its derivatives for other ways of writing gradients.

Each is loaded when it is first asked for, and with it what it wraps:

>>> import kktdiff
>>> kktdiff.adapters.plain.vjp.__name__
'vjp'
"""

import importlib
from typing import Any

__all__ = ["cvxpy", "jax", "plain", "qpsolvers", "qpth", "torch"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
