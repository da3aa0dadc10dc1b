"""Test data as tensors, and their comparison with what the arrays give."""

import numpy as np
import pytest

import kktdiff
from tests.problems import Answer, Data, Sizes

torch = pytest.importorskip("torch")

SMALL = Sizes(n=3, m=3, k=1, lower=True, upper=True)
REPORTS = ("status", "solved", "iterations", "primal_residual", "dual_residual", "duality_gap")


def tensors(data, grad=True, dtype=None):
    """Copies of the arrays; those that are there want a gradient."""
    return Data(
        *(
            None
            if a is None
            else torch.tensor(a, dtype=dtype or torch.float64).requires_grad_(grad)
            for a in data
        )
    )


def there(data):
    """Without the arguments that are None."""
    return [a for a in data if a is not None]


def outputs(solution):
    """The seven that have a derivative."""
    return tuple(getattr(solution, name) for name in Answer._fields)


def cotangents(rng, solution):
    """At random, one for each output, by name."""
    return {name: rng.normal(size=tuple(getattr(solution, name).shape)) for name in Answer._fields}


def gradients(solution, inputs, weights, **options):
    """By torch, of each input that is there; `weights`: the outputs' cotangents, by name."""
    given = [torch.as_tensor(w) for w in weights.values()]
    found = iter(
        torch.autograd.grad(
            [getattr(solution, name) for name in weights], there(inputs), given, **options
        )
    )
    return Data(*(None if t is None else next(found) for t in inputs))


def assert_same(tensor, array, what=""):
    """Bit for bit, and of the same dtype."""
    assert isinstance(tensor, torch.Tensor), f"{what} is a {type(tensor).__name__}"
    found, array = tensor.detach().resolve_neg().numpy(), np.asarray(array)
    assert found.dtype == array.dtype, what
    np.testing.assert_array_equal(found, array, err_msg=what)


def assert_same_fields(solution, arrays):
    """Every field of a torch Solution against that of a kktdiff.Solution."""
    for name in (*Answer._fields, *REPORTS, "shift_h", "shift_b", "shift_lb", "shift_ub"):
        found, expected = getattr(solution, name), getattr(arrays, name)
        assert (found is None) == (expected is None), name
        if expected is not None:
            assert_same(found, expected, name)


def assert_same_gradients(found, expected):
    """Gradients of tensors against a kktdiff.Grads."""
    for name, grad in found._asdict().items():
        own = getattr(expected, name)
        assert (grad is None) == (own is None), name
        if own is not None:
            assert_same(grad, own, name)


def on_arrays(data, **options):
    """The same by kktdiff."""
    return kktdiff.solve_qp(*data, **options)
