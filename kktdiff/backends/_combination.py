"""Proofs with as few rows as possible, on the host, for messages."""

from typing import Any

from kktdiff.backends.numpy import BACKEND

_LARGEST = 250_000  # entries up to which it is no wait
_CLOSE = 1e-6  # how nearly the combination must give the target
_ROUNDING = 1e-9  # of the largest part: less can go


def combination(rows: Any, target: Any) -> list[int]:
    """Return which of `rows`, (r, c), combine to `target`, (c,), with no weight below 0.

    They are linearly independent, so that none of them can go; none are named where that takes
    long, or where there is no such combination.

    Examples
    --------
    >>> import numpy as np
    >>> from kktdiff.backends import combination
    >>> combination(np.array([[1.0, 0.0], [1.0, 1.0], [-1.0, 0.0]]), np.array([0.0, 2.0]))
    [1, 2]
    """
    from scipy.optimize import nnls  # takes long to import, and is for failures alone

    rows, target = (BACKEND.receive(v, None) for v in (rows, target))
    if rows.size > _LARGEST:
        return []
    try:
        weights, error = nnls(rows.T, target)
    except RuntimeError:  # too many iterations
        return []
    sizes = weights * abs(rows).max(axis=1, initial=0.0)
    parts = [i for i, size in enumerate(sizes) if size > _ROUNDING * sizes.max()]
    return parts if error <= _CLOSE else []
