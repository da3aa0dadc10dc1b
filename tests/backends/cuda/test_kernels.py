"""Each kernel of the package: any order of its threads, and no access outside of its arrays."""

import numpy as np
import pytest

from kktdiff.backends import NUMPY
from kktdiff.backends.cupy import CuPyBackend
from tests.backends.cuda import emulator
from tests.backends.cuda.fake_cuda import FakeCuda
from tests.backends.cuda.fixtures import sanitized
from tests.checks import assert_near
from tests.tolerances import SUM

pytestmark = pytest.mark.skipif(emulator.compiler() is None, reason=emulator.NO_COMPILER)

B, ROWS, COLUMNS = 3, 40, 17


def vectors():
    """Of (3): two products, more entries than there are threads in a block."""
    rng = np.random.default_rng(760)
    return [rng.normal(size=(B, size)) for size in (ROWS, COLUMNS, ROWS, COLUMNS)]


def outer(**options):
    """The one that makes gradients of matrices."""
    return CuPyBackend(FakeCuda(**options)).outer(*vectors())


@pytest.mark.parametrize("order", emulator.ORDERS)
def test_the_order_of_the_threads_makes_no_difference(order):
    found = outer(order=order)
    np.testing.assert_array_equal(found, outer())
    assert_near(found, NUMPY.outer(*vectors()), SUM)


def test_no_access_outside_of_an_array(repository, tmp_path):
    program = "from tests.backends.cuda.test_kernels import outer\nouter(sanitize=True)\n"
    done = sanitized(program, repository, tmp_path)
    assert done.returncode == 0, done.stderr
