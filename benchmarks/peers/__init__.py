"""Other libraries on our workloads, a module each, by the name of its distribution or layer.

A module has

    PACKAGES         distributions whose versions a reader wants to know
    CONFIGURATIONS   name -> options of `build`; "default" is the first
    build(problem, **options) -> kktdiff.bench.Contestant

`build` imports the library. What it does counts to the first call, apart from the timing, so what
depends on the data's structure alone belongs there. Gradients come back by the names of our
inputs; `lb` went in as rows.
"""

from importlib import import_module
from types import ModuleType

DIFFERENTIABLE = ("qpth", "qplayer", "qpax", "jaxopt", "moreau", "cvxpylayers", "dqp")
FORWARD_ONLY = ("piqp", "clarabel", "daqp", "osqp")
KNOWN = DIFFERENTIABLE + FORWARD_ONLY


def load(name: str) -> ModuleType:
    """The module of a peer; a name with a dot is a module of yours."""
    return import_module(name if "." in name else f"{__name__}.{name}")
