"""Sparse problems by the kernels on an emulated device, against the same on this processor."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status, kernels
from kktdiff import _sparse_inputs as inputs
from kktdiff._sparse.levels import by_levels
from kktdiff._sparse.structure import structure
from kktdiff.kernels import device
from tests.backends.cuda import emulated, emulator
from tests.backends.cuda.emulator import ORDERS, Emulator, EmulatorError
from tests.backends.cuda.fixtures import sanitized
from tests.backends.cuda.test_device import INPUTS, STATUS, B, Both
from tests.sparse import sparse_problem

pytestmark = [
    pytest.mark.skipif(emulator.compiler() is None, reason=emulator.NO_COMPILER),
    pytest.mark.skipif(kernels.available() is not None, reason=str(kernels.available())),
]


def sparse(monkeypatch, sizes, batch, **options):
    """A random sparse problem whose calls go to both from then on, and these."""
    monkeypatch.setattr(inputs, "_SMALL", 0)
    monkeypatch.setattr(inputs, "_FASTER", (0.0, 0.0))
    problem = sparse_problem(np.random.default_rng(12), *sizes, (batch,), **options)
    none = kktdiff.Pattern((0, sizes[0]), [], [])
    patterns = {"G": none, "A": none} | {k: v.pattern for k, v in problem.matrices.items()}
    monkeypatch.setattr(emulated, "STRUCTURES", [structure(**patterns)])
    return problem


def differentiated(arguments, **options):
    """Solve, and differentiate x and lam in both modes."""
    sol = kktdiff.solve_qp(**arguments, on_failure="ignore", **options)
    if sol.solved.all():
        sol.vjp(x=np.ones_like(sol.x), lam=np.ones_like(sol.lam), s=np.ones_like(sol.s))
        sol.jacobian(of="x", wrt="p")
    return sol


@pytest.mark.parametrize("team", [32, 128])
@pytest.mark.parametrize("sizes", [(12, 9, 4), (25, 0, 6), (20, 0, 0), (60, 90, 12)], ids=str)
def test_sparse_matrices(monkeypatch, team, sizes):
    problem = sparse(monkeypatch, sizes, B)
    both = Both(monkeypatch, team=team, shared=60000)
    sol = differentiated(problem.sparse())
    assert sol.solved.all()
    again = differentiated(problem.sparse(), warm_start=sol)
    assert (again.iterations <= sol.iterations).all()
    sol.vjp(x=sol.x, gradient="smoothed", smoothing=1e-3)
    both.assert_near("solve", "vjp", "derive")


def test_sparse_linear_programs_and_soft_rows(monkeypatch):
    problem = sparse(monkeypatch, (15, 10, 3), B)
    problem.matrices["Q"].values[:] = 0.0
    both = Both(monkeypatch)
    assert differentiated(problem.sparse()).solved.all()
    both.assert_near("solve", "vjp", "derive")
    monkeypatch.setattr("kktdiff._inputs.MOST_DENSE", 0)
    problem.vectors["h"] -= 0.5
    both.calls.clear()
    kktdiff.solve_qp(**problem.sparse(), soft={"h": 0.3, "b": 2.0}).vjp(x=np.ones((B, 15)))
    both.assert_near("solve", "vjp")


@pytest.mark.parametrize("team", [32, 128])
def test_sparse_problems_without_a_solution(monkeypatch, team):
    problem = sparse(monkeypatch, (12, 9, 2), 4, bounds=False)
    first = np.flatnonzero(problem.matrices["G"].pattern.rows == 1)
    problem.matrices["G"].values[1, first] = 0.0
    problem.vectors["h"][1, 1] = -10.0
    problem.vectors["p"][2, 0] = np.nan
    problem.matrices["Q"].values[3] *= -1.0
    both = Both(monkeypatch, team=team)
    sol = differentiated(problem.sparse())
    assert sol.status.tolist() == [
        Status.SOLVED,
        Status.PRIMAL_INFEASIBLE,
        Status.INVALID_DATA,
        Status.NONCONVEX,
    ]
    (own, others), *_ = both.of("solve")
    at = STATUS - INPUTS["solve"]
    np.testing.assert_array_equal(others[at], own[at])


@pytest.mark.parametrize("team", [32, 128])
@pytest.mark.parametrize("order", ORDERS[1:])
def test_order_of_the_threads_makes_no_difference_to_sparse_problems(monkeypatch, team, order):
    found = []
    for options in ({}, {"order": order}):
        with monkeypatch.context() as patch:
            problem = sparse(patch, (30, 24, 5), 2)
            both = Both(patch, team=team, **options)
            differentiated(problem.sparse())
            found.append([v for _, _, others in both.calls for v in others if v is not None])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


MEMORY = r"""
using namespace kktdiff;
extern "C" __global__ void count(const long long *sizes, long long *out) {
  const Sizes z = with_slacks(int(sizes[1]), int(sizes[2]), int(sizes[3]), int(sizes[4]),
                              int(sizes[5]), int(sizes[7]));
  const SparseEntries sparse(reinterpret_cast<const std::int64_t *>(sizes));
  const long long much = 1ll << 40;
  Arena solver, derivation, fast_solver, fast_derivation;
  fast_solver.fast_left = fast_derivation.fast_left = much;
  Solver<double>(solver, z, sparse.get()), Derivation<double>(derivation, z, sparse.get());
  Solver<double>(fast_solver, z, sparse.get());
  Derivation<double>(fast_derivation, z, sparse.get());
  out[0] = solver.used, out[1] = derivation.used;
  out[2] = much - fast_solver.fast_left, out[3] = much - fast_derivation.fast_left;
  out[4] = sizeof(Structure);
}
"""


@pytest.fixture(scope="module")
def counting():
    return Emulator(device.source("derive.hpp") + MEMORY, options=("-DTEAM=32",))


@pytest.mark.parametrize("sides", [0, 1, 15])
@pytest.mark.parametrize("sizes", [(12, 9, 4), (25, 0, 6), (20, 0, 0)])
def test_memory_is_what_the_kernels_take(counting, sizes, sides):
    matrices = sparse_problem(np.random.default_rng(13), *sizes).matrices
    none = kktdiff.Pattern((0, sizes[0]), [], [])
    own = by_levels(*(matrices[k].pattern if k in matrices else none for k in "QGA"))
    call = (*sizes, sizes[0], 0, device.SPARSE, sides, *own.entries)
    out = np.zeros(5, np.int64)
    counting.launch("count", 1, 32, np.array((1, *call)), out)
    need = [device.memory(name, call) for name in ("solve", "derive")]
    more = device.RECORD + device.STRUCTURE + device.BEYOND
    assert [v.all - more for v in need] == out[:2].tolist()
    assert [v.fast - v.matrix - more for v in need] == out[2:4].tolist()
    assert device.STRUCTURE - 64 < out[4] <= device.STRUCTURE


FACTOR = r"""
using namespace kktdiff;
extern "C" __global__ void factor(const int *patterns, const double *K, double *pivot, double *L,
                                  double *v, double *out) {
  const Structure s = structure_of(patterns);
  meet();
  factor_ldl(s.ldl, s.ldl.size, 1.0, K, pivot, L, v, nullptr);
  solve_ldl(s.ldl, pivot, L, nullptr, v);
  for (int i : each_share(s.ldl.size)) out[i] = v[s.ldl.size - 1 - i];
}
"""


@pytest.mark.parametrize("team", [32, 128])
def test_each_meeting_of_the_factorization_is_needed(team):
    """Without one of them some order of the threads gives another result."""
    rng = np.random.default_rng(14)
    matrices = sparse_problem(rng, 30, 20, 8).matrices
    own = by_levels(*(matrices[k].pattern for k in "QGA"))
    given, size = own.entries[5], 58
    compiled = Emulator(device.source("matrix.hpp") + FACTOR, options=(f"-DTEAM={team}",))
    data = rng.normal(size=given), np.full(size, 30.0), rng.normal(size=size)

    def run(**options):
        out, (K, pivot, v) = np.empty(size), (a.copy() for a in data)
        L = np.full(own.entries[4], np.nan)
        compiled.launch("factor", 1, team, own.array, K, pivot, L, v, out, **options)
        return np.concatenate([pivot, L, out])

    expected = run()
    assert np.isfinite(expected).all()
    run(without=10**6)
    missed = [
        place
        for place in range(1, compiled.barriers)  # the first is before all
        if all(_same(run, expected, order, place) for order in ORDERS)
    ]
    assert missed == []


def _same(run, expected, order, place):
    try:
        return np.array_equal(run(order=order, without=place), expected)
    except EmulatorError:
        return False


PROGRAM = """
import pytest
from tests.backends.cuda import test_device_sparse as t

patch = pytest.MonkeyPatch()
problem = t.sparse(patch, (30, 24, 5), 2)
both = t.Both(patch, team=128, shared=20000, sanitize=True)
t.differentiated(problem.sparse())
both.assert_near("solve", "vjp", "derive")
print(len(both.calls), "calls")
"""


def test_no_access_outside_of_an_array(repository, tmp_path):
    done = sanitized(PROGRAM, repository, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "3 calls\n"
