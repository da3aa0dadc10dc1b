"""torch.func, and what else differentiates functions: everything equals a loop."""

import math

import numpy as np
import pytest

from tests.adapters.torch.tensors import assert_same_fields, on_arrays, outputs, tensors
from tests.checks import assert_near
from tests.problems import Answer, Data, Sizes, known
from tests.tolerances import DENSE_REFERENCE, SUM

torch = pytest.importorskip("torch")
from torch.autograd import forward_ad, functional
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from kktdiff.adapters.torch import solve_qp

TINY = Sizes(n=2, m=2, k=1, lower=True, upper=True)
R, B, V = 2, 3, 4  # parameters; elements; values, each a sum of all outputs
GROUPS = {"all": Data._fields, "p": ("p",), "G and h": ("G", "h")}


class Family:
    """A problem that moves with R parameters, by way of some of its inputs."""

    def __init__(self, names, batch=()):
        rng = np.random.default_rng(650)
        self.data = tensors(known(rng, TINY, batch=batch).data, grad=False)
        self.ways = {
            name: torch.tensor(rng.normal(size=(R, *getattr(self.data, name).shape))) / 50
            for name in names
        }
        self.weights = torch.tensor(rng.normal(size=(V, 12 * math.prod(batch))))
        self.at = torch.tensor(rng.uniform(-1, 1, size=(B, R)))

    def solve(self, t):
        moved = {
            name: getattr(self.data, name) + torch.tensordot(t, way, dims=1)
            for name, way in self.ways.items()
        }
        return solve_qp(*self.data._replace(**moved))

    def values(self, t):
        found = torch.cat([output.flatten() for output in outputs(self.solve(t))])
        return self.weights @ found

    def loss(self, t):
        return torch.sum(self.values(t) ** 2) / 2 + torch.sum(t**2)


@pytest.fixture(scope="module", params=GROUPS)
def family(request):
    return Family(GROUPS[request.param])


def by_rows(function, t):
    """The Jacobian, one output at a time and by plain autograd."""
    t = t.detach().requires_grad_()
    values = function(t)
    rows = [torch.autograd.grad(v, t, retain_graph=True)[0] for v in values.flatten()]
    return torch.stack(rows).reshape(*values.shape, *t.shape).detach()


def gradient(function, t):
    t = t if t.requires_grad else t.detach().requires_grad_()
    return torch.autograd.grad(function(t), t, create_graph=True)[0]


def second(function, t):
    """Derivatives of the rows' derivatives, by plain autograd."""
    t = t.detach().requires_grad_()
    rows = [torch.autograd.grad(v, t, create_graph=True)[0] for v in function(t)]
    return torch.stack([_rows_of(row, t) for row in rows])


def _rows_of(row, t):
    found = [torch.autograd.grad(v, t, retain_graph=True, materialize_grads=True)[0] for v in row]
    return torch.stack(found)


def near(found, expected, what=""):
    assert_near(found.detach(), expected.detach(), DENSE_REFERENCE, what)


def stacked(function, rows):
    return torch.stack([function(row) for row in rows])


# One function.


@pytest.mark.parametrize("way", [jacrev, jacfwd], ids=lambda f: f.__name__)
def test_jacobians(family, way):
    t = family.at[0]
    near(way(family.values)(t), by_rows(family.values, t))


def test_vjp_and_jvp(family):
    t, d = family.at[0], family.at[1]
    J = by_rows(family.values, t)
    values, pull = vjp(family.values, t)
    g = torch.linspace(-1, 1, len(values), dtype=torch.float64)
    near(pull(g)[0], g @ J, "vjp")
    near(jvp(family.values, (t,), (d,))[1], J @ d, "jvp")
    near(torch.stack(vmap(pull)(torch.stack([g, 2 * g]))), torch.stack([g @ J, 2 * g @ J])[None])
    near(jacrev(lambda g: pull(g)[0])(g), J.mT, "of the cotangent alone")


def test_grad_and_hessian(family):
    t = family.at[0]
    near(grad(family.loss)(t), gradient(family.loss, t), "grad")
    expected = by_rows(lambda t: gradient(family.loss, t), t)
    near(hessian(family.loss)(t), expected, "hessian")
    near(jacrev(grad(family.loss))(t), expected, "jacrev(grad)")


@pytest.mark.parametrize("inner", [jacrev, jacfwd], ids=lambda f: f.__name__)
@pytest.mark.parametrize("outer", [jacrev, jacfwd], ids=lambda f: f.__name__)
def test_second_derivatives_in_any_mix_of_modes(family, outer, inner):
    t = family.at[0]
    near(outer(inner(family.values))(t), second(family.values, t))


