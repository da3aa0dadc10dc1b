"""Shared type names.

``Array`` stands for an array of any library that follows the array API standard. The
standard defines no common base class, so the alias is ``Any``; shapes stand as comments
at the arguments, for example ``rhs: Array,  # (B, n, r)``.
"""

from typing import Any, Literal, TypeAlias

Array: TypeAlias = Any
Namespace: TypeAlias = Any

# Values of the options of `solve_qp` and of the derivatives.
Infeasible: TypeAlias = Literal["report", "closest"]
OnFailure: TypeAlias = Literal["warn", "raise", "ignore"]
Gradient: TypeAlias = Literal["exact", "smoothed", "least_squares"]
SecondGradient: TypeAlias = Literal["exact", "least_squares"]
Output: TypeAlias = Literal["x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective"]
Input: TypeAlias = Literal["Q", "p", "G", "h", "A", "b", "lb", "ub"]
