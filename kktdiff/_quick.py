"""The easy elements at once, where the backend has the whole method in one call.

Its steps are those of the array code, from the same start, so that it makes no difference but of
time which of the two solved an element. What is not easy is not begun here.
"""

from kktdiff._arrays import namespace, take
from kktdiff._kkt import Factors
from kktdiff._parts import Kept, Part
from kktdiff._residuals import Point
from kktdiff._settings import HANDOVER, Settings
from kktdiff._status import Status
from kktdiff.backends import Backend


def solve_easy(
    part: Part, settings: Settings, backend: Backend
) -> tuple[list[Part], list[Kept], Part]:
    """The elements that are solved and polished in one call, their factors, and the others."""
    if not _is_plain(part):
        return [], [], part
    options = settings._replace(tol=max(settings.tol, HANDOVER))
    found = backend.solve(part.qp, part.scaling, options)
    if found is None:
        return [], [], part
    zero = 0 * found.activity
    x, g, held = found.x, found.g, found.held
    weights = found.order, found.place, found.activity, zero, x, g, zero, held, part.scaling
    factors = Factors(found.lu, *weights)
    ran = part._replace(point=Point(*found.point), iterations=found.iterations)
    xp, easy = namespace(found.iterations), found.iterations >= 0
    numbers = found.numbers
    if not bool(xp.all(easy)):
        index = xp.nonzero(easy)[0]
        if not index.shape[0]:
            return [], [], part
        factors, numbers = factors.take(index, backend), take(numbers, index)
        ran, part = ran.take(index), part.take(xp.nonzero(~easy)[0])
    else:
        part = part.take(part.index[:0])
    kept = Kept(ran.index, ran.qp, ran.point, factors)
    return [ran.marked(Status.SOLVED)._replace(numbers=numbers)], [kept], part


def approach_easy(part: Part, settings: Settings, backend: Backend) -> tuple[Part, Part]:
    """The elements that the backend's own loop brings near, and the others, not begun."""
    nothing = part.take(part.index[:0])
    found = backend.loop(part.qp, part.scaling, settings) if _is_plain(part) else None
    if found is None:
        return nothing, part
    point, iterations = found
    xp, easy = namespace(iterations), iterations >= 0
    ran = part._replace(point=Point(*point), iterations=iterations)
    return ran.split(easy)[0].marked(Status.SOLVED), part.take(xp.nonzero(~easy)[0])


def _is_plain(part: Part) -> bool:
    """Whether there are inequalities, and none that give way."""
    qp = part.qp
    return bool(part.size and qp.d.shape[1]) and qp.soft is None and qp.soft_nu is None
