"""Sparse problems in array code, without the compiled kernels: as dense ones, and as by kernels."""

import numpy as np
import pytest
import scipy.sparse as sp

import kktdiff
from kktdiff import Status, kernels
from kktdiff import _sparse_inputs as inputs
from kktdiff._interior_point.parts import Kept
from kktdiff.kernels import method
from tests.sparse import assert_close, on_sparse, sparse_problem

MATRICES = ("Q", "G", "A")


def simplex(n):
    """Project on the simplex: a row over all of x."""
    p = np.linspace(-1.0, 1.0, n)
    return {"Q": sp.eye_array(n), "p": p, "A": sp.csr_array(np.ones((1, n))), "b": 1.0, "lb": 0.0}


def control(steps):
    """Bring a cart to rest: states and forces of each step, dynamics, and limits on the forces."""
    F, B = np.array([[1.0, 0.1], [0.0, 1.0]]), np.array([[0.005], [0.1]])
    states, forces = 2 * steps, steps
    moves = sp.eye_array(states) - sp.kron(sp.eye_array(steps, k=-1), F)
    A = sp.hstack([moves, -sp.kron(sp.eye_array(steps), B)], format="csc")
    b, limit = np.zeros(states), np.r_[np.full(states, np.inf), np.ones(forces)]
    b[:2] = F @ np.array([3.0, 0.5])
    weights = np.r_[np.ones(states), np.full(forces, 0.1)]
    return {
        "Q": sp.diags_array(weights),
        "p": 0 * weights,
        "A": A,
        "b": b,
        "lb": -limit,
        "ub": limit,
    }


def transport(rng, size):
    """Send goods at least cost: a linear program with a degenerate, dependent set of rows."""
    eye, one = sp.eye_array(size), np.ones((1, size))
    A = sp.vstack([sp.kron(eye, one), sp.kron(one, eye)], format="csr")
    return {"p": rng.random(size * size), "A": A, "b": 1.0, "lb": 0.0}


def differences(n):
    """Fit a curve whose slope is bounded: `G` has both signs of each difference."""
    step = sp.diags_array([-np.ones(n - 1), np.ones(n - 1)], offsets=[0, 1], shape=(n - 1, n))
    p = -np.sin(np.linspace(0, 9, n)) - 0.1 * np.random.default_rng(0).normal(size=n)
    return {"Q": sp.eye_array(n), "p": p, "G": sp.vstack([step, -step]).tocsr(), "h": 0.02}


def dense(problem):
    return {k: v.toarray() if k in MATRICES else v for k, v in problem.items()}


@pytest.fixture
def without_kernels(monkeypatch):
    monkeypatch.setattr(kernels, "available", lambda: "hidden by a test")


