"""The interior-point loop in kernels: the steps of the array code, and nothing read in between."""

import numpy as np
import pytest

from kktdiff import Status
from kktdiff import _condensed as condensed
from kktdiff import _ipm as ipm
from kktdiff._residuals import Point
from kktdiff._scaling import equilibrate
from kktdiff._settings import HANDOVER, Settings
from kktdiff.backends import NUMPY
from kktdiff.backends.cuda import _libraries as libraries
from kktdiff.backends.cuda import _loop
from kktdiff.backends.cupy import CuPyBackend
from tests import families
from tests.checks import assert_same_bits
from tests.cuda.emulator import ORDERS
from tests.cuda.fake_cuda import FakeCuda
from tests.cuda.fixtures import host, on_device
from tests.cuda.guard import ReadError, no_reading
from tests.one_call import flat, scaled
from tests.problems import COMBINATIONS, FULL, Data, Sizes, known

SETTINGS = Settings(HANDOVER, 60, None)
FIELDS = Point._fields
LARGE = Sizes(n=40, m=50, k=10)  # more than a warp of each
INEQUALITIES = [s for s in COMBINATIONS if s.m or s.lower or s.upper]


def separable(rng, batch):
    """A diagonal Q, bounds and equalities: H is diagonal."""
    A = rng.normal(size=(3, 8))
    b = A @ rng.random(8)
    return Data(np.diag(rng.random(8)), rng.normal(size=(batch, 8)), A=A, b=b, lb=0 * np.ones(8))


def run(data, cuda, settings=SETTINGS):
    """Points and iterations of the loop on the device."""
    return looped(cuda, *scaled(data), settings)


def looped(cuda, qp, scaling, settings=SETTINGS):
    """The same from what was prepared."""
    with cuda.at(None):
        records = on_device(cuda, qp), on_device(cuda, scaling)
        point, iterations = CuPyBackend(cuda).loop(*records, settings)
    if isinstance(cuda, FakeCuda):
        cuda.synchronize()
    return Point(*map(host, point)), host(iterations)


def plain(data, settings=SETTINGS):
    """The same by array code."""
    qp = flat(data).qp
    kind = bool(np.all(condensed.is_separable(qp)))
    scaling, system = equilibrate(qp, NUMPY), condensed.system(NUMPY, separable=kind)
    with NUMPY.at(None):
        spent = np.zeros(qp.length, int)
        settings = settings._replace(exacting=True)
        return ipm.run(qp, scaling, ipm.start(qp, scaling, system), settings, system, spent)


@pytest.mark.parametrize("sizes", [*INEQUALITIES, LARGE], ids=lambda sizes: sizes.label)
def test_it_takes_the_steps_of_the_array_code(cuda, sizes):
    data = known(np.random.default_rng(720), sizes, batch=(3,), shared=("Q",)).data
    found, iterations = run(data, cuda)
    exact = isinstance(cuda, FakeCuda)
    families.assert_steps(flat(data).qp, found, iterations, plain(data), exact=exact)
    assert (iterations > 0).all()


@pytest.mark.parametrize("barrier", [0.0, 1e-2])
@pytest.mark.parametrize("family", [*families.HARD, separable])
def test_it_does_so_on_hard_problems_and_gives_up_what_has_trouble(cuda, family, barrier):
    data = family(np.random.default_rng(721), 30)
    settings = Settings(HANDOVER, 60, None, barrier)
    found, iterations = run(data, cuda, settings)
    exact = isinstance(cuda, FakeCuda) and family is not families.badly_scaled
    families.assert_steps(flat(data).qp, found, iterations, plain(data, settings), exact=exact)


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_the_threads_changes_no_bit(compiler, order):
    data = known(np.random.default_rng(722), LARGE, batch=(2,)).data
    found, iterations = run(data, FakeCuda(order=order))
    expected, steps = run(data, FakeCuda())
    np.testing.assert_array_equal(iterations, steps)
    assert_same_bits(found, expected, FIELDS)


@pytest.mark.parametrize("family", [families.linear_programs, separable])
def test_finished_problems_are_left_out_and_the_others_keep_their_bits(fake, monkeypatch, family):
    data = family(np.random.default_rng(723), 40)
    expected, steps = run(data, fake)
    used = {blocks for kind, name, blocks in _launches(fake) if name == "judge"}
    assert used == {40}
    monkeypatch.setattr(_loop, "FEWEST", 2)
    fake.calls.clear()
    found, iterations = run(data, fake)
    used = [blocks for kind, name, blocks in _launches(fake) if name == "judge"]
    assert used == sorted(used, reverse=True)
    assert min(used) <= 10
    np.testing.assert_array_equal(iterations, steps)
    assert_same_bits(found, expected, FIELDS)


def _launches(cuda):
    return [call for call in cuda.calls if call[0] == "launch"]


