"""Check solutions of `kinds` against their references and against the KKT conditions.

Residuals are evaluated here, in extended precision, from the arrays that the solver returned. Each
is relative to the size of its own row's terms, a variable counting with its unit at least.
"""

from types import SimpleNamespace

import numpy as np

import kktdiff
from tests.tolerances import KIND_OBJECTIVE, KIND_PRICE, KIND_RESIDUAL

TINY = np.finfo(float).tiny


def check(data, reference, solution):
    """Return a mask (B,) for each way to be wrong; "status" stands for elements not solved.

    Where limits cross, multipliers of no bound belong to them: complementarity says nothing.
    """
    solved = solution.status == kktdiff.Status.SOLVED
    solved = solved | (reference.almost & (solution.status == kktdiff.Status.ALMOST_SOLVED))
    with np.errstate(all="ignore"):
        errors = {
            "objective": _objective(reference, solution) / KIND_OBJECTIVE,
            "x": np.abs(solution.x - reference.x) / reference.unit / reference.x_tol[:, None],
            **{
                name: residual / KIND_RESIDUAL
                for name, residual in _residuals(reference, solution).items()
            },
        }
        slack = 1 + (reference.slack / KIND_OBJECTIVE)[:, None]
        allowed = {name: 1.0 if name == "x" else slack for name in errors}
        wrong = {name: ~np.all(e <= allowed[name], axis=1) for name, e in errors.items()}
    return {"status": ~solved, **{name: solved & mask for name, mask in wrong.items()}}


def as_solution(reference):
    """Return the reference in place of a solution: its own check proves that it is right."""
    status = np.zeros(len(reference.x), int)
    return SimpleNamespace(
        **reference.prices._asdict(), x=reference.x, objective=reference.objective, status=status
    )


def _long(array):
    return None if array is None else np.asarray(array).astype(np.longdouble)


def _times(M, v):
    return (M * v[..., None, :]).sum(axis=-1)


def _objective(reference, solution):
    """Return the error of the objective, evaluated at x and as reported, (B, 2)."""
    Q, p, x = _long(reference.truth.Q), _long(reference.truth.p), _long(solution.x)
    own = (x * _times(Q, x) / 2 + p * x).sum(axis=1)
    terms = (np.abs(x) * _times(np.abs(Q), np.abs(x)) / 2 + np.abs(p * x)).sum(axis=1)
    off = np.abs(own - reference.objective) / reference.size
    told = np.abs(_long(solution.objective) - own) / (reference.size + terms)
    return np.stack([off, told], axis=1)


def _residuals(reference, solution):
    """Return the residuals of the KKT conditions, row by row, relative to the terms, (B, rows)."""
    Q, p, *_, A, b, _, _ = (_long(v) for v in reference.truth)
    C, d, lam = _inequalities(reference.truth, solution)
    x, nu = _long(solution.x), _long(solution.nu)
    unit = np.maximum(np.abs(x), reference.unit)
    force, terms = _times(Q, x) + p + _times(C.mT, lam), _times(np.abs(Q), unit) + np.abs(p)
    terms = terms + _times(np.abs(C).mT, np.abs(lam))
    room, open_ = d - _times(C, x), ~reference.almost[:, None]
    primal = [np.maximum(-room, 0) / (_times(np.abs(C), unit) + np.abs(d) + TINY)]
    if A is not None:
        force, terms = force + _times(A.mT, nu), terms + _times(np.abs(A).mT, np.abs(nu))
        primal.append(np.abs(_times(A, x) - b) / (_times(np.abs(A), unit) + np.abs(b) + TINY))
    # what the largest term rounds by, in each variable's unit, is nobody's fault in a small row
    rounding = KIND_PRICE * np.max(terms * unit, axis=1, keepdims=True) / unit
    return {
        "primal": np.concatenate(primal, axis=1),
        "dual": np.maximum(np.abs(force) - rounding, 0) / (terms + TINY),
        "sign": np.where(lam >= 0, 0.0, np.inf),
        "complementarity": np.abs(lam * room) * open_ / reference.size[:, None],
    }


def _inequalities(data, solution):
    """Return rows, bounds among them, their limits and multipliers; absent ones as 0 <= 0."""
    eye = np.broadcast_to(np.eye(data.p.shape[1]), data.Q.shape)
    blocks = [
        (data.G, data.h, solution.lam),
        (None if data.lb is None else -eye, None if data.lb is None else -data.lb, solution.lam_lb),
        (None if data.ub is None else eye, data.ub, solution.lam_ub),
    ]
    there = [[_long(v) for v in block] for block in blocks if block[0] is not None]
    none = np.zeros((len(eye), 0))
    C, d, lam = (
        np.concatenate(
            [
                none[..., None] + np.zeros(eye.shape[1]) if i == 0 else none,
                *(block[i] for block in there),
            ],
            axis=1,
        )
        for i in range(3)
    )
    finite = np.isfinite(d)
    return C * finite[..., None], np.where(finite, d, 0), lam
