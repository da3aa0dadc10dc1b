"""Sparse matrices of JAX and `kktdiff.Sparse` of JAX arrays: as dense ones, on their patterns."""

import numpy as np
import pytest
import scipy.sparse

import kktdiff
from kktdiff import kernels
from tests.checks import assert_near
from tests.sparse import at_entries, sparse_problem
from tests.tolerances import DENSE_REFERENCE, SINGLE_ANSWER, TIGHT_ANSWER

jax = pytest.importorskip("jax")
import jax.numpy as jnp
from jax.experimental.sparse import BCOO, BCSR, COO
from jax.experimental.sparse import grad as sparse_grad

from kktdiff.adapters.jax import _kept, diagnostics, solve_qp

OUTPUTS = ("x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective")
SIZES = (24, 18, 5)


def given(problem):
    """The arguments as JAX arrays, sparse and dense."""
    return (jax.tree.map(jnp.asarray, own) for own in (problem.sparse(), problem.dense()))


def loss(arguments):
    """One in which every entry of every output counts differently, and bends."""
    solution = solve_qp(**arguments)
    flat = jnp.concatenate([getattr(solution, name).ravel() for name in OUTPUTS])
    return jnp.sum(jnp.sin(flat) * jnp.linspace(-1, 2, flat.size))


def assert_close(found, expected, tolerance=TIGHT_ANSWER):
    assert_near(found, expected, tolerance)


def assert_same_gradients(problem, found, dense):
    for name, value in found.items():
        own = np.asarray(dense[name])
        if name in problem.matrices:
            own, value = at_entries(problem.matrices[name], own), value.values
        assert_close(value, own)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("batch", [(), (3,), (2, 2)])
def test_answers_and_gradients_are_those_of_dense_arrays(way, wrap, batch):
    problem = sparse_problem(np.random.default_rng(1), *SIZES, batch)
    sparse, dense = given(problem)
    found, expected = wrap(solve_qp)(**sparse), solve_qp(**dense)
    for name in OUTPUTS:
        assert_close(getattr(found, name), getattr(expected, name))
    gradients = wrap(jax.grad(loss))(sparse)
    assert gradients["G"].pattern is sparse["G"].pattern
    assert_same_gradients(problem, gradients, jax.grad(loss)(dense))


def bcoo(dense, padding=0):
    return BCOO.fromdense(dense, nse=int((dense != 0).sum()) + padding)


def bcsr(dense, padding=0):
    return BCSR.fromdense(dense, nse=int((dense != 0).sum()) + padding)


def rebuilt(matrix, data):
    """The same matrix with other values, and its indices as constants."""
    own = (data, matrix.indices)
    if isinstance(matrix, BCSR):
        own += (matrix.indptr,)
    return type(matrix)(own, shape=matrix.shape)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("form", [bcoo, bcsr])
def test_sparse_matrices_of_jax(form, padding):
    problem = sparse_problem(np.random.default_rng(2), *SIZES)
    _, dense = given(problem)
    own = dense | {name: form(dense[name], padding) for name in problem.matrices}
    expected, gradients = jax.value_and_grad(loss)(dense)
    assert_close(jax.jit(lambda p: loss(own | {"p": p}))(own["p"]), expected)  # a closure

    def of(data):
        return loss(own | {name: rebuilt(own[name], v) for name, v in data.items()})

    value, found = jax.value_and_grad(of)({name: own[name].data for name in problem.matrices})
    assert_close(value, expected)
    for name, data in found.items():
        assert data.shape == own[name].data.shape
        assert not data[data.size - padding :].any()
        mask = np.asarray(dense[name] != 0)
        assert_close(rebuilt(own[name], data).todense(), mask * np.asarray(gradients[name]))
    by_jax = sparse_grad(lambda G: loss(own | {"G": G}))(own["G"])
    assert type(by_jax) is type(own["G"])
    assert_close(by_jax.data, found["G"])


def test_entries_in_the_same_place_add():
    _, dense = given(sparse_problem(np.random.default_rng(3), *SIZES))
    one = bcoo(dense["G"])
    indices = jnp.concatenate([one.indices, one.indices[::-1]])
    twice = BCOO((jnp.concatenate([one.data, one.data[::-1]]) / 2, indices), shape=one.shape)
    assert_close(loss(dense | {"G": twice}), loss(dense))


@pytest.mark.parametrize("form", [BCOO, BCSR])
def test_batches_with_one_pattern(form):
    problem = sparse_problem(np.random.default_rng(4), *SIZES, (3,))
    sparse, dense = given(problem)
    own = form.fromdense(dense["G"], n_batch=1)
    assert_close(solve_qp(**sparse | {"G": own}).x, solve_qp(**dense).x)
    if form is BCOO:  # indices for all: a batch dimension of one
        shared = BCOO((own.data, own.indices[:1]), shape=own.shape)
        assert_close(solve_qp(**sparse | {"G": shared}).x, solve_qp(**dense).x)


