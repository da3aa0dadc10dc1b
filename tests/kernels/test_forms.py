"""The kernel `forms`: which elements have a diagonal H, beside the array code."""

import numpy as np
import pytest

from kktdiff import backends
from kktdiff._interior_point.program import separable_elements
from kktdiff._problem import assemble
from kktdiff._records import Data
from kktdiff.kernels import method

pytestmark = pytest.mark.usefixtures("native")
B = 200


def drawn(n, k, lower, upper, shared=False):
    """Diagonals of very different sizes, some with zeros, some with entries beside the diagonal."""
    rng = np.random.default_rng(17)
    count = 1 if shared else B
    spread = rng.choice([0.1, 0.1, 4.0], (count, 1))
    diagonal = 10 ** rng.uniform(-spread, spread, size=(count, n))
    diagonal *= rng.choice([0, 1, -1, 1, 1], (count, 1))
    Q = diagonal[:, :, None] * np.eye(n)
    Q[::7, 0, n - 1] = 1e-300
    Q[::11, 0, n - 1], Q[::11, n - 1, 0] = 3.0, -3.0  # (Q + Q')/2 is diagonal
    A, b = (
        rng.normal(size=(B, k, n)) * 10 ** rng.uniform(-3, 3, (B, k, 1)),
        rng.normal(size=(B, k)),
    )
    sides = 10 ** rng.uniform(-6, 3, size=(2, B, n))
    rows = (A, b) if k else (None, None)
    bounds = (-sides[0] if lower else None, sides[1] if upper else None)
    return Data(Q, rng.normal(size=(B, n)), None, None, *rows, *bounds)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("lower", "upper"), [(True, False), (True, True)])
@pytest.mark.parametrize(("n", "k"), [(1, 0), (4, 0), (5, 2), (130, 1)])
def test_forms_are_those_of_the_array_code(n, k, lower, upper, shared):
    data = drawn(n, k, lower, upper, shared)
    backend = backends.get("numpy")
    with backend.at(data.p):
        expected = np.broadcast_to(separable_elements(assemble(data, backend)[0]), (B,))
    found = method.forms(data)
    assert np.array_equal(found, expected)
    if 1 < n < 100 and not shared:  # boxes of very different sizes leave none of 130 variables
        assert 0.05 < found.mean() < 0.95
