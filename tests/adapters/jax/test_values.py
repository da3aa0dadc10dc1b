"""Values and derivatives: NumPy's, and differences."""

import numpy as np
import pytest

import kktdiff

jax = pytest.importorskip("jax")
import jax.numpy as jnp

from kktdiff.adapters.jax import solve_qp
from tests.adapters.jax.inputs import (
    EVERY,
    SMALL,
    TINY,
    B,
    arrays,
    data,
    difference,
    floats,
    loss,
    near,
    rng,
    ways,
    weights,
)
from tests.problems import Data, feasible, tangent
from tests.tolerances import DIFFERENCE, SHARED

# The same as on NumPy arrays.


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("batch", [(), (B,)], ids=["one", "batch"])
def test_fields_and_derivatives_are_those_of_the_arrays(batch, compiled):
    given = data(batch)
    wrap = jax.jit if compiled else lambda f: f
    expected = kktdiff.solve_qp(*given)
    solution = wrap(solve_qp)(*arrays(given))
    for name in solution._fields[:13]:
        left, right = np.asarray(getattr(solution, name)), getattr(expected, name)
        assert left.dtype == right.dtype, name
        np.testing.assert_array_equal(left, right, err_msg=name)
    g = weights(expected)
    _, pull = jax.vjp(wrap(floats), *arrays(given))
    found, grads = pull({k: jnp.asarray(v) for k, v in g.items()}), expected.vjp(**g)
    near(found, [getattr(grads, name) for name in Data._fields], SHARED)
    d = tangent(rng(), given)
    moved = jax.jvp(wrap(floats), arrays(given), arrays(d.values()))[1]
    near(moved, {k: getattr(expected.jvp(**d), k) for k in moved}, SHARED)


@pytest.mark.parametrize(
    "way", [{"gradient": "smoothed", "smoothing": 0.1}, {"gradient": "least_squares"}], ids=str
)
def test_the_way_to_differentiate_goes_through(way):
    given = data()
    expected = kktdiff.solve_qp(*given).vjp(np.ones(3), **way)
    gradient = jax.grad(lambda *a: solve_qp(*a, **way).x.sum(), EVERY)
    for function in (gradient, jax.jit(gradient)):
        grads = function(*arrays(given))
        near(grads, [getattr(expected, name) for name in Data._fields], SHARED)


def test_blocks_that_are_absent():
    Q, p = jnp.eye(2), jnp.array([1.0, -1.0])
    found = jax.jit(jax.jacrev(lambda p, ub: solve_qp(Q, p, ub=ub).x, (0, 1)))(p, jnp.zeros(2))
    near(found, (jnp.diag(jnp.array([-1.0, 0.0])), jnp.diag(jnp.array([0.0, 1.0]))))


def test_what_is_shared_gets_the_sum():
    given = feasible(rng(), SMALL, {"p": (B,), "G": (2, 1)})
    expected = kktdiff.solve_qp(*given)
    assert expected.x.shape == (2, B, 3)
    grads = jax.grad(lambda *a: solve_qp(*a).x.sum(), EVERY)(*arrays(given))
    expected = expected.vjp(np.ones((2, B, 3)))
    near(grads, [getattr(expected, name) for name in Data._fields], SHARED)


# Second order, against differences.


@pytest.fixture(scope="module")
def second():
    """The gradient's derivative along a direction, by differences."""
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        given = data(sizes=TINY)
        return difference(jax.grad(loss, EVERY), arrays(given), ways(given))


GRADIENTS = {"reverse": jax.grad(loss, EVERY), "forward": jax.jacfwd(loss, EVERY)}


@pytest.mark.parametrize("outer", GRADIENTS)
@pytest.mark.parametrize("inner", GRADIENTS)
def test_the_hessian_in_four_pairs_of_modes(outer, inner, second):
    """Along a direction: the Hessian is symmetric."""
    given = data(sizes=TINY)
    gradient, d = jax.jit(GRADIENTS[inner]), ways(given)
    if outer == "forward":
        found = jax.jvp(gradient, arrays(given), d)[1]
    else:
        found = jax.vjp(gradient, *arrays(given))[1](d)
    near(found, second, DIFFERENCE)


def test_results_are_committed_to_a_device_where_inputs_are():
    p = jnp.ones(2)
    for one in (p, jax.device_put(p, jax.devices()[0])):
        assert solve_qp(jnp.eye(2), one).x.committed == one.committed


@pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="an older JAX has it elsewhere")
def test_shard_map_with_its_own_check_is_refused():
    spec, mesh = jax.sharding.PartitionSpec("i"), jax.sharding.Mesh(jax.devices()[:1], "i")
    f = jax.shard_map(lambda p: solve_qp(jnp.eye(2), p).x, mesh=mesh, in_specs=spec, out_specs=spec)
    with pytest.raises(NotImplementedError, match="pass check_vma=False to it"):
        f(jnp.ones((3, 2)))


def test_third_derivatives_are_refused():
    Q, one = jnp.eye(2), jnp.ones(2)
    f = jax.grad(lambda t: jax.grad(lambda t: solve_qp(Q * t, t**2 * one).objective)(t))
    with pytest.raises(NotImplementedError, match="third derivatives"):
        jax.grad(f)(1.0)


def test_second_derivatives_of_smoothed_gradients_are_refused():
    f = lambda p: jnp.sum(solve_qp(jnp.eye(2), p, gradient="smoothed").x ** 2)  # noqa: E731
    with pytest.raises(NotImplementedError, match='second derivatives with gradient="smoothed"'):
        jax.hessian(f)(jnp.ones(2))
