"""JAX on a GPU: values and derivatives as on the CPU, and nothing is copied to the host."""

import numpy as np
import pytest

from tests.checks import assert_near
from tests.tolerances import SINGLE_ANSWER, TIGHT_ANSWER

jax = pytest.importorskip("jax")
import jax.numpy as jnp

from kktdiff.adapters.jax import diagnostics, solve_qp
from tests.adapters.jax.inputs import EVERY, data, floats, loss

BATCH = tuple(data((5,)))


@pytest.fixture(autouse=True)
def places(gpu):
    """The CPU and the GPU."""
    if jax.default_backend() != "gpu":
        pytest.skip("this JAX sees no GPU")
    return jax.devices("cpu")[0], jax.devices("gpu")[0]


GRADIENT = jax.grad(loss, EVERY)
FUNCTIONS = {
    "fields": lambda *a: tuple(floats(*a).values()),
    "diagnostics": diagnostics,
    "gradient": GRADIENT,
    "tangents": lambda *a: tuple(jax.jvp(floats, a, tuple(map(jnp.cos, a)))[1].values()),
    "second": lambda *a: jax.jvp(GRADIENT, a, tuple(map(jnp.cos, a)))[1],
    "vmap": lambda *a: jax.vmap(GRADIENT)(*a),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_on_the_gpu_as_on_the_cpu(places, name, compiled):
    function = jax.jit(FUNCTIONS[name]) if compiled else FUNCTIONS[name]
    expected, found = (function(*jax.device_put(BATCH, place)) for place in places)
    for left, right in zip(found, expected, strict=True):
        assert left.devices() == {places[1]}
        assert_near(np.asarray(left), np.asarray(right), TIGHT_ANSWER, name)


def test_nothing_is_copied_by_jax(places):
    inputs, gradient = jax.device_put(BATCH, places[1]), jax.jit(GRADIENT)
    gradient(*inputs)
    with jax.transfer_guard("disallow"):
        jax.block_until_ready(gradient(*inputs))


def test_one_bad_element_float32_and_an_empty_batch(places):
    jax.config.update("jax_enable_x64", False)
    Q, p, *rest = jax.device_put(BATCH, places[1])
    gradient = jax.jit(jax.grad(lambda p: jnp.nansum(solve_qp(Q, p, *rest, on_failure="ignore").x)))
    found = gradient(p.at[1].set(jnp.nan))
    assert found.dtype == jnp.float32
    assert not jnp.any(found[1])
    assert_near(np.asarray(found[2:]), np.asarray(gradient(p)[2:]), SINGLE_ANSWER, "p")
    none = [v[:0] for v in (Q, p, *rest)]
    assert [v.shape for v in jax.jit(GRADIENT)(*none)] == [v.shape for v in none]
