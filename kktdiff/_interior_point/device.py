"""A batch on a device by the kernels: what they have solved there, and what they leave."""

from typing import NamedTuple

from kktdiff._arrays import namespace
from kktdiff._interior_point.compiled import Proof, keep, run_kernel
from kktdiff._interior_point.compiled_kept import CompiledKept
from kktdiff._records import Data, Point
from kktdiff._settings import Settings
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff.backends import Backend
from kktdiff.kernels import method
from kktdiff.kernels.results import kept_parts


class OnDevice(NamedTuple):
    """What the kernels have found on a device."""

    fields: dict[str, Array]  # of all elements; NaN, or a code, where they are not solved
    kept: CompiledKept | None  # of those that are solved; None: none is
    proofs: tuple[Proof, ...] = ()  # of those that have no solution
    codes: Array | None = None  # (B,): as of the kernels, on the host; None: all are solved
    unread: Array | None = None  # (B,) bool: which of `kept` are solved, if nobody could read it


def solve_on_device(
    data: Data, warm: Point | None, settings: Settings, backend: Backend
) -> OnDevice:
    """Solve in one launch; the host waits once, and reads the codes if some are not solved."""
    data, out = run_kernel(data, warm, settings, backend, False, examined=False)
    fields, xp = method.fields(out), namespace(out.x)
    index = xp.arange(data.length, device=out.x.device)
    whole = keep(data, index, out, backend, separable=False)
    if not backend.may_wait():
        found = out.status
        fields["status"] = xp.where(found < 0, int(Status.NUMERICAL_ERROR), found)
        return OnDevice(fields, whole, unread=found == int(Status.SOLVED))
    if not out.failures:
        return OnDevice(fields, whole if data.length else None)
    codes = backend.to_host(out.status)
    infeasible = (codes == int(Status.PRIMAL_INFEASIBLE)) | (codes == int(Status.DUAL_INFEASIBLE))
    solved, without = (
        backend.receive(namespace(codes).nonzero(mask)[0], None, index)
        for mask in (codes == int(Status.SOLVED), infeasible)
    )
    parts = kept_parts(data, out.kept)
    proof = without, Point(parts.x, parts.s, parts.lam, parts.nu).take(without)
    proofs = (proof,) if without.shape[0] else ()
    return OnDevice(fields, whole.take(solved) if solved.shape[0] else None, proofs, codes)
