"""Sparse tensors in calls of every kind: mixed, broken, empty, compiled, wrong."""

import numpy as np
import pytest

import kktdiff
from kktdiff import kernels
from tests.adapters.torch.sparse_tensors import (
    SIZES,
    assert_tensors_near,
    coo,
    csr,
    given,
    leaf,
    loss,
    whole,
)
from tests.sparse import sparse_problem
from tests.tolerances import SINGLE_ANSWER

torch = pytest.importorskip("torch")
from torch.func import grad, vmap

from kktdiff.adapters.torch import QPLayer, solve_qp

pytestmark = pytest.mark.filterwarnings("ignore:Sparse (CSR|CSC|BSR) tensor")


def test_sparse_beside_dense_tensors_and_soft_rows(way):
    sparse, dense = given(sparse_problem(np.random.default_rng(7), *SIZES), coo)
    mixed = dense | {"G": sparse["G"]}
    soft = {"h": torch.full((), 0.3, dtype=torch.float64, requires_grad=True)}
    found = torch.autograd.grad(loss(solve_qp(**mixed, soft=soft)), [mixed["Q"], soft["h"]])
    expected = torch.autograd.grad(loss(solve_qp(**dense, soft=soft)), [mixed["Q"], soft["h"]])
    for one, other in zip(found, expected, strict=True):
        assert_tensors_near(one, other)


def test_float32_in_and_out(way):
    problem = sparse_problem(np.random.default_rng(8), *SIZES)
    sparse = {k: csr(v).to(torch.float32).requires_grad_() for k, v in problem.matrices.items()}
    sparse |= {k: torch.tensor(v, dtype=torch.float32) for k, v in problem.vectors.items()}
    solution = solve_qp(**sparse)
    assert solution.x.dtype == torch.float32
    solution.x.sum().backward()
    assert sparse["Q"].grad.dtype == torch.float32
    exact = solve_qp(**given(problem, csr)[1]).x
    assert_tensors_near(solution.x, exact, SINGLE_ANSWER)


def test_one_bad_element_changes_no_other(way):
    sparse = given(sparse_problem(np.random.default_rng(9), *SIZES, (3,)), whole)[0]
    good, values = solve_qp(**sparse), sparse["G"].values
    bad = values.detach().clone()
    bad[1, 2] = np.nan
    bad.requires_grad_()
    broken = sparse | {"G": kktdiff.Sparse(sparse["G"].pattern, bad)}
    solution = solve_qp(**broken, on_failure="ignore")
    assert solution.solved.tolist() == [True, False, True]
    found = torch.autograd.grad(solution.x[::2].sum() + solution.x[1].nansum(), bad)[0]
    expected = torch.autograd.grad(good.x.sum(), values)[0]
    assert torch.equal(solution.x[::2], good.x[::2])
    assert torch.equal(found[::2], expected[::2])
    assert not found[1].any()


def empty_csr(matrix):
    """Of a batch of none, which torch makes by its parts alone."""
    *_, rows, cols = matrix.shape
    starts, index = torch.zeros(0, rows + 1, dtype=torch.int64), torch.zeros(0, 7).long()
    parts = starts, index, index.double(), (0, rows, cols)
    return torch.sparse_csr_tensor(*parts, check_invariants=True)


@pytest.mark.parametrize("form", [coo, empty_csr, whole])
def test_an_empty_batch(form):
    sparse = given(sparse_problem(np.random.default_rng(10), *SIZES, (0,)), form)[0]
    solution = solve_qp(**sparse)
    assert solution.x.shape == (0, 24)
    found = torch.autograd.grad(solution.x.sum(), leaf(sparse["G"]))[0]
    assert found.shape == leaf(sparse["G"]).shape


def test_matrices_without_entries():
    p, zero = torch.ones(3, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)
    Q = zero.to_sparse().requires_grad_()
    solution = solve_qp(Q, p, zero.to_sparse_csr(), p, lb=p)
    solution.objective.backward()
    assert torch.equal(solution.x, p)
    assert Q.grad._nnz() == 0


