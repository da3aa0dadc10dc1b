"""Outcome of the solve of one element."""

from enum import IntEnum

__all__ = ["Status"]


class Status(IntEnum):
    """Outcome of the solve of one element; each member's docstring says how to proceed.

    Examples
    --------
    >>> import kktdiff
    >>> kktdiff.Status(4)
    <Status.MAX_ITER: 4>
    >>> print(kktdiff.Status.MAX_ITER.__doc__)
    Out of iterations: raise max_iter.
    """

    def __new__(cls, value: int, doc: str = "") -> "Status":
        """Make a member of a value, with a docstring: the cause, a colon, the cure."""
        member = int.__new__(cls, value)
        member._value_, member.__doc__ = value, doc
        return member

    SOLVED = 0, "Residuals within tol: nothing to do."
    ALMOST_SOLVED = 1, "Within the loose tolerance only: look at the residuals, rescale the data."
    PRIMAL_INFEASIBLE = 2, 'No x meets the constraints: loosen them, or pass infeasible="closest".'
    DUAL_INFEASIBLE = 3, "The objective has no lower bound: add bounds, or curvature to Q."
    MAX_ITER = 4, "Out of iterations: raise max_iter."
    NUMERICAL_ERROR = 5, "No progress: rescale the data, look for nearly dependent rows."
    NONCONVEX = 6, "Q has a negative eigenvalue: add a multiple of the identity to Q."
    INVALID_DATA = 7, "NaN or an infinity in the data: mend the data."
