"""The KKT system by blocks against LU of the whole matrix, on systems that are hard for either."""

import numpy as np
import pytest

from kktdiff import _kkt as kkt
from kktdiff._arrays import taken
from kktdiff._interior_point.newton import border_groups
from kktdiff._kkt import Weights
from kktdiff._kkt.whole import activity, matrix, solve_least_squares, solve_lu
from kktdiff._records import QP, Rhs
from kktdiff.backends import NUMPY
from tests.checks import assert_near
from tests.tolerances import DENSE_REFERENCE

B = 60
MANY = 3  # regular systems that a comparison wants; at rank 0 a vertex is rare
REGULAR = 1e6  # condition number up to which two ways to solve agree to the tolerance


def drawn(rng, n, m, k, rank):
    """Draw a batch of scaled QPs with Q of a rank, rows of size one and bounds on both sides."""
    root = rng.normal(size=(B, n, rank))
    Q = root @ root.mT / max(1, rank)
    G, A = rng.normal(size=(B, m, n)), rng.normal(size=(B, k, n))
    d, nothing = np.zeros((B, m + 2 * n)), np.zeros((B, k))
    return QP(Q, d[:, :n], G, A, nothing, d, d == 0, None, None, None, None, None, (n, n))


def weighted(rng, qp, kinds):
    """Draw weights: of each row one of `kinds`, or anything between them, and what they hold."""
    n, m, _ = qp.sizes
    w = rng.choice(kinds, size=qp.d.shape) * 10.0 ** rng.uniform(-3, 3, qp.d.shape)
    w[:, m + n :] = 0.0  # one bound of a variable at most
    w[:, m + n // 2 : m + n] = 0.0
    held = w[:, m : m + n] == np.inf
    one = np.ones(B)
    return Weights(w, held, one, 1e-11 * one, 1e-11 * one)


def right(rng, qp, weights, columns=3):
    n, _, k = qp.sizes
    x, nu = rng.normal(size=(B, n, columns)), rng.normal(size=(B, k, columns))
    c = rng.normal(size=(*qp.d.shape, columns)) * (weights.w > 0)[..., None]
    return Rhs(x, c, nu)


def solved(qp, weights, rhs):
    """Solve group by group, as every use of the factors does."""
    out = Rhs(*(np.full(v.shape, np.nan) for v in rhs))
    errors = np.full(B, np.nan)
    for index, border in border_groups(qp, weights):
        own = Weights(*taken(weights, index))
        some, part = qp.take(index), Rhs(*(v[index] for v in rhs))
        f = kkt.factor(some, own, NUMPY, border=border)
        assert f.ok.all()
        found, errors[index] = kkt.refine(some, f, part, NUMPY)
        for whole, piece in zip(out, found, strict=True):
            whole[index] = piece
    return out, errors


@pytest.mark.parametrize("rank", [0, 2, 8])
@pytest.mark.parametrize("kinds", [(0.0, np.inf), (0.0, 1e-9, 1.0, 1e9, 1e14, np.inf)], ids=str)
def test_blocks_agree_with_lu(kinds, rank):
    rng = np.random.default_rng(rank)
    qp = drawn(rng, 8, 6, 2, rank)
    weights = weighted(rng, qp, kinds)
    weights.w[:, :6] = np.where(rng.random((B, 6)) < 0.5, weights.w[:, :6], 0.0)
    rhs = right(rng, qp, weights)
    with np.errstate(all="ignore"):
        found, errors = solved(qp, weights, rhs)
        rows = activity(weights.w, np.ones_like(weights.w))
        expected = solve_lu(qp, rows, rhs, NUMPY)
    regular = np.linalg.cond(matrix(qp, rows)) < REGULAR
    assert regular.sum() >= MANY
    assert errors[regular].max() <= DENSE_REFERENCE
    assert_near(found.x[regular], expected.x[regular], DENSE_REFERENCE, "x")
    assert_near(found.nu[regular], expected.nu[regular], DENSE_REFERENCE, "nu")


def test_a_singular_matrix_is_told_from_its_pivots():
    rng = np.random.default_rng(5)
    qp = drawn(rng, 6, 4, 1, 6)
    qp.G[:, 1] = qp.G[:, 0]
    weights = weighted(rng, qp, (0.0,))
    weights.w[:10, :2] = np.inf
    for index, border in border_groups(qp, weights):
        own = Weights(*taken(weights, index))
        f = kkt.factor(qp.take(index), own, NUMPY, border=border)
        np.testing.assert_array_equal(f.singular, index < 10)


def test_least_squares_share_between_rows_that_are_there_twice():
    rng = np.random.default_rng(6)
    qp = drawn(rng, 6, 4, 1, 6)
    qp.G[:, 1] = qp.G[:, 0]
    weights = weighted(rng, qp, (0.0,))
    weights.w[:, :2] = np.inf
    rhs = right(rng, qp, weights)
    rhs.c[:, 1] = rhs.c[:, 0]
    found = solve_least_squares(qp, activity(weights.w, np.ones_like(weights.w)), rhs)
    assert_near(found.c[:, 0], found.c[:, 1], DENSE_REFERENCE, "multipliers")


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("n", [5, 40])  # small factors are kept as inverses
def test_half_solves_with_small_and_large_factors(n, columns):
    rng = np.random.default_rng(7)
    V, rhs = rng.normal(size=(4, n + 3, n)), rng.normal(size=(4, n, columns))
    D = 1 + rng.random((4, n))
    a = V.mT @ V + D[:, :, None] * np.eye(n)
    chol = NUMPY.condensed_cholesky(np.zeros((1, n, n)), D, V, None)
    half = NUMPY.triangular_solve(chol, rhs, transposed=False)
    found = NUMPY.triangular_solve(chol, half, transposed=True)
    expected = np.linalg.solve(a, rhs)
    assert_near(found, expected, DENSE_REFERENCE, "both halves")
    assert_near(half.mT @ half, rhs.mT @ expected, DENSE_REFERENCE, "one half")
