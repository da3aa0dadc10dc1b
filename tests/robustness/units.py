"""The same problem in other units: of the rows, of the variables, of the objective."""

from typing import NamedTuple

import numpy as np


class Units(NamedTuple):
    """Factors, each positive: x times u, rows of G times c, rows of A times e, objective times w"""

    u: np.ndarray
    c: np.ndarray
    e: np.ndarray
    w: float

    def data(self, data):
        """One element's data in these units."""
        u, c, e, w = self

        def by(factor, array):
            return None if array is None else factor * array

        return data._replace(
            Q=w * data.Q / u[:, None] / u,
            p=w * data.p / u,
            G=by(c[:, None] / u, data.G),
            h=by(c, data.h),
            A=by(e[:, None] / u, data.A),
            b=by(e, data.b),
            lb=by(u, data.lb),
            ub=by(u, data.ub),
        )

    def multipliers(self, lam, nu, lam_lb, lam_ub):
        """Multipliers found in these units, in the problem's own (but for the objective's unit)."""
        return self.c * lam, self.e * nu, self.u * lam_lb, self.u * lam_ub


def random_units(rng, sizes, *, rows=0, variables=0, objective=0):
    """Powers of ten, up to so many decades each way."""
    return Units(
        10.0 ** rng.uniform(-variables, variables, size=sizes.n),
        10.0 ** rng.uniform(-rows, rows, size=sizes.m),
        10.0 ** rng.uniform(-rows, rows, size=sizes.k),
        10.0 ** rng.uniform(-objective, objective),
    )
