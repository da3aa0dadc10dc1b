"""What the kernels return."""

from typing import Any, NamedTuple

import numpy as np

from kktdiff._arrays import namespace
from kktdiff._records import Data
from kktdiff._typing import Array
from kktdiff.kernels.sizes import sizes_of


def library(array: Array) -> Any:
    """Return the namespace of an array; NumPy itself, whose functions are faster unwrapped."""
    return np if type(array) is np.ndarray else namespace(array)


class Solved(NamedTuple):
    """What the kernel `solve` returns, in the caller's units.

    Where `status` says that there is no solution, the kept x, lam and nu are the proof.
    """

    kept: Array  # (B, ...): what derivatives need beside `active`; see `Kept`
    active: Array  # (B, M) bool: rows that hold as equalities, fixed variables' among them
    weights: Array | None  # (B, M): lam/s of the other rows on the central path, scaled
    x: Array  # the fields of a `Solution`, with NaN for elements that are not solved
    s: Array
    lam: Array
    nu: Array
    lam_lb: Array
    lam_ub: Array
    violation_h: Array | None  # of the sides that have prices
    violation_lb: Array | None
    violation_ub: Array | None
    violation_b: Array | None
    numbers: Array  # (B, 4): objective, primal residual, dual residual, duality gap
    status: Array  # (B,): a Status, LEFT for what the array code is to decide, or UNSOUND
    iterations: Array  # (B,)
    trace: Array | None  # (B, rows, 8): phase, iteration, running, primal, dual, gap, mu, step
    factors: Array | None  # (B, ...): of the active sets' systems; None: not kept

    @property
    def failures(self) -> int:
        """How many elements are not solved; a device is waited for."""
        return int(library(self.status).count_nonzero(self.status))

    def take(self, index: Array) -> "Solved":
        """Return the elements `index` of the batch, without their factors."""
        return Solved._make([None if v is None else v[index] for v in self[:-1]] + [None])


class Kept(NamedTuple):
    """The parts of what the kernel keeps of its solutions."""

    scaling: Array  # (B, n + m + k + 2): D, E, F, c and theta
    x: Array  # (B, n)
    s: Array  # (B, M), 1 for absent rows
    lam: Array  # (B, M), 0 for absent rows and for the bounds of fixed variables
    nu: Array  # (B, k)
    y: Array  # (B, n): multiplier of each fixed variable's equality, 0 elsewhere


def kept_parts(data: Data, kept: Array) -> Kept:
    """Split what the kernel keeps."""
    (_, m, k), (n, rows, *_) = data.sizes, sizes_of(data)
    parts, at = [], 0
    for size in (n + m + k + 2, n, rows, rows, k, n):
        parts.append(kept[:, at : at + size])
        at += size
    return Kept(*parts)


class Pulled(NamedTuple):
    """What the kernel `vjp` returns."""

    x: Array  # (B, n), with the slacks: the adjoint
    c: Array  # (B, M)
    nu: Array  # (B, k)
    inaccurate: Array  # (B,) bool: the system is singular, or refinement has not converged
    gradients: dict[str, Array]  # (B, ...), by name
