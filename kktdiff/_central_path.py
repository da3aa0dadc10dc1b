"""The point of the central path at a given barrier parameter, for smoothed gradients.

There ``lam_i s_i = mu`` for every inequality, so no constraint is either active or inactive,
and the solution depends smoothly on the data; as mu goes to 0 it goes to the solution.
"""

from collections.abc import Iterator

from kktdiff import _condensed as condensed
from kktdiff import _ipm as ipm
from kktdiff import _kkt as kkt
from kktdiff._arrays import namespace
from kktdiff._parts import Kept, Part, keep_interior
from kktdiff._settings import Settings
from kktdiff._status import Status
from kktdiff.backends import Backend

_ACCURACY = 1e-9  # of lam_i s_i, relative to the barrier parameter, and of the residuals
_MAX_ITER = 100


def on_central_path(group: Kept, barrier: float, backend: Backend) -> Iterator[Kept]:
    """The factors at the central path's points of the elements of `group`.

    An element whose point can't be found is left out: its gradient is zero.
    """
    scaling, qp = group.factors.scaling, group.qp
    settings = Settings(_ACCURACY, _MAX_ITER, None, barrier)
    separable = bool(namespace(qp.Q).all(condensed.is_separable(qp)))  # of a chunk all or none
    fast = condensed.system(backend, separable=separable)
    rest = Part(group.index, qp, scaling, ipm.origin(qp), 0 * group.index, 0 * group.index)
    rest = rest._replace(point=ipm.start(rest.qp, rest.scaling, fast))
    for system in (fast, kkt.system(backend)):
        settings = settings._replace(exacting=system is fast)
        end = ipm.run(rest.qp, rest.scaling, rest.point, settings, system, rest.iterations)
        found, rest = rest._replace(point=end.last).split(end.status == int(Status.SOLVED))
        if found.size:
            yield keep_interior(found, backend)
        if not rest.size:
            return
