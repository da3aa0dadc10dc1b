"""The error and the warning for unsolved elements; the message for unknown arguments."""

import difflib
from collections.abc import Sequence
from typing import Any

__all__ = ["SolveError", "SolveWarning"]

_ELSEWHERE = {  # names of other libraries
    **dict.fromkeys(("P", "H"), "Q"),
    **dict.fromkeys(("q", "c", "f", "g"), "p"),
    **dict.fromkeys(("A_ub", "A_ineq", "C"), "G"),
    **dict.fromkeys(("b_ub", "b_ineq", "d"), "h"),
    **dict.fromkeys(("A_eq", "Aeq"), "A"),
    **dict.fromkeys(("b_eq", "beq"), "b"),
    **dict.fromkeys(("lower", "x_min", "xmin"), "lb"),
    **dict.fromkeys(("upper", "x_max", "xmax"), "ub"),
    **dict.fromkeys(("eps", "eps_abs", "eps_rel", "tolerance"), "tol"),
    **dict.fromkeys(("maxiter", "maxIter", "max_iters"), "max_iter"),
    **dict.fromkeys(("x0", "initvals"), "warm_start"),
}
_OTHERWISE = {  # what is passed elsewhere, or in another form
    **dict.fromkeys(
        ("gradient", "smoothing"),
        "it goes to Solution.vjp and jvp, or to solve_qp of the adapters for torch and JAX",
    ),
    **dict.fromkeys("lu", "did you mean lb, ub? l <= Ax <= u is G = [A; -A] with h = [u; -l]"),
    "bounds": "did you mean lb, ub?",
}


class SolveWarning(UserWarning):
    """Some elements of a batch were not solved; the message says how many, which, and why."""


class SolveError(RuntimeError):
    """Raised instead of the warning when ``on_failure="raise"``; the same facts.

    Attributes
    ----------
    solution : kktdiff.Solution
        The whole batch's solution, so that nothing that was solved is lost.
    """

    def __init__(self, message: str, solution: Any = None) -> None:
        super().__init__(message)
        self.solution = solution


def unknown_names(names: Sequence[str], known: Sequence[str]) -> str:
    """Return the message for arguments that do not exist, with those that were meant."""
    return "; ".join(f"solve_qp has no argument {name!r}: {_hint(name, known)}" for name in names)


def _hint(name: str, known: Sequence[str]) -> str:
    if name in _OTHERWISE:
        return _OTHERWISE[name]
    close = difflib.get_close_matches(name, known, n=1)
    meant = _ELSEWHERE.get(name) or (close[0] if close else None)
    return f"did you mean {meant}?" if meant else f"expected one of {', '.join(known)}"
