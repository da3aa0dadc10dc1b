"""Sparse matrices with the work on a device: what NumPy's backend answers."""

import numpy as np
import pytest
import scipy.sparse

import kktdiff
from kktdiff import Status
from kktdiff import _sparse_inputs as inputs
from tests.backends.cuda.guard import EVENTS, Device
from tests.sparse import SparseProblem, assert_close, on_sparse, sparse_problem
from tests.tolerances import DENSE_REFERENCE

B = 3
FIELDS = ("x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective")
NAMES = ("Q", "p", "G", "h", "A", "b", "lb", "ub")
MODES = ("exact", "smoothed", "least_squares")


@pytest.fixture(params=["kernels", "dense"], autouse=True)
def way(request, monkeypatch):
    """Small problems on sparse matrices, or on dense copies."""
    monkeypatch.setattr(inputs, "_SMALL", 0)
    monkeypatch.setattr(inputs, "_FASTER", (0.0, 0.0) if request.param == "kernels" else (1e9, 1e9))
    return request.param


def moved(device, problem):
    """The problem with its values on the device."""
    take = device.cuda.to_device
    matrices = {k: kktdiff.Sparse(v.pattern, take(v.values)) for k, v in problem.matrices.items()}
    return SparseProblem(matrices, {k: take(v) for k, v in problem.vectors.items()})


def by_rows(problem):
    """The problem with its entries in the order of which none is moved."""
    matrices = {}
    for name, own in problem.matrices.items():
        pattern = kktdiff.Pattern(own.pattern.shape, own.pattern.row, own.pattern.column)
        values = own.values.reshape(-1, own.pattern.nnz)
        matrices[name] = kktdiff.Sparse(pattern, own.pattern.sort(values).reshape(own.values.shape))
    return SparseProblem(matrices, problem.vectors)


def on_host(device, value):
    if isinstance(value, kktdiff.Sparse):
        assert device.cuda.owns(value.values)
        return device.cuda.to_host(value.values)
    assert value is None or device.cuda.owns(value)
    return None if value is None else device.cuda.to_host(value)


def both(device, problem, **options):
    """The solutions on the device and by NumPy."""
    found = kktdiff.solve_qp(**moved(device, problem).sparse(), **options)
    return found, kktdiff.solve_qp(**problem.sparse(), **options)


def assert_same(device, found, expected, names=FIELDS):
    for name in names:
        assert_close(on_host(device, getattr(found, name)), getattr(expected, name))


def assert_same_grads(device, found, expected):
    for name in NAMES:
        own, right = on_host(device, getattr(found, name)), getattr(expected, name)
        assert (own is None) == (right is None), name
        if right is not None:
            right = right.values if isinstance(right, kktdiff.Sparse) else right
            assert own.shape == right.shape
            assert_close(own, right, DENSE_REFERENCE)


@pytest.mark.parametrize("batch", [(), (B,), (2, 2)])
@pytest.mark.parametrize("sizes", [(30, 20, 8), (25, 0, 6), (20, 0, 0), (12, 9, 0)])
def test_solutions_and_gradients(device, way, sizes, batch):
    rng = np.random.default_rng(1)
    problem = sparse_problem(rng, *sizes, batch)
    found, expected = both(device, problem)
    assert on_sparse(found) == (way == "kernels")
    assert_same(device, found, expected)
    g = {"x": rng.normal(size=expected.x.shape), "lam": rng.normal(size=expected.lam.shape)}
    moved_g = {name: device.cuda.to_device(v) for name, v in g.items()}
    for mode in MODES:
        grads = found.vjp(**moved_g, gradient=mode)
        assert_same_grads(device, grads, expected.vjp(**g, gradient=mode))
        assert isinstance(grads.Q, kktdiff.Sparse)


