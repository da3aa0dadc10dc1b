"""The linear algebra of a team of threads against NumPy, in any order of the threads."""

import numpy as np
import pytest

from tests.backends.cuda import algebra, emulator
from tests.backends.cuda.emulator import ORDERS, EmulatorError

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


def turned(found):
    """The results as other threads have read them: in the order of B, from the last on."""
    return np.flip(found.reshape(B, -1), axis=1).reshape(found.shape)


def assert_close(found, expected):
    size = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * size)


def positive_definite(n, seed=2):
    a = np.random.default_rng(seed).normal(size=(B, n, n + 2))
    return a @ a.mT + np.eye(n)


def times(team, m, n, **options):
    out, other = np.full((2, B, m), np.nan)
    launch(team, "run_times", matrices(m, n)[0], vectors(n), out, other, m, n, **options)
    return out, turned(other)


def add_transposed(team, m, n, **options):
    out, other = vectors(n, 3), np.zeros((B, n))
    launch(team, "run_add_transposed", matrices(m, n)[0], vectors(m), out, other, m, n, **options)
    return out, turned(other)


def gram(team, m, n, weighted=1, fast=0, **options):
    H, other = np.zeros((2, B, n, n))
    options["shared"] = B * (m * n + SLACK) if fast else 0
    G, w = matrices(m, n)[0], vectors(m) ** 2
    launch(team, "run_gram", G, w, H, other, m, n, weighted, fast, **options)
    return H, turned(other)


def factored(team, a, fast=0, **options):
    """The factor and the pivots of each thread; the lower triangle of `a` is not to be read."""
    n = a.shape[-1]
    memory = np.full(B * n * n + SLACK, np.nan)
    own = memory[: B * n * n].reshape(B, n, n)
    own[:] = np.where(np.tri(n, k=-1, dtype=bool), np.nan, a)
    pivots, other = np.zeros((B, team, 3)), np.zeros((B, n, n))
    options["shared"] = B * (n * n + SLACK) if fast else 0
    launch(team, "run_cholesky", memory, pivots, other, n, fast, **options)
    return own, pivots, turned(other), memory


def forward(team, factor, n, count, fast=0, **options):
    right, columns = matrices(n, count)
    other = np.zeros((B, n, count))
    options["shared"] = B * (n * n + n * count + 2 * SLACK) if fast else 0
    launch(team, "run_forward", factor, right, other, n, count, fast, **options)
    return columns, turned(other)


def solved(team, factor, n, **options):
    v, half, other = vectors(n), np.zeros((B, n)), np.zeros((B, n))
    launch(team, "run_solve", factor, v, half, other, n, **options)
    return v, turned(half), turned(other)


def shares(team, **options):
    """Of each thread of one team, (2, TEAM, 8), and what others saw of what it wrote before."""
    out, seen = np.zeros((team, 2, 8)), np.zeros((6, team))
    a = np.random.default_rng(5).normal(size=team)
    algebra.emulated(team).launch("run_shares", 1, team, a, out, seen, **options)
    return out.swapaxes(0, 1), seen[3:]


@teams
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_products_with_vectors(team, m, n):
    A, x, z = matrices(m, n)[1], vectors(n), vectors(m)
    for found in times(team, m, n):
        assert_close(found, np.einsum("bmn,bn->bm", A, x))
    for found in add_transposed(team, m, n):
        assert_close(found, vectors(n, 3) + 2 * np.einsum("bmn,bm->bn", A, z))


@teams
@pytest.mark.parametrize("fast", [0, 1])
@pytest.mark.parametrize("weighted", [0, 1])
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_gram(team, m, n, weighted, fast):
    G, w = matrices(m, n)[1], vectors(m) ** (2 * weighted)
    expected = 2 * np.triu(np.einsum("bmi,bm,bmj->bij", G, w, G))
    for found in gram(team, m, n, weighted, fast):
        assert_close(found, expected)


