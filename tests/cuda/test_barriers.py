"""Each barrier of the kernels is there for a reason, and what happens without it is noticed."""

from functools import cache
from unittest import mock

import numpy as np
import pytest

from kktdiff import _kkt as kkt
from kktdiff import _scaling
from kktdiff._settings import HANDOVER, Settings
from kktdiff.backends.cuda import _kernels, _loop
from kktdiff.backends.cupy import CuPyBackend
from tests.cuda import emulator
from tests.cuda.fake_cuda import FakeCuda
from tests.cuda.fixtures import sanitized
from tests.families import linear_programs
from tests.one_call import scaled
from tests.problems import Data, Sizes, known

pytestmark = pytest.mark.skipif(emulator.compiler() is None, reason=emulator.NO_COMPILER)

# It comes before a product with dx, in which a fixed variable's entry, set to zero, is 1e-20 of the
# others anyway: what another thread sees of it makes no difference to the result.
NO_DIFFERENCE = "EACH(j, n) if (fixed[j]) v.dx[j] = 0;"


ROUGH = 3e-2  # accuracy of an interior point that shows an active set with some rows wrong


@cache
def problems():
    """With more than two warps' worth of everything, and of each form."""
    rng = np.random.default_rng(760)
    A = rng.normal(size=(40, 70))
    given = {"A": A, "b": A.sum(1) / 2, "lb": np.zeros(70)}
    separable = Data(np.diag(rng.random(70)), rng.normal(size=(3, 70)), **given)
    dense = known(rng, Sizes(n=40, m=50, k=34, lower=True, upper=True), batch=(2,)).data
    uneven = dense._replace(G=dense.G * 10.0 ** rng.integers(-4, 4, size=(50, 1)))
    return [scaled(data) for data in (separable, dense, uneven, linear_programs(rng, 40))]


def sensitivities(backend, qp, scaling):
    """Solutions of the KKT system of an interior point, two right-hand sides each."""
    rng = np.random.default_rng(761)
    n, _, k = qp.sizes
    a = rng.random((qp.length, qp.d.shape[1]))
    factors = kkt.factor(qp, scaling, np.where(qp.present, a, 0.0), backend)
    sides = (rng.normal(size=(qp.length, size, 2)) for size in (n, a.shape[1], k))
    return backend.kkt_solve(qp, factors, kkt.Rhs(*sides))


def results(cuda):
    """What the kernels make of the problems, also with fewer threads than there are rows."""
    yield from made(cuda, problems())
    with mock.patch.object(_kernels, "MOST_THREADS", 32):
        yield from made(cuda, problems()[1:2])


def made(cuda, problems):
    """The same of some problems, with as many threads as the kernels may have."""
    backend = CuPyBackend(cuda)
    for qp, scaling in problems:
        limits = _scaling.PASSES, *_scaling._BALANCED
        yield from backend.equilibrate(qp.Q, qp.G, qp.A, *limits)
        for tol in (HANDOVER, ROUGH):
            solved = backend.solve(qp, scaling, Settings(tol, 60, None))
            done = solved.iterations >= 0  # of the others nothing is promised
            arrays = [v for v in solved if isinstance(v, np.ndarray)]
            values = (*solved.point, *arrays, *solved.lu.factor)
            yield from [solved.iterations, *(v[done] for v in values)]
        yield from sensitivities(backend, qp, scaling)


@cache
def expected():
    return list(results(FakeCuda()))


def differs(order, barrier=None):
    """Whether leaving out a barrier is noticed, with the threads in some order."""
    cuda = FakeCuda(order=order)
    cuda.without = barrier
    pairs = zip(results(cuda), expected(), strict=True)
    try:
        return not all(np.array_equal(one, other, equal_nan=True) for one, other in pairs)
    except emulator.EmulatorError:
        return True


@cache
def lines():
    """Of each barrier, and the line before it."""
    text = _kernels.source().splitlines()
    places = emulator.Emulator(_kernels.source()).barriers
    return [(place, text[place - 2].strip()) for place in places]


@pytest.fixture(autouse=True)
def few_slots(monkeypatch):
    """So that problems move together when half of them are done."""
    monkeypatch.setattr(_loop, "FEWEST", 2)


@pytest.mark.parametrize("order", emulator.ORDERS)
def test_the_order_of_the_threads_makes_no_difference(order):
    assert not differs(order)


def test_each_barrier_is_needed():
    orders = emulator.ORDERS
    needless = [
        f"line {place}, after {before}"
        for i, (place, before) in enumerate(lines())
        if before != NO_DIFFERENCE and not any(differs(order, i) for order in orders)
    ]
    assert needless == []


def test_the_one_that_makes_no_difference_is_there():
    (place,) = [i for i, (_, before) in enumerate(lines()) if before == NO_DIFFERENCE]
    assert not any(differs(order, place) for order in emulator.ORDERS[:2])


def test_no_access_outside_of_an_array(repository, tmp_path):
    program = (
        "from tests.cuda.fake_cuda import FakeCuda\n"
        "from tests.cuda.test_barriers import results\n"
        "list(results(FakeCuda(sanitize=True)))\n"
    )
    done = sanitized(program, repository, tmp_path)
    assert done.returncode == 0, done.stderr
