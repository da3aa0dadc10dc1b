"""The method by compiled kernels: many problems side by side in the lanes of vectors.

They follow the stages of the driver, and polish and prove as it does. What has neither a solution
nor a proof there is left to the array code, which judges points by their residuals.
"""

from typing import NamedTuple

from kktdiff._arrays import largest, namespace, norms_inf, take
from kktdiff._interior_point.compiled_kept import CompiledKept
from kktdiff._interior_point.program import without_noise
from kktdiff._interior_point.reports import report_trace
from kktdiff._records import Data, Point
from kktdiff._settings import CURVATURE, INFINITE, LOOSE, Settings
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff.backends import Backend
from kktdiff.kernels import method
from kktdiff.kernels.results import Solved, kept_parts

_JUDGED = 1e-2  # of what array code accepts, which looks at points more closely


Piece = tuple[Array, dict[str, Array]]  # places of some elements, and their fields, each (b, ...)
Proof = tuple[Array, Point]  # places of elements without a solution, and why


class Compiled(NamedTuple):
    """What the kernels have found for some elements."""

    piece: Piece  # of those that are solved, or have no solution
    kept: CompiledKept  # of those that are solved
    proof: Proof | None = None  # None: all are solved
    left: Array | None = None  # (b,): places of those that have neither, if any
    unsound: Array | None = None  # (b,): places of those whose data are to be looked at, if any


def solve_compiled(
    data: Data,
    index: Array,
    warm: Point | None,
    settings: Settings,
    backend: Backend,
    separable: bool,
    *,
    examined: bool,
) -> Compiled:
    """Solve what the kernels can; `examined`: the data are known to have no faults."""
    data, out = run_kernel(data, warm, settings, backend, separable, examined=examined)
    if data.is_large and bool(namespace(index).any(out.status == method.LEFT)):
        out = out._replace(status=judged(data, out, settings))
    if not out.failures:
        kept = keep(data, index, out, backend, separable=separable)
        return Compiled((index, method.fields(out)), kept)
    xp = namespace(index)
    settled, solved, without = (
        xp.nonzero(mask)[0]
        for mask in (
            out.status >= 0,
            (out.status >= 0) & (out.status <= int(Status.ALMOST_SOLVED)),
            (out.status == int(Status.PRIMAL_INFEASIBLE))
            | (out.status == int(Status.DUAL_INFEASIBLE)),
        )
    )
    piece = take(index, settled), method.fields(out.take(settled))
    kept = keep(
        data.take(solved), take(index, solved), out.take(solved), backend, separable=separable
    )
    parts = kept_parts(data, out.kept)
    proof = take(index, without), Point(parts.x, parts.s, parts.lam, parts.nu).take(without)
    left, unsound = (_places(index, out.status == v) for v in (method.LEFT, method.UNSOUND))
    return Compiled(piece, kept, proof, left, unsound)


def judged(data: Data, out: Solved, settings: Settings) -> Array:  # (B,)
    """Return the status with that of points that were not polished, by their residuals.

    Array code is to look at what is not solved, where that does not take too long.
    """
    xp = namespace(out.status)
    value, primal, dual, gap = (out.numbers[:, i] for i in range(4))
    sides = [v for v in (data.h, data.b) if v is not None]
    reach = 1 + norms_inf(out.x, *(xp.where(xp.abs(v) < INFINITE, v, 0.0) for v in sides))
    price = 1 + norms_inf(data.p, out.lam, out.nu)
    worst = largest(primal / reach, dual / price, gap / (1 + xp.abs(value)))
    good = largest(primal, dual, gap) <= settings.tol
    ended = out.iterations >= settings.max_iter
    status = out.status
    if data.is_hard:
        status = xp.where(ended, int(Status.MAX_ITER), int(Status.NUMERICAL_ERROR))
        status = xp.where(worst <= _JUDGED * LOOSE, int(Status.ALMOST_SOLVED), status)
    status = xp.where(good & (worst <= LOOSE), int(Status.SOLVED), status)
    return xp.where(out.status == method.LEFT, status, out.status)


def follow_path(
    kept: CompiledKept, barrier: float, settings: Settings
) -> tuple[CompiledKept, Array | None]:
    """Go to the points of the central path; return them, and the places in `kept` of the others."""
    out = method.solve(
        kept.data,
        None,
        settings.max_iter,
        tol=settings.tol,
        separable=kept.separable,
        examined=True,
        barrier=barrier,
        call=kept.backend.call,
    )
    found, _, left = _split(kept.data, kept.index, out, kept.backend, separable=kept.separable)
    return found, left


def solve_soft(
    data: Data,  # with prices
    index: Array,
    warm: Point | None,
    settings: Settings,
    backend: Backend,
    separable: bool,
) -> Compiled:
    """Solve what the kernels can of problems with soft rows; `left` is whatever is not solved."""
    data, out = run_kernel(data, warm, settings, backend, separable, examined=False)
    kept, own, bad = _split(data, index, out, backend, separable=separable)
    left = None if bad is None else take(index, bad)
    return Compiled((kept.index, method.fields(own)), kept, left=left)


def _split(
    data: Data, index: Array, out: Solved, backend: Backend, *, separable: bool
) -> tuple[CompiledKept, Solved, Array | None]:
    """Return the solved elements, twice, and the positions of the others; None: there are none."""
    if not out.failures:
        return keep(data, index, out, backend, separable=separable), out, None
    xp, solved = namespace(index), out.status == int(Status.SOLVED)
    good, bad = (xp.nonzero(mask)[0] for mask in (solved, ~solved))
    own = out.take(good)
    kept = keep(data.take(good), take(index, good), own, backend, separable=separable)
    return kept, own, bad


def run_kernel(
    data: Data,
    warm: Point | None,
    settings: Settings,
    backend: Backend,
    separable: bool,
    *,
    examined: bool,
) -> tuple[Data, Solved]:
    """Run the kernel; return the data without noise in Q, too."""
    most = CURVATURE["float64"]
    if settings.curvature > most and data.structure is None and backend.host is backend:
        Q = without_noise(backend.symmetric(data.Q), settings.curvature, backend.host)
        data = data._replace(Q=Q)
    out = method.solve(
        data,
        warm,
        settings.max_iter,
        tol=settings.tol,
        separable=separable,
        traced=settings.report is not None,
        examined=examined,
        call=backend.call,
    )
    if settings.report is not None:
        report_trace(backend.to_host(out.trace), settings.report)
    return data, out


def _places(index: Array, mask: Array) -> Array | None:
    """Return the places where the mask is True, or None."""
    some = namespace(mask).nonzero(mask)[0]
    return take(index, some) if some.shape[0] else None


def keep(
    data: Data, index: Array, out: Solved, backend: Backend, *, separable: bool
) -> CompiledKept:
    system = out.kept, out.active, out.weights, out.factors
    return CompiledKept(index, data, *system, separable, backend)