@teams
@pytest.mark.parametrize("fast", [0, 1])
@pytest.mark.parametrize("n", [*range(6), 19, 20, 21, 40, 41, 64, 70, 130])
def test_cholesky_and_solves(team, n, fast):
    if fast and n > 70:
        pytest.skip("too large for the shared memory")
    a = positive_definite(n)
    factor, pivots, other, memory = factored(team, a, fast)
    L = np.linalg.cholesky(a)
    diagonal = np.diagonal(L, axis1=1, axis2=2)
    np.testing.assert_array_equal(factor, factor.mT)
    np.testing.assert_array_equal(factor, other)
    assert_close(np.diagonal(factor, axis1=1, axis2=2) * diagonal, np.ones((B, n)))
    low, high = (diagonal**2).min(1, initial=np.inf), (diagonal**2).max(1, initial=0)
    np.testing.assert_array_equal(pivots, pivots[:, :1] + np.zeros_like(pivots))
    np.testing.assert_allclose(pivots[:, 0], np.stack([np.ones(B), low, high], 1), rtol=1e-10)
    b = vectors(n)[..., None]
    v, half, other = solved(team, memory, n)
    assert_close(half[..., None], np.linalg.solve(L, b))
    assert_close(v[..., None], np.linalg.solve(a, b))
    np.testing.assert_array_equal(v, other)
    for count in (0, 1, 7, 45):
        for found in forward(team, memory, n, count, fast):
            assert_close(found, np.linalg.solve(L, matrices(n, count)[1]))


@teams
@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan])
def test_pivot_that_is_not_positive(team, bad):
    """It counts as 1, and the factor is that of the matrix with such a pivot."""
    n, at = 27, 23
    a = positive_definite(n)
    a[0, at, at] = bad
    factor, pivots, *_ = factored(team, a)
    assert pivots[:, :, 0].tolist() == [[0.0] * team, [1.0] * team]
    inverse = 1 / np.diagonal(np.linalg.cholesky(a[0, :at, :at]))
    assert_close(np.diagonal(factor[0])[: at + 1], [*inverse, 1.0])
    assert np.isfinite(factor[1]).all()
    assert np.isfinite(factor[0]).all() or np.isnan(bad)


@teams
def test_shares_of_a_team(team):
    (first, second), seen = shares(team)
    a = np.random.default_rng(5).normal(size=team)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, first[:1] + np.zeros_like(first))
    sizes = [a.sum(), a.max(), a.min(), 1.0, 0.0, np.abs(a).max(), a.sum(), 2 * a.sum()]
    assert_close(first[0], sizes)
    assert_close(seen, a[::-1] + np.arange(1.0, 4.0)[:, None])


RUNS = {
    "times": lambda team, n, **options: times(team, n + 3, n, **options),
    "add_transposed": lambda team, n, **options: add_transposed(team, n + 3, n, **options),
    "shares": lambda team, n, **options: shares(team, **options),
    "gram": lambda team, n, **options: gram(team, n + 3, n, **options),
    "fast gram": lambda team, n, **options: gram(team, n + 3, n, fast=1, **options),
    "cholesky": lambda team, n, **options: factored(team, positive_definite(n), 1, **options),
    "forward": lambda team, n, **options: forward(team, _factor(team, n), n, 23, 1, **options),
    "solve": lambda team, n, **options: solved(team, _factor(team, n), n, **options),
}


def _factor(team, n):
    return factored(team, positive_definite(n))[-1]


@pytest.mark.parametrize("team", [32, 128])
@pytest.mark.parametrize("name", RUNS)
def test_every_barrier_is_needed(team, name):
    """Without it some order of the threads gives another result for some size.

    Those of the shares of a warp do not show: shuffles come before them, which the emulator takes
    for barriers, and CUDA does not.
    """
    found = unneeded(team, name)
    assert (found == []) is ((team, name) != (32, "shares"))


def unneeded(team, name):
    run, compiled = RUNS[name], algebra.emulated(team)
    first = compiled.barriers
    right = {n: run(team, n, without=1 << 20) for n in (5, 27, 45)}
    return [
        place
        for place in range(first, compiled.barriers)
        if not any(shows(team, run, place, n, order, right[n]) for n in right for order in ORDERS)
    ]


def shows(team, run, place, n, order, right):
    """True if leaving out a barrier changes the results, or hangs."""
    try:
        found = run(team, n, without=place, order=order)
    except EmulatorError:
        return True
    return not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(found, right, strict=True))
