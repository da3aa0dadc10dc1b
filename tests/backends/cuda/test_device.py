"""The kernels on an emulated device against the same on this processor."""

import numpy as np
import pytest

import kktdiff
from kktdiff import kernels
from kktdiff.kernels import device
from tests.backends.cuda import emulated, emulator
from tests.backends.cuda.emulator import ORDERS, Emulator
from tests.backends.cuda.fixtures import sanitized
from tests.problems import COMBINATIONS, FULL, known
from tests.problems import Sizes as Given
from tests.robustness.kinds import KINDS
from tests.unsolvable import contradictory, stacked, unbounded

pytestmark = [
    pytest.mark.skipif(emulator.compiler() is None, reason=emulator.NO_COMPILER),
    pytest.mark.skipif(kernels.available() is not None, reason=str(kernels.available())),
]

INPUTS = {"solve": 15, "derive": 10, "vjp": 19, "forms": None, "outer": None}
STATUS, TRACE, FACTORS = 29, 31, 32  # of `solve`; the device has factors in a form of its own
ROUNDING = 1e-12
B = 3


class Both:
    """`kernels.call` on both, from then on; what each call wrote."""

    def __init__(self, monkeypatch, **options):
        self.calls, self._native, self._options = [], kernels.call, options
        monkeypatch.setattr(kernels, "call", self)

    def __call__(self, name, sizes, options, arrays, threads=1):
        first = INPUTS[name]
        if first is None:
            return self._native(name, sizes, options, arrays, threads)
        others = [
            a if a is None or a.dtype == np.int32 else np.full_like(a, 77)  # the structure is read
            for a in arrays[first:]
        ]
        if name == "solve" and arrays[TRACE] is not None:
            others[TRACE - first] = arrays[TRACE].copy()
        emulated.call(name, sizes, options, (*arrays[:first], *others), **self._options)
        done = self._native(name, sizes, options, arrays, threads)
        self.calls.append((name, arrays[first:], others))
        return done

    def of(self, name):
        """What both wrote, of each call of a kernel: pairs of lists, from the first output on."""
        return [(own, others) for kernel, own, others in self.calls if kernel == name]

    def assert_near(self, *names, rtol=ROUNDING):
        """Raise unless there were these calls, and both wrote the same up to rounding."""
        assert {name for name, _, _ in self.calls} >= set(names)
        for name, own, others in self.calls:
            for i, (a, b) in enumerate(zip(own, others, strict=True), INPUTS[name]):
                if a is None or (name, i) == ("solve", FACTORS):
                    continue
                unit = 1 + np.abs(np.where(np.isfinite(a), a, 0)).max(initial=0)
                np.testing.assert_allclose(b, a, rtol=0, atol=rtol * unit, err_msg=f"{name} {i}")


def with_derivatives(data, **options):
    """Solve, and differentiate every output in both modes."""
    sol = kktdiff.solve_qp(*data, on_failure="ignore", **options)
    fields = ("x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective")
    given = {name: np.ones_like(getattr(sol, name)) for name in fields}
    sol.vjp(**{name: v for name, v in given.items() if np.isfinite(getattr(sol, name)).all()})
    sol.jacobian(of="x", wrt="p")
    return sol


@pytest.mark.parametrize("sizes", COMBINATIONS, ids=lambda sizes: sizes.label)
def test_every_form(monkeypatch, sizes):
    both = Both(monkeypatch)
    assert with_derivatives(known(np.random.default_rng(0), sizes, (B,)).data).solved.all()
    both.assert_near("solve", "vjp", "derive")


@pytest.mark.parametrize("team", [128, 256])
@pytest.mark.parametrize(
    "sizes", [FULL, Given(41, 45, 21, True, False), Given(30, 0, 0, True, True)], ids=str
)
def test_larger_teams(monkeypatch, team, sizes):
    both = Both(monkeypatch, team=team)
    assert with_derivatives(known(np.random.default_rng(1), sizes, (B,)).data).solved.all()
    both.assert_near("solve", "vjp", "derive")


@pytest.mark.parametrize("team", [32, 128])
@pytest.mark.parametrize("order", ORDERS[1:])
def test_order_of_the_threads_makes_no_difference(monkeypatch, team, order):
    data = known(np.random.default_rng(2), Given(23, 25, 4, True, True), (2,)).data
    found = []
    for options in ({}, {"order": order}):
        with monkeypatch.context() as patch:
            both = Both(patch, team=team, **options)
            with_derivatives(data)
            found.append([v for _, _, others in both.calls for v in others if v is not None])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shared", [0, 2000, 9000])
def test_little_shared_memory(monkeypatch, shared):
    """None, some of the vectors' and the matrix' without the vectors'."""
    both = Both(monkeypatch, shared=shared)
    with_derivatives(known(np.random.default_rng(3), Given(30, 20, 3, True, False), (B,)).data)
    both.assert_near("solve", "vjp", "derive")


def test_more_elements_than_teams_and_shared_arrays(monkeypatch):
    both = Both(monkeypatch, teams=4)
    data = known(np.random.default_rng(4), FULL, (11,), shared=("Q", "G", "A")).data
    assert with_derivatives(data).solved.all()
    both.assert_near("solve", "vjp", "derive")


