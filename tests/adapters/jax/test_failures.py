"""float32, failures, options, wrong calls."""

import numpy as np
import pytest

import kktdiff

jax = pytest.importorskip("jax")
import jax.numpy as jnp

from kktdiff.adapters.jax import _kept, solve_qp
from tests.adapters.jax.inputs import EVERY, B, arrays, data, near
from tests.problems import Data
from tests.tolerances import SHARED, SINGLE_ANSWER


def test_float32_comes_back_as_float32():
    given = data((B,))
    jax.config.update("jax_enable_x64", False)
    inputs = arrays(given)
    solution = solve_qp(*inputs)
    expected = kktdiff.solve_qp(*given)
    assert {str(v.dtype) for v in solution[:7]} == {"float32"}
    assert str(solution.status.dtype) == "int32"
    near(solution.x, expected.x, SINGLE_ANSWER)
    grads = jax.jit(jax.grad(lambda *a: solve_qp(*a).x.sum(), EVERY))(*inputs)
    assert {str(v.dtype) for v in grads} == {"float32"}
    near(grads, arrays(vars(expected.vjp(np.ones((B, 3)))).values()), SINGLE_ANSWER)


def test_one_bad_element_changes_nothing_of_the_others():
    Q, p, *rest = arrays(data((B,)))
    bad = p.at[1].set(jnp.nan)

    def total(p):
        solution = solve_qp(Q, p, *rest, on_failure="ignore")
        return jnp.sum(jnp.where(solution.solved[:, None], solution.x, 0.0) ** 2), solution

    for wrap in (jax.jit, lambda f: f):
        grad = wrap(jax.grad(total, has_aux=True))
        (found, solution), (expected, whole) = grad(bad), grad(p)
        assert solution.status.tolist() == [0, int(kktdiff.Status.INVALID_DATA), 0]
        np.testing.assert_array_equal(found[1], np.zeros(3))
        np.testing.assert_array_equal(found[::2], expected[::2])
        np.testing.assert_array_equal(solution.x[::2], whole.x[::2])
        assert np.isnan(solution.x[1]).all()


def test_what_is_not_solved_is_said_once_also_in_compiled_code():
    p = jnp.array([[1.0], [jnp.nan]])
    gradient = jax.grad(lambda p: jnp.nansum(solve_qp(jnp.eye(1), p).x))
    for function in (gradient, jax.jit(gradient)):
        with pytest.warns(kktdiff.SolveWarning, match="1 of 2") as caught:
            jax.block_until_ready(function(p))
        assert len(caught) == 1


def test_what_is_solved_again_is_not_said_again(monkeypatch):
    monkeypatch.setattr(_kept, "KEPT", 1)
    p = jnp.array([[1.0], [jnp.nan]])
    with pytest.warns(kktdiff.SolveWarning) as caught:
        jax.grad(lambda p: sum(jnp.nansum(solve_qp(c * jnp.eye(1), p).x) for c in (1.0, 2.0)))(p)
    assert len(caught) == 2


def test_a_warning_points_at_the_caller():
    with pytest.warns(kktdiff.SolveWarning) as caught:
        solve_qp(jnp.eye(1), jnp.array([jnp.nan]))
    assert caught[0].filename == __file__


def test_on_failure_raise():
    p = jnp.array([jnp.nan])
    with pytest.raises(kktdiff.SolveError):
        solve_qp(jnp.eye(1), p, on_failure="raise")
    with pytest.raises(Exception, match="SolveError"):
        jax.block_until_ready(jax.jit(lambda p: solve_qp(jnp.eye(1), p, on_failure="raise").x)(p))


