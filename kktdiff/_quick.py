"""The easy elements at once, where the backend has the whole loop in one call."""

from kktdiff._arrays import namespace
from kktdiff._parts import Part
from kktdiff._residuals import Point
from kktdiff._settings import Settings
from kktdiff._status import Status
from kktdiff.backends import Backend


def solve_easy(
    part: Part, settings: Settings, backend: Backend, *, separable: bool
) -> tuple[Part, Part]:
    """The elements that the backend's own loop solves, and the others, not begun.

    Its steps are those of `kktdiff._ipm.run` with the condensed system, from the same start, so
    that it makes no difference but of time which of the two solved an element.
    """
    qp, nothing = part.qp, part.take(part.index[:0])
    soft = qp.soft is not None or qp.soft_nu is not None
    if soft or not (part.size and qp.d.shape[1]):
        return nothing, part
    found = backend.loop(
        qp,
        part.scaling,
        diagonal=separable,
        tol=settings.tol,
        barrier=settings.barrier,
        max_iter=settings.max_iter,
    )
    if found is None:
        return nothing, part
    point, iterations = found
    xp, easy = namespace(iterations), iterations >= 0
    ran = part._replace(point=Point(*point), iterations=iterations)
    return ran.split(easy)[0].marked(Status.SOLVED), part.take(xp.nonzero(~easy)[0])
