"""One batch of quadratic programs, with the derivative of a loss in x."""

from typing import Any, NamedTuple

import numpy as np

from kktdiff._layout import CORE
from kktdiff._typing import Array

Arrays = dict[str, Array]
FULL_RANK = {name: 1 + len(core) for name, core in CORE.items()}  # dimensions when batched


class Problem(NamedTuple):
    """The arguments of `kktdiff.solve_qp`; each has the dimension of the batch, or is shared."""

    name: str
    data: Arrays
    cotangent: Array  # dl/dx, (B, n)

    @property
    def batch(self) -> int:
        """Number of problems."""
        return len(self.cotangent)

    @property
    def sizes(self) -> dict[str, int]:
        """Variables n, inequality rows m (bounds included), equality rows k."""
        sides = ("h", "lb", "b")
        m, bounds, k = (self.data[s].shape[-1] if s in self.data else 0 for s in sides)
        return {"n": self.cotangent.shape[1], "m": m + bounds, "k": k}

    def rows(self) -> tuple[Array, Array]:
        """Return all inequalities as G x <= h, for solvers without bounds."""
        if "lb" not in self.data:
            return self.data["G"], self.data["h"]
        lower = self.data["lb"]
        return -np.eye(len(lower), dtype=lower.dtype), -lower

    def shared(self) -> set[str]:
        """Names of the arrays that serve the whole batch."""
        return {name for name, array in self.data.items() if array.ndim < FULL_RANK[name]}

    def head(self, count: int) -> "Problem":
        """Return the first `count` problems."""
        shared = self.shared()
        data = {name: a if name in shared else a[:count] for name, a in self.data.items()}
        return Problem(self.name, data, self.cotangent[:count])

    def cast(self, dtype: Any) -> "Problem":
        """Return the problem with its arrays rounded to `dtype`."""
        data = {name: array.astype(dtype) for name, array in self.data.items()}
        return Problem(self.name, data, self.cotangent.astype(dtype))

    def element(self, i: int) -> Arrays:
        """Problem number i in rows alone: Q, p, G, h, A, b without a batch dimension."""
        (G, h), n = self.rows(), self.cotangent.shape[1]
        data = {"A": np.zeros((0, n)), "b": np.zeros(0), **self.data, "G": G, "h": h}
        ranks = FULL_RANK.items()
        return {k: data[k][i] if data[k].ndim == r else data[k] for k, r in ranks if k in data}
