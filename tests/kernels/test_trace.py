"""The records of the kernel `solve` that `verbose` shows."""

import numpy as np
import pytest

import kktdiff
from kktdiff.kernels import method
from tests.checks import assert_same_bits
from tests.kernels.calls import LANES, flat, point_of, using
from tests.problems import FULL, known

pytestmark = pytest.mark.usefixtures("native")

PHASE, ITERATION, RUNNING, NUMBERS, MU, STEP = 0, 1, 2, slice(3, 6), 6, 7
POLISH = 1


def problems(batch):
    return flat(known(np.random.default_rng(30), FULL, (batch,)).data)


def records(trace):
    """Return the records of one element: nothing but NaN follows them."""
    count = int(np.sum(~np.isnan(trace[:, PHASE])))
    assert np.isnan(trace[count:]).all()
    assert np.isfinite(trace[:count]).all()
    return trace[:count]


def test_to_keep_records_changes_no_bit():
    qp = problems(13)
    traced, plain = method.solve(qp, None, 100, traced=True), method.solve(qp, None, 100)
    assert plain.trace is None
    assert_same_bits(traced, plain, plain._fields[:-2])


@pytest.mark.parametrize("variant", LANES)
def test_an_element_has_the_same_records_in_any_batch(native, variant):
    """Lanes that repeat the last element write nowhere."""
    if variant not in native.variants():
        pytest.skip(f"{variant} does not run here")
    with using(variant):
        for batch in (1, LANES[variant] - 1, LANES[variant] + 1, 3 * LANES[variant] - 1):
            qp = problems(batch)
            together = method.solve(qp, None, 100, traced=True).trace
            for i in range(batch):
                alone = method.solve(qp.take(np.array([i])), None, 100, traced=True).trace
                np.testing.assert_array_equal(together[i], alone[0])


def test_records_follow_an_element_to_its_end():
    out = method.solve(problems(20), None, 100, traced=True)
    assert not out.status.any()
    for i in range(20):
        own = records(out.trace[i])
        steps, last = own[own[:, PHASE] != POLISH], own[-1]
        assert np.array_equal(steps[:, ITERATION], np.arange(len(steps)))
        assert np.array_equal(steps[:, RUNNING], np.arange(len(steps)) < len(steps) - 1)
        assert np.all(np.diff(steps[:, MU]) < 0)
        assert np.all(steps[1:, STEP] > 0)
        assert last[PHASE] == POLISH
        assert last[ITERATION] == out.iterations[i] == len(steps) - 1
        assert not last[RUNNING]
        assert np.array_equal(last[NUMBERS], out.numbers[i, 1:])


def test_few_iterations_leave_few_records():
    out = method.solve(problems(5), None, 2, traced=True)
    assert np.all(out.iterations <= 2)
    for i in range(5):
        own = records(out.trace[i])
        assert own[:, ITERATION].max() == 2
        assert len(own) <= out.trace.shape[1]


def test_a_warm_start_is_recorded_as_polishing():
    qp = problems(3)
    first = method.solve(qp, None, 100)
    (own,) = records(method.solve(qp, point_of(qp, first), 100, traced=True).trace[0])
    assert own[PHASE] == POLISH
    assert own[ITERATION] == 0


def test_verbose_reports_the_worst_of_all_elements_as_the_array_code_does():
    data, rows = known(np.random.default_rng(31), FULL, (9,)).data, {}
    for variant in (None, "off"):
        rows[variant] = []
        if variant is None:
            solution = kktdiff.solve_qp(*data, verbose=rows[variant].append)
        else:
            with using(variant):
                kktdiff.solve_qp(*data, verbose=rows[variant].append)
    first, expected = rows[None][0], rows["off"][0]
    assert first.keys() == expected.keys()
    assert first["running"] == expected["running"] == 9
    for name in ("primal", "dual", "gap", "mu"):
        assert first[name] == pytest.approx(expected[name], rel=1e-6)
    last = max(row["iteration"] for row in rows[None])
    assert last == solution.iterations.max()
    assert rows[None][-1]["phase"] == rows["off"][-1]["phase"] == "polish"