CASES = {
    "simplex": lambda: simplex(500),
    "control": lambda: control(130),
    "transport": lambda: transport(np.random.default_rng(1), 21),
    "differences": lambda: differences(400),
    "dense A": lambda: simplex(500) | {"A": np.ones((1, 500))},
    "upper triangle": lambda: (
        simplex(500)
        | {"Q": sp.diags_array([np.ones(500), np.full(499, 0.5)], offsets=[0, 1], format="coo")}
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_answers_and_gradients_are_those_of_dense_matrices(case, without_kernels):
    problem = CASES[case]()
    sparse = kktdiff.solve_qp(**problem)
    assert on_sparse(sparse)
    full = {k: v.toarray() if sp.issparse(v) else v for k, v in problem.items()}
    expected = kktdiff.solve_qp(**full)
    assert sparse.status == expected.status == Status.SOLVED
    names = ("x", "objective") if case == "transport" else ("x", "lam", "nu", "lam_lb", "objective")
    for name in names:
        assert_close(getattr(sparse, name), getattr(expected, name))
    if case == "transport":  # its multipliers are not unique
        return
    g = np.cos(np.arange(sparse.x.size))
    found, wanted = sparse.vjp(x=g), expected.vjp(x=g)
    for name, value in problem.items():
        own, other = getattr(found, name), getattr(wanted, name)
        if sp.issparse(value):
            rows, cols = value.tocoo().coords
            own, other = own.tocsr()[rows, cols], other[rows, cols]
        assert_close(own, other)
    assert_close(sparse.jvp(p=g).x, expected.jvp(p=g).x)


def test_statuses_of_a_batch_are_those_of_dense_matrices(without_kernels, monkeypatch):
    """Solved, infeasible, unbounded, not convex, and invalid, side by side."""
    monkeypatch.setattr(inputs, "_SMALL", 0)
    monkeypatch.setattr(inputs, "_FASTER", (0.0, 0.0))
    rng = np.random.default_rng(2)
    problem = sparse_problem(rng, 100, 60, 20, (5,), bounds=False)
    matrices, vectors = problem.matrices, problem.vectors
    Q, A = matrices["Q"].values.copy(), matrices["A"].values.copy()
    on = A.shape[1] // 20
    A[1, :on], vectors["b"][1, 0] = 0.0, 1.0  # 0 = 1
    off = matrices["Q"].pattern
    Q[2, (off.rows == 99) | (off.cols == 99)] = 0.0
    G = matrices["G"].values.copy()
    G[2, matrices["G"].pattern.cols == 99] = 0.0
    A[2, matrices["A"].pattern.cols == 99] = 0.0
    Q[3, 0] = -5.0
    vectors["p"][4, 7] = np.nan
    moved = {"Q": Q, "G": G, "A": A}
    moved = {k: kktdiff.Sparse(matrices[k].pattern, v) for k, v in moved.items()}
    sparse = kktdiff.solve_qp(**moved, **vectors, on_failure="ignore")
    assert on_sparse(sparse)
    full = {k: v.to_dense() for k, v in moved.items()}
    expected = kktdiff.solve_qp(**full, **vectors, on_failure="ignore")
    wanted = ["SOLVED", "PRIMAL_INFEASIBLE", "DUAL_INFEASIBLE", "NONCONVEX", "INVALID_DATA"]
    assert [Status(v).name for v in sparse.status] == wanted
    np.testing.assert_array_equal(sparse.status, expected.status)
    assert_close(sparse.x[0], expected.x[0])
    gradient = sparse.vjp(x=np.ones((5, 100)))
    assert gradient.Q.values[0].any()
    assert not gradient.Q.values[1:].any()
    proof = sparse.certificate()
    ray, prices = proof.x[2], np.abs(full["A"][1].T @ proof.nu[1] + full["G"][1].T @ proof.lam[1])
    assert vectors["p"][2] @ ray < 0
    assert np.abs(full["Q"][2] @ ray).max() <= 1e-7
    assert prices.max() <= 1e-6


@pytest.mark.parametrize("case", ["simplex", "control", "differences"])
def test_large_problems_are_those_of_the_kernels(case, monkeypatch):
    if kernels.available() is not None:
        pytest.skip("no kernels")
    problem = {"simplex": simplex(10_000), "control": control(3333)}
    problem = problem | {"differences": differences(10_000)}
    expected = kktdiff.solve_qp(**problem[case])
    g = np.cos(np.arange(expected.x.size))
    wanted = expected.vjp(x=g)
    monkeypatch.setattr(kernels, "available", lambda: "hidden by a test")
    found = kktdiff.solve_qp(**problem[case])
    assert found.status == expected.status == Status.SOLVED
    assert_close(found.x, expected.x)
    gradient = found.vjp(x=g)
    for name, value in problem[case].items():
        own, other = getattr(gradient, name), getattr(wanted, name)
        if sp.issparse(value):
            own, other = own.tocsr().data, other.tocsr().data
        assert_close(own, other, 1e-8)


def test_large_problems_that_the_kernels_leave_get_a_second_look(monkeypatch):
    if kernels.available() is not None:
        pytest.skip("no kernels")
    problem = sparse_problem(np.random.default_rng(3), 120, 80, 20, (3,))
    expected = kktdiff.solve_qp(**problem.sparse())
    solve = method.solve

    def leaves(*arguments, **options):
        out = solve(*arguments, **options)
        left = np.arange(3) == 1
        numbers = np.where(left[:, None] & far, 1.0, out.numbers)
        return out._replace(status=np.where(left, method.LEFT, out.status), numbers=numbers)

    far = True
    monkeypatch.setattr("kktdiff._records.MOST_DENSE", 10)
    monkeypatch.setattr("kktdiff._records.Data.on_dense", None)
    monkeypatch.setattr(method, "solve", leaves)
    found = kktdiff.solve_qp(**problem.sparse())
    g = np.ones((3, 120))
    gradient, wanted = found.vjp(x=g), expected.vjp(x=g)
    assert np.all(found.status == Status.SOLVED)
    assert_close(found.x, expected.x)
    assert_close(gradient.G.values, wanted.G.values)
    np.testing.assert_array_equal(found.x[[0, 2]], expected.x[[0, 2]])
    assert [one.index.tolist() for one in found._engine.kept if isinstance(one, Kept)] == [[1]]
    monkeypatch.setattr("kktdiff._records.MOST_OPERATIONS", 0.0)
    unlooked = kktdiff.solve_qp(**problem.sparse(), on_failure="ignore")
    assert not any(isinstance(one, Kept) for one in unlooked._engine.kept)
    np.testing.assert_array_equal(unlooked.status, [0, Status.NUMERICAL_ERROR, 0])
    monkeypatch.undo()
    far = False
    monkeypatch.setattr("kktdiff._records.MOST_DENSE", 10)
    monkeypatch.setattr(method, "solve", leaves)
    accurate = kktdiff.solve_qp(**problem.sparse())
    assert np.all(accurate.status == Status.SOLVED)
    assert not any(isinstance(one, Kept) for one in accurate._engine.kept)
