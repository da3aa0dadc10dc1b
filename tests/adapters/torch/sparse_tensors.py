"""Sparse tensors of the same problem in several forms, and their comparison with dense ones."""

import pytest

import kktdiff
from tests.checks import assert_near
from tests.tolerances import TIGHT_ANSWER

torch = pytest.importorskip("torch")

from kktdiff.adapters.torch import solve_qp

OUTPUTS = ("x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective")
SIZES = (24, 18, 5)


def coo(matrix):
    return torch.tensor(matrix.to_dense()).to_sparse()


def uncoalesced(matrix):
    """Every entry in two halves."""
    whole = coo(matrix)
    halves = torch.cat([whole.values(), whole.values()]) / 2
    index = torch.cat([whole.indices(), whole.indices()], dim=1)
    return torch.sparse_coo_tensor(index, halves, whole.shape, check_invariants=True)


def csr(matrix):
    return torch.tensor(matrix.to_dense()).to_sparse_csr()


def csc(matrix):
    return torch.tensor(matrix.to_dense()).to_sparse_csc()


def whole(matrix):
    """A `Sparse`: what wants a gradient are its values."""
    return kktdiff.Sparse(matrix.pattern, torch.tensor(matrix.values))


def leaf(value):
    return value.values if isinstance(value, kktdiff.Sparse) else value


def given(problem, form):
    """The arguments as tensors with gradients, and the same with dense matrices."""
    sparse = {k: form(v) for k, v in problem.matrices.items()}
    sparse |= {k: torch.tensor(v) for k, v in problem.vectors.items()}
    dense = {k: torch.tensor(v) for k, v in problem.dense().items()}
    for value in (*sparse.values(), *dense.values()):
        leaf(value).requires_grad_()
    return sparse, dense


def loss(solution):
    """One in which every entry of every output counts differently."""
    found = torch.cat([getattr(solution, name).flatten() for name in OUTPUTS])
    return found @ torch.linspace(-1, 2, len(found), dtype=found.dtype)


def gradients(arguments, **options):
    of = loss(solve_qp(**arguments, **options))
    return dict(
        zip(arguments, torch.autograd.grad(of, list(map(leaf, arguments.values()))), strict=True)
    )


def assert_tensors_near(found, expected, tolerance=TIGHT_ANSWER):
    """`assert_near` of tensors or arrays."""
    pair = (v.detach() if isinstance(v, torch.Tensor) else v for v in (found, expected))
    assert_near(*pair, tolerance)