def test_a_matrix_of_scipy_is_a_constant():
    problem = sparse_problem(np.random.default_rng(5), *SIZES)
    _, dense = given(problem)
    own = scipy.sparse.csc_array(np.asarray(dense["G"]))
    assert_close(loss(dense | {"G": own}), loss(dense))


def test_second_derivatives(way):
    problem = sparse_problem(np.random.default_rng(6), 6, 4, 2)
    sparse, dense = given(problem)
    own = problem.matrices["G"]

    def by_values(values):
        return loss(sparse | {"G": kktdiff.Sparse(own.pattern, values)})

    def by_dense(values):
        full = jnp.zeros(own.shape).at[own.pattern.rows, own.pattern.cols].set(values)
        return loss(dense | {"G": full})

    values = sparse["G"].values
    expected = jax.jit(jax.hessian(by_dense))(values)
    for hessian in (jax.hessian, lambda f: jax.jacfwd(jax.jacfwd(f))):
        assert_close(jax.jit(hessian(by_values))(values), expected, DENSE_REFERENCE)


def test_vmap():
    problem = sparse_problem(np.random.default_rng(7), *SIZES, (3,))
    sparse, _ = given(problem)
    elements = [jax.tree.map(lambda v, i=i: v[i], sparse) for i in range(3)]
    assert_close(jax.vmap(loss)(sparse), jnp.stack([loss(own) for own in elements]))
    mapped = jax.jit(jax.vmap(jax.grad(loss)))(sparse)
    for i, own in enumerate(elements):
        for found, expected in zip(
            jax.tree.leaves(mapped), jax.tree.leaves(jax.grad(loss)(own)), strict=True
        ):
            assert_close(found[i], expected)
    one = {"G": elements[0]["G"]}  # the same for all
    found = jax.vmap(lambda p: loss(elements[0] | one | {"p": p}))(sparse["p"][:1])
    assert_close(found[0], loss(elements[0]))


def test_equal_patterns_share_compiled_code():
    sparse, _ = given(sparse_problem(np.random.default_rng(8), *SIZES))
    count = []

    @jax.jit
    def traced(arguments):
        count.append(1)
        return solve_qp(**arguments, on_failure="ignore").x

    for _ in range(2):
        own = sparse["G"].pattern
        again = kktdiff.Pattern(own.shape, own.rows, own.cols)
        traced(sparse | {"G": kktdiff.Sparse(again, sparse["G"].values)})
    assert len(count) == 1
    own = sparse["G"].pattern
    other = kktdiff.Pattern(own.shape, own.rows, own.cols[::-1])
    traced(sparse | {"G": kktdiff.Sparse(other, sparse["G"].values)})
    assert len(count) == 2


def test_a_kept_solution_is_that_of_the_pattern():
    p = -jnp.ones(2)
    call = [
        _kept.Call((), patterns=(("Q", kktdiff.Pattern((2, 2), [0, 1], cols)),))
        for cols in ([0, 1], [1, 0])
    ]
    arrays = {"Q": np.ones(2), "p": np.asarray(p)}
    _, number = _kept.solve(call[0], arrays, keep=True)
    assert _kept._find(call[0], number, arrays).solved
    with pytest.MonkeyPatch.context() as patch:
        solved = []
        patch.setattr(_kept, "_again", lambda *a: solved.append(a))
        _kept._find(call[1], number, arrays)
    assert solved


def test_float32_in_and_out():
    problem = sparse_problem(np.random.default_rng(9), *SIZES)
    sparse, dense = given(problem)
    single = jax.tree.map(lambda v: v.astype(jnp.float32), sparse)
    assert solve_qp(**single).x.dtype == jnp.float32
    assert jax.grad(loss)(single)["G"].values.dtype == jnp.float32
    assert_close(solve_qp(**single).x, solve_qp(**dense).x, SINGLE_ANSWER)


def test_one_bad_element_changes_no_other(way):
    problem = sparse_problem(np.random.default_rng(10), *SIZES, (3,))
    sparse, _ = given(problem)
    bad = sparse | {"G": jax.tree.map(lambda v: v.at[1, 2].set(jnp.nan), sparse["G"])}

    def total(arguments):
        return jnp.nansum(solve_qp(**arguments, on_failure="ignore").x)

    good, found = solve_qp(**sparse), solve_qp(**bad, on_failure="ignore")
    assert found.solved.tolist() == [True, False, True]
    np.testing.assert_array_equal(found.x[::2], good.x[::2])
    gradient, expected = (jax.grad(total)(own)["G"].values for own in (bad, sparse))
    np.testing.assert_array_equal(gradient[::2], expected[::2])
    assert not gradient[1].any()


