"""Threads that share one large problem change no bit, and do no harm where there are none."""

import subprocess
import sys

import numpy as np
import pytest

import kktdiff
from kktdiff import kernels
from kktdiff._records import Rhs
from kktdiff.kernels import method, running
from tests.checks import assert_same_bits
from tests.kernels.calls import LANES, flat, rows_of, using
from tests.problems import Sizes, known

# Each product, factorization and pass that threads share is large enough for it.
SIZES = Sizes(n=300, m=260, k=40, lower=True)
BATCH = 3
SHARED = running._SHARED


@pytest.fixture(scope="module")
def qp():
    """A batch of large problems."""
    return flat(known(np.random.default_rng(70), SIZES, (BATCH,)).data)


@pytest.fixture
def threads(monkeypatch):
    """A function that has calls use so many threads; how many worked stands in its list."""
    worked, call = [], kernels.call

    def use(count):
        monkeypatch.setattr(kernels, "threads", lambda seconds: count)
        worked.clear()

    monkeypatch.setattr(running, "_SHARED", 1.0)
    monkeypatch.setattr(kernels, "call", lambda *args: worked.append(call(*args)))
    use.worked = worked
    return use


def everything(qp):
    """Solve, derive and pull back, with the factors that are kept and without."""
    out = method.solve(qp, None, 100)
    assert not out.status.any()
    rng = np.random.default_rng(71)
    batch = qp.length
    parts = (rng.normal(size=(BATCH, size, 2))[:batch] for size in (300, rows_of(qp), 40))
    derived = method.derive(qp, out.kept, out.active, Rhs(*parts), 1e-16)
    names = [name for name, v in zip(qp._fields, qp, strict=True) if v is not None]
    cotangents = (out.x, out.s, out.lam, out.nu, out.lam_lb, out.lam_ub, out.status + 1.0)
    cotangents += (None,) * len(method.VIOLATIONS)
    pulled = [
        method.vjp(
            qp, (out.kept, out.active, None), cotangents, names, (1e-16, 1e-7), factors=factors
        )
        for factors in (out.factors, None)
    ]
    return out._replace(factors=None), derived, pulled


def assert_same(found, expected):
    (out, derived, pulled), (own, own_derived, own_pulled) = expected, found
    assert_same_bits(own, out, out._fields)
    assert_same_bits(own_derived[0], derived[0], Rhs._fields)
    assert np.array_equal(own_derived[1], derived[1])
    for left, right in zip(own_pulled, pulled, strict=True):
        assert_same_bits(left, right, ("x", "c", "nu"))
        for name, gradient in right.gradients.items():
            assert np.array_equal(left.gradients[name], gradient), name


@pytest.mark.parametrize("variant", LANES)
def test_threads_within_a_problem_change_no_bit(native, qp, threads, variant):
    if variant not in native.variants():
        pytest.skip(f"{variant} does not run here")
    one = qp.take(np.array([0]))
    with using(variant):
        threads(1)
        expected = everything(one)
        assert threads.worked == [1] * 4
        for count in (2, 3, 8):
            threads(count)
            assert_same(everything(one), expected)
            assert threads.worked == [count] * 4


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_batch_of_large_problems(qp, threads, count):
    """Each thread takes problems, and with it as many others as there are for each."""
    threads(1)
    expected = everything(qp)
    threads(count)
    assert_same(everything(qp), expected)
    assert threads.worked == [min(count, 3) * max(count // 3, 1)] * 4


@pytest.mark.usefixtures("native")
def test_only_large_problems_are_shared(threads, monkeypatch):
    monkeypatch.setattr(running, "_SHARED", SHARED)
    threads(4)
    for n, worked in ((3, {1}), (40, {1}), (150, {1}), (450, {1, 4})):
        data = known(np.random.default_rng(n), Sizes(n, n, 0)).data
        threads.worked.clear()
        kktdiff.solve_qp(*data).vjp(x=np.ones(n))  # the latter is short
        assert set(threads.worked) == worked


def solved(count):
    """Solve one large problem in so many threads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "threads", lambda seconds: count)
        patch.setattr(running, "_SHARED", 1.0)
        return kktdiff.solve_qp(*known(np.random.default_rng(72), SIZES).data).x


NO_THREADS = """
import resource, sys
import numpy as np
from tests.kernels.test_team import solved, kernels
call, worked = kernels.call, []
kernels.call = lambda *args: worked.append(call(*args))
expected = solved(4)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, resource.RLIM_INFINITY))  # no stack fits
print(*worked, np.array_equal(solved(4), expected), worked[1:])
"""


@pytest.mark.usefixtures("native")
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are kept on Linux")
def test_where_no_thread_is_granted_the_caller_does_the_work(repository):
    command = ["bash", "-c", 'ulimit -S -s 1048576 && exec "$@"', "-", sys.executable, "-c"]
    done = subprocess.run(
        [*command, NO_THREADS], cwd=repository, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("4 True [1]\n", 0), done.stderr
