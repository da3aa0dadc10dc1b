"""Sparse matrices: soft rows, warm starts, large problems and other kinds."""

import numpy as np
import pytest
import scipy.sparse

import kktdiff
from kktdiff import _sparse_inputs as inputs
from kktdiff import kernels
from tests.sparse import (
    SparseProblem,
    assert_close,
    at_entries,
    on_sparse,
    solve,
    sparse_problem,
)
from tests.tolerances import DENSE_REFERENCE

VECTORS = ("p", "h", "b", "lb", "ub")


def test_dependent_rows_have_the_gradient_of_least_squares(way):
    rng = np.random.default_rng(9)
    problem = sparse_problem(rng, 10, 0, 3)
    A = problem.matrices["A"]
    twice = kktdiff.Pattern(
        (6, 10), np.r_[A.pattern.rows, A.pattern.rows + 3], np.tile(A.pattern.cols, 2)
    )
    matrices = problem.matrices | {"A": kktdiff.Sparse(twice, np.tile(A.values, 2))}
    vectors = problem.vectors | {"b": np.tile(problem.vectors["b"], 2)}
    sparse, dense = solve(SparseProblem(matrices, vectors), way)
    g = rng.normal(size=10)
    found, expected = sparse.vjp(x=g), dense.vjp(x=g)
    assert_close(found.p, expected.p)
    assert_close(found.b, expected.b)
    assert not sparse.diagnostics().trustworthy


def soft_problem(batch):
    problem = sparse_problem(np.random.default_rng(10), 20, 15, 4, batch)
    vectors = problem.vectors | {"b": problem.vectors["b"] + 0.5}
    return SparseProblem(problem.matrices, vectors), {"h": 0.3, "b": 0.5, "ub": 0.2}


@pytest.mark.parametrize("most", [0, 10**6], ids=["large", "small"])
def test_soft_rows(way, monkeypatch, most):
    problem, soft = soft_problem((3,))
    monkeypatch.setattr("kktdiff._inputs.MOST_DENSE", most)
    sparse = kktdiff.solve_qp(**problem.sparse(), soft=soft)
    dense = kktdiff.solve_qp(**problem.dense(), soft=soft)
    assert_close(sparse.x, dense.x)
    assert_close(sparse.violation_h, dense.violation_h)
    g = np.random.default_rng(1).normal(size=(3, 20))
    found, expected = sparse.vjp(x=g), dense.vjp(x=g)
    assert_close(found.G.values, at_entries(problem.matrices["G"], expected.G))
    assert_close(found.soft_h, expected.soft_h)
    if way == "kernels" and not most:
        with pytest.raises(ValueError, match="n \\+ m \\+ k = 39: of large sparse problems"):
            sparse.jvp(p=g)
        return
    assert_close(sparse.jvp(p=g).x, dense.jvp(p=g).x, DENSE_REFERENCE)
    assert_close(sparse.diagnostics().margin, dense.diagnostics().margin, DENSE_REFERENCE)


def test_soft_rows_that_the_kernels_leave(way, monkeypatch):
    if way != "kernels":
        pytest.skip("array code solves them")
    problem, soft = soft_problem((3,))
    monkeypatch.setattr("kktdiff._inputs.MOST_DENSE", 0)
    p = problem.vectors["p"].copy()
    p[1] = np.nan
    with pytest.warns(kktdiff.SolveWarning):
        found = kktdiff.solve_qp(**problem.sparse() | {"p": p}, soft=soft)
    good = kktdiff.solve_qp(**problem.sparse(), soft=soft)
    np.testing.assert_array_equal(found.solved, [True, False, True])
    np.testing.assert_array_equal(found.x[[0, 2]], good.x[[0, 2]])
    assert np.all(np.isnan(found.x[1]))
    gradient = found.vjp(x=np.ones((3, 20)))
    assert not gradient.G.values[1].any()
    assert gradient.G.values[0].any()
    with pytest.warns(kktdiff.SolveWarning):
        nothing = kktdiff.solve_qp(**problem.sparse() | {"p": p + np.nan}, soft=soft)
    assert not nothing.vjp(x=np.ones((3, 20))).G.values.any()


