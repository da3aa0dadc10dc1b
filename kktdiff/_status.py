"""Outcome of the solve of one element."""

from enum import IntEnum

__all__ = ["Status"]


class Status(IntEnum):
    """Outcome of the solve of one element; each member's comment says how to proceed.

    Examples
    --------
    >>> import kktdiff
    >>> kktdiff.Status(0)
    <Status.SOLVED: 0>
    """

    SOLVED = 0  # residuals within tol: nothing to do
    ALMOST_SOLVED = 1  # within the loose tolerance only: look at the residuals, rescale the data
    PRIMAL_INFEASIBLE = 2  # no x meets the constraints: loosen them, or infeasible="closest"
    DUAL_INFEASIBLE = 3  # the objective has no lower bound: add bounds or a term in Q
    MAX_ITER = 4  # out of iterations: raise max_iter
    NUMERICAL_ERROR = 5  # no progress although iterations were left: rescale, look for duplicates
    NONCONVEX = 6  # Q has a negative eigenvalue: add a multiple of the identity
    INVALID_DATA = 7  # NaN or an infinity in the data: mend the data
