"""What the torch layers have in common."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers.rows import named, rows_of
from kktdiff.bench import FULL_RANK, Arrays, Contestant, Problem


def batched(problem: Problem, name: str, array: Any) -> Any:
    """With the dimension of the batch, expanded where it is shared."""
    return array if array.ndim == FULL_RANK[name] else array.expand(problem.batch, *array.shape)


def contestant(
    problem: Problem,
    solve: Callable[[dict[str, Tensor]], Tensor],  # from Q, p, G, h, A, b to x, (B, n)
    *,
    expand: bool = True,  # shared arrays, so that torch sums their gradients
    device: str = "cpu",
) -> Contestant:
    """A layer that is called with all inequalities as rows."""
    rows = rows_of(problem)
    constant = {"G"} if "lb" in problem.data else set()
    leaves = {
        k: torch.tensor(v, requires_grad=k not in constant, device=device) for k, v in rows.items()
    }
    wanted = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    cotangent = torch.tensor(problem.cotangent, device=device)

    def forward() -> Tensor:
        if not expand:
            return solve(leaves)
        return solve({name: batched(problem, name, leaf) for name, leaf in leaves.items()})

    def backward(x: Tensor) -> Any:
        return torch.autograd.grad(x, list(wanted.values()), cotangent)

    def read(x: Tensor, grads: Any) -> Arrays:
        found = {name: grad.cpu().numpy() for name, grad in zip(wanted, grads, strict=True)}
        return {"x": x.detach().cpu().numpy(), **named(problem, found)}

    if device == "cpu":
        return Contestant(forward, backward, read)
    return Contestant(finished(forward), finished(backward), read)


def finished(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, until the GPU has done what it queued."""

    def waiting(*args: Any) -> Any:
        result = call(*args)
        torch.cuda.synchronize()
        return result

    return waiting


def lower_is_free(problem: Problem) -> np.ndarray:
    """-infinity for each row: for layers that take rows with two sides."""
    return np.full(problem.rows()[1].shape[-1], -1e20)