def test_infeasible_closest():
    given = Data(np.eye(1), np.zeros(1), np.array([[1.0], [-1.0]]), np.array([-1.0, -1.0]))
    option = {"infeasible": "closest"}
    expected = kktdiff.solve_qp(*given, **option)
    inputs = arrays(given)[:4]
    found = jax.jit(lambda *a: solve_qp(*a, **option))(*inputs)
    np.testing.assert_array_equal(found.shift_h, expected.shift_h)
    assert found.shift_b is None
    grads = jax.grad(lambda *a: solve_qp(*a, **option).x.sum(), tuple(range(4)))(*inputs)
    near(grads, [getattr(expected.vjp(np.ones(1)), k) for k in "QpGh"], SHARED)
    heavy = {"h": np.array([3.0, 1.0])}
    expected = kktdiff.solve_qp(*given, **option, shift_weights=heavy)
    found = solve_qp(*inputs, **option, shift_weights=heavy)
    np.testing.assert_array_equal(found.x, expected.x)


def test_warm_start_of_either_kind():
    given = data((B,))
    for start in (kktdiff.solve_qp(*given), solve_qp(*arrays(given))):
        found = solve_qp(*arrays(given), warm_start=start)
        cold = solve_qp(*arrays(given))
        assert jnp.all(found.iterations < cold.iterations)
        near(found.x, cold.x)


Q2, P2 = np.eye(2), np.ones(2)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((None, None), {}, ValueError, "nothing tells the number of variables"),
        ((None, None), {"lb": 0.0}, ValueError, "nothing tells the number of variables"),
        ((Q2, P2), {"shift_weights": 3}, ValueError, "shift_weights was given"),
        (("text", P2), {}, TypeError, "Q is a str"),
        ((Q2, np.ones(3)), {}, ValueError, r"Q has shape \(2, 2\)"),
        ((Q2, P2, np.ones((1, 2))), {}, ValueError, "G was given without h"),
        ((np.ones((3, 2, 2)), np.ones((4, 2))), {}, ValueError, "do not broadcast"),
        ((Q2, P2.astype(np.float32)), {}, TypeError, "p has dtype float32, but Q has float64"),
        ((Q2.astype(bool), P2), {}, TypeError, "Q has dtype bool"),
        ((Q2, P2), {"infeasible": "near"}, ValueError, "infeasible='near'"),
        ((Q2, P2), {"on_failure": "shout"}, ValueError, "on_failure='shout'"),
        ((Q2, P2), {"tol": -1.0}, ValueError, "tol"),
        ((Q2, P2), {"gradient": "smoth"}, ValueError, "gradient='smoth'"),
        ((Q2, P2), {"smoothing": 1.0}, ValueError, "smoothing=1.0"),
        ((Q2, P2), {"colour": 1}, TypeError, "colour"),
        ((Q2, P2), {"q": P2}, TypeError, "did you mean p"),
    ],
)
def test_a_wrong_call_is_refused_while_it_is_traced(arguments, options, error, words):
    with pytest.raises(error, match=words):
        solve_qp(*arguments, **options)
    is_array = [isinstance(a, np.ndarray) for a in arguments]
    traced = [a for a, there in zip(arguments, is_array, strict=True) if there]

    def function(*some):
        left = iter(some)
        both = zip(arguments, is_array, strict=True)
        return solve_qp(*(next(left) if there else a for a, there in both), **options).x

    with pytest.raises(error, match=words):
        jax.eval_shape(function, *map(jnp.asarray, traced))


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("tol", lambda v: {"tol": v}),
        ("max_iter", lambda v: {"max_iter": v}),
        ("smoothing", lambda v: {"gradient": "smoothed", "smoothing": v}),
        ("warm_start", lambda v: {"warm_start": solve_qp(Q2, v * P2)}),
        ("shift_weights", lambda v: {"infeasible": "closest", "shift_weights": {"h": v}}),
    ],
)
def test_an_option_that_is_traced_is_refused_by_name(name, option):
    with pytest.raises(TypeError, match=f"^{name} is traced: expected a constant"):
        jax.jit(lambda v: solve_qp(Q2, P2, **option(v)).x)(1e-6)


def test_an_option_may_be_an_array_of_jax_that_is_one_number():
    found = solve_qp(Q2, P2, tol=jnp.asarray(1e-3), max_iter=jnp.asarray(50))
    np.testing.assert_array_equal(found.x, solve_qp(Q2, P2).x)
