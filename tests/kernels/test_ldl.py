"""The factorization of sparse systems, by columns and by panels, beside NumPy's dense solve."""

import numpy as np
import pytest
import scipy.sparse as sp

from kktdiff._sparse.pattern import Pattern
from kktdiff._sparse.structure import structure
from tests.kernels.calls import LANES, TARGETS, compiled, pointer

STEP = sp.diags_array([1.0], offsets=[1], shape=(13, 13))
PATTERNS = {
    "nothing": sp.coo_array((0, 0)),
    "one": sp.coo_array((1, 1)),
    "diagonal": sp.coo_array((7, 7)),
    "arrow": sp.coo_array(np.eye(90)[:1] + 0 * np.eye(90)),
    "chain": sp.diags_array([1.0], offsets=[1], shape=(60, 60)),
    "grid": sp.kronsum(STEP, STEP),
    "wide grid": sp.kronsum(sp.diags_array([1.0], offsets=[1], shape=(40, 40)), STEP),
    "full": sp.coo_array(np.ones((50, 50))),
    "more than a panel": sp.coo_array(np.ones((210, 210))),
    **{f"random {d}": sp.random_array((220, 220), density=d, rng=1) for d in (0.004, 0.01, 0.03)},
}
BY_PANELS = ("full", "more than a panel", "random 0.03")


@pytest.fixture(scope="module", params=TARGETS)
def factor(request, native, repository, tmp_path_factory):
    """The factorization, compiled for an instruction set, and the number of its lanes."""
    folder = tmp_path_factory.mktemp("ldl")
    found = compiled(repository, folder, native, request.param, "ldl.cpp")
    return found, LANES[request.param]


def empty(n):
    return Pattern.of(sp.csr_array((0, n)))


def system(name, lanes, rng, panels=True):
    """Quasi-definite matrices on a pattern, (lanes, n, n), and how many pivots are positive."""
    upper = sp.triu(abs(PATTERNS[name]), 1).tocsr()
    n = upper.shape[0]
    positive, signs = n - n // 3, np.where(np.arange(n) < n - n // 3, 1.0, -1.0)
    K = np.zeros((lanes, n, n))
    rows, cols = upper.nonzero()
    same = signs[rows] == signs[cols]
    K[:, rows, cols] = rng.normal(size=(lanes, rows.size))
    K += K.transpose(0, 2, 1)
    inside = np.zeros((n, n))
    inside[rows[same], cols[same]] = inside[cols[same], rows[same]] = 1
    weight = 0.5 + np.abs(K * inside).sum(axis=2)  # each diagonal block is definite
    K[:, np.arange(n), np.arange(n)] = signs * weight
    found = structure(Pattern.of(upper), empty(n), empty(n), panels=panels)
    return found, K, positive


def given(found, K):
    """The entries of the triangle as the kernel takes them."""
    lists = found.array
    n = K.shape[1]
    counts = lists[:12]
    Q, given_Q, count = counts[3], counts[6], counts[7]
    begin = 12 + (n + 1 + Q) + 2 * Q + n + (n + 1 + given_Q) + 2 * (1 + n + 1)
    _, one, other = np.split(lists[begin : begin + 3 * count], 3)
    return np.ascontiguousarray(K[:, one, other])


def run(factor, form, found, K, positive, rhs):
    library, lanes = factor
    lanes = lanes if form == "in_lanes" else 1
    entries = given(found, K[:lanes])
    D = K[:lanes].diagonal(axis1=1, axis2=2).copy()
    x = rhs[:lanes].copy()
    ok = getattr(library, form)(pointer(found.array), positive, *map(pointer, (entries, D, x)))
    return bool(ok), D, x


@pytest.mark.parametrize("form", ["in_lanes", "alone"])
@pytest.mark.parametrize(
    ("name", "panels"), [*((v, True) for v in PATTERNS), *((v, False) for v in BY_PANELS)]
)
def test_solution_is_that_of_the_dense_matrix(factor, form, name, panels):
    rng = np.random.default_rng(0)
    found, K, positive = system(name, factor[1], rng, panels)
    rhs = rng.normal(size=K.shape[:2])
    ok, D, x = run(factor, form, found, K, positive, rhs)
    expected = np.linalg.solve(K, rhs[..., None])[..., 0]
    np.testing.assert_allclose(x, expected[: len(x)], rtol=1e-9, atol=1e-11)
    assert ok
    assert np.all((D > 0) == (np.arange(K.shape[1]) < positive))
    determinant = np.linalg.slogdet(K)[1]
    np.testing.assert_allclose(-np.log(np.abs(D)).sum(axis=1), determinant[: len(x)], rtol=1e-11)


def test_patterns_that_fill_up_are_factored_by_panels(native):
    rng = np.random.default_rng(0)
    by_panels = [name for name in PATTERNS if system(name, 1, rng)[0].array[9]]
    assert by_panels == list(BY_PANELS)
    assert not any(system(name, 1, rng, panels=False)[0].array[9] for name in BY_PANELS)


@pytest.mark.parametrize("form", ["in_lanes", "alone"])
@pytest.mark.parametrize("name", ["chain", "full", "random 0.03"])
def test_pivots_of_the_wrong_sign_are_replaced_and_told(factor, form, name):
    rng = np.random.default_rng(0)
    found, K, positive = system(name, factor[1], rng)
    K[0, 0, 0] *= -1  # of the first lane alone
    ok, D, x = run(factor, form, found, K, positive, rng.normal(size=K.shape[:2]))
    assert not ok
    assert np.all((D > 0) == (np.arange(K.shape[1]) < positive))
    assert np.all(np.isfinite(x))
    assert np.any(D[0] == 1.0)
    assert not np.any(D[1:] == 1.0)
