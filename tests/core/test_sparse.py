"""Sparse matrices: the same answers and derivatives as of dense ones, on their patterns."""

import numpy as np
import pytest
import scipy.sparse

import kktdiff
from tests.core.test_errors import says
from tests.sparse import (
    SparseProblem,
    assert_close,
    at_entries,
    banded,
    on_sparse,
    solve,
    sparse_problem,
)
from tests.tolerances import DENSE_REFERENCE

VECTORS = ("p", "h", "b", "lb", "ub")
SIZES = [(1, 0, 0), (4, 3, 1), (30, 20, 8), (25, 0, 6), (20, 0, 0), (60, 90, 12)]


@pytest.mark.parametrize("batch", [(), (3,), (2, 9)])
@pytest.mark.parametrize("sizes", SIZES)
def test_answers_and_gradients_are_those_of_dense_matrices(way, sizes, batch):
    rng = np.random.default_rng(7)
    problem = sparse_problem(rng, *sizes, batch, bounds=sizes[0] > 1)
    sparse, dense = solve(problem, way)
    assert np.all(sparse.status == 0)
    for name in ("x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective"):
        assert_close(getattr(sparse, name), getattr(dense, name))
    cotangents = {"x": rng.normal(size=dense.x.shape), "objective": np.ones(batch)}
    cotangents |= {"lam": rng.normal(size=dense.lam.shape), "nu": rng.normal(size=dense.nu.shape)}
    found, expected = sparse.vjp(**cotangents), dense.vjp(**cotangents)
    for name, matrix in problem.matrices.items():
        own = getattr(found, name)
        assert own.pattern is matrix.pattern
        assert_close(own.values, at_entries(matrix, getattr(expected, name)))
    for name in VECTORS:
        if getattr(expected, name) is not None:
            assert_close(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("batch", [(), (5,)])
def test_other_derivatives(way, batch):
    rng = np.random.default_rng(3)
    problem = sparse_problem(rng, 24, 18, 5, batch)
    sparse, dense = solve(problem, way)
    tangents = {
        k: kktdiff.Sparse(v.pattern, rng.normal(size=v.values.shape))
        for k, v in problem.matrices.items()
    } | {k: rng.normal(size=v.shape) for k, v in problem.vectors.items()}
    own = {k: v.to_dense() if k in problem.matrices else v for k, v in tangents.items()}
    found, expected = sparse.jvp(**tangents), dense.jvp(**own)
    for name in ("x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective"):
        assert_close(getattr(found, name), getattr(expected, name), DENSE_REFERENCE)
    cotangent = {"x": rng.normal(size=dense.x.shape)}
    again, twice = sparse.hvp(cotangent, tangents), dense.hvp(cotangent, own)
    assert_close(again.p, twice.p, DENSE_REFERENCE)
    for name, matrix in problem.matrices.items():
        values = at_entries(matrix, getattr(twice, name))
        assert_close(getattr(again, name).values, values, DENSE_REFERENCE)
        jacobian = at_entries(matrix, dense.jacobian("x", name))
        assert_close(sparse.jacobian("x", name), jacobian, DENSE_REFERENCE)
    second, moved = sparse.second_jvp(tangents, tangents), dense.second_jvp(own, own)
    assert_close(second.x, moved.x, DENSE_REFERENCE)
    assert_close(sparse.jacobian("x", "p"), dense.jacobian("x", "p"), DENSE_REFERENCE)
    assert_close(sparse.diagnostics().condition, dense.diagnostics().condition, 1e-6)
    smooth, other = (v.vjp(**cotangent, gradient="smoothed") for v in (sparse, dense))
    assert_close(smooth.p, other.p, 1e-6)
    flat, least = (v.vjp(**cotangent, gradient="least_squares") for v in (sparse, dense))
    assert_close(flat.Q.values, at_entries(problem.matrices["Q"], least.Q), DENSE_REFERENCE)


def test_shared_matrices_have_the_sum_of_the_gradients(way):
    rng = np.random.default_rng(4)
    problem = sparse_problem(rng, 20, 15, 4)
    vectors = problem.vectors | {"p": rng.normal(size=(6, 20))}
    sparse, dense = solve(SparseProblem(problem.matrices, vectors), way)
    g = rng.normal(size=(6, 20))
    found, expected = sparse.vjp(x=g), dense.vjp(x=g)
    for name, matrix in problem.matrices.items():
        own = getattr(found, name)
        assert own.shape == matrix.shape
        assert_close(own.values, at_entries(matrix, getattr(expected, name)))
    again = kktdiff.Sparse(problem.matrices["G"].pattern, problem.matrices["G"].values[None, None])
    more = kktdiff.solve_qp(**problem.sparse() | {"p": vectors["p"][None], "G": again})
    assert more.x.shape == (1, 6, 20)
    assert more.vjp(x=g[None]).G.values.shape == again.values.shape


@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "dia", "bsr", "lil", "dok"])
def test_gradients_are_of_the_type_of_the_input(way, form, kind):
    make = getattr(scipy.sparse, f"csr_{kind}")
    rng = np.random.default_rng(5)
    problem = sparse_problem(rng, 12, 9, 3)
    given = {k: make(v.to_dense()).asformat(form) for k, v in problem.matrices.items()}
    solution = kktdiff.solve_qp(**given, **problem.vectors)
    assert on_sparse(solution) == (way != "dense copies")
    g = rng.normal(size=12)
    found = solution.vjp(x=g)
    expected = kktdiff.solve_qp(**problem.dense()).vjp(x=g)
    for name, matrix in given.items():
        own = getattr(found, name)
        assert type(own) is type(matrix)
        places = matrix.toarray() != 0
        assert_close(own.toarray()[places], getattr(expected, name)[places])
    tangents = kktdiff.solve_qp(**problem.dense()).jvp(G=given["G"].toarray())
    assert_close(solution.jvp(G=given["G"]).x, tangents.x)
    assert "Q (12, 12) up to" in repr(found)


