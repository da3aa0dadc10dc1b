"""Rewrite a problem of cvxpy, where another spelling is a QP, or DPP, and this one is not.

- The square of a norm of order 2 is a sum of squares. cvxpy has a cone for the norm.
- Where a parameter multiplies an expression with one of its own, as in `cost * norm1(x - held)` and
  `quad_form(x - ref, Q)`, the inner one goes into a variable: `v == x - held`. In a product of two
  parameters the second one does. Presolve takes such variables out again, where it can.
"""

from collections.abc import Callable
from typing import Any

import cvxpy as cp
from cvxpy.atoms import Pnorm, quad_over_lin
from cvxpy.atoms.affine.binary_operators import DivExpression, MulExpression
from cvxpy.atoms.affine.concatenate import Concatenate
from cvxpy.atoms.affine.hstack import Hstack
from cvxpy.atoms.affine.index import index, special_index
from cvxpy.atoms.affine.promote import Promote
from cvxpy.atoms.affine.unary_operators import NegExpression
from cvxpy.atoms.affine.vstack import Vstack
from cvxpy.atoms.elementwise.power import Power
from cvxpy.utilities import scopes

# Each of their entries is one of an argument's, to its sign: squares go inside.
_REARRANGING = (
    *(Concatenate, Hstack, Promote, Vstack, cp.reshape, cp.transpose, index, special_index),
    *(NegExpression, cp.abs),
)


def rewritten(problem: Any) -> Any:
    """Return the problem in spellings that are a QP and DPP, as far as there are; ids stay."""
    objective, constraints = _mapped(problem.objective, _squared), problem.constraints
    equalities: list[Any] = []
    with scopes.quad_form_dpp_scope():
        objective = _mapped(objective, lambda part: _lifted(part, equalities))
    constraints = [_mapped(c, lambda part: _lifted(part, equalities)) for c in constraints]
    return cp.Problem(objective, constraints + equalities)


def _mapped(part: Any, change: Callable[[Any], Any]) -> Any:
    """Apply a change to each part, from the leaves up; where none changes, the part is the same."""
    args = [_mapped(arg, change) for arg in part.args]
    if any(new is not old for new, old in zip(args, part.args, strict=True)):
        part = part.copy(args)
    return change(part)


def _squared(part: Any) -> Any:
    """Return a sum of squares for the square of a norm; anything else as it is."""
    if isinstance(part, Power) and part.p.value == 2 and _has_norm(part.args[0]):
        return _square(part.args[0])
    if isinstance(part, quad_over_lin) and _has_norm(part.args[0]):
        total = cp.sum(_square(part.args[0]), axis=part.axis, keepdims=part.keepdims)
        return total / part.args[1]
    return part


def _has_norm(part: Any) -> bool:
    """Return True if a part is norms of order 2, rearranged and multiplied by numbers."""
    if isinstance(part, Pnorm):
        return bool(part.p == 2)
    by_entry = isinstance(part, (*_REARRANGING, cp.multiply, DivExpression))
    return by_entry and any(map(_has_norm, part.args))


def _square(part: Any) -> Any:
    """Return the square of each entry, without a norm of order 2."""
    if isinstance(part, NegExpression | cp.abs):
        return _square(part.args[0])
    if not _has_norm(part):
        return cp.square(part)
    if isinstance(part, Pnorm):
        inner, how = part.args[0], {"axis": part.axis, "keepdims": part.keepdims}
        return cp.sum(_square(inner), **how) if _has_norm(inner) else cp.sum_squares(inner, **how)
    if isinstance(part, DivExpression):
        return _square(part.args[0]) / cp.square(part.args[1])
    if isinstance(part, cp.multiply):
        factor, norm = part.args if _has_norm(part.args[1]) else reversed(part.args)
        if factor.parameters() and factor.is_scalar() and isinstance(norm, Pnorm):
            return _square(norm.copy([factor * norm.args[0]]))  # the square is not affine in it
        return cp.multiply(cp.square(factor), _square(norm))
    return part.copy([_square(arg) for arg in part.args])


def _lifted(part: Any, equalities: list[Any]) -> Any:
    """Move the inner parameters of a part that is not DPP to new equalities."""
    if not part.args or _is_dpp(part) or not all(map(_is_dpp, part.args)):
        return part
    if isinstance(part, MulExpression) and not part.variables():
        return part.copy([part.args[0], _variable(part.args[1], equalities)])
    return part.copy([_without_parameters(arg, equalities) for arg in part.args])


def _is_dpp(part: Any) -> bool:
    return bool(part.is_dcp(dpp=True))


def _without_parameters(part: Any, added: list[Any]) -> Any:
    """Replace the largest affine parts that have variables and parameters by variables."""
    if not part.variables() or not part.parameters():
        return part
    with scopes.dpp_scope():
        affine = part.is_affine()
    if affine:
        return _variable(part, added)
    return part.copy([_without_parameters(arg, added) for arg in part.args])


def _variable(part: Any, added: list[Any]) -> Any:
    """Return a new variable, and add the equality that makes it the part."""
    variable = cp.Variable(part.shape, name=str(part))  # for messages
    added.append(variable == part)
    return variable
