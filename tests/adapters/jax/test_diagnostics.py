"""When to trust a gradient."""

import numpy as np
import pytest

import kktdiff

jax = pytest.importorskip("jax")
import jax.numpy as jnp

from kktdiff.adapters.jax import diagnostics, solve_qp
from tests.adapters.jax.inputs import B, arrays, data, loss, near


@pytest.fixture
def kinked():
    """A batch in which the second element's bound is weakly active and the third has a NaN."""
    given = data((B,))._replace(lb=None, ub=np.full(3, 10.0))
    x = kktdiff.solve_qp(*given).x
    ub = np.stack([given.ub, x[1], np.array([10.0, np.nan, 10.0])])
    return given._replace(ub=ub)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_diagnostics_are_those_of_the_arrays(kinked, compiled):
    expected = kktdiff.solve_qp(*kinked, on_failure="ignore").diagnostics()
    assert expected.trustworthy.tolist() == [True, False, False]
    call = lambda *a: diagnostics(*a[:6], ub=a[6], on_failure="ignore")  # noqa: E731
    inputs = arrays(v for v in kinked if v is not None)
    for function in (call, jax.vmap(call)):
        found = (jax.jit if compiled else lambda f: f)(function)(*inputs)
        for name, value in found._asdict().items():
            right = getattr(expected, name)
            assert (value.shape, value.dtype) == (right.shape, right.dtype)
            np.testing.assert_array_equal(value, right, err_msg=name)
    single = [v.astype(jnp.float32) for v in inputs]
    assert call(*single).margin.dtype == jnp.float32


def test_vmap_of_what_is_mapped_and_what_is_shared(kinked):
    Q, p, G, h, A, b, *_ = arrays(kinked[:6])
    call = lambda Q, p, ub: diagnostics(Q, p, G[0], h[0], A[0], b[0], ub=ub)  # noqa: E731
    ub = jnp.full(3, 10.0)
    one_by_one = [call(*each, ub) for each in zip(Q, p, strict=True)]
    found = jax.vmap(call, (0, 1, None))(Q, p.T, ub)
    near(found, jax.tree.map(lambda *values: jnp.stack(values), *one_by_one))


def test_diagnostics_use_what_a_gradient_has_left(calls):
    given = arrays(data((B,)))
    solve_qp(*given, tol=1e-9)  # checks these options too
    jax.grad(loss)(*given)
    before = calls["solve_qp"]
    diagnostics(*given)
    assert calls["solve_qp"] == before
    diagnostics(*given, tol=1e-9)
    diagnostics(given[0], 2 * given[1], *given[2:])
    assert calls["solve_qp"] == before + 2
    diagnostics(*(v.astype(jnp.float32) for v in given))
    assert calls["solve_qp"] >= before + 3


def test_diagnostics_are_constants_to_derivatives():
    given = arrays(data())

    def condition(p):
        return diagnostics(given[0], p, *given[2:]).condition + p[0]

    near(jax.jit(jax.grad(condition))(given[1]), jnp.array([1.0, 0.0, 0.0]))
    with pytest.raises(ValueError, match="G was given without h"):
        diagnostics(*given[:3])
