"""`kktdiff.solve_qp` on JAX arrays is the adapter's; numbers, lists, integers, what is absent."""

import array_api_strict
import numpy as np
import pytest

import kktdiff

jax = pytest.importorskip("jax")
import jax.numpy as jnp

from kktdiff.adapters.jax import Solution, diagnostics, solve_qp
from tests.adapters.jax.inputs import B, arrays, data

Q, p = np.eye(2), np.array([1.0, -3.0])


@pytest.fixture(autouse=True)
def of_jax(double, monkeypatch):
    """Make them arrays of JAX, in float64."""
    monkeypatch.setitem(globals(), "Q", jnp.asarray(Q))
    monkeypatch.setitem(globals(), "p", jnp.asarray(p))


def test_the_core_hands_arrays_over():
    given = arrays(data((B,)))
    found, expected = kktdiff.solve_qp(*given), solve_qp(*given)
    assert type(found) is Solution
    for left, right in zip(found[:13], expected[:13], strict=True):
        np.testing.assert_array_equal(left, right)
        assert isinstance(left, jax.Array)


def test_the_core_is_differentiated_and_compiled_as_the_adapter():
    def loss(solve, p):
        return jnp.sum(solve(Q, p, lb=0.0).x ** 2)

    for wrap in (lambda f: f, jax.jit):
        grad = wrap(jax.grad(loss, argnums=1), **({"static_argnums": 0} if wrap is jax.jit else {}))
        np.testing.assert_array_equal(grad(kktdiff.solve_qp, p), grad(solve_qp, p))
    assert jax.vmap(lambda p: kktdiff.solve_qp(Q, p).x)(jnp.ones((3, 2))).shape == (3, 2)


def test_options_go_along():
    option = {"lb": [2.0, 2.0], "ub": [0.0, 5.0], "infeasible": "closest", "on_failure": "raise"}
    found = kktdiff.solve_qp(Q, p, **option, gradient="smoothed", smoothing=1e-3)
    np.testing.assert_array_equal(found.shift_lb, solve_qp(Q, p, **option).shift_lb)
    with pytest.raises(TypeError, match="'q': did you mean p"):
        kktdiff.solve_qp(Q, p, q=p)


@pytest.mark.parametrize("number", [0, 0.5, np.float64(0.5), np.array(0.5)])
def test_a_number_is_for_all_entries(number):
    full = jnp.full(2, float(number))
    np.testing.assert_array_equal(solve_qp(Q, p, lb=number).x, solve_qp(Q, p, lb=full).x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_a_number_is_a_number(dtype):
    def solved(bound):
        return solve_qp(Q.astype(dtype), jnp.ones((3, 2), dtype), lb=bound).x.sum()

    assert jax.grad(solved)(0.5) == jax.jit(jax.grad(solved))(0.5) == 6
    bounds = jnp.array([0.5, 1.0], dtype)
    assert jax.jit(jax.vmap(jax.grad(solved)))(bounds).tolist() == [6, 6]


def test_absent_Q_and_p_are_zero():
    np.testing.assert_array_equal(solve_qp(p=p, lb=-1, ub=1).x, [-1.0, 1.0])
    np.testing.assert_array_equal(solve_qp(Q, lb=p).x, solve_qp(Q, 0 * p, lb=p).x)
    found = jax.jit(lambda A: solve_qp(A=A, b=1, lb=0).x)(jnp.ones((1, 2)))
    assert found.sum() == pytest.approx(1)


def test_integers_take_the_dtype_of_the_others_or_jax_s_own():
    whole = jnp.array([[2, 0], [0, 2]])
    assert solve_qp(whole, p.astype(jnp.float32)).x.dtype == jnp.float32
    assert solve_qp(whole, whole[0]).x.dtype == jnp.zeros(()).dtype
    assert solve_qp(whole, [1, 2]).x.dtype == jnp.zeros(()).dtype


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.ma.array([1.0, 2.0]), "p is a masked array"),
        ({0: 1.0}, "p is a dict"),
        (array_api_strict.asarray([1.0, 2.0]), "p is a Array: expected a jax.Array"),
        ([jnp.ones(2)] * 2, r"p is a list of jax arrays: pass jax.numpy.stack\(p\)"),
    ],
)
def test_what_is_no_array_is_refused_by_name(value, words):
    with pytest.raises(TypeError, match=words):
        solve_qp(Q, value)


def test_a_sparse_vector_of_jax_is_refused_by_name():
    from jax.experimental.sparse import BCOO

    with pytest.raises(TypeError, match=r"p is sparse, a BCOO: .*p.todense\(\)"):
        solve_qp(Q, BCOO.fromdense(p))


# ------------------------------------------------------------------------- what is shown


def test_a_solution_is_shown_in_two_lines():
    given = data((B,))
    found, core = solve_qp(*arrays(given)), kktdiff.solve_qp(*given)
    assert repr(found) == repr(core)
    assert found._repr_html_() == core._repr_html_()
    assert found.status_names == core.status_names
    assert repr(found.diagnostics()) == repr(core.diagnostics())


def test_a_solution_has_the_diagnostics_of_the_function():
    given = arrays(data((B,)))
    expected = diagnostics(*given)
    for found in (
        solve_qp(*given).diagnostics(),
        jax.jit(lambda *a: solve_qp(*a).diagnostics())(*given),
    ):
        for left, right in zip(found, expected, strict=True):
            np.testing.assert_array_equal(left, right)

    def loss(p):
        solution = solve_qp(Q, p, lb=0.0)
        return jnp.sum(solution.x), solution.diagnostics().trustworthy

    batch = jnp.array([[1.0, 2.0], [0.0, 1.0]])  # the second at a kink
    gradient, trusted = jax.vmap(jax.grad(loss, has_aux=True))(batch)
    assert trusted.tolist() == [True, False]
    assert gradient.shape == (2, 2)


def test_certificates_are_those_of_the_core():
    given = {"G": [[1.0], [-1.0]], "h": [-1.0, -1.0], "on_failure": "ignore"}
    found = solve_qp(jnp.eye(1), jnp.zeros(1), **given).certificate()
    expected = kktdiff.solve_qp(np.eye(1), np.zeros(1), **given).certificate()
    np.testing.assert_array_equal(found.lam, expected.lam)
    assert isinstance(found.lam, jax.Array)


def test_a_solution_that_has_left_a_transformation_says_what_to_call():
    left = jax.jit(lambda p: solve_qp(Q, p))(p)
    assert repr(left).startswith("Solution of one QP, n=2, m=0, k=0: SOLVED\n")
    assert "trustworthy" not in left._repr_html_()
    for method in ("diagnostics", "certificate"):
        with pytest.raises(ValueError, match=r"call kktdiff\.adapters\.jax\.diagnostics"):
            getattr(left, method)()


def test_within_a_transformation_sizes_alone_are_shown():
    seen = []

    def solved(p):
        found = solve_qp(Q, p)
        seen.extend([repr(found), repr(found.diagnostics())])
        with pytest.raises(ValueError, match="within a transformation"):
            found.certificate()
        return found.x

    jax.jit(solved)(p)
    assert seen == [
        "Solution of one QP, n=2, m=0, k=0: not known within a transformation",
        "Diagnostics: not known within a transformation",
    ]
