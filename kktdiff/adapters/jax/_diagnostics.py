"""`diagnostics`: the reliability of gradients, also in compiled code."""

from typing import Any

from jax import Array

import kktdiff
from kktdiff.adapters.jax._primitives import report_p
from kktdiff.adapters.jax._solution import Diagnostics
from kktdiff.adapters.jax._solve import checked


def diagnostics(
    Q: Array | kktdiff.Sparse | None = None,  # (..., n, n)
    p: Array | None = None,  # (..., n)
    G: Array | kktdiff.Sparse | None = None,  # (..., m, n)
    h: Array | None = None,  # (..., m)
    A: Array | kktdiff.Sparse | None = None,  # (..., k, n)
    b: Array | None = None,  # (..., k)
    lb: Array | None = None,  # (..., n)
    ub: Array | None = None,  # (..., n)
    **options: Any,
) -> Diagnostics:
    """Return the diagnostics of the gradients of `solve_qp` with these arguments.

    If the same problem was solved with the same options for a derivative, and is kept, its
    factors are used; otherwise it is solved for this.

    Parameters
    ----------
    Q, p, G, h, A, b, lb, ub, **options
        As in `solve_qp`.

    Returns
    -------
    Diagnostics
        Without derivatives: a constant to `jax.grad` and `jax.jvp`.

    Raises
    ------
    TypeError, ValueError
        As `solve_qp`.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from kktdiff.adapters.jax import diagnostics
    >>> eye, p = jnp.eye(2), jnp.array([[-1.0, -3.0], [-2.0, -1.0]])
    >>> jax.jit(diagnostics)(eye, p, ub=jnp.full(2, 2.0)).trustworthy  # x = 2 = -p: a kink
    Array([ True, False], dtype=bool)
    """
    given = {"Q": Q, "p": p, "G": G, "h": h, "A": A, "b": b, "lb": lb, "ub": ub}
    how = options.pop("gradient", "exact"), options.pop("smoothing", None)
    arrays, call = checked(given, options, *how)
    return Diagnostics(*report_p.bind(*arrays.values(), names=tuple(arrays), call=call))
