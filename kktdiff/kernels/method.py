"""The kernels `solve` and `derive` on flat batches of NumPy arrays."""

from typing import NamedTuple

import numpy as np

from kktdiff import kernels
from kktdiff._records import QP, Point, Rhs
from kktdiff._settings import DEFAULT_TOL
from kktdiff._typing import Array

_TRACE_ROWS = 24  # of stages and polishing, beside iterations
STAGES = 4  # of the driver, in the array code and here
_MOST_ITERATIONS = 1000  # an element that needs more is left to the array code
_IN_LANES = 1 << 14  # entries of Q, G, A and H up to which problems go into lanes everywhere
_MOST_KEPT = 1 << 28  # bytes of factors that a batch keeps for its derivatives
_LARGEST = 1200  # n + m + k: beyond it LAPACK is faster
_PER_SECOND = 5e9  # operations of one thread, for its share of the work
_ITERATIONS = 10  # for the same


class Solved(NamedTuple):
    """What the kernel `solve` returns, in the caller's units.

    Where `status` says that there is no solution, x, lam and nu are the proof.
    """

    x: Array  # (B, n)
    s: Array  # (B, M), 1 for absent rows
    lam: Array  # (B, M), 0 for absent rows and for the bounds of fixed variables
    nu: Array  # (B, k)
    y: Array  # (B, n): multiplier of each fixed variable's equality, 0 elsewhere
    numbers: Array  # (B, 4): objective, primal residual, dual residual, duality gap
    scaling: Array  # (B, n + m + k + 2): D, E, F, c and theta
    active: Array  # (B, M) bool: rows that hold as equalities, fixed variables' among them
    status: Array  # (B,): a Status, or -1 for what the array code is to decide
    iterations: Array  # (B,)
    trace: Array | None  # (B, rows, 8): phase, iteration, running, primal, dual, gap, mu, step
    factors: Array | None  # (B, ...): of the active sets' systems; None: not kept

    @property
    def failures(self) -> int:
        """How many elements are not solved."""
        return int(np.count_nonzero(self.status))

    def take(self, index: Array) -> "Solved":
        """Return the elements `index` of the batch, without their factors."""
        return Solved._make([None if v is None else v[index] for v in self[:-1]] + [None])


def supports(qp: QP) -> bool:
    """Return True if `qp` is of a form and size that the kernels are for.

    Without inequalities the array code factors once what all elements share.
    """
    if qp.compliance is not None or qp.compliance_nu is not None or sum(qp.sizes) > _LARGEST:
        return False
    return qp.d.shape[1] > 0 or qp.length == max(len(qp.Q), len(qp.A))


def solve(
    qp: QP,
    warm: Point | None,
    max_iter: int,
    *,
    tol: float = DEFAULT_TOL["float64"],
    separable: bool = False,
    traced: bool = False,
) -> Solved:
    """Solve each element of `qp`, from `warm` on if that is given.

    Parameters
    ----------
    separable
        H is diagonal for all elements.
    traced
        Keep records of each iteration and polishing.
    """
    n, m, k = qp.sizes
    batch, rows = qp.length, qp.d.shape[1]
    max_iter = min(max_iter, _MOST_ITERATIONS)
    out = Solved._make(
        [
            *(np.empty((batch, size)) for size in (n, rows, rows, k, n, 4, n + m + k + 2)),
            np.empty((batch, rows), dtype=bool),
            np.empty(batch, dtype=np.int64),
            np.empty(batch, dtype=np.int64),
            np.full((batch, max_iter + _TRACE_ROWS, 8), np.nan) if traced else None,
            np.empty((batch, _factors_size(qp))) if _keeps_factors(qp) else None,
        ]
    )
    Q, G, A, slack_rows = _matrices(qp)
    given = (Q, qp.p, G, A, qp.b, qp.d, qp.present, qp.fixed, qp.value, slack_rows)
    start = (None,) * 3 if warm is None else (warm.x, warm.lam, warm.nu)
    sizes = (batch, n, m, k, *qp.bounds, int(separable), n - qp.core, STAGES, max_iter)
    _call("solve", sizes, (tol,), (*given, *start), out, _ITERATIONS * _operations(qp))
    return out


