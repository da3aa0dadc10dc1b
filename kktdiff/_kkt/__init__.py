"""The symmetric KKT system, factored once for steps, polishing and every derivative."""

from kktdiff._kkt.factors import Factors, Weights
from kktdiff._kkt.solve import AnyFactors, cho_solve, refine, relative_residual, solve_once
from kktdiff._kkt.sparse import divide_sparse
from kktdiff._kkt.system import STIFF, factor, has_diagonal_form, is_separable

__all__ = [
    "STIFF",
    "AnyFactors",
    "Factors",
    "Weights",
    "cho_solve",
    "divide_sparse",
    "factor",
    "has_diagonal_form",
    "is_separable",
    "refine",
    "relative_residual",
    "solve_once",
]