def test_warm_starts(way):
    problem = sparse_problem(np.random.default_rng(10), 20, 15, 4, (3,))
    cold = kktdiff.solve_qp(**problem.sparse())
    assert on_sparse(cold) == (way != "dense copies")
    warm = kktdiff.solve_qp(**problem.sparse(), warm_start=cold)
    assert_close(warm.x, cold.x)
    assert np.all(warm.iterations == 0)


def test_closest_feasible_problem():
    eye = scipy.sparse.eye_array(100)
    solution = kktdiff.solve_qp(
        eye, np.zeros(100), eye, np.zeros(100), lb=1.0, infeasible="closest"
    )
    np.testing.assert_allclose(solution.x, 0.5, atol=1e-7)
    assert solution.vjp(x=np.ones(100)).G.shape == (100, 100)


def test_gradients_of_a_large_problem_are_its_differences():
    if kernels.available() is not None:
        pytest.skip("no kernels")
    rng = np.random.default_rng(11)
    problem = sparse_problem(rng, 400, 300, 60)
    solution = kktdiff.solve_qp(**problem.sparse())
    assert on_sparse(solution)
    g = rng.normal(size=400)
    gradient, size = solution.vjp(x=g), 1e-6
    for name, matrix in problem.matrices.items():
        way = rng.normal(size=matrix.values.shape)

        def at(step, name=name, matrix=matrix, way=way):
            moved = kktdiff.Sparse(matrix.pattern, matrix.values + step * way)
            return g @ kktdiff.solve_qp(**problem.sparse() | {name: moved}).x

        difference = (at(size) - at(-size)) / (2 * size)
        found = float(np.sum(getattr(gradient, name).values * way))
        assert abs(found - difference) <= 1e-6 * max(1.0, abs(difference))


