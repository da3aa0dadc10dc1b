"""The layers that are compared, each ready for one model and values of its parameters."""

from typing import Any, NamedTuple

import numpy as np

from benchmarks.cvxpy_layers.kinds import Model
from kktdiff.bench import Contestant

OURS, DEFAULT = "kktdiff", "default (SCS, lsqr)"
TIGHT = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
CLARABEL = {"solve_method": "Clarabel"}


class Way(NamedTuple):
    """How to make a layer of cvxpylayers: its `solver`, and its `solver_args`."""

    solver: str | None
    arguments: dict[str, Any]


WAYS = {
    DEFAULT: Way(None, {}),
    "Clarabel, lsqr": Way(None, CLARABEL),
    "Clarabel, dense": Way(None, CLARABEL | {"mode": "dense"}),
    "Clarabel to 1e-12, dense": Way(None, CLARABEL | TIGHT | {"mode": "dense"}),
    "Clarabel to 1e-12, lsmr": Way(None, CLARABEL | TIGHT | {"mode": "lsmr"}),
    "moreau": Way("MOREAU", {}),
    "moreau to 1e-12": Way("MOREAU", {"solver": "ipm", "ipm_settings": TIGHT}),
}


def layer_of(name: str, model: Model) -> Any:
    """A new layer: ours, or that of cvxpylayers in one of the `WAYS`."""
    if name == OURS:
        from kktdiff.adapters.cvxpy import CvxpyLayer as Layer

        return Layer(model.problem, model.parameters, model.variables)
    from cvxpylayers.torch import CvxpyLayer

    solver, arguments = WAYS[name]
    return CvxpyLayer(
        model.problem, model.parameters, model.variables, solver=solver, solver_args=arguments
    )


def contestant(layer: Any, data: list[Any], cotangents: list[Any]) -> Contestant:
    """Forward, and backward to every parameter; `cotangents` has one array for each variable."""
    import torch

    leaves = [torch.tensor(np.asarray(value), requires_grad=True) for value in data]
    pulled = [torch.tensor(value) for value in cotangents]

    def backward(found: Any) -> Any:
        return torch.autograd.grad(found, leaves, pulled)

    def read(found: Any, grads: Any) -> Any:
        values = {f"x{i}": value.detach().numpy() for i, value in enumerate(found)}
        return values | {f"d{i}": grad.numpy() for i, grad in enumerate(grads)}

    return Contestant(lambda: layer(*leaves), backward, read)