@pytest.mark.skipif(kernels.available() is not None, reason="dense copies would be too large")
def test_no_dense_matrix_is_made_where_Q_is_absent():
    n = 30_000  # of which a dense Q takes 7 GB
    p = torch.linspace(1, 2, n, dtype=torch.float64, requires_grad=True)
    index = torch.stack([torch.zeros(n, dtype=torch.int64), torch.arange(n)])
    A = torch.sparse_coo_tensor(
        index, torch.ones(n, dtype=torch.float64), (1, n), check_invariants=True
    )
    solution = solve_qp(None, p, A=A, b=1.0, lb=0.0)
    solution.objective.backward()
    assert solution.solved
    assert p.grad[0] == pytest.approx(1.0)


def test_a_layer_takes_sparse_tensors():
    sparse, dense = given(sparse_problem(np.random.default_rng(11), *SIZES), coo)
    found = QPLayer(tol=1e-9)(**sparse)
    assert_tensors_near(found, solve_qp(**dense).x)


@pytest.mark.parametrize("form", [csr, whole])
def test_compiled_code_calls_it_between_its_graphs(form):
    arguments = given(sparse_problem(np.random.default_rng(12), *SIZES), form)[0]

    def of(p, matrices):
        return 3.0 * (solve_qp(**arguments | matrices | {"p": 2.0 * p}).x ** 2).sum()

    matrices = {k: arguments[k] for k in ("Q", "G", "A")}
    found, expected = (
        torch.autograd.grad(f(arguments["p"], matrices), [arguments["p"], leaf(matrices["G"])])
        for f in (torch.compile(of, backend="aot_eager"), of)
    )
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1].to_dense(), expected[1].to_dense())


EYE, ONE = torch.eye(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
DIAGONAL = kktdiff.Pattern((2, 2), [0, 1], [0, 1])


@pytest.mark.parametrize(
    ("Q", "error", "words"),
    [
        (lambda: EYE.to_sparse_bsr((1, 1)), TypeError, "Q has layout sparse_bsr: expected a"),
        (lambda: EYE.to_sparse(1), ValueError, r"Q has shape \(2, 2\) and 1 dense dimensions"),
        (lambda: ONE.to_sparse(), ValueError, r"Q has shape \(2,\)"),
        (lambda: torch.eye(3).double().to_sparse(), ValueError, r"Q has shape \(3, 3\).*n = 2"),
        (lambda: EYE.to_sparse().to("meta"), TypeError, "Q is sparse and on meta: .* CPU"),
        (lambda: EYE.to_sparse().bool(), TypeError, "Q has dtype bool"),
        (lambda: EYE.to_sparse().float(), TypeError, "p has dtype float64, but Q has float32"),
        (
            lambda: torch.stack([EYE, 1 + EYE]).to_sparse(),
            ValueError,
            "Q is a batch of sparse tensors with entries in different places.*kktdiff.Sparse",
        ),
        (
            lambda: torch.stack([EYE, EYE.flip(0)]).to_sparse_csr(),
            ValueError,
            "entries in different places",
        ),
        (
            lambda: torch.stack([EYE, EYE.flip(0)]).to_sparse(),
            ValueError,
            "entries in different places",
        ),
        (lambda: kktdiff.Sparse(DIAGONAL, np.ones(2)), TypeError, "Q.values is a ndarray"),
        (
            lambda: pytest.importorskip("scipy.sparse").eye_array(2),
            TypeError,
            r"Q is a dia_array of SciPy: .*Sparse\(kktdiff.Pattern.of\(Q\), ",
        ),
    ],
)
def test_what_is_wrong_with_a_sparse_tensor_is_said(Q, error, words):
    with pytest.raises(error, match=words):
        solve_qp(Q(), ONE)


def test_transforms_do_not_take_sparse_tensors():
    with pytest.raises(TypeError, match=r"Q is a sparse tensor that torch\.func transforms"):
        grad(lambda Q: solve_qp(Q, ONE).x.sum())(EYE.to_sparse())
    with pytest.raises(TypeError, match=r"Q is a sparse tensor that torch\.func transforms"):
        vmap(lambda Q: solve_qp(Q, ONE).x)(torch.stack([EYE, EYE]).to_sparse())


def test_the_front_door_passes_values_of_torch_on():
    found = kktdiff.solve_qp(kktdiff.Sparse(DIAGONAL, ONE), -ONE)
    assert isinstance(found.x, torch.Tensor)
    with pytest.raises(TypeError, match="p is a ndarray: expected a torch"):
        kktdiff.solve_qp(kktdiff.Sparse(DIAGONAL, ONE), np.ones(2))
