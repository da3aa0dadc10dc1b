"""The kernels on flat batches of arrays: NumPy's, or those of a device by its `Call`."""

import numpy as np

from kktdiff._records import Data, Point, Rhs
from kktdiff._settings import DEFAULT_TOL, SPARSE_PROXIMAL
from kktdiff._typing import Array
from kktdiff.kernels import amounts
from kktdiff.kernels.results import Pulled, Solved, library
from kktdiff.kernels.running import Call, on_processor
from kktdiff.kernels.sizes import sizes_of

LEFT, UNSOUND = -1, -2  # codes of elements beside those of Status
VIOLATIONS = ("violation_h", "violation_lb", "violation_ub", "violation_b")  # as of the kernels
_HARD = (None,) * len(VIOLATIONS)  # no row is soft
_TRACE_ROWS = 24  # of stages and polishing, beside iterations
STAGES = 4  # of the driver, in the array code and here
_SPARSE_STAGES = 5  # the last one again, with other proximal terms
MOST_ITERATIONS = 1000  # an element that needs more is left to the array code
_MOST_KEPT = 1 << 28  # bytes of factors that a batch keeps for its derivatives
_LARGEST = 2400  # n + m + k: beyond it LAPACK is faster
_MOST_OPERATIONS = 2e7  # of a sparse factorization on a device: its lists take 80 MB then


def fits(data: Data) -> bool:
    """Return True if `data` are of a size that the kernels are for; if sparse, on a device."""
    if data.structure is not None:
        return data.structure.operations <= _MOST_OPERATIONS
    return sum(data.sizes) <= _LARGEST


def supports(data: Data) -> bool:
    """Return True if `data` are of a form and size that the kernels are for on a processor.

    Without inequalities the array code factors once what all elements share.
    """
    if data.structure is not None:
        return True
    if not fits(data):
        return False
    m = data.sizes[1]
    matrices = [len(data.Q)] + ([] if data.A is None else [len(data.A)])
    return m + sum(data.bounds) > 0 or data.soft_b is not None or data.length == max(matrices)


def is_never_diagonal(Q: Array) -> bool:
    """Return True only if no Q + Q' is diagonal, as far as the number of all zeros tells."""
    n = Q.shape[-1]
    return bool(Q.size - np.count_nonzero(Q + Q.mT) < n * n - n)


def forms(data: Data) -> Array:  # (B,) bool
    """Return True for elements whose H is diagonal in any scaling; there is no G."""
    hard = data._replace(soft_h=None, soft_lb=None, soft_ub=None, soft_b=None)
    out = np.empty(data.length, dtype=bool)
    given = (data.Q, data.p, None, None, data.A, data.b, data.lb, data.ub)
    on_processor(
        "forms",
        (data.length, *sizes_of(hard).of_kernels),
        (),
        given,
        (out,),
        amounts.operations(*hard.sizes),
    )
    return out


def solve(
    data: Data,
    warm: Point | None,
    max_iter: int,
    *,
    tol: float = DEFAULT_TOL["float64"],
    separable: bool = False,
    traced: bool = False,
    examined: bool = False,
    barrier: float = 0.0,
    call: Call = on_processor,
) -> Solved:
    """Solve each element of `data`, from `warm` on if that is given.

    Parameters
    ----------
    separable
        H is diagonal for all elements.
    traced
        Keep records of each iteration and polishing.
    examined
        The data are known to have no faults; if not, elements that may have some are UNSOUND.
    barrier
        If positive, go to the point of the central path with this ``lam_i s_i``, and no further.
    """
    n, m, k = data.sizes
    batch = data.length
    every, rows, soft, form = sizes_of(data, separable=separable)
    xp = library(data.p)
    max_iter, new = min(max_iter, MOST_ITERATIONS), xp.empty
    h, lb, ub, b = _HARD if not any(soft) else (new((batch, v)) if v else None for v in soft)
    out = Solved(
        new((batch, amounts.kept_size(every, m, k, rows))),
        new((batch, rows), dtype=bool),
        new((batch, rows)) if barrier else None,
        new((batch, n)),
        new((batch, m)),
        new((batch, m)),
        new((batch, k)),
        new((batch, n)),
        new((batch, n)),
        h,
        lb,
        ub,
        b,
        new((batch, 4)),
        new(batch, dtype=xp.int64),
        new(batch, dtype=xp.int64),
        xp.full((batch, max_iter + _TRACE_ROWS, 8), xp.nan) if traced else None,
        new((batch, _factors_size(data))) if _keeps_factors(data) and not barrier else None,
    )
    start = (None,) * 3 if warm is None else (warm.x, warm.lam, warm.nu)
    stages = STAGES if data.structure is None else _SPARSE_STAGES
    sizes = (batch, *form, stages, max_iter, int(examined))
    operations = amounts.ITERATIONS * _operations(data)
    outputs = (*out, _array(data))
    call("solve", sizes, (tol, barrier), (*data.arrays, *start), outputs, operations)
    return out


