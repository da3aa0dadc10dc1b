"""How often a call launches, works on arrays, copies and waits: each takes microseconds."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.backends.cuda.guard import EVENTS, Device
from tests.backends.cuda.test_whole import weights
from tests.problems import FULL, Sizes, feasible, known
from tests.tolerances import DENSE_REFERENCE

ROWS = Sizes(n=5, m=8)  # of which the kernels prove that they contradict each other
OPERATIONS = 25  # on arrays, at most, around a launch


def batch(length, bad=(), kind="infeasible", sizes=FULL):
    data = known(np.random.default_rng(770), sizes, batch=(length,)).data
    for i in bad:
        if kind == "infeasible":
            data.G[i, :2], data.h[i, :2] = 0.0, -10.0
            data.G[i, :2, 0] = 1.0, -1.0
        else:
            data.p[i, 0] = np.nan
    return data


def counted(work):
    EVENTS.clear()
    return work(), dict(EVENTS)


def solve(data, **options):
    arrays = [None if v is None else Device(v.copy()) for v in data]
    return counted(lambda: kktdiff.solve_qp(*arrays, **options))


@pytest.mark.parametrize("length", [1, 64, 1000])
def test_a_solve_and_a_gradient_are_one_launch_and_one_read_each(emulated, length):
    data = batch(length)
    found, events = solve(data)
    assert events["launch"] == events["read"] == 1
    g = Device(weights(data, 771))
    _, back = counted(lambda: found.vjp(g))
    assert back["launch"] == back["read"] == 1
    for seen in (events, back):
        assert seen["operation"] <= OPERATIONS
        assert "to_host" not in seen
        assert "to_device" not in seen


def test_what_is_shared_is_one_launch_too(emulated):
    data = feasible(np.random.default_rng(772), FULL, {"p": (64,), "h": (64,)})
    found, events = solve(data)
    assert events["launch"] == 1
    good, events = counted(lambda: found.vjp(Device(np.ones(found.x.shape))))
    assert good.Q.shape == data.Q.shape == (6, 6)
    assert events["launch"] == events["read"] == 1
    assert events["operation"] <= OPERATIONS


@pytest.mark.parametrize("kind", ["infeasible", "invalid"])
def test_elements_that_are_not_solved_cost_the_same_however_many(emulated, kind):
    def events(length, bad):
        data = batch(length, bad, kind, ROWS)
        found, forward = solve(data, on_failure="ignore")
        assert (found.status.get() != 0).sum() == len(bad)
        _, back = counted(lambda: found.vjp(Device(weights(data, 773))))
        with pytest.warns(kktdiff.SolveWarning, match=f"{len(bad)} of {length}"):
            _, told = solve(data)
        return forward, back, told

    first = events(64, (3,))
    assert events(64, tuple(range(3, 40))) == first
    assert events(500, (3, 5)) == first
    forward, back, told = first
    assert forward["launch"] == back["launch"] == 1
    assert forward["operation"] <= 60
    assert back["operation"] <= 80
    assert told["read"] + told["to_host"] <= 50


def test_a_soft_problem_is_one_launch(emulated):
    data = batch(64, (3,))  # which is no contradiction then
    found, events = solve(data, soft={"h": 5.0})
    assert events["launch"] == 1
    assert events["read"] == 2  # the prices, which are checked
    assert events["operation"] <= OPERATIONS
    assert (found.status.get() == 0).all()


def test_what_is_too_large_for_the_kernels_is_the_hosts(emulated, monkeypatch):
    data = batch(3)
    monkeypatch.setattr("kktdiff.kernels.method._LARGEST", 5)
    found, events = solve(data)
    assert "launch" not in events
    assert events["to_host"] == len(data)
    expected = kktdiff.solve_qp(*data)
    np.testing.assert_array_equal(found.x.get(), expected.x)
    g = weights(data, 774)
    grads, right = found.vjp(Device(g)), expected.vjp(g)
    for name in ("Q", "p", "G", "h", "A", "b", "lb", "ub"):
        np.testing.assert_array_equal(getattr(grads, name).get(), getattr(right, name))


def test_a_batch_may_be_larger_than_a_grid_is_high(emulated):
    few = batch(100, sizes=Sizes(n=3, m=4))
    data = type(few)(*(None if v is None else np.concatenate(700 * [v]) for v in few))
    found, events = solve(data)
    assert events["launch"] == 1
    assert (found.status.get() == Status.SOLVED).all()
    (launch,) = emulated.cuda.launches
    assert launch.blocks * launch.threads // launch.team < 70_000  # teams take several problems
    grads = found.vjp(Device(weights(data, 775)))
    np.testing.assert_array_equal(found.x.get()[-100:], found.x.get()[:100])
    assert np.isfinite(grads.G.get()).all()


@pytest.fixture
def captured(emulated):
    """The backend while a CUDA graph is recorded."""
    emulated.cuda.capturing = True
    return emulated


def test_a_graph_can_be_captured_of_a_solve_and_its_gradient(captured):
    data = batch(8, (2,), sizes=ROWS)
    found, events = solve(data, on_failure="ignore")
    grads, back = counted(lambda: found.vjp(Device(weights(data, 776))))
    assert events == {"launch": 1, "operation": events["operation"]}
    assert back == {"launch": 1, "operation": back["operation"]}
    captured.cuda.capturing = False
    good = np.arange(8) != 2
    expected = kktdiff.solve_qp(*data, on_failure="ignore")
    np.testing.assert_array_equal(found.status.get(), expected.status)
    np.testing.assert_array_equal(found.x.get()[good], expected.x[good])
    assert np.isnan(found.x.get()[2]).all()
    right = expected.vjp(weights(data, 776))
    assert not grads.G.get()[2].any()
    np.testing.assert_allclose(grads.G.get(), right.G, atol=DENSE_REFERENCE)


def test_shared_inputs_of_a_captured_solve(captured):
    data = batch(8, (2,))
    data = data._replace(Q=data.Q[0], p=data.p[0])
    found, _ = solve(data, on_failure="ignore")
    g = np.random.default_rng(777).normal(size=found.x.shape)
    grads, events = counted(lambda: found.vjp(Device(g)))
    assert "read" not in events
    captured.cuda.capturing = False
    right = kktdiff.solve_qp(*data, on_failure="ignore").vjp(g)
    for name in ("Q", "p", "h"):
        np.testing.assert_allclose(
            getattr(grads, name).get(), getattr(right, name), atol=1e-9, err_msg=name
        )


def test_what_a_captured_solve_leaves_is_a_numerical_failure(captured):
    found, _ = solve(batch(8, (2,), "invalid"), on_failure="ignore")
    captured.cuda.capturing = False
    assert found.status.get()[2] == Status.NUMERICAL_ERROR
    assert not found.solved.get()[2]


@pytest.mark.parametrize("on_failure", ["warn", "raise"])
def test_nobody_can_be_warned_of_a_captured_solve(captured, on_failure):
    with pytest.raises(ValueError, match='CUDA graph is captured: expected "ignore"'):
        solve(batch(3), on_failure=on_failure)
