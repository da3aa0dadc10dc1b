"""PIQP, forward only."""

from typing import Any

from benchmarks.peers.loops import through_qpsolvers
from kktdiff.bench import Contestant, Problem

PACKAGES = ("piqp", "qpsolvers")
CONFIGURATIONS: dict[str, dict[str, Any]] = {"default": {}}


def build(problem: Problem, **options: Any) -> Contestant:
    """Dense."""
    return through_qpsolvers(problem, "piqp", **options)
