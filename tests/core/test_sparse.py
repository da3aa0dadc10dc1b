"""Sparse matrices: the same answers and derivatives as of dense ones, on their patterns."""

import numpy as np
import pytest
import scipy.sparse

import kktdiff
from kktdiff import _sparse_inputs as inputs
from kktdiff import kernels
from tests.core.test_errors import says
from tests.sparse import SparseProblem, at_entries, banded, rows_of, sparse_problem
from tests.tolerances import DENSE_REFERENCE, TIGHT_ANSWER

VECTORS = ("p", "h", "b", "lb", "ub")
SIZES = [(1, 0, 0), (4, 3, 1), (30, 20, 8), (25, 0, 6), (20, 0, 0), (60, 90, 12)]


@pytest.fixture(params=["kernels", "dense copies"])
def way(request, monkeypatch):
    """Both ways in which sparse matrices are worked on."""
    if request.param == "kernels":
        if kernels.available() is not None:
            pytest.skip("no kernels")
        monkeypatch.setattr(inputs, "_SMALL", 0)
        monkeypatch.setattr(inputs, "_FASTER", (0.0, 0.0))
    else:
        monkeypatch.setattr(inputs, "_SMALL", 10**9)
    return request.param


def on_kernels(solution):
    return solution._engine.problem.data.structure is not None


def solve(problem, way, **options):
    """The solutions of a problem as sparse and as dense."""
    sparse = kktdiff.solve_qp(**problem.sparse(), **options)
    assert on_kernels(sparse) == (way == "kernels")
    return sparse, kktdiff.solve_qp(**problem.dense(), **options)


def assert_close(found, expected, tolerance=TIGHT_ANSWER):
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    assert np.abs(found - expected).max(initial=0.0) <= tolerance * scale


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
    assert on_kernels(solution) == (way == "kernels")
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
    assert on_kernels(solution) == (way == "kernels")
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
    assert on_kernels(cold) == (way == "kernels")
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
    assert on_kernels(solution)
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
    assert not on_kernels(kktdiff.solve_qp(**small.sparse()))
    assert on_kernels(kktdiff.solve_qp(**large.sparse()))
    everywhere = inputs.full(300, 300)
    Q = kktdiff.Sparse(everywhere, np.eye(300).ravel())
    assert not on_kernels(kktdiff.solve_qp(Q, np.ones(300)))


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


WRONG = {
    "size": (
        lambda: kktdiff.solve_qp(scipy.sparse.eye_array(4), np.ones(3)),
        ["Q has shape (4, 4)", "n = 3"],
    ),
    "one dimension": (
        lambda: kktdiff.solve_qp(scipy.sparse.coo_array(np.ones(3)), np.ones(3)),
        ["Q has shape (3,)", "a sparse matrix"],
    ),
    "bool": (
        lambda: kktdiff.solve_qp(scipy.sparse.eye_array(3, dtype=bool)),
        ["Q has dtype bool", "Q.astype(float)"],
    ),
    "dtypes": (
        lambda: kktdiff.solve_qp(scipy.sparse.eye_array(3, dtype=np.float32), np.ones(3)),
        ["p has dtype float64, but Q has float32"],
    ),
    "objects": (
        lambda: kktdiff.solve_qp(kktdiff.Sparse(banded(1), _Values())),
        ["Q.values is a _Values", "NumPy"],
    ),
    "vector": (
        lambda: kktdiff.solve_qp(p=scipy.sparse.eye_array(3)),
        ["p is sparse", "p.toarray()"],
    ),
    "range": (
        lambda: kktdiff.Pattern((2, 2), [0, 2], [0, 1]),
        ["rows has indices from 0 to 2", "0 to 1"],
    ),
    "negative": (
        lambda: kktdiff.Pattern((2, 2), [0, 1], [0, -1]),
        ["cols has indices from -1 to 0"],
    ),
    "lengths": (
        lambda: kktdiff.Pattern((2, 2), [0, 1], [0]),
        ["rows has shape (2,), but cols has (1,)"],
    ),
    "floats": (lambda: kktdiff.Pattern((2, 2), [0.0], [1]), ["rows has dtype float64", "integers"]),
    "dimensions": (
        lambda: kktdiff.Pattern((2, 2), [[0]], [[1]]),
        ["rows has shape (1, 1)", "(nnz,)"],
    ),
    "shape": (lambda: kktdiff.Pattern((2,), [0], [0]), ["shape=(2,)", "rows and of columns"]),
    "values": (
        lambda: kktdiff.Sparse(banded(2), np.ones(2)),
        ["values has shape (2,)", "(..., 3)"],
    ),
    "pattern": (
        lambda: kktdiff.Sparse(scipy.sparse.eye_array(2), np.ones(2)),
        ["kktdiff.Pattern.of(matrix)"],
    ),
    "tangent": (
        lambda: _solved().jvp(Q=np.eye(3)),
        ["the tangent of Q is a ndarray", "a sparse matrix"],
    ),
    "tangent pattern": (
        lambda: _solved().jvp(Q=scipy.sparse.coo_array(np.ones((3, 3)))),
        ["9 entries", "the 3 entries of Q"],
    ),
}


class _Values:
    shape = (1,)
    dtype = np.dtype(float)


def _solved():
    return kktdiff.solve_qp(scipy.sparse.eye_array(3), np.ones(3))


@pytest.mark.parametrize("case", WRONG)
def test_wrong_calls_say_what_to_do(case):
    call, parts = WRONG[case]
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)


def test_dense_copies_that_are_too_large_are_refused(monkeypatch):
    monkeypatch.setattr(inputs, "_MOST_DENSE", 1000)
    problem = sparse_problem(np.random.default_rng(14), 200, 100, 0)
    with pytest.raises(ValueError, match="works on dense matrices, and Q, G would take"):
        kktdiff.solve_qp(**problem.sparse(), infeasible="closest")
    monkeypatch.setattr(kernels, "available", lambda: "off")
    with pytest.raises(ValueError, match=r"without the compiled kernels \(off\) it works on dense"):
        kktdiff.solve_qp(**problem.sparse())


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


def test_patterns():
    rng = np.random.default_rng(15)
    pattern = rows_of(rng, 5, 7)
    same = kktdiff.Pattern((5, 7), pattern.rows[::-1], pattern.cols[::-1])
    assert pattern.key == same.key
    assert pattern.key != rows_of(rng, 5, 7).key
    assert repr(pattern) == "Pattern((5, 7), nnz=20)"
    values = rng.normal(size=(2, 20))
    matrix = kktdiff.Sparse(pattern, values)
    assert repr(matrix) == "Sparse(shape=(2, 5, 7), nnz=20, dtype=float64)"
    np.testing.assert_array_equal(matrix.to_dense()[:, pattern.rows, pattern.cols], values)
