"""Derivatives found without the library's sensitivity code.

`jvp` differentiates the optimality conditions F(v; data) = 0 of one element, v = (x, lam, nu,
lam_lb, lam_ub), with the unsymmetric Jacobian written out from

    Qx + p + G'lam + A'nu - lam_lb + lam_ub = 0
    lam (Gx - h) = 0,  Ax - b = 0,  lam_lb (lb - x) = 0,  lam_ub (x - ub) = 0

and the implicit function theorem, dv = -(dF/dv)^-1 dF. It needs strict complementarity.
`difference` moves the data and solves again.
"""

import numpy as np

from tests.problems import Answer, Data, moved

STEP = 2e-4  # truncation below 1e-9, solver error of 1e-12 magnified 5e3
CENTRAL = {-2: 1, -1: -8, 1: 8, 2: -1}  # place in steps: weight times 12
FORWARD = {0: -25, 1: 48, 2: -36, 3: 16, 4: -3}  # where a move backwards leaves the domain


def jvp(data, answer, direction):
    """The tangents of every output along a direction (a dict name -> array); NumPy, one element."""
    full, moves = _filled(data), _filled_moves(data, direction)
    change = -np.linalg.solve(_jacobian(full, answer), _change_of_conditions(answer, moves))
    n, m, k = full.Q.shape[0], full.G.shape[0], full.A.shape[0]
    ends = np.cumsum([n, m, k, n])
    dx, dlam, dnu, dlam_lb, dlam_ub = np.split(change, ends)
    ds = moves.h - moves.G @ answer.x - full.G @ dx
    x, Q = answer.x, _sym(full.Q)
    dobjective = x @ moves.Q @ x / 2 + moves.p @ x + (Q @ x + full.p) @ dx
    return Answer(dx, ds, dlam, dnu, dlam_lb, dlam_ub, dobjective)


def jacobian(data, answer):
    """{input: Answer of arrays (output..., input...)}, one basis direction at a time."""
    table = {}
    for name, array in data._asdict().items():
        if array is not None:
            basis = np.eye(array.size).reshape(array.size, *array.shape)
            columns = [jvp(data, answer, {name: e}) for e in basis]
            table[name] = Answer(
                *(
                    np.stack(c, axis=-1).reshape(np.shape(c[0]) + array.shape)
                    for c in zip(*columns, strict=True)
                )
            )
    return table


def difference(solve, data, direction, step=STEP, stencil=CENTRAL):
    """Fourth-order difference of `solve(data) -> Answer` along a direction."""
    values = [solve(moved(data, direction, c * step)) for c in stencil]
    return Answer(*(weighted(stencil, column, step) for column in zip(*values, strict=True)))


def weighted(stencil, values, step):
    """The derivative from the values at the stencil's places."""
    return sum(w * v for w, v in zip(stencil.values(), values, strict=True)) / (12 * step)


def _sym(Q):
    return (Q + np.swapaxes(Q, -1, -2)) / 2


def _filled(data):
    """Absent blocks as empty ones, absent bounds as infinite ones."""
    n = data.p.shape[0]
    empty = {"G": (0, n), "h": (0,), "A": (0, n), "b": (0,)}
    fill = {name: np.zeros(shape) for name, shape in empty.items()}
    fill |= {"lb": np.full(n, -np.inf), "ub": np.full(n, np.inf)}
    return Data(*(fill[f] if a is None else a for f, a in data._asdict().items()))


def _filled_moves(data, direction):
    moves = Data(*(np.zeros_like(a) for a in _filled(data)))._replace(**direction)
    return moves._replace(Q=_sym(moves.Q))


def _jacobian(data, answer):
    n, m, k = data.Q.shape[0], data.G.shape[0], data.A.shape[0]
    eye, x = np.eye(n), answer.x

    def zero(rows, columns):
        return np.zeros((rows, columns))

    below, lower = _bound_rows(data.lb - x)
    above, upper = _bound_rows(x - data.ub)
    return np.block(
        [
            [_sym(data.Q), data.G.T, data.A.T, -eye, eye],
            [answer.lam[:, None] * data.G, np.diag(data.G @ x - data.h), zero(m, k + 2 * n)],
            [data.A, zero(k, m + k + 2 * n)],
            [-np.diag(answer.lam_lb * lower), zero(n, m + k), np.diag(below), zero(n, n)],
            [np.diag(answer.lam_ub * upper), zero(n, m + k + n), np.diag(above)],
        ]
    )


def _bound_rows(gap):
    """(diagonal, present): an infinite bound's condition is that its multiplier is 0."""
    present = np.isfinite(gap)
    return np.where(present, gap, 1.0), present


def _change_of_conditions(answer, moves):
    x, lam, nu = answer.x, answer.lam, answer.nu
    return np.concatenate(
        [
            moves.Q @ x + moves.p + moves.G.T @ lam + moves.A.T @ nu,
            lam * (moves.G @ x - moves.h),
            moves.A @ x - moves.b,
            answer.lam_lb * moves.lb,
            -answer.lam_ub * moves.ub,
        ]
    )
