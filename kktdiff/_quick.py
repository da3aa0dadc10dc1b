"""The easy elements at once, where the backend has the whole method in one call.

Its steps are those of the array code, from the same start, so that it makes no difference but of
time which of the two solved an element. What is not easy is not begun here; what is brought near
the solution but not to it goes on from there.
"""

from kktdiff._arrays import namespace
from kktdiff._kkt import Factors
from kktdiff._parts import Kept, Part
from kktdiff._residuals import Point
from kktdiff._scaling import Scaling
from kktdiff._settings import HANDOVER, NEAR, Settings
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff.backends import Backend, Solved


def solve_easy(
    part: Part, settings: Settings, backend: Backend
) -> tuple[list[Part], list[Kept], Part, Part]:
    """The elements that one call solves, their factors, those that it brings near; the others."""
    none = part.take(part.index[:0])
    if not _is_plain(part):
        return [], [], none, part
    options = settings._replace(tol=max(settings.tol, HANDOVER))
    found = backend.solve(part.qp, part.scaling, options)
    if found is None:
        return [], [], none, part
    xp, easy = namespace(found.iterations), found.iterations >= 0
    ran = part._replace(
        point=Point(*found.point), iterations=found.iterations, numbers=found.numbers
    )
    done, rest = _parted(part, ran, easy)
    near = none
    if rest.size:
        close = found.iterations <= NEAR
        near = _brought_near(ran.take(xp.nonzero(close)[0]))
        rest = part.take(xp.nonzero(~(easy | close))[0])
    if not done.size:
        return [], [], near, rest
    factors = _factors(found, part.scaling)
    if done.size < part.size:
        factors = factors.take(xp.nonzero(easy)[0], backend)
    kept = Kept(done.index, done.qp, done.point, factors)
    return [done.marked(Status.SOLVED)], [kept], near, rest


def _brought_near(ran: Part) -> Part:
    """With the number of iterations that stands for it in `Solved`, and a status to go on from."""
    numbered = ran._replace(numbers=None, iterations=NEAR - ran.iterations)
    return numbered.marked(Status.ALMOST_SOLVED)


def _factors(found: Solved, scaling: Scaling) -> Factors:
    """For an active set: each row takes part or does not, so that none is slack or stiff."""
    none = namespace(found.activity).zeros_like(found.activity)
    return Factors(
        lu=found.lu,
        order=found.order,
        place=found.place,
        activity=found.activity,
        slack=none,
        x=found.x,
        g=found.g,
        stiff=none,
        held=found.held,
        scaling=scaling,
    )


def approach_easy(part: Part, settings: Settings, backend: Backend) -> tuple[Part, Part]:
    """The elements that the backend's own loop brings near, and the others, not begun."""
    found = backend.loop(part.qp, part.scaling, settings) if _is_plain(part) else None
    if found is None:
        return part.take(part.index[:0]), part
    point, iterations = found
    ran = part._replace(point=Point(*point), iterations=iterations)
    done, rest = _parted(part, ran, iterations >= 0)
    return done.marked(Status.SOLVED), rest


def _parted(part: Part, ran: Part, easy: Array) -> tuple[Part, Part]:
    """The easy elements as they were left, and the others as they were before."""
    xp = namespace(easy)
    if bool(xp.all(easy)):
        return ran, part.take(part.index[:0])
    return ran.take(xp.nonzero(easy)[0]), part.take(xp.nonzero(~easy)[0])


def _is_plain(part: Part) -> bool:
    """Whether there are inequalities, and none that give way."""
    qp = part.qp
    return bool(part.size and qp.d.shape[1]) and qp.soft is None and qp.soft_nu is None
