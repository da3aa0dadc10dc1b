"""Plain gradient functions, for code without an autodiff framework.

>>> import numpy as np
>>> from kktdiff.adapters import plain
>>> x, pullback = plain.vjp(np.eye(2), np.array([-1.0, -3.0]), ub=np.array([2.0, 2.0]))
>>> pullback(np.ones(2)).p.round(6) + 0.0
array([-1.,  0.])
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import kktdiff
from kktdiff import Grads, Solution, backends
from kktdiff._typing import Array

__all__ = ["jvp", "vjp"]

_NAMES = ("Q", "p", "G", "h", "A", "b", "lb", "ub")


def vjp(
    Q: Array | None = None,  # (..., n, n)
    p: Array | None = None,  # (..., n)
    G: Array | None = None,  # (..., m, n)
    h: Array | None = None,  # (..., m)
    A: Array | None = None,  # (..., k, n)
    b: Array | None = None,  # (..., k)
    lb: Array | None = None,  # (..., n)
    ub: Array | None = None,  # (..., n)
    **options: Any,
) -> tuple[Array, Callable[..., Grads]]:
    """Return the minimiser and a function that pulls its gradient back to the data.

    Parameters
    ----------
    Q, p, G, h, A, b, lb, ub, **options
        As in `kktdiff.solve_qp`; `soft` is one of the options, and has gradients too.

    Returns
    -------
    x : (..., n)
        The minimiser.
    pullback
        ``pullback(g)`` with g of x's shape gives the `kktdiff.Grads` of a loss whose gradient
        in x is g. It is `kktdiff.Solution.vjp`: cotangents of the other outputs go by name.

    Raises
    ------
    TypeError, ValueError, kktdiff.SolveError
        As in `kktdiff.solve_qp`.

    Examples
    --------
    >>> import numpy as np
    >>> from kktdiff.adapters import plain
    >>> x, pullback = plain.vjp(np.eye(2), np.zeros(2), A=np.ones((1, 2)), b=np.ones(1))
    >>> x, pullback(np.array([1.0, 0.0])).b.round(6)
    (array([0.5, 0.5]), array([0.5]))
    """
    solution = _solved(
        {"Q": Q, "p": p, "G": G, "h": h, "A": A, "b": b, "lb": lb, "ub": ub}, options
    )
    return solution.x, solution.vjp


def jvp(
    primals: Mapping[str, Array] | Sequence[Array | None],
    tangents: Mapping[str, Array] | Sequence[Array | None],
    **options: Any,
) -> tuple[Array, Array]:
    """Return the minimiser and its derivative along a direction of the data.

    Parameters
    ----------
    primals
        The arguments of `kktdiff.solve_qp`, by name, or in its order; `soft` by name.
    tangents
        A direction in some of them, by name, or in the same order; None for zero.
    **options
        As in `kktdiff.solve_qp`.

    Returns
    -------
    x, x_dot : (..., n)

    Raises
    ------
    TypeError, ValueError, kktdiff.SolveError
        As in `kktdiff.solve_qp`.

    Examples
    --------
    >>> import numpy as np
    >>> from kktdiff.adapters import plain
    >>> plain.jvp({"Q": np.eye(2), "p": np.zeros(2)}, {"p": np.array([1.0, 2.0])})
    (array([0., 0.]), array([-1., -2.]))
    """
    solution = _solved(_named(primals), options)
    return solution.x, solution.jvp(**_named(tangents)).x


def _solved(arrays: dict[str, Any], options: dict[str, Any]) -> Solution:
    """Return the solution, if it is one that differentiates itself."""
    for name, array in arrays.items():
        owner = backends.framework(array)
        if owner is not None:
            raise TypeError(f"{name} is of {owner}: kktdiff.adapters.{owner} has its derivatives")
    return kktdiff.solve_qp(**arrays, **options)


def _named(arrays: Mapping[str, Array] | Sequence[Array | None]) -> dict[str, Any]:
    if isinstance(arrays, Mapping):
        return dict(arrays)
    if len(arrays) > len(_NAMES):
        raise ValueError(f"{len(arrays)} arrays given: expected at most {len(_NAMES)}, {_NAMES}")
    return dict(zip(_NAMES, arrays, strict=False))
