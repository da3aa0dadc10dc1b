"""What the JAX layers have in common."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.rows import named, rows_of
from kktdiff.bench import FULL_RANK, Arrays, Contestant, Problem


def contestant(
    problem: Problem,
    solve: Callable[..., Any],  # Q, p, G, h, A, b of one problem -> x; A and b may have no rows
) -> Contestant:
    """Batched by vmap, compiled by jit: a forward function, and its pullback."""
    import jax

    jax.config.update("jax_enable_x64", True)
    rows = rows_of(problem)
    n = problem.sizes["n"]
    rows = {"A": np.zeros((0, n)), "b": np.zeros(0), **rows}
    arrays = {name: jax.numpy.asarray(rows[name]) for name in "QpGhAb"}
    axes = tuple(0 if a.ndim == FULL_RANK[name] else None for name, a in arrays.items())
    solve_all = jax.vmap(solve, in_axes=axes)
    forward = jax.jit(lambda *inputs: jax.vjp(solve_all, *inputs))
    pull = jax.jit(lambda pullback, cotangent: pullback(cotangent))
    cotangent = jax.numpy.asarray(problem.cotangent)

    def read(state: Any, grads: Any) -> Arrays:
        found = {name: np.asarray(grad) for name, grad in zip(arrays, grads, strict=True)}
        return {"x": np.asarray(state[0]), **named(problem, found)}

    return Contestant(
        lambda: jax.block_until_ready(forward(*arrays.values())),
        lambda state: jax.block_until_ready(pull(state[1], cotangent)),
        read,
    )
