"""`solve_qp` and all derivatives with the work on the device: what NumPy's backend answers."""

import pickle

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from kktdiff.backends import cupy as cupy_backend
from kktdiff.backends.numpy import NumPyBackend
from kktdiff.kernels import running
from tests.backends.cuda.fixtures import on_device
from tests.backends.cuda.guard import Device
from tests.checks import answer_of, assert_answer, assert_near, grads_of
from tests.problems import COMBINATIONS, FULL, Answer, Data, Sizes, feasible, known, tangent
from tests.tolerances import DENSE_REFERENCE, SINGLE_ANSWER

B = 3
MODES = ("exact", "smoothed", "least_squares")


def weights(data, seed):
    return np.random.default_rng(seed).normal(size=(*data.p.shape,))


def both(data, **options):
    """The solution with the work on the device, and by NumPy."""
    return [kktdiff.solve_qp(*data, backend=name, **options) for name in ("cupy", "numpy")]


def assert_same_course(found, expected):
    for name in ("status", "solved"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert np.max(np.abs(found.iterations - expected.iterations)) <= 1  # rounding may decide
    assert_answer(found, answer_of(expected), DENSE_REFERENCE)


def assert_same_grads(found, expected):
    for name, one in found._asdict().items():
        other = getattr(expected, name)
        assert (one is None) == (other is None), name
        if one is not None:
            assert isinstance(one, np.ndarray)
            assert_near(one, other, DENSE_REFERENCE, name)


@pytest.mark.parametrize("sizes", COMBINATIONS, ids=lambda sizes: sizes.label)
def test_solutions_and_gradients_are_those_of_numpy(device, sizes):
    data = known(np.random.default_rng(740), sizes, batch=(B,)).data
    found, expected = both(data)
    assert_same_course(found, expected)
    for name in (*Answer._fields, "status", "primal_residual"):
        assert type(np.asarray(getattr(found, name))) is np.ndarray
    for mode in MODES:
        g = {"x": weights(data, 741), "objective": np.ones(B), "gradient": mode}
        assert_same_grads(grads_of(found.vjp(**g)), grads_of(expected.vjp(**g)))


def test_fixed_variables(device):
    """A fixed variable's gradient goes to the bound on the side of its force."""
    data, answer = known(np.random.default_rng(758), FULL, batch=(12,))
    data.lb[:, :2] = data.ub[:, :2] = answer.x[:, :2]
    found, expected = both(data)
    assert_same_course(found, expected)
    assert (found.lam_lb[:, 0] > 0).any()
    assert (found.lam_ub[:, 0] > 0).any()
    forced = (
        np.min((found.lam_lb + found.lam_ub)[:, :2], axis=1, keepdims=True) > 1e-9
    )  # else any side
    g = {"x": forced * weights(data, 759), "lam_ub": forced * weights(data, 760)}
    assert_same_grads(grads_of(found.vjp(**g)), grads_of(expected.vjp(**g)))


def test_what_is_shared_and_several_batch_dimensions(device):
    data = feasible(
        np.random.default_rng(742), FULL, {"p": (2, 3), "G": (2, 1), "h": (3,), "Q": ()}
    )
    found, expected = both(data)
    assert_same_course(found, expected)
    g = np.random.default_rng(743).normal(size=found.x.shape)
    assert_same_grads(grads_of(found.vjp(g)), grads_of(expected.vjp(g)))


def test_the_other_derivatives_and_what_is_known_of_them(device):
    data = known(np.random.default_rng(744), FULL, batch=(B,)).data
    found, expected = both(data)
    way, g = tangent(np.random.default_rng(745), data), {"x": weights(data, 746)}
    moved, again = (s.jvp(**way) for s in (found, expected))
    assert_answer(moved, answer_of(again), DENSE_REFERENCE)
    for one, other in zip(*(grads_of(s.hvp(g, way)) for s in (found, expected)), strict=True):
        assert_near(one, other, DENSE_REFERENCE)
    twice, again = (s.second_jvp(way, way) for s in (found, expected))
    assert_answer(twice, answer_of(again), DENSE_REFERENCE)
    one, other = (s.jacobian(of="lam", wrt="G") for s in (found, expected))
    assert_near(one, other, DENSE_REFERENCE)
    for name in ("margin", "weakly_active", "condition", "trustworthy"):
        one, other = (getattr(s.diagnostics(), name) for s in (found, expected))
        assert_near(one / (1.0 + other), other / (1.0 + other), DENSE_REFERENCE, name)


@pytest.mark.parametrize("kind", ["nan", "infeasible", "unbounded", "not convex"])
def test_one_bad_element_has_its_status_and_moves_no_other(device, kind):
    data = known(np.random.default_rng(747), Sizes(n=5, m=8), batch=(B,)).data
    good, _ = both(data)
    if kind == "nan":
        data.p[1, 0] = np.nan
    elif kind == "infeasible":
        data.G[1, 1], data.h[1, 1] = -data.G[1, 0], -data.h[1, 0] - 1
    else:
        data.Q[1] = 0.0 if kind == "unbounded" else -np.eye(5)
        data.p[1] = 100.0
        data.G[1] = np.abs(data.G[1])
    found, plain = both(data, on_failure="ignore")
    np.testing.assert_array_equal(found.status, plain.status)
    assert not found.solved[1]
    grads = found.vjp(weights(data, 748))
    assert not np.any(grads.G[1])
    for i in (0, 2):
        assert_answer(
            Answer(*(v[i] for v in answer_of(found))),
            Answer(*(v[i] for v in answer_of(good))),
            DENSE_REFERENCE,
        )
    with pytest.warns(kktdiff.SolveWarning, match="1 of 3"):
        kktdiff.solve_qp(*data, backend="cupy")


def test_single_precision_and_an_empty_batch(device):
    data = known(np.random.default_rng(749), FULL, batch=(B,)).data
    single = Data(*(v.astype(np.float32) for v in data))
    found, expected = both(single)
    assert found.x.dtype == found.vjp(np.ones((B, 6), np.float32)).G.dtype == np.float32
    assert_answer(found, answer_of(expected), SINGLE_ANSWER)
    empty = kktdiff.solve_qp(*(v[:0] for v in data), backend="cupy")
    assert empty.x.shape == empty.vjp(np.ones((0, 6))).p.shape == (0, 6)
    shared = kktdiff.solve_qp(data.Q[:0], data.p[:0], data.G[0], data.h[0], backend="cupy")
    for mode in MODES:
        assert not shared.vjp(np.ones((0, 6)), gradient=mode).G.any()


def test_a_soft_problem_that_has_no_solution(device):
    """Its proof has no place for the slacks."""
    data = known(np.random.default_rng(768), Sizes(n=3, m=4, k=1), batch=(B,)).data
    data.G[1] = data.Q[1] = 0.0
    data.p[1], data.A[1] = 100.0, 0.0
    found, expected = both(data, soft={"h": 0.5}, on_failure="ignore")
    np.testing.assert_array_equal(found.status, expected.status)
    assert found.status[1] != 0
    assert_near(found.certificate().x[1], expected.certificate().x[1], DENSE_REFERENCE)


def test_the_closest_feasible_problem(device):
    data = known(np.random.default_rng(755), Sizes(n=5, m=6, k=1), batch=(B,)).data
    data.G[1, 1], data.h[1, 1] = -data.G[1, 0], -data.h[1, 0] - 1
    found, expected = both(data, infeasible="closest")
    assert (found.status == Status.SOLVED).all()
    assert_answer(found, answer_of(expected), DENSE_REFERENCE)
    assert_near(found.shift_h, expected.shift_h, DENSE_REFERENCE)
    g = weights(data, 750)
    assert_same_grads(grads_of(found.vjp(g)), grads_of(expected.vjp(g)))


def test_warm_starts_and_the_iteration_table(device):
    data = known(np.random.default_rng(751), FULL, batch=(B,)).data
    first = kktdiff.solve_qp(*data, backend="cupy")
    moved = data._replace(p=data.p + 1e-6)
    rows = []
    again, cold = both(moved, verbose=rows.append)[0], kktdiff.solve_qp(*moved)
    warm = kktdiff.solve_qp(*moved, backend="cupy", warm_start=first)
    assert rows
    assert_answer(again, answer_of(cold), DENSE_REFERENCE)
    assert_answer(warm, answer_of(cold), DENSE_REFERENCE)
    assert (warm.iterations < cold.iterations).all()


def test_all_work_is_done_on_the_device_of_the_arrays(emulated):
    """Of the current device nothing is known but where it is set."""
    data = known(np.random.default_rng(753), FULL, batch=(B,)).data
    found = kktdiff.solve_qp(*(emulated.cuda.to_device(v) for v in data))
    assert type(found.x) is Device
    g = emulated.cuda.to_device(weights(data, 754))
    for grads in (found.vjp(g), found.vjp(g, gradient="smoothed")):
        assert type(grads.G) is Device
    found.jvp(p=g)
    found.hvp({"x": g}, {"p": g})
    found.second_jvp({"p": g}, {"p": g})
    found.jacobian()
    found.diagnostics()
    found.certificate()
    assert emulated.cuda.outside == []


_FOUND = []  # by what takes the place of `kktdiff.backends.cupy.backend`, which a pickle names


def _find():
    return _FOUND[-1]


def test_a_pickled_solution_finds_the_backend_of_its_process(emulated, monkeypatch):
    _FOUND.append(emulated)
    monkeypatch.setattr(cupy_backend, "backend", _find)
    data = known(np.random.default_rng(756), FULL, batch=(B,)).data
    found = kktdiff.solve_qp(*data, backend="cupy")
    again = pickle.loads(pickle.dumps(found))
    g = weights(data, 757)
    assert_same_grads(grads_of(again.vjp(g)), grads_of(found.vjp(g)))


def test_work_on_the_host_gives_results_on_the_device(device):
    data = known(np.random.default_rng(763), FULL, batch=(B,)).data
    arrays = on_device(device.cuda, data)
    found = kktdiff.solve_qp(*arrays, backend="numpy")
    grads = found.vjp(device.cuda.to_device(weights(data, 764)))
    expected = kktdiff.solve_qp(*data)
    for name in Answer._fields:
        assert device.owns(getattr(found, name))
        assert_near(getattr(found, name).get(), getattr(expected, name), DENSE_REFERENCE, name)
    assert device.owns(grads.Q)


def test_each_device_does_the_work_on_its_own_arrays(gpu):
    """While the first one is current."""
    data = known(np.random.default_rng(761), FULL, batch=(B,)).data
    expected = answer_of(kktdiff.solve_qp(*data))
    for index in range(gpu.cuda.runtime.getDeviceCount()):
        with gpu.cuda.Device(index):
            arrays, g = [gpu.asarray(v) for v in data], gpu.asarray(weights(data, 762))
        found = kktdiff.solve_qp(*arrays)
        grads = found.vjp(g)
        assert found.x.device.id == grads.G.device.id == index
        assert gpu.cuda.runtime.getDevice() == 0
        on_host = Answer(*(getattr(found, name).get() for name in Answer._fields))
        assert_answer(on_host, expected, DENSE_REFERENCE)


@pytest.mark.parametrize("soft", [None, {"h": 0.7}])
def test_the_hosts_part_needs_no_kernels_there(emulated, monkeypatch, soft):
    data = known(np.random.default_rng(765), Sizes(n=5, m=8, k=1), batch=(B,)).data
    found, expected = both(data, soft=soft)
    g, d = weights(data, 766), {"p": weights(data, 767), "h": data.h}

    def derived(sol):
        yield sol.hvp({"x": g}, d).p
        yield sol.second_jvp(d, d).x
        yield sol.vjp(g, gradient="smoothed").G
        yield sol.vjp(g, gradient="least_squares").h
        yield sol.diagnostics().margin

    right = list(derived(expected))
    monkeypatch.setattr(NumPyBackend, "compiled", False)
    monkeypatch.setattr(running, "kernels", None)
    for one, other in zip(derived(found), right, strict=True):
        assert_near(one, other, DENSE_REFERENCE)
