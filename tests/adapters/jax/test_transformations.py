"""Each transformation of JAX against its loop."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp

from kktdiff.adapters.jax import solve_qp
from tests.adapters.jax.inputs import EVERY, TINY, B, arrays, data, floats, loss, near, rng, ways
from tests.commands import command
from tests.problems import Data, feasible
from tests.tolerances import SHARED

pytestmark = pytest.mark.slow

DIMS = Data(Q=2, p=1, G=2, h=2, A=None, b=0, lb=None, ub=2)
BATCHES = {"Q": (B,), "p": (B, 2, 3), "G": (B, 3), "h": (B, 2, 1), "b": (B,), "ub": (B, 1)}


@pytest.fixture
def mapped():
    """The inputs with the mapped dimension at DIMS, and each element's inputs."""
    given = feasible(rng(), TINY, BATCHES)
    elements = [
        tuple(a if d is None else a[i] for a, d in zip(given, DIMS, strict=True)) for i in range(B)
    ]
    moved = (a if d is None else np.moveaxis(a, 0, d) for a, d in zip(given, DIMS, strict=True))
    return arrays(moved), [arrays(e) for e in elements]


def hvp(*inputs):
    return jax.jvp(jax.grad(loss, EVERY), inputs, tuple(map(jnp.cos, inputs)))[1]


def jhj(*inputs):
    return jax.vjp(lambda *a: jax.jvp(floats, a, tuple(map(jnp.cos, a)))[1]["x"], *inputs)[1](
        jnp.ones((2, 3, 2))
    )


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("function", [floats, jax.grad(loss, EVERY), hvp, jhj], ids=range(4))
def test_vmap_is_the_loop(mapped, function, compiled):
    inputs, elements = mapped
    wrap = jax.jit if compiled else lambda f: f
    found = wrap(jax.vmap(function, tuple(DIMS)))(*inputs)
    loop = [function(*own) for own in elements]
    near(found, jax.tree.map(lambda *v: jnp.stack(v), *loop))


def test_vmap_of_vmap_and_of_jacobians():
    Q, p, *rest = arrays(data(sizes=TINY))
    many = p + 0.1 * jnp.arange(6).reshape(2, 3, 1)
    function = jax.jit(jax.hessian(lambda p: loss(Q, p, *rest)))
    found = jax.vmap(jax.vmap(function))(many)
    near(found, jnp.stack([jnp.stack([function(v) for v in row]) for row in many]))


def test_scan_is_the_loop():
    Q, p, *rest = arrays(data(sizes=TINY))

    def step(p, w):
        x = solve_qp(Q, p, *rest).x
        return p + 0.1 * w * x, x

    def by_scan(p, w):
        last, xs = jax.lax.scan(step, p, w)
        return jnp.sum(last**2) + jnp.sum(xs)

    def by_loop(p, w):
        xs = []
        for one in w:
            p, x = step(p, one)
            xs.append(x)
        return jnp.sum(p**2) + jnp.sum(jnp.stack(xs))

    w = jnp.array([1.0, 2.0, 3.0])
    for way in (jax.grad, jax.jacfwd, jax.hessian):
        near(jax.jit(way(by_scan))(p, w), jax.jit(way(by_loop))(p, w))
    many = jnp.stack([p, 1.1 * p])
    found = jax.vmap(jax.grad(by_scan), (0, None))(many, w)
    near(found, jnp.stack([jax.grad(by_loop)(v, w) for v in many]))


def test_a_branch_of_cond_under_vmap():
    Q, p, *rest = arrays(data(sizes=TINY))

    def function(p):
        return jax.lax.cond(p[0] > 0, lambda p: loss(Q, p, *rest), jnp.sum, p)

    many = jnp.stack([jnp.abs(p), -jnp.abs(p)])
    near(jax.vmap(jax.grad(function))(many), jnp.stack([jax.grad(function)(v) for v in many]))


def test_linearize_checkpoint_and_jit_inside():
    given = data()
    inputs, d = arrays(given), ways(given)
    expected = jax.jvp(floats, inputs, d)[1]
    near(jax.linearize(floats, *inputs)[1](*d), expected, SHARED)
    near(jax.jvp(jax.jit(floats), inputs, d)[1], expected, SHARED)
    grads = jax.grad(loss, EVERY)(*inputs)
    near(jax.grad(jax.checkpoint(loss), EVERY)(*inputs), grads, SHARED)
    transposed = jax.linear_transpose(lambda *t: jax.jvp(floats, inputs, t)[1]["x"], *inputs)
    near(transposed(jnp.ones(3)), jax.grad(lambda *a: solve_qp(*a).x.sum(), EVERY)(*inputs), SHARED)


SHARD_MAP = """
import numpy as np, jax, jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec as P
from kktdiff.adapters.jax import solve_qp
jax.config.update("jax_enable_x64", True)
shard_map = getattr(jax, "shard_map", None)
if shard_map is None:
    from jax.experimental.shard_map import shard_map
assert len(jax.devices()) == 2
Q, p = 2 * jnp.eye(3), jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))
alone = lambda Q, p: solve_qp(Q, p, lb=jnp.full(3, -0.1)).x
how = dict(mesh=Mesh(np.array(jax.devices()), "i"), in_specs=(P(), P("i")), out_specs=P("i"))
both = jax.jit(shard_map(alone, **how, **OPTION))
loss = lambda f: lambda Q, p: jnp.sum(jnp.sin(f(Q, p)))
compiled = jax.jit(both).lower(Q, p).compile().as_text()
assert not any(word in compiled for word in ("all-gather", "all-reduce", "collective"))
np.testing.assert_array_equal(both(Q, p), alone(Q, p))
for way in (jax.grad, jax.hessian):
    for left, right in zip(way(loss(both), 1)(Q, p), way(loss(alone), 1)(Q, p)):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-11)
left, right = jax.grad(loss(both))(Q, p), jax.grad(loss(alone))(Q, p)
np.testing.assert_allclose(left, right, rtol=0, atol=1e-11)
"""


def test_shard_map_on_two_devices_needs_no_collectives(repository, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    name = "check_vma" if hasattr(jax, "shard_map") else "check_rep"
    done = command(repository, "-c", SHARD_MAP.replace("OPTION", f"{{{name!r}: False}}"))
    assert done.returncode == 0, done.stderr
