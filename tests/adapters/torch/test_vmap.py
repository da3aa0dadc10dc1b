"""vmap over inputs that are mapped each in its own way, against loops."""

import numpy as np
import pytest

from tests.adapters.torch.tensors import REPORTS, outputs, tensors
from tests.checks import assert_near
from tests.problems import Answer, Data, Sizes, feasible
from tests.tolerances import DENSE_REFERENCE, SHARED

torch = pytest.importorskip("torch")
from torch.func import grad, jvp, vmap

from kktdiff.adapters.torch import solve_qp

TINY = Sizes(n=2, m=2, k=1, lower=True, upper=True)
B = 3  # elements
EVERY = tuple(range(8))

# Dimensions of the batch, behind the mapped one; None: the same for all elements.
BATCHES = {
    "Q": (B,),
    "p": (B, 2, 3),
    "G": (B, 3),
    "h": (B, 2, 1),
    "A": None,
    "b": (B,),
    "lb": None,
    "ub": (B, 1),
}
DIMS = Data(Q=2, p=1, G=-1, h=2, A=None, b=0, lb=None, ub=2)


def near(found, expected, what=""):
    assert_near(found.detach(), expected.detach(), DENSE_REFERENCE, what)


@pytest.fixture(scope="module")
def mapped():
    """The inputs with the mapped dimension at DIMS, and each element's inputs."""
    batches = {name: batch or () for name, batch in BATCHES.items()}
    data = tensors(feasible(np.random.default_rng(651), TINY, batches), grad=False)
    elements = [
        Data(*(t if d is None else t[i] for t, d in zip(data, DIMS, strict=True))) for i in range(B)
    ]
    moved = (t if d is None else t.movedim(0, d) for t, d in zip(data, DIMS, strict=True))
    return Data(*moved), elements


def fields(*inputs):
    solution = solve_qp(*inputs)
    return tuple(getattr(solution, name) for name in (*Answer._fields, *REPORTS))


def weighted(*inputs):
    """A loss in which every entry of every output counts differently."""
    found = torch.cat([output.flatten() for output in outputs(solve_qp(*inputs))])
    return torch.sum(found * torch.linspace(-1, 2, len(found), dtype=torch.float64))


def test_in_dims_and_out_dims_with_further_dimensions_of_different_rank(mapped):
    inputs, elements = mapped
    found = vmap(fields, in_dims=tuple(DIMS), out_dims=-1)(*inputs)
    loop = [fields(*own) for own in elements]
    names = (*Answer._fields, *REPORTS)
    for name, value, expected in zip(names, found, zip(*loop, strict=True), strict=True):
        assert_near(value, torch.stack(expected, dim=-1), SHARED, name)


def test_each_element_has_a_gradient_of_its_own_also_in_what_is_shared(mapped):
    inputs, elements = mapped
    found = vmap(grad(weighted, EVERY), in_dims=tuple(DIMS))(*inputs)
    loop = zip(*(grad(weighted, EVERY)(*own) for own in elements), strict=True)
    for name, value, expected in zip(Data._fields, found, loop, strict=True):
        near(value, torch.stack(expected), name)


def test_second_derivatives_with_dimensions_of_different_rank(mapped):
    inputs, elements = mapped

    def moved(*given):
        ways = tuple(torch.cos(t) for t in given)
        return jvp(grad(weighted, EVERY), given, ways)[1]

    found = vmap(moved, in_dims=tuple(DIMS))(*inputs)
    loop = zip(*(moved(*own) for own in elements), strict=True)
    for name, value, expected in zip(Data._fields, found, loop, strict=True):
        near(value, torch.stack(expected), name)


def test_what_is_shared_gets_the_sum_from_outside(mapped):
    inputs, elements = mapped
    found = grad(lambda *t: vmap(weighted, in_dims=tuple(DIMS))(*t).sum(), EVERY)(*inputs)
    loop = zip(*(grad(weighted, EVERY)(*own) for own in elements), strict=True)
    for name, dim, value, own in zip(Data._fields, DIMS, found, loop, strict=True):
        near(value, sum(own) if dim is None else torch.stack(own, dim=dim), name)


def test_tangents_of_shared_inputs_that_are_mapped(mapped):
    """Only A's and lb's tangents are mapped, along inputs that are not."""
    data = mapped[1][0]
    ways = torch.tensor(np.random.default_rng(652).normal(size=(B, 1, 2)))

    def along(way):
        moves = data._replace(**{n: torch.zeros_like(t) for n, t in data._asdict().items()})
        moves = moves._replace(A=way, lb=way[0])
        return jvp(lambda *t: solve_qp(*t).x, tuple(data), tuple(moves))[1]

    near(vmap(along)(ways), torch.stack([along(way) for way in ways]))


def test_vmap_of_elements_that_are_not_solved():
    p = torch.tensor([[0.0, 1.0], [float("nan"), 0.0]], dtype=torch.float64)
    Q = torch.eye(2, dtype=torch.float64)

    def first(p):
        solution = solve_qp(Q, p, on_failure="ignore")
        return solution.x.nan_to_num().sum(), (solution.status, solution.x)

    found, (status, x) = vmap(grad(first, has_aux=True))(p)
    assert status.tolist() == [0, 7]
    assert found.tolist() == [[-1.0, -1.0], [0.0, 0.0]]
    assert torch.all(torch.isnan(x[1]))
