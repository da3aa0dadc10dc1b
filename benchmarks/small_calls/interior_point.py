"""A compact interior-point method in plain JAX: what XLA does with a QP without any library.

Mehrotra's predictor and corrector (Mehrotra 1992), a fixed number of iterations, the gradient by
the implicit function theorem (Amos & Kolter 2017, section 3). Q is positive definite, and there is
a strictly feasible point.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

ITERATIONS = 20
SMALLEST = 1e-14  # mean of s z at which a problem is finished
HEAVIEST = 1e8  # weight of a row in the gradient's system, which is lost in rounding beyond


def _longest(v: Any, dv: Any) -> Any:
    """Return the longest step that leaves v above zero."""
    return jnp.min(jnp.where(dv < 0, -v / jnp.where(dv < 0, dv, -1.0), 1.0), initial=1.0)


def _iteration(data: Any, at: Any) -> Any:
    Q, p, G, h = data
    x, s, z = at
    dual, primal, mu = Q @ x + p + G.T @ z, G @ x + s - h, jnp.mean(s * z)
    factor = cho_factor(Q + G.T @ ((z / s)[:, None] * G))

    def direction(products: Any) -> Any:
        dx = cho_solve(factor, -dual - G.T @ ((z * primal - products) / s))
        ds = -primal - G @ dx
        return dx, ds, -(products + z * ds) / s

    _, ds, dz = direction(s * z)
    predicted = jnp.mean((s + _longest(s, ds) * ds) * (z + _longest(z, dz) * dz))
    dx, ds, dz = direction(s * z + ds * dz - mu * (predicted / mu) ** 3)
    step = 0.99 * jnp.minimum(_longest(s, ds), _longest(z, dz))
    moves = (mu > SMALLEST) & jnp.isfinite(step * dx).all()  # no factor: as near as it gets
    return tuple(jnp.where(moves, v + step * dv, v) for v, dv in zip(at, (dx, ds, dz), strict=True))


@jax.custom_vjp
def solve_qp(Q: Any, p: Any, G: Any, h: Any) -> Any:
    """Return the minimiser x, (n,), of ``x'Qx/2 + p'x`` subject to ``Gx <= h``."""
    return _solve(Q, p, G, h)[0]


def _solve(*data: Any) -> Any:
    Q, p, G, h = data
    x = jnp.linalg.solve(Q, -p)
    start = x, jnp.maximum(h - G @ x, 1.0), jnp.ones_like(h)
    return jax.lax.fori_loop(0, ITERATIONS, lambda _, at: _iteration(data, at), start)


def _forward(*data: Any) -> Any:
    x, s, z = _solve(*data)
    return x, (data, x, s, z)


def _backward(kept: Any, cotangent: Any) -> Any:
    (Q, _, G, _), x, s, z = kept
    weight = jnp.minimum(z / s, HEAVIEST)
    u = jnp.linalg.solve(Q + G.T @ (weight[:, None] * G), -cotangent)
    w = weight * (G @ u)
    by_Q = (jnp.outer(u, x) + jnp.outer(x, u)) / 2
    return by_Q, u, jnp.outer(z, u) + jnp.outer(w, x), -w


solve_qp.defvjp(_forward, _backward)
