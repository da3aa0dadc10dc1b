"""The order in which a sparse matrix is eliminated, and the pattern of its factor."""

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse import linalg

STEP = scipy.sparse.diags_array([1.0], offsets=[1], shape=(15, 15))
PATTERNS = {
    "nothing": scipy.sparse.coo_array((0, 0)),
    "diagonal": scipy.sparse.eye_array(5),
    "arrow": scipy.sparse.coo_array(np.eye(400) + np.eye(400)[:, :1] + np.eye(400)[:1]),
    "chain": scipy.sparse.diags_array([1.0, 1.0], offsets=[0, 1], shape=(60, 60)),
    "grid": scipy.sparse.kronsum(
        *2 * [scipy.sparse.diags_array([1.0], offsets=[1], shape=(15, 15))]
    ),
    "full": scipy.sparse.coo_array(np.ones((12, 12))),
    **{
        f"random {density}": scipy.sparse.random_array((150, 150), density=density, rng=1)
        for density in (0.004, 0.01, 0.05)
    },
}


def both_triangles(pattern):
    size = pattern.shape[0]
    own = scipy.sparse.csc_array(abs(pattern) + abs(pattern).T)
    own.setdiag(0)
    own.eliminate_zeros()
    own.sort_indices()
    return own, size


def analyse(native, pattern, panels=False):
    own, size = both_triangles(pattern)
    start, index = own.indptr.astype(np.int32), own.indices.astype(np.int32)
    found = np.frombuffer(native.analyse(start.tobytes(), index.tobytes(), panels), dtype=np.int32)
    count, below, pairs = found[:3]
    first, starts = (count + 1, count + 1) if count else (0, size + 1)
    parts = [size, first, first, starts, below, starts, pairs, pairs]
    assert found.size == 3 + sum(parts)
    return own, np.split(found[3:], np.cumsum(parts)[:-1])


def eliminated(pattern, order):
    """The entries below the diagonal that elimination in an order fills, row by row."""
    filled = pattern.toarray()[np.ix_(order, order)] != 0
    for i in range(len(order)):
        below = i + 1 + np.flatnonzero(filled[i + 1 :, i])
        filled[np.ix_(below, below)] = True
    return np.tril(filled, -1)


@pytest.mark.parametrize("name", PATTERNS)
def test_factor_has_the_entries_that_elimination_fills(native, name):
    own, (order, _, _, start, below, left, columns, at) = analyse(native, PATTERNS[name])
    size = own.shape[0]
    np.testing.assert_array_equal(np.sort(order), np.arange(size))
    expected = scipy.sparse.csc_array(eliminated(own, order))
    np.testing.assert_array_equal(start, expected.indptr)
    np.testing.assert_array_equal(below, expected.indices)
    rows = scipy.sparse.csr_array(expected)
    np.testing.assert_array_equal(left, rows.indptr)
    np.testing.assert_array_equal(columns, rows.indices)
    np.testing.assert_array_equal(below[at], np.repeat(np.arange(size), np.diff(left)))
    assert np.all((at >= start[columns]) & (at < start[columns + 1]))


@pytest.mark.parametrize("name", ["random 0.05", "wide"])
def test_panels_hold_what_elimination_fills_and_few_zeros(native, name):
    pattern = PATTERNS.get(name, scipy.sparse.coo_array(np.ones((210, 210))))
    own, (order, first, entry, start, below, left, origin, at) = analyse(native, pattern, True)
    size, panels = own.shape[0], len(first) - 1
    panel = np.repeat(np.arange(panels), np.diff(first))
    held = np.zeros((size, size), bool)
    for p in range(panels):
        held[below[start[p] : start[p + 1]], first[p] : first[p + 1]] = True
    assert np.diff(first).max() <= 96
    assert first[-1] == size
    held |= np.tril(panel[:, None] == panel, -1)
    expected = eliminated(own, order)
    assert np.all(held[expected])
    assert held.sum() <= 1.3 * expected.sum()
    columns = np.diff(first)
    np.testing.assert_array_equal(np.diff(entry), columns * (columns + np.diff(start)))
    pairs = {(panel[i], p) for p in range(panels) for i in below[start[p] : start[p + 1]]}
    to = np.repeat(np.arange(panels), np.diff(left))
    assert sorted(pairs) == sorted(zip(to, origin, strict=True))
    np.testing.assert_array_equal(panel[below[at]], to)
    assert np.all((at == start[origin]) | (panel[below[at - 1]] != to))


@pytest.mark.parametrize("name", [v for v in PATTERNS if v != "nothing"])
def test_order_fills_little(native, name):
    """Not much more than that of SuperLU, which counts degrees exactly."""
    own, (_, _, _, _, below, *_) = analyse(native, PATTERNS[name])
    system = scipy.sparse.csc_matrix(own + 1e3 * scipy.sparse.eye_array(own.shape[0]))
    how = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.0}
    other = linalg.splu(system, options={"SymmetricMode": True}, **how)
    assert below.size <= 1.2 * (other.L.nnz - own.shape[0]) + 10


@pytest.mark.parametrize(
    ("start", "index"),
    [([0, 1], [1]), ([0, 1], [-1]), ([0, 2], [0]), ([1, 1], [0]), ([0, 1, 0], [])],
)
def test_what_is_no_pattern_is_refused(native, start, index):
    given = (np.array(v, dtype=np.int32).tobytes() for v in (start, index))
    with pytest.raises(ValueError, match="columns of a square pattern"):
        native.analyse(*given, True)
