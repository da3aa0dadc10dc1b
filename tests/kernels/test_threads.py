"""A call's threads change no bit, and forks, limits and other instruction sets do no harm."""

import multiprocessing
import subprocess
import sys

import numpy as np
import pytest

from kktdiff import kernels
from kktdiff._arrays import outer

B, R, C = 1003, 5, 9  # no multiple of threads, pieces or lanes


def arguments():
    rng = np.random.default_rng(3)
    return tuple(rng.normal(size=(B, n)) for n in (R, C, R, C))


def result(threads):
    given, out = arguments(), np.full((B, R, C), np.nan)
    worked = kernels.call("outer", out.shape, (), (*given, out), threads)
    return worked, out


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("threads", [1, 2, 3, 8, 33])
def test_threads_change_no_bit(threads):
    worked, out = result(threads)
    assert worked == threads
    assert np.array_equal(out, outer(*arguments()))


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("batch", [0, 1, 2])
def test_no_more_threads_than_work(batch):
    a, out = np.ones((batch, 2)), np.full((batch, 2, 2), np.nan)
    assert kernels.call("outer", out.shape, (), (a, a, a, a, out), 8) == 1
    assert np.array_equal(out, np.full(out.shape, 2.0))


def test_instruction_sets_give_the_same_bits(native):
    """Each product is rounded, on every processor: a kernel without fma has no other bits."""
    expected = outer(*arguments())
    for variant in native.variants():
        out = np.empty((B, R, C))
        native.call(variant, "outer", out.shape, (), (*arguments(), out), 2)
        assert np.array_equal(out, expected)


@pytest.mark.usefixtures("native")
@pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_fork_after_a_call_can_call():
    expected = result(2)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        worked, out = pool.apply_async(result, (2,)).get(timeout=60)
    assert worked == expected[0] == 2
    assert np.array_equal(out, expected[1])


NO_THREADS = """
import resource
import numpy as np
from kktdiff import kernels
a, out = np.ones((1000, 2)), np.empty((1000, 2, 2))
arguments = ("outer", out.shape, (), (a, a, a, a, out))
kernels.call(*arguments, 1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, resource.RLIM_INFINITY))  # no stack fits
print(kernels.call(*arguments, 4), out.min(), out.max())
"""


@pytest.mark.usefixtures("native")
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are kept on Linux")
def test_where_no_thread_is_granted_this_one_does_the_work(repository):
    command = [sys.executable, "-c", NO_THREADS]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("1 2.0 2.0\n", 0), done.stderr
