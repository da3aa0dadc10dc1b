"""Shared type names.

``Array`` stands for an array of any library that follows the array API standard. The
standard defines no common base class, so the alias is ``Any``; shapes stand as comments
at the arguments, for example ``rhs: Array,  # (B, n, r)``.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

Array: TypeAlias = Any
Namespace: TypeAlias = Any

# A factored Newton system: (r_x, r_c, r_nu) -> (dx, dlam, dnu, C dx), each (B, ...).
Solve: TypeAlias = Callable[[Array, Array, Array], tuple[Array, Array, Array, Array]]
# (qp, scaling, point, reg) -> the system factored there, and where that succeeded, (B,).
System: TypeAlias = Callable[[Any, Any, Any, Array], tuple[Solve, Array]]

# Values of the options of `solve_qp` and of the derivatives.
Infeasible: TypeAlias = Literal["report", "closest"]
OnFailure: TypeAlias = Literal["warn", "raise", "ignore"]
Gradient: TypeAlias = Literal["exact", "smoothed", "least_squares"]
SecondGradient: TypeAlias = Literal["exact", "least_squares"]
Output: TypeAlias = Literal["x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective"]
Input: TypeAlias = Literal["Q", "p", "G", "h", "A", "b", "lb", "ub"]