def test_an_element_has_the_bits_that_it_has_alone(fake):
    data = known(np.random.default_rng(724), FULL, batch=(4,)).data
    together, steps = run(data, fake)
    for i in range(4):
        alone, count = run(Data(*(v[i : i + 1] for v in data)), fake)
        assert count == steps[i]
        assert_same_bits(alone, Point(*(v[i : i + 1] for v in together)), FIELDS)


@pytest.mark.parametrize("name", Data._fields)
def test_what_is_not_a_number_is_given_up_and_moves_no_other(cuda, name):
    data = known(np.random.default_rng(725), FULL, batch=(3,)).data
    expected, steps = run(data, cuda)
    qp = flat(data).qp
    scaling = equilibrate(qp, NUMPY)
    field = {"h": "d", "lb": "d", "ub": "d"}.get(name, name)
    broken = getattr(qp, field).copy()
    broken[1, ..., {"h": 0, "lb": 7, "ub": -1}.get(name, 0)] = np.nan
    point, iterations = looped(cuda, qp._replace(**{field: broken}), scaling)
    np.testing.assert_array_equal(iterations, np.where(np.arange(3) == 1, -1, steps))
    some = [0, 2]
    for one, other in zip(point, expected, strict=True):
        np.testing.assert_array_equal(one[some], other[some])


@pytest.mark.parametrize("most", [0, 3])
def test_it_stops_after_the_most_iterations(fake, most):
    data = known(np.random.default_rng(726), FULL, batch=(2,)).data
    _, iterations = run(data, fake, Settings(HANDOVER, most, None))
    np.testing.assert_array_equal(iterations, -1)
    judged = [name for _, name, _ in _launches(fake)].count("judge")
    assert judged == most + 1


# ------------------------------------------------------------------- what the host does meanwhile


@pytest.mark.parametrize(("sizes", "most"), [(Sizes(n=5, m=8), 4), (FULL, 7)])
def test_an_iteration_is_a_few_calls(fake, sizes, most):
    data = known(np.random.default_rng(727), sizes, batch=(2,)).data
    run(data, fake)
    calls = [call for call in fake.calls if call[0] in ("launch", "cublas", "cusolver")]
    judged = [i for i, call in enumerate(calls) if call[1] == "judge"]
    assert max(np.diff(judged)) == most


def test_the_host_reads_nothing_but_the_count_one_iteration_late(fake, monkeypatch):
    data = known(np.random.default_rng(728), FULL, batch=(3,)).data
    iterate = _loop._iterate

    def watched(slots):
        with no_reading():
            with pytest.raises(ReadError):
                bool(slots.batch.state[0] == 0)
            iterate(slots)

    monkeypatch.setattr(_loop, "_iterate", watched)
    _, iterations = run(data, fake)
    assert (iterations > 0).all()
    order = [call[0] for call in fake.calls if call[0] in ("later", "wait")]
    assert order[:4] == ["later", "later", "wait", "later"]


def test_it_is_right_though_everything_is_only_queued(compiler):
    data = known(np.random.default_rng(729), FULL, batch=(3,)).data
    found, iterations = run(data, FakeCuda(deferred=True))
    expected, steps = run(data, FakeCuda())
    np.testing.assert_array_equal(iterations, steps)
    assert_same_bits(found, expected, FIELDS)


def test_each_copy_of_the_count_is_waited_for(fake):
    """Else it may be written when its memory is somebody else's."""
    run(known(np.random.default_rng(731), FULL, batch=(2,)).data, fake)
    calls = [call[0] for call in fake.calls]
    assert calls.count("later") == calls.count("wait")


@pytest.mark.parametrize("which", ["H", "S"])
def test_what_has_no_factor_is_given_up_at_once(fake, monkeypatch, which):
    """Whatever else the library leaves in its place."""
    data = known(np.random.default_rng(732), FULL, batch=(3,)).data
    cholesky = libraries.cholesky

    def failing(cuda, a, where, info, count):
        cholesky(cuda, a, where, info, count)
        if a.shape[1] == {"H": 6, "S": 2}[which]:
            info[1] = 3

    monkeypatch.setattr(libraries, "cholesky", failing)
    expected, steps = run(data, FakeCuda())
    monkeypatch.undo()
    assert steps[1] == -1
    plain_steps = run(data, FakeCuda())[1]
    np.testing.assert_array_equal(steps[[0, 2]], plain_steps[[0, 2]])
    assert (expected.x[1] == 0).all()  # as it began


def test_nothing_is_solved_without_a_positive_matrix(cuda):
    """Of a chunk that is not convex, what is not gets no answer here."""
    data = known(np.random.default_rng(730), Sizes(n=4, m=5), batch=(3,)).data
    data.Q[1] = -100 * np.eye(4)
    _, iterations = run(data, cuda)
    assert iterations[1] == -1
    assert (iterations[[0, 2]] > 0).all()
    assert plain(data).status[1] != Status.SOLVED
