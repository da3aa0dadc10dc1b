"""Differentiable QPs on torch tensors.

>>> import torch
>>> from kktdiff.adapters.torch import solve_qp
>>> p = torch.tensor([-1.0, -3.0], dtype=torch.float64, requires_grad=True)
>>> two = torch.full((2,), 2.0, dtype=torch.float64)
>>> solve_qp(torch.eye(2, dtype=torch.float64), p, ub=two).x.sum().backward()
>>> p.grad.round(decimals=6) + 0.0
tensor([-1.,  0.], dtype=torch.float64)
"""

from kktdiff.adapters._extras import extra

with extra("torch"):
    from kktdiff.adapters.torch._layers import OptNetLayer, QPLayer
    from kktdiff.adapters.torch._solve import Solution, solve_qp

__all__ = ["OptNetLayer", "QPLayer", "Solution", "solve_qp"]
