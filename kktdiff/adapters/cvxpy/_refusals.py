"""Refuse problems that are no QPs: name the part to blame and what to write instead."""

from collections.abc import Callable, Iterator
from typing import Any

from cvxpy.atoms import quad_over_lin
from cvxpy.atoms.affine.binary_operators import DivExpression
from cvxpy.constraints import Equality, Inequality, NonNeg, NonPos, Zero
from cvxpy.utilities import scopes

# Classes of cvxpy by name, since it exports functions of the same names for some.
_EXPONENTIAL = {
    "exp",
    "log",
    "log1p",
    "entr",
    "kl_div",
    "rel_entr",
    "logistic",
    "log_sum_exp",
    "xexp",
}
_EXPONENTIAL |= {"ExpCone", "RelEntrConeQuad", "OpRelEntrConeQuad", "log_normcdf"}
_MATRICES = {"sigma_max", "normNuc", "lambda_max", "lambda_sum_largest", "log_det", "MatrixFrac"}
_MATRICES |= {"tr_inv", "von_neumann_entr", "PSD"}
_MATRIX = "a matrix inequality; for all entries of a matrix, cp.sum_squares(X) is a QP"
_ROWS = (Equality, Inequality, NonNeg, NonPos, Zero)


def check_kind(problem: Any) -> None:
    """Raise ValueError for problems without variables, integers, complex numbers, not DCP."""
    if not problem.variables():
        raise ValueError("the problem has no variables")
    leaves = (*problem.variables(), *problem.parameters())
    if whole := [v.name() for v in leaves if v.attributes["integer"] or v.attributes["boolean"]]:
        raise ValueError(
            f"{', '.join(whole)}: integer or boolean, so the solution jumps and has no derivative; "
            "let it be any number, as in 0 <= x <= 1, and round the solution"
        )
    if found := [leaf.name() for leaf in leaves if leaf.is_complex()]:
        raise ValueError(
            f"{', '.join(found)}: complex; write the real and the imaginary part apart"
        )
    if not problem.is_dcp():
        part = _first(problem, lambda part: part.is_dcp())
        raise ValueError(
            f"the problem is not DCP: cvxpy can't tell that {part} is convex where it has to be"
        )


def check_dpp(problem: Any) -> None:
    """Raise ValueError for a problem that is not DPP."""
    if problem.is_dpp("dcp", quad_form_dpp="qp"):
        return
    part = None
    with scopes.quad_form_dpp_scope():
        part = _smallest(problem.objective, _is_dpp)
    part = part or next(filter(None, (_smallest(c, _is_dpp) for c in problem.constraints)), None)
    advice = "Make what depends on parameters alone a parameter of its own"
    if isinstance(part, DivExpression | quad_over_lin) and part.args[1].parameters():
        advice = f"Multiply by a parameter for 1 / {_text(part.args[1])}"
    text = "a bound of a variable" if part is None else _text(part)
    raise ValueError(f"the problem is not DPP: {text} is not affine in the parameters. {advice}")


def no_qp(problem: Any) -> ValueError:
    """Return the error for a problem that needs a cone."""
    for variable in problem.variables():
        if any(variable.attributes[name] for name in ("PSD", "NSD", "hermitian")):
            return _error(f"the variable {variable.name()}", _MATRIX)
    part = _smallest(problem.objective.args[0], lambda part: part.is_qpwa())
    if part is not None:
        return _error(f"{_text(part)} in the objective", _cone(part, False))
    for constraint in problem.constraints:
        if not isinstance(constraint, _ROWS):
            return _error(f"the constraint {_text(constraint)}", _cone(constraint, True))
        for arg in constraint.args:
            part = _smallest(arg, lambda part: part.is_pwl())
            if part is not None:
                where = f"{_text(part)} in the constraint {_text(constraint)}"
                return _error(where, _cone(part, True))
    return _error("it", "a cone solver, as cvxpylayers has them")


def _error(what: str, cone: str) -> ValueError:
    return ValueError(f"the problem is not a QP: {what} needs {cone}")


def _cone(part: Any, constrained: bool) -> str:
    """Describe what a part needs, and what a QP may have instead."""
    names = {of.__name__ for of in type(part).__mro__}
    if names & _EXPONENTIAL:
        return "an exponential cone; a quadratic or piecewise linear function may come close"
    if names & _MATRICES:
        return _MATRIX
    if constrained:
        return (
            "a cone, second-order or another; limit entries by cp.abs(x) <= c, cp.norm1(x) <= c or "
            "cp.norm_inf(x) <= c, or put a weight times cp.sum_squares(x) into the objective"
        )
    if "Pnorm" in names:
        return (
            "a cone; write cp.sum_squares(x), which has the same solution where a norm of order 2 "
            "is all of the objective, or cp.norm1(x) or cp.norm_inf(x)"
        )
    if names & {"quad_over_lin", "Power", "huber"}:
        return "a cone; squares of affine or piecewise linear parts, divided by constants, do not"
    return "a cone; squares may be added up and multiplied by nonnegative parameters, and no more"


def _first(problem: Any, fits: Callable[[Any], bool]) -> str:
    """Return the text of the first of the smallest parts that do not fit."""
    found: Iterator[Any] = (
        _smallest(part, fits) for part in (problem.objective, *problem.constraints)
    )
    return _text(next(filter(None, found)))


def _smallest(part: Any, fits: Callable[[Any], bool]) -> Any:
    """Return the first part that does not fit, and whose arguments do; None if all fit."""
    if fits(part):
        return None
    inner = (_smallest(arg, fits) for arg in part.args)
    return next((found for found in inner if found is not None), part)


def _is_dpp(part: Any) -> bool:
    return bool(part.is_dcp(dpp=True))


def _text(part: Any) -> str:
    """Return a part as cvxpy writes it, on one line, shortened."""
    text = " ".join(str(part).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
