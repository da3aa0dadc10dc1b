"""The linear algebra of a team of threads against NumPy, in any order of the threads."""

import numpy as np
import pytest

from tests.backends.cuda import algebra, emulator

pytestmark = pytest.mark.skipif(emulator.compiler() is None, reason=emulator.NO_COMPILER)

B = 2  # problems: of small teams in one block, else in two
SLACK = 8  # entries that tiles may read beyond a matrix
SIZES = [(0, 0), (1, 1), (3, 2), (0, 5), (5, 0), (20, 20), (21, 19), (33, 41), (70, 66), (9, 130)]
teams = pytest.mark.parametrize("team", [32, 128, 256])


def launch(team, name, *arguments, shared=0, **options):
    """Run a kernel for B problems."""
    blocks, threads = (1, B * team) if team == 32 else (B, team)
    algebra.emulated(team).launch(name, blocks, threads, *arguments, shared=shared, **options)


def matrices(m, n, seed=0):
    """Random matrices (B, m, n) with NaN beyond the last, as tiles may read there."""
    memory = np.full(B * m * n + SLACK, np.nan)
    memory[: B * m * n] = np.random.default_rng(seed).normal(size=B * m * n)
    return memory, memory[: B * m * n].reshape(B, m, n)


def vectors(n, seed=1):
    return np.random.default_rng(seed).normal(size=(B, n))


def assert_close(found, expected):
    size = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * size)


def positive_definite(n, seed=2):
    a = np.random.default_rng(seed).normal(size=(B, n, n + 2))
    return a @ a.mT + np.eye(n)


def factored(team, a, fast=0, **options):
    """The factor and the pivots of each thread; the lower triangle of `a` is not to be read."""
    n = a.shape[-1]
    memory = np.full(B * n * n + SLACK, np.nan)
    own = memory[: B * n * n].reshape(B, n, n)
    own[:] = np.where(np.tri(n, k=-1, dtype=bool), np.nan, a)
    pivots = np.zeros((B, team, 3))
    shared = B * (n * n + SLACK) if fast else 0
    launch(team, "run_cholesky", memory, pivots, n, fast, shared=shared, **options)
    return memory, own, pivots


@teams
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_products_with_vectors(team, m, n):
    memory, A = matrices(m, n)
    x, z, out, sums = vectors(n), vectors(m), np.full((B, m), np.nan), vectors(n, 3)
    expected = sums + np.einsum("bmn,bm->bn", A, z)
    launch(team, "run_times", memory, x, out, m, n)
    launch(team, "run_add_transposed", memory, z, sums, m, n)
    assert_close(out, np.einsum("bmn,bn->bm", A, x))
    assert_close(sums, expected)


@teams
@pytest.mark.parametrize("fast", [0, 1])
@pytest.mark.parametrize("weighted", [0, 1])
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_gram(team, m, n, weighted, fast):
    memory, G = matrices(m, n)
    w, H = vectors(m) ** 2, vectors(n * n).reshape(B, n, n)
    expected = H + np.triu(np.einsum("bmi,bm,bmj->bij", G, w if weighted else np.ones_like(w), G))
    shared = B * (m * n + SLACK) if fast else 0
    launch(team, "run_gram", memory, w, H, m, n, weighted, fast, shared=shared)
    assert_close(H, expected)


@teams
@pytest.mark.parametrize("fast", [0, 1])
@pytest.mark.parametrize("n", [*range(6), 19, 20, 21, 40, 41, 64, 70, 130])
def test_cholesky_and_solves(team, n, fast):
    if fast and n > 70:
        pytest.skip("too large for the shared memory")
    a = positive_definite(n)
    memory, factor, pivots = factored(team, a, fast)
    L = np.linalg.cholesky(a)
    diagonal = np.diagonal(L, axis1=1, axis2=2)
    np.testing.assert_array_equal(factor, factor.mT)
    assert_close(np.diagonal(factor, axis1=1, axis2=2) * diagonal, np.ones((B, n)))
    low, high = (diagonal**2).min(1, initial=np.inf), (diagonal**2).max(1, initial=0)
    np.testing.assert_array_equal(pivots, pivots[:, :1] + np.zeros_like(pivots))
    np.testing.assert_allclose(pivots[:, 0], np.stack([np.ones(B), low, high], 1), rtol=1e-10)
    v, half = vectors(n), np.full((B, n), np.nan)
    b = v[..., None].copy()
    launch(team, "run_solve", memory, v, half, n)
    assert_close(half[..., None], np.linalg.solve(L, b))
    assert_close(v[..., None], np.linalg.solve(a, b))
    for count in (0, 1, 7, 45):
        right, columns = matrices(n, count)
        expected = np.linalg.solve(L, columns)
        shared = B * (n * n + n * count + 2 * SLACK) if fast else 0
        launch(team, "run_forward", memory, right, n, count, fast, shared=shared)
        assert_close(columns, expected)


@teams
@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan])
def test_pivot_that_is_not_positive(team, bad):
    """It counts as 1, and the factor is that of the matrix with such a pivot."""
    n, at = 27, 23
    a = positive_definite(n)
    a[0, at, at] = bad
    _, factor, pivots = factored(team, a)
    assert pivots[:, :, 0].tolist() == [[0.0] * team, [1.0] * team]
    L = np.linalg.cholesky(a[0, :at, :at])
    inverse = 1 / np.diagonal(L)
    assert_close(np.diagonal(factor[0])[: at + 1], [*inverse, 1.0])
    assert np.isfinite(factor[1]).all()
    assert np.isfinite(factor[0]).all() or np.isnan(bad)


@teams
def test_norm_is_the_same_in_each_thread(team):
    for n in (0, 1, 31, 130):
        v, out = vectors(n), np.full((B, team), np.nan)
        launch(team, "run_norm", v, out, n)
        expected = np.abs(v).max(1, initial=0)[:, None]
        np.testing.assert_array_equal(out, expected + np.zeros_like(out))


@teams
def test_shares_of_a_team(team):
    a = np.random.default_rng(5).normal(size=(1, team))
    out = np.zeros((team, 5))
    algebra.emulated(team).launch("run_shares", 1, team, a, out)
    assert (out == out[0]).all()
    assert_close(out[0], [a.sum(), a.max(), a.min(), 1.0, 0.0])
