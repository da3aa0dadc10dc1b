"""The point of the central path at a given barrier parameter, for smoothed gradients.

There ``lam_i s_i = mu`` for every inequality, so no constraint is either active or inactive,
and the solution depends smoothly on the data; as mu goes to 0 it goes to the solution.
"""

from kktdiff._interior_point.compiled import follow_path
from kktdiff._interior_point.compiled_kept import CompiledKept, KeptGroup
from kktdiff._interior_point.loop import run
from kktdiff._interior_point.mehrotra import Stage
from kktdiff._interior_point.parts import Part, keep_interior
from kktdiff._interior_point.start import start
from kktdiff._settings import Settings
from kktdiff._status import Status
from kktdiff._typing import Array

_ACCURACY = 1e-9  # of lam_i s_i, relative to the barrier parameter, and of the residuals
_MAX_ITER = 100


def on_central_path(group: KeptGroup, barrier: float) -> list[KeptGroup]:
    """Return the factors at the central path's points of the elements of `group`.

    An element whose point can't be found is left out: its gradient is zero.
    """
    if not isinstance(group, CompiledKept) or not group.backend.compiled:
        return _by_arrays(group, barrier)
    found, left = by_kernels(group, barrier)
    if left is None or group.is_large:
        return [found]
    return [found, *_by_arrays(group.take(left), barrier)]


def by_kernels(group: CompiledKept, barrier: float) -> tuple[CompiledKept, Array | None]:
    """Let the kernels go there; return what they found, and the places in `group` of the others."""
    return follow_path(group, barrier, Settings(_ACCURACY, _MAX_ITER, None))


def _by_arrays(group: KeptGroup, barrier: float) -> list[KeptGroup]:
    settings, program = Settings(_ACCURACY, _MAX_ITER, None), group.program
    backend = group.backend.host
    none = 0 * group.index
    point = start(program, backend)
    part = Part(group.index, program, point, point.lam > 0, none, none, none < 0)
    kept: list[KeptGroup] = []
    for careful in (False, True):
        stage = Stage(_ACCURACY, careful, barrier)
        ended = run(part.program, part.point, settings, stage, backend, part.iterations)
        part = Part(part.index, part.program, *ended)
        solved = ended.status == int(Status.SOLVED)
        found, part = part.where(solved), part.where(~solved)
        kept += keep_interior(found, backend) if found.size else []
        if not part.size:
            break
    return kept