def test_an_empty_batch_and_matrices_without_entries():
    sparse, _ = given(sparse_problem(np.random.default_rng(11), *SIZES, (0,)))
    assert jax.grad(loss)(sparse)["G"].values.shape == (0, sparse["G"].pattern.nnz)
    none = BCOO.fromdense(jnp.zeros((2, 2)))
    solution = solve_qp(none, jnp.ones(2), none, jnp.ones(2), lb=0)
    np.testing.assert_array_equal(solution.x, np.zeros(2))


@pytest.mark.skipif(kernels.available() is not None, reason="dense copies would be too large")
def test_no_dense_matrix_is_made_where_Q_is_absent():
    n = 30_000  # of which a dense Q takes 7 GB
    p, row = jnp.linspace(1, 2, n), kktdiff.Pattern((1, n), np.zeros(n, dtype=int), range(n))

    def objective(p):
        return solve_qp(None, p, A=kktdiff.Sparse(row, jnp.ones(n)), b=1.0, lb=0.0).objective

    assert jax.jit(jax.grad(objective))(p)[0] == pytest.approx(1.0)


def test_diagnostics_soft_rows_and_a_scan():
    problem = sparse_problem(np.random.default_rng(12), *SIZES)
    sparse, dense = given(problem)
    assert_close(diagnostics(**sparse).margin, diagnostics(**dense).margin)
    soft = {"h": 0.3}
    assert_close(
        solve_qp(**sparse, soft=soft).violation_h, solve_qp(**dense, soft=soft).violation_h
    )

    def step(G, p):
        return G, solve_qp(**sparse | {"G": G, "p": p}).x

    several = jnp.stack([sparse["p"], 2 * sparse["p"]])
    found = jax.lax.scan(step, sparse["G"], several)[1]
    assert_close(found, solve_qp(**dense | {"p": several}).x)


EYE, ONE = np.eye(2), np.ones(2)
DIAGONAL = kktdiff.Pattern((2, 2), [0, 1], [0, 1])


@pytest.mark.parametrize(
    ("Q", "error", "words"),
    [
        (lambda: COO.fromdense(jnp.eye(2)), TypeError, "Q is a COO: expected a BCOO or BCSR"),
        (lambda: BCOO.fromdense(jnp.eye(2), n_dense=1), ValueError, "n_batch=0, n_dense=1 and 2"),
        (lambda: BCOO.fromdense(jnp.ones((2, 2, 2))), ValueError, "n_dense=0 and 3 dimensions"),
        (lambda: BCOO.fromdense(jnp.ones(2)), ValueError, "n_dense=0 and 1 dimensions"),
        (lambda: BCOO.fromdense(jnp.eye(3)), ValueError, r"Q has shape \(3, 3\).*n = 2"),
        (
            lambda: BCOO.fromdense(jnp.stack([jnp.eye(2), jnp.ones((2, 2))]), n_batch=1),
            ValueError,
            "Q is a batch of sparse matrices with entries in different places",
        ),
        (
            lambda: BCSR.fromdense(jnp.stack([jnp.eye(2), jnp.eye(2)[::-1]]), n_batch=1),
            ValueError,
            "entries in different places",
        ),
        (lambda: kktdiff.Sparse(DIAGONAL, ONE.astype(bool)), TypeError, "Q has dtype bool"),
        (lambda: kktdiff.Sparse(DIAGONAL, ONE.astype("f4")), TypeError, "float32"),
    ],
)
def test_what_is_wrong_with_a_sparse_matrix_is_said(Q, error, words):
    with pytest.raises(error, match=words):
        solve_qp(Q(), jnp.ones(2))


def test_traced_indices_are_refused():
    for matrix in (bcoo(jnp.eye(2)), bcsr(jnp.eye(2))):
        with pytest.raises(TypeError, match=r"Q is a BC.* indices are traced.*kktdiff\.Pattern\("):
            jax.jit(solve_qp)(matrix, ONE)
    with pytest.raises(TypeError, match="indices are traced"):
        jax.vmap(solve_qp)(BCOO.fromdense(jnp.stack([EYE, EYE]), n_batch=1), jnp.ones((2, 2)))


def test_the_front_door_passes_values_of_jax_on():
    found = kktdiff.solve_qp(kktdiff.Sparse(DIAGONAL, jnp.ones(2)), -ONE)
    assert isinstance(found.x, jax.Array)
