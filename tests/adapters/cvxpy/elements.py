"""What the second of three elements does to the others, where it has no solution."""

import torch

from tests.checks import assert_near
from tests.tolerances import SHARED


def assert_harms_no_other(layer, values, dims):
    """The others' results, and the gradients of what is shared, are those without it.

    `dims`: the dimensions of each parameter; a value with one more has it in front.
    """
    leaves = [torch.tensor(value, requires_grad=True) for value in values]
    out = layer(*leaves, solver_args={"on_failure": "ignore"})
    assert layer.last.x.shape[0] == 3
    assert layer.last.solved.tolist() == [True, False, True]
    assert all(v[1].isnan().all() for v in out)
    sum(v[layer.last.solved].sin().sum() for v in out).backward()
    good = [v[[0, 2]] if v.ndim > d else v for v, d in zip(values, dims, strict=True)]
    apart = [torch.tensor(v, requires_grad=True) for v in good]
    for one, other in zip(layer(*apart), out, strict=True):
        assert_near(other.detach()[[0, 2]], one.detach(), SHARED, "result")
        one.sin().sum().backward(retain_graph=True)
    for leaf, other in zip(leaves, apart, strict=True):
        found = leaf.grad
        if found.shape != other.grad.shape:
            assert not found[1].any()
            found = found[[0, 2]]
        assert_near(found, other.grad, SHARED, "gradient")
