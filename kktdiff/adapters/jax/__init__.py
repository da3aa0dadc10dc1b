"""Differentiable QPs on JAX arrays.

>>> import jax, jax.numpy as jnp
>>> from kktdiff.adapters.jax import solve_qp
>>> eye, p, two = jnp.eye(2), jnp.array([-1.0, -3.0]), jnp.full(2, 2.0)
>>> jax.grad(lambda p: solve_qp(eye, p, ub=two).x.sum())(p).round(5) + 0.0
Array([-1.,  0.], dtype=float32)
"""

from kktdiff.adapters._extras import extra

with extra("jax"):
    from kktdiff.adapters.jax._diagnostics import diagnostics
    from kktdiff.adapters.jax._solution import Diagnostics, Solution
    from kktdiff.adapters.jax._solve import solve_qp

__all__ = ["Diagnostics", "Solution", "diagnostics", "solve_qp"]