def test_form_depends_on_sizes_and_pattern_alone():
    if kernels.available() is not None:
        pytest.skip("no kernels")
    rng = np.random.default_rng(12)
    small, large = (sparse_problem(rng, n, n // 2, 0) for n in (10, 300))
    assert not on_sparse(kktdiff.solve_qp(**small.sparse()))
    assert on_sparse(kktdiff.solve_qp(**large.sparse()))
    everywhere = inputs.full(300, 300)
    Q = kktdiff.Sparse(everywhere, np.eye(300).ravel())
    assert not on_sparse(kktdiff.solve_qp(Q, np.ones(300)))


def test_batch_mates_change_no_bit(way):
    rng = np.random.default_rng(13)
    problem = sparse_problem(rng, 40, 30, 6, (21,))
    every = kktdiff.solve_qp(**problem.sparse())
    g = rng.normal(size=(21, 40))
    gradient = every.vjp(x=g)
    for some in (slice(0, 1), slice(3, 6), slice(20, None, -1)):
        own = {k: kktdiff.Sparse(v.pattern, v.values[some]) for k, v in problem.matrices.items()}
        few = kktdiff.solve_qp(**own, **{k: v[some] for k, v in problem.vectors.items()})
        np.testing.assert_array_equal(few.x, every.x[some])
        np.testing.assert_array_equal(few.vjp(x=g[some]).Q.values, gradient.Q.values[some])


@pytest.mark.parametrize("dependent", [False, True])
def test_large_problems_have_all_derivatives_without_dense_matrices(monkeypatch, dependent):
    """What small ones ask of dense matrices, held against it."""
    if kernels.available() is not None:
        pytest.skip("no kernels")
    rng = np.random.default_rng(16)
    problem = sparse_problem(rng, 120, 80, 20, (2,))
    matrices, vectors = problem
    if dependent:
        A = matrices["A"]
        rows = np.r_[A.pattern.rows, A.pattern.rows + 20]
        twice = kktdiff.Pattern((40, 120), rows, np.tile(A.pattern.cols, 2))
        matrices = matrices | {"A": kktdiff.Sparse(twice, np.tile(A.values, (1, 2)))}
        vectors = vectors | {"b": np.tile(vectors["b"], (1, 2))}
    small = kktdiff.solve_qp(**matrices, **vectors)
    shapes = small.x.shape, small.nu.shape
    cotangents = {k: rng.normal(size=v) for k, v in zip(("x", "nu"), shapes, strict=True)}
    modes = ("exact", "least_squares", "smoothed")
    gradients = [small.vjp(**cotangents, gradient=mode) for mode in modes]
    known = small.diagnostics()

    monkeypatch.setattr("kktdiff._records.MOST_DENSE", 10)
    monkeypatch.setattr("kktdiff._sensitivity.first_order._MOST_DENSE", 10)
    monkeypatch.setattr("kktdiff._records.Data.on_dense", None)
    large = kktdiff.solve_qp(**matrices, **vectors)
    for mode, expected in zip(modes, gradients, strict=True):
        found = large.vjp(**cotangents, gradient=mode)
        for name in VECTORS:
            assert_close(getattr(found, name), getattr(expected, name), DENSE_REFERENCE)
        for name in matrices:
            own, other = getattr(found, name), getattr(expected, name)
            assert_close(own.values, other.values, DENSE_REFERENCE)
    diagnosed = large.diagnostics()
    np.testing.assert_array_equal(diagnosed.trustworthy, known.trustworthy)
    np.testing.assert_array_equal(diagnosed.weakly_active, known.weakly_active)
    np.testing.assert_allclose(diagnosed.condition, known.condition, rtol=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_a_convex_curve_whose_prices_grow_far_beyond_their_unit(seed):
    """Multipliers of second differences grow with the fourth power of the length."""
    n = 2000
    rng = np.random.default_rng(seed)
    y = np.sin(np.linspace(0, rng.uniform(1, 4), n)) + 0.1 * np.sin(np.arange(n) + seed)
    G = scipy.sparse.diags_array([-1.0, 2.0, -1.0], offsets=[0, 1, 2], shape=(n - 2, n))
    found = kktdiff.solve_qp(scipy.sparse.eye_array(n), -y, G.tocsr(), np.zeros(n - 2))
    assert found.solved
    assert found.iterations <= 60  # 200 with proximal terms of one size
    assert np.abs(found.x - y + G.T @ found.lam).max() < 1e-9
    assert (G @ found.x).max() < 1e-12
    assert found.lam.min() >= 0
    assert np.abs(found.lam @ (G @ found.x)) < 1e-9
    assert found.lam.max() > 1e3


@pytest.mark.parametrize("n", [200, 600, 2000])
def test_derivatives_of_a_straight_line_are_projections(n):
    """Where all second differences are held: of a condition number of 3e11 at 2000 points."""
    rng, t = np.random.default_rng(n), np.linspace(0, 1, n)
    y, (g, d) = np.sin(2 * t) + 0.1 * np.sin(np.arange(n)), rng.normal(size=(2, n))
    G = scipy.sparse.diags_array([-1.0, 2.0, -1.0], offsets=[0, 1, 2], shape=(n - 2, n))
    found = kktdiff.solve_qp(scipy.sparse.eye_array(n), -y, G.tocsr(), np.zeros(n - 2))
    lines, _ = np.linalg.qr(np.c_[np.ones(n), t])
    assert_close(found.x, lines @ (lines.T @ y), 1e-9)
    assert_close(-found.vjp(x=g).p, lines @ (lines.T @ g), 1e-7)
    assert_close(found.jvp(p=-d).x, lines @ (lines.T @ d), 1e-7)


def test_flows_have_the_gradient_of_least_squares_whatever_their_size():
    """The flow on a tree of arcs leaves the other multipliers open."""
    side, rng = 14, np.random.default_rng(4)
    at = np.arange(side * side).reshape(side, side)
    one = np.r_[at[:, :-1].ravel(), at[:-1].ravel()]
    other = np.r_[at[:, 1:].ravel(), at[1:].ravel()]
    n, nodes = one.size, side * side
    places = np.r_[one, other], np.tile(np.arange(n), 2)
    A = scipy.sparse.csr_array((np.r_[np.ones(n), -np.ones(n)], places), shape=(nodes, n))[:-1]
    Q, b = 0.01 * scipy.sparse.eye_array(n), np.eye(nodes - 1)[0]
    vectors = {"p": rng.uniform(1, 2, n), "b": b, "lb": 0.0, "ub": 0.5}
    sparse = kktdiff.solve_qp(Q, A=A, **vectors)
    dense = kktdiff.solve_qp(Q.toarray(), A=A.toarray(), **vectors)
    assert sparse.solved
    assert on_sparse(sparse)
    g = rng.normal(size=n)
    found, expected = sparse.vjp(x=g), dense.vjp(x=g)
    for name in ("p", "b"):
        assert_close(getattr(found, name), getattr(expected, name), 1e-7)