@pytest.mark.parametrize("draw", [contradictory, unbounded], ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("sizes", [FULL, Given(5, 6, 0), Given(4, 0, 2, True, False)], ids=str)
@pytest.mark.parametrize("team", [32, 128])
def test_no_solution(monkeypatch, draw, sizes, team):
    both = Both(monkeypatch, team=team)
    with_derivatives(stacked(draw, np.random.default_rng(5), sizes, (B,)))
    ((own, others),) = both.of("solve")[:1]
    status = own[STATUS - INPUTS["solve"]]
    np.testing.assert_array_equal(others[STATUS - INPUTS["solve"]], status)
    assert (status > 0).any()


@pytest.mark.parametrize("name", ["p", "G", "h", "lb"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_faulty_data(monkeypatch, name, value):
    """The element is marked, or is right; the others have the same bits."""
    data = known(np.random.default_rng(6), FULL, (B,)).data
    both = Both(monkeypatch)
    kktdiff.solve_qp(*data)
    broken = getattr(data, name).copy()
    broken[1, ..., 0] = value
    kktdiff.solve_qp(*data._replace(**{name: broken}), on_failure="ignore")
    (_, clean), (own, others) = both.of("solve")[:2]
    at = STATUS - INPUTS["solve"]
    np.testing.assert_array_equal(others[at], own[at])
    for a, b in zip(clean[:at], others[:at], strict=True):
        if a is not None:
            np.testing.assert_array_equal(a[[0, 2]], b[[0, 2]])


def test_soft_rows_warm_start_and_central_path(monkeypatch):
    both = Both(monkeypatch)
    data = known(np.random.default_rng(7), FULL, (B,)).data
    sol = with_derivatives(data, soft={"h": 3.0, "b": 2.0, "lb": 1.0, "ub": 5.0})
    with_derivatives(data, warm_start=kktdiff.solve_qp(*data))
    kktdiff.solve_qp(*data).vjp(x=sol.x, gradient="smoothed", smoothing=1e-3)
    assert len(both.of("solve")) > 3
    both.assert_near("solve", "vjp", "derive")


def test_linear_and_diagonal_programs(monkeypatch):
    both = Both(monkeypatch)
    data = known(np.random.default_rng(8), Given(6, 9, 0, True, True, 0), (B,)).data
    with_derivatives(data)
    diagonal = known(np.random.default_rng(9), Given(6, 0, 2, True, True), (B,)).data
    with_derivatives(diagonal._replace(Q=diagonal.Q * np.eye(6)))
    both.assert_near("solve")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_hard_problems_end_alike(monkeypatch, kind):
    """With the same status, and the same iterations but where rounding decides."""
    both = Both(monkeypatch)
    for _ in range(2):
        data, _ = KINDS[kind](np.random.default_rng(10), 8)
        kktdiff.solve_qp(*data, on_failure="ignore")
    for own, others in both.of("solve"):
        a, b = (v[STATUS - INPUTS["solve"]] for v in (own, others))
        np.testing.assert_array_equal(b, a)


def test_trace(monkeypatch):
    both = Both(monkeypatch)
    kktdiff.solve_qp(*known(np.random.default_rng(11), FULL, (2,)).data, verbose=lambda _: None)
    both.assert_near("solve")


MEMORY = r"""
using namespace kktdiff;
extern "C" __global__ void count(const long long *sizes, long long *out) {
  const Sizes z = with_slacks(int(sizes[0]), int(sizes[1]), int(sizes[2]), int(sizes[3]),
                              int(sizes[4]), int(sizes[6]));
  Arena solver, derivation;
  Solver<double>(solver, z), Derivation<double>(derivation, z);
  out[0] = solver.used, out[1] = derivation.used;
  out[2] = sizeof(Solver<double>), out[3] = sizeof(Derivation<double>);
}
// What goes to fast memory that is large enough, with the matrix that is factored.
extern "C" __global__ void count_fast(const long long *sizes, long long *out) {
  const Sizes z = with_slacks(int(sizes[0]), int(sizes[1]), int(sizes[2]), int(sizes[3]),
                              int(sizes[4]), int(sizes[6]));
  const long long much = 1ll << 40;
  Arena solver, derivation;
  solver.fast_left = derivation.fast_left = much;
  Solver<double>(solver, z), Derivation<double>(derivation, z);
  out[0] = much - solver.fast_left, out[1] = much - derivation.fast_left;
}
"""


@pytest.fixture(scope="module")
def counting():
    return Emulator(device.source("derive.hpp") + MEMORY, options=("-DTEAM=32",))


@pytest.mark.parametrize("sides", [0, 1, 4, 15])
@pytest.mark.parametrize("sizes", [(5, 0, 0, 0, 0), (7, 9, 0, 7, 0), (30, 11, 6, 30, 30)])
def test_memory_is_what_the_kernels_take(counting, sizes, sides):
    for separable in (0, 1):
        sizes_of_call = (*sizes, separable, sides)
        out, fast = np.zeros(4, np.int64), np.zeros(2, np.int64)
        counting.launch("count", 1, 32, np.array(sizes_of_call), out)
        counting.launch("count_fast", 1, 32, np.array(sizes_of_call), fast)
        need = [device.memory(name, sizes_of_call) for name in ("solve", "derive")]
        more = device.RECORD + device.BEYOND
        assert [v.all - more for v in need] == out[:2].tolist()
        assert [v.fast - v.matrix - more for v in need] == fast.tolist()
        assert device.RECORD - 256 < out[2:].max() <= device.RECORD
    assert device.memory("vjp", sizes_of_call) == need[1]


PROGRAM = """
import numpy as np
from kktdiff import kernels
from tests.backends.cuda import test_device as t

class Patch:
    def setattr(self, where, name, value):
        setattr(where, name, value)

both = t.Both(Patch(), team=128, shared=20000, sanitize=True)
for seed, sizes in enumerate((t.FULL, t.Given(23, 25, 4, True, True))):
    t.with_derivatives(t.known(np.random.default_rng(seed), sizes, (2,)).data)
both.assert_near("solve", "vjp", "derive")
print(len(both.calls), "calls")
"""


def test_no_access_outside_of_an_array(repository, tmp_path):
    done = sanitized(PROGRAM, repository, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "6 calls\n"
