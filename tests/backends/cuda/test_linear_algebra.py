"""Factorizations through cuBLAS and cuSOLVER, call by call, against LAPACK."""

import numpy as np
import pytest

from kktdiff.backends import NUMPY
from kktdiff.backends.cuda import _libraries as libraries
from tests.backends.cuda.fixtures import host
from tests.checks import assert_near
from tests.tolerances import SUM

N, R, B = 9, 4, 5


@pytest.fixture(params=[False, True], ids=["batched", "one by one"])
def large(request, monkeypatch):
    """Whether matrices count as so large that each is factored by a call of its own."""
    if request.param:
        monkeypatch.setattr(libraries, "LARGE", 2)
    return request.param


@pytest.fixture
def matrices():
    a = np.random.default_rng(700).normal(size=(B, N, N + 3))
    return a @ a.mT


def indefinite(a):
    return a - 8 * np.eye(N)


def on_device(device, *arrays):
    return tuple(device.xp.asarray(a) for a in arrays)


def solved(device, chol, rhs):
    half = device.triangular_solve(chol, rhs, transposed=False)
    return device.triangular_solve(chol, half, transposed=True)


def test_cholesky_factors_solve(device, large, matrices):
    rhs = np.random.default_rng(701).normal(size=(B, N, R))
    a, b = on_device(device, matrices, rhs)
    chol = device.cholesky(a)
    assert host(chol.ok).all()
    assert_near(host(solved(device, chol, b)), np.linalg.solve(matrices, rhs), SUM)
    np.testing.assert_array_equal(host(a), matrices)
    np.testing.assert_array_equal(host(b), rhs)


@pytest.mark.parametrize("plain", [False, True])
def test_the_condensed_matrix_is_that_of_its_parts(device, matrices, plain):
    rng = np.random.default_rng(702)
    Q, G = matrices[:1], rng.normal(size=(1, 6, N))
    D, w, rhs = rng.random((B, N)), rng.random((B, 6)), rng.normal(size=(B, N, 1))
    w = np.ones_like(w) if plain else w
    expected = Q + D[:, :, None] * np.eye(N) + G.mT @ (w[..., None] * G)
    Q, D, G, w = on_device(device, Q, D, G, w)
    chol = device.condensed_cholesky(Q, D, G, None if plain else w)
    found = solved(device, chol, *on_device(device, rhs))
    assert_near(host(found), np.linalg.solve(expected, rhs), SUM)


def test_lu_factors_solve_symmetric_matrices(device, large, matrices):
    a, rhs = indefinite(matrices), np.random.default_rng(703).normal(size=(B, N, R))
    own, b, size = on_device(device, a, rhs, np.full(B, N))
    lu = device.lu_factor(own, size)
    assert host(lu.ok).all()
    assert_near(host(device.lu_solve(lu, b)), np.linalg.solve(a, rhs), SUM)


def test_one_factor_serves_a_whole_batch(device, matrices):
    a, rhs = indefinite(matrices)[:1], np.random.default_rng(704).normal(size=(B, N, R))
    lu = device.lu_factor(*on_device(device, a, np.full(1, N)))
    found = device.lu_solve(lu, *on_device(device, rhs))
    assert_near(host(found), np.linalg.solve(a, rhs), SUM)


@pytest.mark.parametrize("bad", ["indefinite", "nan", "infinite"])
def test_a_bad_matrix_is_not_ok_and_moves_no_other(device, large, matrices, bad):
    broken = matrices.copy()
    broken[2, 4, 4] = {"indefinite": -1.0, "nan": np.nan, "infinite": np.inf}[bad]
    good = np.arange(B) != 2
    rhs = np.ones((B, N, 1))
    chol, plain = (device.cholesky(*on_device(device, a)) for a in (broken, matrices))
    np.testing.assert_array_equal(host(chol.ok), good)
    both = [host(solved(device, c, *on_device(device, rhs))) for c in (chol, plain)]
    np.testing.assert_array_equal(both[0][good], both[1][good])


@pytest.mark.parametrize("bad", ["singular", "nan"])
def test_a_bad_lu_is_not_ok_and_moves_no_other(device, large, matrices, bad):
    broken, size = indefinite(matrices), np.full(B, N)
    plain = device.lu_factor(*on_device(device, broken, size))
    broken[2] = 0.0 if bad == "singular" else np.nan
    lu = device.lu_factor(*on_device(device, broken, size))
    good = np.arange(B) != 2
    np.testing.assert_array_equal(host(lu.ok), good)
    both = [host(device.lu_solve(f, *on_device(device, np.ones((B, N, 1))))) for f in (lu, plain)]
    np.testing.assert_array_equal(both[0][good], both[1][good])


def test_nothing_to_solve_for(device, matrices):
    none = on_device(device, np.ones((B, N, 0)))
    chol = device.cholesky(*on_device(device, matrices))
    lu = device.lu_factor(*on_device(device, matrices, np.full(B, N)))
    assert solved(device, chol, *none).shape == device.lu_solve(lu, *none).shape == (B, N, 0)


def test_outer_products(device):
    a, b, c, d = np.random.default_rng(705).normal(size=(4, B, N))
    found = host(device.outer(*on_device(device, a, b[:, :3], c, d[:, :3])))
    assert_near(found, NUMPY.outer(a, b[:, :3], c, d[:, :3]), SUM)
    square = host(device.outer(*on_device(device, a, b, b, a)))
    np.testing.assert_array_equal(square, square.mT)
    assert device.outer(*on_device(device, a[:, :0], b, c[:, :0], d)).shape == (B, 0, N)
