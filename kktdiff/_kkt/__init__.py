"""The symmetric KKT system, factored once for steps, polishing and every derivative."""

from kktdiff._kkt.factors import Factors, Weights
from kktdiff._kkt.solve import cho_solve, refine, relative_residual, solve_once
from kktdiff._kkt.system import STIFF, factor, has_diagonal_form, is_separable

__all__ = [
    "STIFF",
    "Factors",
    "Weights",
    "cho_solve",
    "factor",
    "has_diagonal_form",
    "is_separable",
    "refine",
    "relative_residual",
    "solve_once",
]
