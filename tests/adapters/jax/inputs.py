"""Inputs, and what is made of the outputs, for the tests of the JAX adapter."""

import jax
import jax.numpy as jnp
import numpy as np

from kktdiff.adapters.jax import solve_qp
from tests.checks import assert_near
from tests.problems import Answer, Sizes, known, tangent
from tests.tolerances import DENSE_REFERENCE

SMALL = Sizes(n=3, m=3, k=1, lower=True, upper=True)
TINY = Sizes(n=2, m=2, k=1, lower=True, upper=True)
EVERY = tuple(range(8))
B = 3


def rng():
    return np.random.default_rng(701)


def data(batch=(), sizes=SMALL):
    return known(rng(), sizes, batch=batch).data


def arrays(given):
    return tuple(None if a is None else jnp.asarray(a) for a in given)


def floats(*inputs, **options):
    solution = solve_qp(*inputs, **options)
    return {name: getattr(solution, name) for name in Answer._fields}


def loss(*inputs, **options):
    """In which every entry of every output counts differently, and bends."""
    flat = jnp.concatenate([v.ravel() for v in floats(*inputs, **options).values()])
    return jnp.sum(jnp.sin(flat) * jnp.linspace(-1, 2, flat.size))


def weights(solution):
    r = rng()
    return {name: r.normal(size=getattr(solution, name).shape) for name in Answer._fields}


def near(found, expected, tol=DENSE_REFERENCE):
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    for i, (left, right) in enumerate(pairs):
        assert_near(left, right, tol, str(i))


def difference(function, inputs, ways, step=1e-3):
    """Fourth-order central difference of a function of arrays along ways."""

    def at(t):
        return function(*(a + t * step * d for a, d in zip(inputs, ways, strict=True)))

    def combined(a, b, c, d):
        return (8 * (c - b) - (d - a)) / (12 * step)

    return jax.tree.map(combined, at(-2), at(-1), at(1), at(2))


def ways(given, seed=702):
    return arrays(tangent(np.random.default_rng(seed), given).values())
