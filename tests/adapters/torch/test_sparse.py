"""Sparse tensors and `kktdiff.Sparse` of tensors: the same as dense ones, on their patterns."""

import numpy as np
import pytest

import kktdiff
from tests.adapters.torch.sparse_tensors import (
    OUTPUTS,
    SIZES,
    assert_tensors_near,
    coo,
    csc,
    csr,
    given,
    gradients,
    leaf,
    loss,
    uncoalesced,
    whole,
)
from tests.sparse import at_entries, sparse_problem

torch = pytest.importorskip("torch")
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

from kktdiff.adapters.torch import solve_qp

pytestmark = pytest.mark.filterwarnings("ignore:Sparse (CSR|CSC|BSR) tensor")


@pytest.mark.parametrize("form", [coo, uncoalesced, csr, csc, whole])
@pytest.mark.parametrize("batch", [(), (3,), (2, 2)])
def test_answers_and_gradients_are_those_of_dense_tensors(way, form, batch):
    problem = sparse_problem(np.random.default_rng(1), *SIZES, batch)
    sparse, dense = given(problem, form)
    solution = solve_qp(**sparse)
    assert (solution.core._engine.problem.data.structure is None) == (way == "dense copies")
    for name in OUTPUTS:
        expected = getattr(solve_qp(**dense), name)
        assert_tensors_near(getattr(solution, name), expected)
    found, expected = gradients(sparse), gradients(dense)
    for name, value in found.items():
        assert value.layout == leaf(sparse[name]).layout
        assert value.shape == leaf(sparse[name]).shape
        own = expected[name]
        if name in problem.matrices:
            own = at_entries(problem.matrices[name], own)
            value = value if form is whole else at_entries(problem.matrices[name], value.to_dense())
        assert_tensors_near(value, own)


@pytest.mark.parametrize("form", [coo, csr])
def test_a_leaf_has_a_gradient_on_its_pattern_with_stored_zeros(form):
    problem = sparse_problem(np.random.default_rng(2), *SIZES)
    sparse, dense = given(problem, form)
    with torch.no_grad():
        leaf(sparse["G"]).values()[3] = 0.0
        dense["G"][tuple(coo(problem.matrices["G"]).indices()[:, 3])] = 0.0
    for arguments in (sparse, dense):
        loss(solve_qp(**arguments)).backward()
    found = sparse["G"].grad
    assert found.layout == sparse["G"].layout
    assert found._nnz() == sparse["G"]._nnz()
    expected = at_entries(problem.matrices["G"], dense["G"].grad)
    assert_tensors_near(at_entries(problem.matrices["G"], found.to_dense()), expected)


def small(seed=3):
    """A problem, and its solution as a function of the values of the matrices and the vectors."""
    problem = sparse_problem(np.random.default_rng(seed), 5, 4, 2)
    arguments = given(problem, whole)[0]

    def solve(*tensors):
        own = dict(zip(arguments, tensors, strict=True))
        own |= {k: kktdiff.Sparse(v.pattern, own[k]) for k, v in problem.matrices.items()}
        return solve_qp(**own)

    return solve, [leaf(v) for v in arguments.values()]


@pytest.mark.slow
def test_derivatives_of_both_modes_and_orders_by_differences(way):
    solve, tensors = small()

    def fields(*tensors):
        solution = solve(*tensors)
        return solution.x, solution.lam, solution.nu, solution.objective

    torch.autograd.gradcheck(fields, tensors, check_forward_ad=True)
    torch.autograd.gradgradcheck(fields, tensors, check_fwd_over_rev=True)


@pytest.mark.parametrize("form", [coo, csr])
def test_torch_checks_the_gradient_of_a_sparse_leaf(form):
    problem = sparse_problem(np.random.default_rng(4), 5, 4, 2)
    arguments = given(problem, form)[0]
    for name in ("Q", "G", "A"):
        torch.autograd.gradcheck(
            lambda tensor, name=name: solve_qp(**arguments | {name: tensor}).x,
            arguments[name],
            masked=True,
            check_undefined_grad=form is coo,
        )


@pytest.mark.parametrize("form", [coo, csr])
def test_a_sparse_leaf_has_second_derivatives(form):
    problem = sparse_problem(np.random.default_rng(5), *SIZES)
    sparse, dense = given(problem, form)
    found = []
    for arguments in (sparse, dense):
        G = arguments["G"]
        (first,) = torch.autograd.grad(loss(solve_qp(**arguments)), G, create_graph=True)
        values = (
            first[tuple(coo(problem.matrices["G"]).indices())]
            if arguments is dense
            else first.coalesce().values()
            if form is coo
            else first.values()
        )
        weights = torch.linspace(0, 1, len(values), dtype=torch.float64)
        found.append(torch.autograd.grad(values @ weights, G)[0].to_dense())
    own = problem.matrices["G"]
    assert_tensors_near(*(at_entries(own, value) for value in found))


def test_transforms_of_torch_func():
    solve, (Q, p, G, *rest) = small()
    several = torch.stack([G.detach() * c for c in (1.0, 1.1, 1.2)])

    def of(G):
        return loss(solve(Q, p, G, *rest))

    for function in (of, grad(of), lambda G: jvp(of, (G,), (G,))[1], hessian(of)):
        mapped = vmap(function)(several)
        assert_tensors_near(mapped, torch.stack([function(G) for G in several]))
    assert_tensors_near(jacfwd(of)(G), jacrev(of)(G))


def test_vmap_over_others_beside_a_sparse_tensor():
    arguments = given(sparse_problem(np.random.default_rng(6), *SIZES), csr)[0]
    several = torch.stack([arguments["p"].detach() * c for c in (1.0, 2.0)])
    found = vmap(lambda p: solve_qp(**arguments | {"p": p}).x)(several)
    assert_tensors_near(found, solve_qp(**arguments | {"p": several}).x)
