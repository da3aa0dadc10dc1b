"""cvxpylayers in torch: Q goes in as a factor, whose gradient is turned into that of Q."""

from typing import Any

import numpy as np

from kktdiff.bench import Arrays, Contestant, Problem

PACKAGES = ("cvxpylayers", "cvxpy", "diffcp", "torch")
TIGHT = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "Clarabel to 1e-12": {"solve_method": "Clarabel", **TIGHT},
}


def build(problem: Problem, **solver_args: Any) -> Contestant:
    """Its grammar (DPP) wants |F'x|^2 with Q = F F' in place of x'Qx."""
    import cvxpy as cp
    import torch
    from cvxpylayers.torch import CvxpyLayer

    from benchmarks.peers.rows import named, rows_of

    n, m, k = problem.sizes.values()
    rows = rows_of(problem)
    rows["Q"] = np.linalg.cholesky(rows["Q"])
    F, p, G, h = (cp.Parameter(shape) for shape in ((n, n), n, (m, n), m))
    x, parameters = cp.Variable(n), [F, p, G, h]
    limits = [G @ x <= h]
    if k:
        A, b = cp.Parameter((k, n)), cp.Parameter(k)
        parameters, limits = [*parameters, A, b], [*limits, A @ x == b]
    goal = cp.Minimize(cp.sum_squares(F.T @ x) / 2 + p @ x)
    layer = CvxpyLayer(cp.Problem(goal, limits), parameters=parameters, variables=[x])
    leaves = [torch.tensor(rows[name], requires_grad=True) for name in "QpGhAb" if name in rows]
    cotangent = torch.tensor(problem.cotangent)

    def forward() -> Any:
        return layer(*leaves, solver_args=solver_args)[0]

    def backward(x: Any) -> Any:
        return torch.autograd.grad(x, leaves, cotangent)

    def read(x: Any, grads: Any) -> Arrays:
        found = dict(zip(rows, (grad.numpy() for grad in grads), strict=True))
        found["Q"] = _gradient_in_product(rows["Q"], found["Q"])
        return {"x": x.detach().numpy(), **named(problem, found)}

    return Contestant(forward, backward, read)


def _gradient_in_product(F: Any, gradient: Any) -> Any:
    """dl/dQ, symmetric, from dl/dF = 2 dl/dQ F where Q = F F'."""
    return np.linalg.solve(np.swapaxes(F, -1, -2), np.swapaxes(gradient, -1, -2) / 2)