def test_shared_matrices_and_numpy_arrays(device, way):
    """One matrix for the batch, on the host, with entries in no order and some twice."""
    rng = np.random.default_rng(2)
    problem = sparse_problem(rng, 20, 15, 4)
    order = np.r_[rng.permutation(problem.matrices["G"].pattern.nnz), 3]
    own = problem.matrices["G"]
    pattern = kktdiff.Pattern(own.pattern.shape, own.pattern.rows[order], own.pattern.cols[order])
    matrices = problem.matrices | {"G": kktdiff.Sparse(pattern, own.values[order])}
    vectors = problem.vectors | {"p": rng.normal(size=(5, 20))}
    problem = SparseProblem(matrices, vectors)
    arguments = problem.sparse()
    found = kktdiff.solve_qp(**arguments, backend="cupy", on_failure="ignore")
    expected = kktdiff.solve_qp(**arguments, on_failure="ignore")
    assert_close(found.x, expected.x)
    g = rng.normal(size=(5, 20))
    one, other = found.vjp(x=g), expected.vjp(x=g)
    assert_close(one.G.values, other.G.values, DENSE_REFERENCE)
    assert one.G.pattern is pattern
    assert_close(one.Q.values, other.Q.values, DENSE_REFERENCE)
    there = kktdiff.solve_qp(**moved(device, problem).sparse(), on_failure="ignore")
    grads = there.vjp(x=device.cuda.to_device(g))
    assert_close(on_host(device, grads.G), other.G.values, DENSE_REFERENCE)


def test_other_derivatives(device):
    rng = np.random.default_rng(3)
    problem = sparse_problem(rng, 20, 15, 4, (B,))
    found, expected = both(device, problem)
    ways = SparseProblem(
        {
            k: kktdiff.Sparse(v.pattern, rng.normal(size=v.values.shape))
            for k, v in problem.matrices.items()
        },
        {k: rng.normal(size=v.shape) for k, v in problem.vectors.items()},
    )
    there = moved(device, ways).sparse()
    assert_same(device, found.jvp(**there), expected.jvp(**ways.sparse()))
    g = rng.normal(size=expected.x.shape)
    again = found.hvp({"x": device.cuda.to_device(g)}, there)
    assert_same_grads(device, again, expected.hvp({"x": g}, ways.sparse()))
    J = found.jacobian(of="x", wrt="G")
    assert_close(on_host(device, J), expected.jacobian(of="x", wrt="G"), DENSE_REFERENCE)
    one, other = found.diagnostics(), expected.diagnostics()
    np.testing.assert_array_equal(on_host(device, one.trustworthy), other.trustworthy)


def test_scipy_matrices_and_a_dense_one(device):
    rng = np.random.default_rng(4)
    problem = sparse_problem(rng, 15, 10, 3)
    arguments = problem.sparse() | {"A": problem.matrices["A"].to_dense()}
    arguments["G"] = scipy.sparse.csc_array(problem.matrices["G"].to_dense())
    del arguments["Q"]  # a linear program
    found = kktdiff.solve_qp(**arguments, backend="cupy")
    expected = kktdiff.solve_qp(**arguments)
    assert_close(found.x, expected.x)
    one, other = (s.vjp(x=np.ones(15), lam=np.ones(10)) for s in (found, expected))
    assert type(one.G) is scipy.sparse.csc_array
    assert_close(one.G.data, other.G.data, DENSE_REFERENCE)
    assert_close(one.A, other.A, DENSE_REFERENCE)


def test_what_has_no_solution(device):
    problem = sparse_problem(np.random.default_rng(5), 12, 9, 2, (4,), bounds=False)
    G = problem.matrices["G"]
    two = (G.pattern.rows == 1) | (G.pattern.rows == 0)
    G.values[1, two] = 0.0
    G.values[1, np.flatnonzero(two)[0]] = 1e-3
    problem.vectors["h"][1, 1] = -10.0
    problem.vectors["p"][2, 0] = np.nan
    found, expected = both(device, problem, on_failure="ignore")
    assert expected.status.tolist() == [0, Status.PRIMAL_INFEASIBLE, Status.INVALID_DATA, 0]
    np.testing.assert_array_equal(on_host(device, found.status), expected.status)
    g = np.ones_like(expected.x)
    grads = found.vjp(x=device.cuda.to_device(g))
    assert_same_grads(device, grads, expected.vjp(x=g))
    with pytest.warns(kktdiff.SolveWarning, match=r"2 of 4.*h\[1\].*p\[0\] is nan"):
        kktdiff.solve_qp(**moved(device, problem).sparse())
    nearest = both(device, problem, on_failure="ignore", infeasible="closest")
    assert_close(on_host(device, nearest[0].x)[[0, 1, 3]], nearest[1].x[[0, 1, 3]])


