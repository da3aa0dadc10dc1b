"""`solve_qp` with the device's own kernels, emulated: what NumPy's backend answers."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from kktdiff import _sparse_inputs as inputs
from kktdiff.backends.cupy import CuPyBackend
from tests.backends.cuda.emulated import compiled
from tests.backends.cuda.fake_cuda import FakeCuda
from tests.backends.cuda.fixtures import put_in_place
from tests.backends.cuda.guard import EVENTS
from tests.backends.cuda.test_whole import assert_same_course, assert_same_grads, both, weights
from tests.checks import answer_of, assert_answer, assert_near, grads_of
from tests.problems import FULL, Sizes, feasible, known, tangent
from tests.sparse import assert_close, on_sparse, sparse_problem
from tests.tolerances import DENSE_REFERENCE


def launched(launch, call):
    """Run a launch in the emulator."""
    shared = launch.shared // 8
    run = compiled(launch.team).launch
    run(launch.kernel, launch.blocks, launch.threads, call, shared=shared)


@pytest.fixture
def kernels(compiler, monkeypatch):
    """The CuPy backend over the emulator."""
    return put_in_place(CuPyBackend(FakeCuda(launched)), monkeypatch)


@pytest.mark.parametrize("sizes", [FULL, Sizes(n=20, m=30, k=4), Sizes(n=40, m=35)], ids=str)
def test_solutions_and_first_derivatives(kernels, sizes):
    data = known(np.random.default_rng(790), sizes, batch=(5,)).data
    found, expected = both(data)
    assert_same_course(found, expected)
    g = weights(data, 791)
    assert_same_grads(grads_of(found.vjp(g)), grads_of(expected.vjp(g)))
    d = tangent(np.random.default_rng(792), data)
    assert_near(found.jvp(**d).x, expected.jvp(**d).x, DENSE_REFERENCE)
    smoothed = {"gradient": "smoothed", "smoothing": 1e-3}
    assert_same_grads(grads_of(found.vjp(g, **smoothed)), grads_of(expected.vjp(g, **smoothed)))
    assert {launch.kernel for launch in kernels.cuda.launches} == {"solve", "vjp", "derive"}


def test_what_is_shared(kernels):
    data = feasible(np.random.default_rng(793), FULL, {"p": (6,), "h": (6,)})
    found, expected = both(data)
    assert_same_course(found, expected)
    g = np.random.default_rng(794).normal(size=found.x.shape)
    assert_same_grads(grads_of(found.vjp(g)), grads_of(expected.vjp(g)))


def test_soft_rows_and_a_warm_start(kernels):
    data = known(np.random.default_rng(795), Sizes(n=5, m=8), batch=(4,)).data
    data.h[:, 0] -= 3.0
    found, expected = both(data, soft={"h": 0.7})
    assert_same_course(found, expected)
    assert_near(found.violation_h, expected.violation_h, DENSE_REFERENCE)
    assert (expected.violation_h > 0).any()
    g = weights(data, 796)
    assert_same_grads(grads_of(found.vjp(g)), grads_of(expected.vjp(g)))
    again = kktdiff.solve_qp(*data, soft={"h": 0.7}, backend="cupy", warm_start=found)
    assert (again.iterations <= found.iterations).all()
    assert_answer(again, answer_of(expected), DENSE_REFERENCE)


def test_what_has_no_solution_is_the_same_and_costs_no_more(kernels):
    data = known(np.random.default_rng(797), Sizes(n=5, m=8), batch=(6,)).data
    data.G[1, :2], data.h[1, :2] = 0.0, -10.0
    data.G[1, :2, 0] = 1.0, -1.0
    data.p[2, 0] = np.nan
    data.Q[3], data.p[3], data.G[3] = 0.0, 100.0, np.abs(data.G[3])
    data.Q[4] = -np.eye(5)
    EVENTS.clear()
    found, expected = both(data, on_failure="ignore")
    np.testing.assert_array_equal(found.status, expected.status)
    bad = Status.PRIMAL_INFEASIBLE, Status.INVALID_DATA, Status.DUAL_INFEASIBLE, Status.NONCONVEX
    assert found.status.tolist() == [0, *bad, 0]
    assert EVENTS["launch"] == 1
    grads = found.vjp(weights(data, 798))
    assert not grads.G[1:5].any()
    proof, right = found.certificate(), expected.certificate()
    assert_near(proof.lam[1], right.lam[1], DENSE_REFERENCE)
    assert_near(proof.x[3], right.x[3], DENSE_REFERENCE)
    with pytest.warns(kktdiff.SolveWarning, match=r"4 of 6.*rows h\[0\], h\[1\] contradict"):
        kktdiff.solve_qp(*data, backend="cupy")


@pytest.mark.parametrize("batch", [(), (5,)])
def test_sparse_matrices(kernels, monkeypatch, batch):
    """With the structure that the device's kernels take, and factors that the solve has kept."""
    monkeypatch.setattr(inputs, "_SMALL", 0)
    monkeypatch.setattr(inputs, "_FASTER", (0.0, 0.0))
    problem = sparse_problem(np.random.default_rng(799), 30, 20, 8, batch)
    other = sparse_problem(np.random.default_rng(800), 12, 9, 0, batch)
    for own in (problem, other, problem):  # another structure between two calls
        found, expected = (
            kktdiff.solve_qp(**own.sparse(), backend=name) for name in ("cupy", "numpy")
        )
        assert on_sparse(found)
        assert_same_course(found, expected)
        assert found._engine.kept.kernel_factors is not None
        g = {"x": np.ones_like(found.x), "lam": np.ones_like(found.lam)}
        for mode in ({}, {"gradient": "smoothed", "smoothing": 1e-3}):
            grads, right = found.vjp(**g, **mode), expected.vjp(**g, **mode)
            for name in own.matrices:
                one, two = getattr(grads, name).values, getattr(right, name).values
                assert_close(one, two, DENSE_REFERENCE)
            assert_close(grads.p, right.p, DENSE_REFERENCE)