def test_a_batch_inside_the_function():
    family = Family(Data._fields, batch=(2,))
    t = family.at[0]
    near(jacrev(family.values)(t), by_rows(family.values, t), "jacrev")
    near(jacfwd(jacrev(family.values))(t), second(family.values, t), "second")


# Mapped.


def test_vmap(family):
    near(vmap(family.values)(family.at), stacked(family.values, family.at))
    found = vmap(family.values, chunk_size=2)(family.at)
    near(found, stacked(family.values, family.at), "chunks")


def test_vmap_of_derivatives(family):
    t = family.at
    near(vmap(grad(family.loss))(t), stacked(lambda r: gradient(family.loss, r), t), "grad")
    rows = stacked(lambda r: by_rows(family.values, r), t)
    near(vmap(jacrev(family.values))(t), rows, "jacrev")
    near(vmap(jacfwd(family.values))(t), rows, "jacfwd")
    tangents = vmap(lambda r, d: jvp(family.values, (r,), (d,))[1])(t, t.flip(0))
    near(tangents, (rows @ t.flip(0)[..., None])[..., 0], "jvp")


def test_vmap_of_second_derivatives(family):
    t = family.at
    expected = stacked(lambda r: second(family.values, r), t)
    near(vmap(jacfwd(jacrev(family.values)))(t), expected, "jacfwd(jacrev)")
    near(vmap(jacrev(jacrev(family.values)))(t), expected, "jacrev(jacrev)")
    near(vmap(jacfwd(jacfwd(family.values)))(t), expected, "jacfwd(jacfwd)")
    near(vmap(hessian(family.loss))(t), stacked(hessian(family.loss), t), "hessian")


def test_derivatives_of_vmap(family):
    t = family.at
    expected = stacked(lambda r: gradient(family.loss, r), t)
    near(grad(lambda t: vmap(family.loss)(t).sum())(t), expected, "grad")
    J = by_rows(lambda t: stacked(family.values, t), t)
    near(jacrev(vmap(family.values))(t), J, "jacrev")
    near(jacfwd(vmap(family.values))(t), J, "jacfwd")
    t = t.clone().requires_grad_()
    near(torch.autograd.grad(vmap(family.loss)(t).sum(), t)[0], expected, "autograd")


def test_vmap_of_vmap(family):
    t = torch.stack([family.at, -family.at])
    flat = t.reshape(-1, R)
    expected = stacked(family.values, flat).reshape(2, B, -1)
    near(vmap(vmap(family.values))(t), expected, "values")
    expected = stacked(lambda r: gradient(family.loss, r), flat).reshape(2, B, R)
    near(vmap(vmap(grad(family.loss)))(t), expected, "vmap(vmap(grad))")
    near(vmap(grad(lambda t: vmap(family.loss)(t).sum()))(t), expected, "vmap(grad(vmap))")


# Without torch.func.


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
def test_dual_numbers():
    rng = np.random.default_rng(653)
    data = known(rng, TINY, batch=(2,)).data
    moves = Data(*(rng.normal(size=a.shape) for a in data))
    with forward_ad.dual_level():
        pairs = zip(tensors(data, grad=False), tensors(moves, grad=False), strict=True)
        solution = solve_qp(*(forward_ad.make_dual(t, d) for t, d in pairs))
        tangents = {
            name: forward_ad.unpack_dual(getattr(solution, name)).tangent for name in Answer._fields
        }
        assert forward_ad.unpack_dual(solution.primal_residual).tangent is None
    arrays = on_arrays(data)
    assert_same_fields(solution, arrays)
    expected = arrays.jvp(*moves)
    for name, tangent in tangents.items():
        assert_near(tangent, getattr(expected, name), SUM, name)


def test_functional_jacobian_and_hessian(family):
    t = family.at[0]
    near(functional.jacobian(family.values, t), by_rows(family.values, t), "jacobian")
    near(functional.hessian(family.loss, t), hessian(family.loss)(t), "hessian")


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
def test_dual_numbers_go_through_a_backward_that_makes_no_graph(family):
    t, d = family.at[0], torch.ones(R, dtype=torch.float64)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(t.clone().requires_grad_(), d)
        (g,) = torch.autograd.grad(family.loss(dual), dual)
        moved = forward_ad.unpack_dual(g).tangent
    near(moved, hessian(family.loss)(t) @ d, "forward over reverse")