def test_soft_rows_and_warm_start(device, monkeypatch):
    monkeypatch.setattr("kktdiff._inputs.MOST_DENSE", 0)
    problem = sparse_problem(np.random.default_rng(6), 20, 15, 4, (B,))
    problem.vectors["h"] -= 0.5
    found, expected = both(device, problem, soft={"h": 0.3})
    assert_same(device, found, expected, ("x", "violation_h"))
    g = np.ones_like(expected.x)
    grads = found.vjp(x=device.cuda.to_device(g))
    assert_same_grads(device, grads, expected.vjp(x=g))
    problem.vectors["h"] += 0.5
    start, near = both(device, problem)
    found = kktdiff.solve_qp(**moved(device, problem).sparse(), warm_start=start)
    expected = kktdiff.solve_qp(**problem.sparse(), warm_start=near)
    np.testing.assert_array_equal(on_host(device, found.iterations), expected.iterations)
    assert_same(device, found, expected)


def test_what_is_too_large_is_the_hosts(device, monkeypatch):
    monkeypatch.setattr("kktdiff.kernels.method._MOST_OPERATIONS", 0)
    monkeypatch.setattr("kktdiff.kernels.method._LARGEST", 0)
    problem = sparse_problem(np.random.default_rng(7), 20, 15, 4, (B,))
    found, expected = both(device, problem)
    assert_same(device, found, expected)
    g = np.ones_like(expected.x)
    assert_same_grads(device, found.vjp(x=device.cuda.to_device(g)), expected.vjp(x=g))


@pytest.mark.parametrize("shared", [False, True])
def test_a_solve_and_a_gradient_are_one_launch_each(emulated, way, shared):
    problem = sparse_problem(np.random.default_rng(8), 30, 20, 8, () if shared else (64,))
    if shared:
        problem.vectors["p"] = np.random.default_rng(9).normal(size=(64, 30))
    arguments = moved(emulated, by_rows(problem)).sparse()
    kktdiff.solve_qp(**arguments)  # copies the structure
    EVENTS.clear()
    found = kktdiff.solve_qp(**arguments)
    forward = dict(EVENTS)
    EVENTS.clear()
    found.vjp(x=Device(np.ones((64, 30))))
    back = dict(EVENTS)
    for seen in (forward, back):
        assert seen["launch"] == seen["read"] == 1
        assert seen["operation"] <= 30
        assert "to_host" not in seen
        if way == "kernels":
            assert "to_device" not in seen


def test_work_on_the_host(emulated):
    problem = sparse_problem(np.random.default_rng(10), 20, 15, 4, (B,))
    found = kktdiff.solve_qp(**moved(emulated, problem).sparse(), backend="numpy")
    expected = kktdiff.solve_qp(**problem.sparse())
    assert_same(emulated, found, expected)
    g = np.ones_like(expected.x)
    assert_same_grads(emulated, found.vjp(x=Device(g)), expected.vjp(x=g))


def test_values_of_several_libraries_are_refused(emulated):
    problem = sparse_problem(np.random.default_rng(11), 20, 15, 4)
    arguments = moved(emulated, problem).sparse() | {"G": problem.matrices["G"]}
    with pytest.raises(TypeError, match=r"G.values is a ndarray, but \w+(.values)? is a Device"):
        kktdiff.solve_qp(**arguments)
