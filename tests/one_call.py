"""The one compiled call by itself, without the array code that would take what it gives up."""

from kktdiff._inputs import check
from kktdiff._problem import NAMES, build
from kktdiff._scaling import equilibrate
from kktdiff._settings import HANDOVER, Settings
from kktdiff.backends import compiled

SETTINGS = Settings(HANDOVER, 100, None)


def flat(data):
    """The flat batch of some problems."""
    return build(check({name: getattr(data, name) for name in NAMES}, None))


def scaled(data):
    """The QPs, and the weights of their scaling."""
    problem = flat(data)
    return problem.qp, equilibrate(problem.qp, problem.given.backend)


def solved(data):
    """What is kept, and the iterations: -1 where an element was given up."""
    return compiled._load().solve(*scaled(data), SETTINGS)


def approached(data):
    """The same of the loop alone, in its primal form."""
    return compiled._load().loop(*scaled(data), SETTINGS)