def test_dense_and_sparse_matrices_together(way):
    rng = np.random.default_rng(6)
    problem = sparse_problem(rng, 15, 10, 4, (3,))
    given = problem.sparse() | {"G": problem.matrices["G"].to_dense()}
    solution = kktdiff.solve_qp(**given)
    assert on_sparse(solution) == (way != "dense copies")
    g = rng.normal(size=(3, 15))
    expected = kktdiff.solve_qp(**problem.dense())
    assert_close(solution.vjp(x=g).G, expected.vjp(x=g).G)
    moved = expected.jvp(G=given["G"])
    assert_close(solution.jvp(G=given["G"]).x, moved.x, DENSE_REFERENCE)
    assert_close(solution.jacobian("x", "G"), expected.jacobian("x", "G"), DENSE_REFERENCE)


def test_entries_in_one_place_add_and_zeros_stay(way):
    pattern = kktdiff.Pattern((2, 2), [1, 0, 0, 0], [1, 0, 1, 0])
    Q = kktdiff.Sparse(pattern, np.array([2.0, 0.5, 0.0, 0.5]))
    solution = kktdiff.solve_qp(Q, np.array([-1.0, -1.0]))
    np.testing.assert_allclose(solution.x, [1.0, 0.5])
    dense = kktdiff.solve_qp(np.diag([1.0, 2.0]), np.array([-1.0, -1.0]))
    g = np.array([1.0, 2.0])
    expected = dense.vjp(x=g).Q[pattern.rows, pattern.cols]
    np.testing.assert_allclose(solution.vjp(x=g).Q.values, expected, atol=DENSE_REFERENCE)
    assert expected[2] != 0
    zero = scipy.sparse.csr_array((np.array([0.0, 3.0]), ([0, 1], [1, 0])), shape=(2, 2))
    assert kktdiff.Pattern.of(zero).nnz == 2


def test_one_bad_element_leaves_the_others_alone(way):
    rng = np.random.default_rng(8)
    problem = sparse_problem(rng, 10, 6, 2, (5,))
    good = kktdiff.solve_qp(**problem.sparse())
    G = problem.matrices["G"]
    values = G.values.copy()
    values[3, 2] = np.nan
    row, col = int(G.pattern.rows[2]), int(G.pattern.cols[2])
    facts = says("1 INVALID_DATA at 3", "x is NaN", f"G[{row}, {col}] is nan")
    with pytest.warns(kktdiff.SolveWarning, match=facts):
        bad = kktdiff.solve_qp(**problem.sparse() | {"G": kktdiff.Sparse(G.pattern, values)})
    others = np.arange(5) != 3
    np.testing.assert_array_equal(bad.x[others], good.x[others])
    gradient, expected = bad.vjp(x=np.ones((5, 10))), good.vjp(x=np.ones((5, 10)))
    np.testing.assert_array_equal(gradient.G.values[others], expected.G.values[others])
    assert not gradient.G.values[3].any()


def test_problems_without_a_solution(way):
    n, eye = 12, scipy.sparse.eye_array(12)
    with pytest.warns(kktdiff.SolveWarning, match=r"h\[\d+\], lb\[\d+\] contradict"):
        none = kktdiff.solve_qp(eye, np.ones(n), eye, np.zeros(n), lb=1.0)
    assert none.status == kktdiff.Status.PRIMAL_INFEASIBLE
    proof = none.certificate()
    np.testing.assert_allclose(proof.lam, proof.lam_lb, atol=1e-9)
    with pytest.warns(kktdiff.SolveWarning, match="DUAL_INFEASIBLE"):
        free = kktdiff.solve_qp(p=-np.ones(n), A=eye.tocsr()[:1], b=0.0)
    assert free.status == kktdiff.Status.DUAL_INFEASIBLE
    with pytest.warns(kktdiff.SolveWarning, match="negative eigenvalue"):
        bent = kktdiff.solve_qp(-eye, np.ones(n), lb=0.0)
    assert bent.status == kktdiff.Status.NONCONVEX


def test_empty_things(way):
    pattern = banded(4)
    nothing = kktdiff.solve_qp(kktdiff.Sparse(pattern, np.ones((0, 7))), np.ones(4))
    assert nothing.x.shape == (0, 4)
    assert nothing.vjp(x=np.ones((0, 4))).Q.shape == (0, 4, 4)
    zero = kktdiff.Sparse(kktdiff.Pattern((4, 4), [], []), np.zeros(0))
    linear = kktdiff.solve_qp(zero, np.ones(4), lb=np.arange(4.0))
    np.testing.assert_allclose(linear.x, np.arange(4.0), atol=1e-12)
    assert linear.vjp(x=np.ones(4)).Q.values.shape == (0,)
    rows = kktdiff.Sparse(kktdiff.Pattern((0, 4), [], []), np.zeros(0))
    free = kktdiff.solve_qp(scipy.sparse.eye_array(4), -np.ones(4), rows, np.zeros(0))
    np.testing.assert_allclose(free.x, 1.0)
    integers = kktdiff.solve_qp(scipy.sparse.eye_array(3, dtype=int), [-1, -2, -3])
    np.testing.assert_allclose(integers.x, [1, 2, 3])
    single = kktdiff.solve_qp(scipy.sparse.eye_array(3, dtype=np.float32), -np.ones(3, np.float32))
    assert single.x.dtype == single.vjp(x=single.x).Q.data.dtype == np.float32
