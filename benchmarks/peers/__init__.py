"""Other libraries on our workloads, a module each, by the name of its distribution or layer.

A module has

    PACKAGES         distributions whose versions a reader wants to know
    CONFIGURATIONS   name -> options of `build`; "default" is the first
    build(problem, **options) -> kktdiff.bench.Contestant

The option "one_thread" is not for `build`: see `prepare`.

`build` imports the library. What it does counts to the first call, apart from the timing, so what
depends on the data's structure alone belongs there. Gradients come back by the names of our
inputs; `lb` went in as rows.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from kktdiff.bench import Contestant, Problem

DIFFERENTIABLE = ("qpth", "qplayer", "qpax", "jaxopt", "moreau", "cvxpylayers", "dqp")
FORWARD_ONLY = ("piqp", "clarabel", "daqp", "osqp")
KNOWN = DIFFERENTIABLE + FORWARD_ONLY


def load(name: str) -> ModuleType:
    """The module of a peer; a name with a dot is a module of yours."""
    return import_module(name if "." in name else f"{__name__}.{name}")


def prepare(name: str, configuration: str, problem: Problem) -> Contestant:
    """A peer, ready for one problem; held to one thread of BLAS and torch where that was asked."""
    module = load(name)
    options = dict(module.CONFIGURATIONS[configuration])
    one_thread = options.pop("one_thread", False)
    contestant = module.build(problem, **options)
    if not one_thread:
        return contestant
    backward = contestant.backward and on_one_thread(contestant.backward)
    return contestant._replace(forward=on_one_thread(contestant.forward), backward=backward)


def on_one_thread(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, between whose begin and end BLAS and torch have one thread; others keep theirs."""
    controller = import_module("threadpoolctl").ThreadpoolController()

    def limited(*args: Any) -> Any:
        torch = sys.modules.get("torch")
        before = torch and torch.get_num_threads()
        with controller.limit(limits=1):
            if torch:
                torch.set_num_threads(1)
            try:
                return call(*args)
            finally:
                if torch:
                    torch.set_num_threads(before)

    return limited
