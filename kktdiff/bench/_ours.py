"""Ways to call kktdiff: on NumPy arrays, and on torch tensors."""

from functools import partial
from importlib import util
from typing import Any

import numpy as np

import kktdiff
from kktdiff._typing import Array
from kktdiff.bench._problem import Arrays, Problem
from kktdiff.bench._reference import Reference, reference
from kktdiff.bench._timing import Contestant

WAYS = ("arrays", "torch")


def ways() -> tuple[str, ...]:
    """Return the ways to call kktdiff that are installed."""
    return WAYS if util.find_spec("torch") else WAYS[:1]


def build(problem: Problem, way: str = "arrays", **options: Any) -> Contestant:
    """kktdiff with its default settings, unless told otherwise."""
    return {"arrays": _arrays, "torch": _tensors}[way](problem, **options)


def _arrays(problem: Problem, **options: Any) -> Contestant:
    def backward(sol: Any) -> Arrays:
        grads = sol.vjp(x=problem.cotangent)
        return {name: getattr(grads, name) for name in problem.data}

    forward = partial(kktdiff.solve_qp, **problem.data, **options)
    return Contestant(forward, backward, lambda sol, grads: {"x": sol.x, **grads})


def _tensors(problem: Problem, **options: Any) -> Contestant:
    import torch

    from kktdiff.adapters.torch import solve_qp

    tensors = {name: torch.tensor(a, requires_grad=True) for name, a in problem.data.items()}
    cotangent = torch.tensor(problem.cotangent)

    def backward(x: Any) -> Any:
        return torch.autograd.grad(x, list(tensors.values()), cotangent)

    def read(x: Any, grads: Any) -> Arrays:
        named = dict(zip(tensors, grads, strict=True))
        return {name: value.detach().numpy() for name, value in {"x": x, **named}.items()}

    return Contestant(lambda: solve_qp(**tensors, **options).x, backward, read)


def right(problem: Problem) -> Reference:
    """The reference, for the active sets that a tight solve of ours shows."""
    problem = problem.cast(np.float64)
    sol = kktdiff.solve_qp(**problem.data, tol=1e-12, on_failure="ignore")
    bounds = "lb" in problem.data
    lam, slack = (sol.lam_lb, sol.x - problem.data["lb"]) if bounds else (sol.lam, sol.s)
    active: Array = lam > slack
    return reference(problem, lambda i: active[i])