def fields(qp: QP, out: Solved) -> dict[str, Array]:
    """Return the fields of a `Solution` but `solved`, each (B, ...), in memory of their own.

    Numbers are NaN where there is no solution.
    """
    m, (lower, upper), lam = qp.G.shape[1], qp.bounds, out.lam.copy()
    rows, lam_lb, lam_ub = lam[:, :m], lam[:, m : m + lower], lam[:, m + lower :]
    if qp.fixed is not None:
        lam_lb = np.where(qp.fixed & (out.y < 0), -out.y, lam_lb)
        lam_ub = np.where(qp.fixed & (out.y > 0), out.y, lam_ub)
    found = {
        "x": out.x.copy(),
        "s": np.where(qp.present[:, :m], out.s[:, :m], np.inf),
        "lam": rows,
        "nu": out.nu.copy(),
        "lam_lb": lam_lb if lower else np.zeros(out.x.shape),
        "lam_ub": lam_ub if upper else np.zeros(out.x.shape),
        "objective": out.numbers[:, 0],
        "primal_residual": out.numbers[:, 1],
        "dual_residual": out.numbers[:, 2],
        "duality_gap": out.numbers[:, 3],
    }
    if out.failures:
        for values in found.values():
            values[out.status != 0] = np.nan
    return found | {"status": out.status, "iterations": out.iterations}


def derive(
    qp: QP,
    scaling: Array,
    active: Array,
    rhs: Rhs,
    target: float,
    *,
    factors: Array | None = None,
    separable: bool = False,
) -> tuple[Rhs, Array, Array]:
    """Solve the KKT systems of active sets for ``rhs``, (B, ..., r), in the caller's units.

    Without the `factors` that `solve` has kept the systems are factored again, to the same bits.

    Returns
    -------
    Rhs, array of shape (B,), array of shape (B,)
        The solution, its relative residual, and True where the system is singular.
    """
    batch, _, columns = rhs.x.shape
    out = Rhs(*(np.empty(v.shape) for v in rhs))
    error, singular = np.empty(batch), np.empty(batch, dtype=bool)
    Q, G, A, slack_rows = _matrices(qp)
    given = (Q, G, A, scaling, active, slack_rows, factors, *rhs)
    sizes = (batch, *qp.sizes, *qp.bounds, int(separable), qp.sizes[0] - qp.core, columns)
    operations = _operations(qp) if factors is None else _operations(qp) / 4
    _call("derive", sizes, (target,), given, (*out, error, singular), operations)
    return out, error, singular


def _matrices(qp: QP) -> tuple[Array, Array, Array, Array | None]:
    """Return Q, G and A without the columns of slacks, and the rows of these."""
    core = qp.core
    if qp.slack_rows is None:
        return qp.Q, qp.G, qp.A, None
    rows = qp.slack_rows.astype(np.int64)[None, :]
    return qp.Q[:, :core, :core], qp.G[:, :, :core], qp.A[:, :, :core], rows


def _factors_size(qp: QP) -> int:
    """Return the number of entries that one problem's factors take."""
    n, (_, m, k) = qp.core, qp.sizes
    return n * n + (m + k) * (n + m + k) + 8


def _keeps_factors(qp: QP) -> bool:
    """Return True if factors are worth their memory: there is enough, and it is no lane's problem.

    A gradient is the same to the bit either way.
    """
    n, (_, m, k) = qp.core, qp.sizes
    large = (2 * n + m + k) * n > _IN_LANES
    return large and 8 * qp.length * _factors_size(qp) <= _MOST_KEPT


def _operations(qp: QP) -> float:
    """Return about how many operations it takes to factor the system once."""
    n, (_, m, k) = qp.core, qp.sizes
    return 1000 + n * n * (n / 3 + m + k) + 20 * n * (n + m + k)


def _call(
    name: str,
    sizes: tuple[int, ...],
    options: tuple[float, ...],
    inputs: tuple[Array | None, ...],
    outputs: tuple[Array | None, ...],
    operations: float,  # of each element
) -> None:
    given = [None if v is None else np.ascontiguousarray(v) for v in inputs]
    workers = kernels.threads(sizes[0] * operations / _PER_SECOND)
    kernels.call(name, sizes, options, (*given, *outputs), workers)
