"""qpth, the code of the OptNet paper.

It declares numpy < 2 and cvxpy, yet its own solver needs neither: `pip install torch`, then
`pip install --no-deps qpth`.
"""

import sys
import types
from typing import Any

from kktdiff.bench import Contestant, Problem

PACKAGES = ("qpth", "torch")
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {"expand": False},
    "shared arrays expanded": {"expand": True},
    "shared arrays expanded, one thread": {"expand": True, "one_thread": True},
}


def import_qpth() -> tuple[Any, Any] | str:
    """(torch, QPFunction), or the sentence that says why there is no qpth."""
    stand_in = types.ModuleType("cvxpy")  # imported by qpth, for a solver that is not used here
    try:
        import torch

        sys.modules.setdefault("cvxpy", stand_in)
        from qpth.qp import QPFunction
    except ImportError as error:
        return f"qpth is not importable here ({error}): kktdiff is measured alone."
    finally:
        if sys.modules.get("cvxpy") is stand_in:
            del sys.modules["cvxpy"]
    return torch, QPFunction


def build(problem: Problem, *, expand: bool, device: str = "cpu", **options: Any) -> Contestant:
    """In float64 (verbose=-1: it prints otherwise)."""
    found = import_qpth()
    if isinstance(found, str):
        raise ImportError(found)
    torch, function = found
    from benchmarks.peers.tensors import contestant

    layer = function(verbose=-1, **options)
    none = torch.empty(0, dtype=torch.float64, device=device)

    def solve(data: dict[str, Any]) -> Any:
        sides = (data.get(name, none) for name in "Ab")
        return layer(*(data[name] for name in "QpGh"), *sides)

    return contestant(problem, solve, expand=expand, device=device)
