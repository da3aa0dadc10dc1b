"""Soft rows on JAX arrays: prices are inputs like the others."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp
from jax.test_util import check_grads

import kktdiff
from kktdiff.adapters.jax import diagnostics, solve_qp
from tests.adapters.jax.inputs import TINY, arrays, near
from tests.checks import assert_near
from tests.soft import FLOATS, SIDES, soft_problem
from tests.tolerances import DENSE_REFERENCE, DIFFERENCE

pytestmark = pytest.mark.slow


@pytest.fixture
def case(double):
    """Arrays, prices, and both of JAX."""
    data, prices = soft_problem(np.random.default_rng(770), SIDES, (3,), TINY)
    return data, prices, arrays(data), {v: jnp.asarray(w) for v, w in prices.items()}


def floats(inputs, prices, **options):
    solution = solve_qp(*inputs, soft=prices, **options)
    return {name: getattr(solution, name) for name in FLOATS}


def loss(inputs, prices, **options):
    flat = jnp.concatenate([v.ravel() for v in floats(inputs, prices, **options).values()])
    return jnp.sum(jnp.sin(flat) * jnp.linspace(-1, 2, flat.size))


def test_values_and_gradients_are_those_of_arrays(case):
    data, prices, inputs, own = case
    found, solution = floats(inputs, own), kktdiff.solve_qp(*data, soft=prices)
    near(found, {name: getattr(solution, name) for name in FLOATS})
    grads = jax.grad(lambda w: jnp.sum(solve_qp(*inputs, soft=w).violation_h ** 2))(own)
    expected = solution.vjp(violation_h=2 * solution.violation_h).soft
    for side in SIDES:
        assert_near(grads[side], expected[side], DENSE_REFERENCE, side)


def test_derivatives_of_first_and_second_order_against_differences(case):
    _, _, inputs, own = case
    assert diagnostics(*inputs, soft=own).trustworthy.all(), "a kink is near"
    how = {"order": 2, "modes": ["fwd", "rev"], "atol": DIFFERENCE, "rtol": DIFFERENCE}
    check_grads(lambda a, w: floats(a, w, tol=1e-12), (inputs, own), eps=1e-5, **how)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("shared", [False, True], ids=["own prices", "one for all"])
def test_vmap_of_gradients_is_the_loop(case, compiled, shared):
    _, _, inputs, own = case
    own = {v: w[0] for v, w in own.items()} if shared else own
    wrap = jax.jit if compiled else lambda f: f
    gradient = jax.grad(loss, (0, 1))
    found = wrap(jax.vmap(gradient, (0, None if shared else 0)))(inputs, own)
    loop = [
        gradient(tuple(a[i] for a in inputs), own if shared else {v: w[i] for v, w in own.items()})
        for i in range(3)
    ]
    near(found, jax.tree.map(lambda *v: jnp.stack(v), *loop))


def test_hessians_in_prices(case):
    _, _, inputs, own = case

    def at(w):
        return loss(inputs, own | {"h": w})

    near(jax.jacfwd(jax.grad(at))(own["h"]), jax.jacrev(jax.grad(at))(own["h"]))
    near(jax.jit(jax.hessian(at))(own["h"]), jax.hessian(at)(own["h"]))


def test_one_number_is_the_price_of_all_rows(case):
    data, _, inputs, _ = case
    soft = {"b": 2.0, "lb": 3.0, "ub": None}
    solution = solve_qp(*inputs, soft=soft | {"h": 0.7}, on_failure="ignore")
    arrays = kktdiff.solve_qp(*data, soft=soft | {"h": 0.7}, on_failure="ignore")
    near(solution.violation_h, arrays.violation_h)
    assert solution.violation_ub is None
    every = dict.fromkeys(SIDES, 2.0)
    slope = jax.grad(lambda w: solve_qp(*inputs, soft=every | {"h": w}).objective.sum())(0.7)
    near(slope, solve_qp(*inputs, soft=every | {"h": 0.7}).violation_h.sum())


def test_float32_prices_with_float32_inputs(case):
    data, prices, _, _ = case
    single = tuple(jnp.asarray(a, dtype=jnp.float32) for a in data)
    solution = solve_qp(*single, soft={"h": 1.0, "b": 1.0, "lb": 1.0, "ub": 1.0})
    assert solution.violation_h.dtype == jnp.float32
    with pytest.raises(TypeError, match="soft_h has dtype float64, but Q has float32"):
        solve_qp(*single, soft={"h": prices["h"]})


def test_wrong_prices_are_refused_also_while_traced(case):
    _, _, inputs, own = case
    for call in (solve_qp, jax.jit(solve_qp)):
        with pytest.raises(ValueError, match="soft has 'G'"):
            call(*inputs, soft={"G": own["h"]})
        with pytest.raises(ValueError, match="soft_h has shape"):
            call(*inputs, soft={"h": jnp.ones(5)})
        with pytest.raises(ValueError, match="soft has 'lb', but lb is None"):
            call(inputs[0], inputs[1], soft={"lb": own["lb"]})
    with pytest.raises(ValueError, match="a price that is not positive"):
        solve_qp(*inputs, soft={"h": -1.0})
    with pytest.raises(Exception, match="a price that is not positive"):
        jax.block_until_ready(jax.jit(solve_qp)(*inputs, soft={"h": -own["h"]}))