def fields(out: Solved) -> dict[str, Array]:
    """Return the fields of a `Solution` but `solved`, each (B, ...)."""
    found = {
        "x": out.x,
        "s": out.s,
        "lam": out.lam,
        "nu": out.nu,
        "lam_lb": out.lam_lb,
        "lam_ub": out.lam_ub,
        "objective": out.numbers[:, 0],
        "primal_residual": out.numbers[:, 1],
        "dual_residual": out.numbers[:, 2],
        "duality_gap": out.numbers[:, 3],
        "status": out.status,
        "iterations": out.iterations,
    }
    soft = out.violation_h, out.violation_lb, out.violation_ub, out.violation_b
    return found | {name: v for name, v in zip(VIOLATIONS, soft, strict=True) if v is not None}


def derive(
    data: Data,
    kept: Array,
    active: Array,
    rhs: Rhs,
    target: float,
    *,
    weights: Array | None = None,
    factors: Array | None = None,
    proximal: float = SPARSE_PROXIMAL,
    separable: bool = False,
    call: Call = on_processor,
) -> tuple[Rhs, Array, Array]:
    """Solve the KKT systems of active sets for ``rhs``, (B, ..., r), in the caller's units.

    Without the `factors` that `solve` has kept the systems are factored again, to the same bits
    with the same least `proximal` terms, which sparse ones have.

    Returns
    -------
    Rhs, array of shape (B,), array of shape (B,)
        The solution, its relative residual, and True where the system is singular.
    """
    batch, _, columns = rhs.x.shape
    xp = library(rhs.x)
    out = Rhs(*(xp.empty(v.shape) for v in rhs))
    error, singular = xp.empty(batch), xp.empty(batch, dtype=bool)
    given = (data.Q, data.G, data.A, kept, active, weights, factors, *rhs)
    form = sizes_of(data, separable=separable).of_kernels
    operations = _operations(data) / (1 if factors is None else 4)
    outputs = (*out, error, singular)
    sizes, options = (batch, *form, columns), (target, proximal)
    call("derive", sizes, options, given, (*outputs, _array(data)), operations)
    return out, error, singular


def vjp(
    data: Data,
    system: tuple[Array, Array, Array | None],  # kept, active and weights, as of `solve`
    cotangents: tuple[Array | None, ...],  # as `Cotangents`
    names: list[str],
    accuracy: tuple[float, float],
    *,
    factors: Array | None = None,
    separable: bool = False,
    call: Call = on_processor,
) -> Pulled:
    """Pull cotangents back to the gradients called `names`, in the caller's units.

    Parameters
    ----------
    accuracy
        Relative residual of the adjoint that is aimed at, and what is accepted.
    """
    xp = library(system[0])
    batch, new = len(system[0]), xp.empty
    found = {name: new((batch, *getattr(data, name).shape[1:])) for name in names}
    n, rows, _, form = sizes_of(data, separable=separable)
    adjoint = new((batch, n)), new((batch, rows)), new((batch, form[2]))
    inaccurate = new(batch, dtype=bool)
    outputs = (*adjoint, inaccurate, *map(found.get, Data._fields[:-1]))
    inputs = (data.Q, data.G, data.A, *system, factors, data.h, *cotangents)
    operations = _operations(data) / (1 if factors is None else 4)
    call("vjp", (batch, *form), accuracy, inputs, (*outputs, _array(data)), operations)
    return Pulled(*adjoint, inaccurate, found)


def _array(data: Data) -> Array | None:
    """Return the structure of sparse matrices as the kernels take it, their last array."""
    return None if data.structure is None else data.structure.array


def _operations(data: Data) -> float:
    """Return about how many operations it takes to factor one problem's system once."""
    own = data.structure
    return amounts.operations(*data.sizes) if own is None else own.operations


def _factors_size(data: Data) -> int:
    """Return the number of entries that one problem's factors take."""
    n, m, k = data.sizes
    if data.structure is not None:
        return data.structure.entries[4] + n + m + k + 8
    return n * n + (m + k) * (n + m + k) + 8


def _keeps_factors(data: Data) -> bool:
    """Return True if factors are worth their memory: there is enough, and it is no lane's problem.

    A gradient is the same to the bit either way.
    """
    if data.structure is None:
        large = not amounts.in_lanes(*data.sizes)
    else:
        _, _, _, _, factor, system, _ = data.structure.entries
        alone = data.length == 1 or not isinstance(data.p, np.ndarray)
        large = alone or factor + system > amounts.SPARSE_LANES
    return large and 8 * data.length * _factors_size(data) <= _MOST_KEPT
