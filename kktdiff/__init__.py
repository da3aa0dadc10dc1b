"""kktdiff: batched quadratic programs and their derivatives, on any array library.

>>> import numpy as np, kktdiff
>>> sol = kktdiff.solve_qp(np.eye(2), np.array([-1.0, -3.0]), ub=np.array([2.0, 2.0]))
>>> sol.x.round(6)
array([1., 2.])
>>> sol.vjp(x=np.ones(2)).p.round(6) + 0.0
array([-1.,  0.])
"""

from kktdiff import _interrupt as _interrupt  # first: it is for while the rest is imported
from kktdiff import adapters, backends
from kktdiff._errors import SolveError, SolveWarning
from kktdiff._results import Certificate, Diagnostics, Grads, Tangents
from kktdiff._solution import Solution
from kktdiff._solve import solve_qp
from kktdiff._sparse.pattern import Pattern, Sparse
from kktdiff._status import Status

__all__ = [
    "Certificate",
    "Diagnostics",
    "Grads",
    "Pattern",
    "Solution",
    "SolveError",
    "SolveWarning",
    "Sparse",
    "Status",
    "Tangents",
    "adapters",
    "backends",
    "solve_qp",
]
__version__ = "0.1.0"
