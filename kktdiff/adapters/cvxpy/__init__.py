"""Problems written in cvxpy as differentiable layers: of torch here, of JAX in `.jax`.

>>> import cvxpy as cp, torch
>>> from kktdiff.adapters.cvxpy import CvxpyLayer
>>> x, target = cp.Variable(2), cp.Parameter(2)
>>> problem = cp.Problem(cp.Minimize(cp.sum_squares(x - target)), [cp.sum(x) == 1, x >= 0])
>>> layer = CvxpyLayer(problem, parameters=[target], variables=[x])
>>> (solution,) = layer(torch.tensor([2.0, 0.5], dtype=torch.float64))
>>> solution.round(decimals=6) + 0.0
tensor([1., 0.], dtype=torch.float64)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kktdiff.adapters.cvxpy.torch import CvxpyLayer

__all__ = ["CvxpyLayer"]


def __getattr__(name: str) -> Any:
    if name != "CvxpyLayer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kktdiff.adapters.cvxpy.torch import CvxpyLayer  # not before it's asked for: JAX needs none

    return CvxpyLayer
