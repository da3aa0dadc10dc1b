"""The stand-ins for cuBLAS and cuSOLVER against NumPy, and what they refuse."""

import ctypes

import numpy as np
import pytest

from tests.backends.cuda.batches import Batch, Ints, Scalar
from tests.backends.cuda.fake_cublas import FakeCublasError
from tests.backends.cuda.fake_cuda import CUBLAS_HANDLE, CUSOLVER_HANDLE, FakeCuda
from tests.backends.cuda.fake_cusolver import FakeCusolverError

B, N = 3, 4
RANDOM = np.random.default_rng(0)
SQUARE = RANDOM.standard_normal((B, N, N)) + 3.0 * np.eye(N)
DEFINITE = SQUARE @ SQUARE.transpose(0, 2, 1)
SIDES = RANDOM.standard_normal((B, N, 2))
LOWER, UPPER = 0, 1


@pytest.fixture
def cuda():
    return FakeCuda(source="")


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


def one_triangle(matrices, uplo):
    """The matrices with NaN in the other triangle."""
    mine = np.tri(N, dtype=bool) if uplo == LOWER else np.tri(N, dtype=bool).T
    return np.where(mine, matrices, np.nan)


def flipped(matrices, trans):
    return matrices.transpose(0, 2, 1) if trans else matrices


# ------------------------------------------------------------------------------------ products


@pytest.mark.parametrize("transa", [0, 1, 2])
@pytest.mark.parametrize("transb", [0, 1, 2])
@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
def test_gemm(cuda, transa, transb, shared):
    m, n, k = 2, 3, 4
    left, right = RANDOM.standard_normal((B, m, k)), RANDOM.standard_normal((B, k, n))
    old = RANDOM.standard_normal((B, m, n))
    left = left[:1] if shared else left
    a, b = Batch(cuda, flipped(left, transa)), Batch(cuda, flipped(right, transb))
    c, alpha, beta = Batch(cuda, old), Scalar(-2.0), Scalar(0.5)
    cuda.cublas.dgemmStridedBatched(
        *(CUBLAS_HANDLE, transa, transb, m, n, k, alpha.address),
        *(a.address, a.ld, 0 if shared else a.stride, b.address, b.ld, b.stride),
        *(beta.address, c.address, c.ld, c.stride, B),
    )
    close(c.read(), -2.0 * left @ right + 0.5 * old)


def gemm(cuda, c, beta=0.0, **changed):
    """C = A B for square matrices; `changed` takes the place of arguments."""
    a, b = Batch(cuda, SQUARE), Batch(cuda, SQUARE[::-1])
    one, beta = Scalar(1.0), Scalar(beta)
    arguments = {"handle": CUBLAS_HANDLE, "transa": 0, "transb": 0, "m": N, "n": N, "k": N}
    arguments |= {"alpha": one.address, "beta": beta.address, "batchCount": B}
    for name, matrices in (("A", a), ("B", b), ("C", c)):
        arguments[name] = matrices.address
        arguments[f"ld{name.lower()}"] = matrices.ld
        arguments[f"stride{name}"] = matrices.stride
    cuda.cublas.dgemmStridedBatched(**{**arguments, **changed})
    return SQUARE @ SQUARE[::-1]


def test_gemm_does_not_read_what_beta_zero_leaves_out(cuda):
    c = Batch(cuda, np.full((B, N, N), np.nan))
    expected = gemm(cuda, c)
    close(c.read(), expected)
    c = Batch(cuda, np.full((B, N, N), np.nan))
    gemm(cuda, c, beta=1.0)
    assert np.isnan(c.read()).all()


@pytest.mark.parametrize("changed", [{"transa": 1}, {"transb": 1}, {"lda": N}, {"strideB": 0}])
def test_gemm_with_a_wrong_argument_is_another_product(cuda, changed):
    c = Batch(cuda, np.zeros((B, N, N)))
    expected = gemm(cuda, c, **changed)
    assert np.abs(c.read() - expected).max() > 0.1


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"handle": CUSOLVER_HANDLE}, FakeCublasError, "NOT_INITIALIZED"),
        ({"transa": 3}, FakeCublasError, "transa = 3"),
        ({"m": -1}, FakeCublasError, "m = -1 is negative"),
        ({"lda": N - 1}, FakeCublasError, r"lda = 3 is less than max\(1, 4\)"),
        ({"ldb": N - 1}, FakeCublasError, "ldb = 3"),
        ({"ldc": 0}, FakeCublasError, "ldc = 0"),
        ({"ldc": 2**31}, OverflowError, "ldc"),
        ({"batchCount": 2**31}, OverflowError, "batchCount"),
        ({"strideA": -1}, FakeCublasError, "strideA = -1 is negative"),
        ({"strideC": 1}, FakeCublasError, "matrices of C overlap"),
        ({"alpha": 0}, FakeCublasError, "alpha is NULL"),
        ({"m": 2.0}, TypeError, "float"),
    ],
)
def test_gemm_refuses(cuda, changed, error, message):
    with pytest.raises(error, match=message):
        gemm(cuda, Batch(cuda, np.zeros((B, N, N))), **changed)


def test_gemm_refuses_to_write_over_what_it_reads(cuda):
    c = Batch(cuda, SQUARE)
    with pytest.raises(FakeCublasError, match="C overlaps A or B"):
        gemm(cuda, c, A=c.address)


def test_scalars_are_of_the_host(cuda):
    c, scalar = Batch(cuda, np.zeros((B, N, N))), np.ones(1)
    with pytest.raises(FakeCublasError, match="alpha points to device memory"):
        gemm(cuda, c, alpha=cuda.address(scalar))
    cuda.cublas.setPointerMode(CUBLAS_HANDLE, cuda.cublas.CUBLAS_POINTER_MODE_DEVICE)
    assert cuda.cublas.getPointerMode(CUBLAS_HANDLE) == 1
    with pytest.raises(NotImplementedError, match="scalars in device memory"):
        gemm(cuda, c)


# ---------------------------------------------------------------------------- triangular solves


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("uplo", [LOWER, UPPER])
@pytest.mark.parametrize("trans", [0, 1, 2])
@pytest.mark.parametrize("diag", [0, 1])
def test_trsm(cuda, side, uplo, trans, diag):
    old = SIDES.transpose(0, 2, 1) if side else SIDES
    a, b, alpha = Batch(cuda, one_triangle(SQUARE, uplo)), Batch(cuda, old), Scalar(-2.0)
    m, n = old.shape[1:]
    cuda.cublas.dtrsmBatched(
        *(CUBLAS_HANDLE, side, uplo, trans, diag, m, n),
        *(alpha.address, a.pointers, a.ld, b.pointers, b.ld, B),
    )
    triangle = np.tril(SQUARE) if uplo == LOWER else np.triu(SQUARE)
    if diag:
        triangle = triangle * (1 - np.eye(N)) + np.eye(N)
    triangle = flipped(triangle, trans)
    found = b.read()
    close(found @ triangle if side else triangle @ found, -2.0 * old)


def test_trsm_reads_the_named_triangle_only(cuda):
    a, b, one = Batch(cuda, one_triangle(SQUARE, LOWER)), Batch(cuda, SIDES), Scalar(1.0)
    cuda.cublas.dtrsmBatched(
        CUBLAS_HANDLE, 0, UPPER, 0, 0, N, 2, one.address, a.pointers, a.ld, b.pointers, b.ld, B
    )
    assert np.isnan(b.read()).any(axis=(1, 2)).all()


def test_trsm_refuses_a_leading_dimension_of_the_other_side(cuda):
    a, b, one = Batch(cuda, SQUARE), Batch(cuda, SIDES), Scalar(1.0)
    with pytest.raises(FakeCublasError, match="lda = 3 is less than"):
        cuda.cublas.dtrsmBatched(
            CUBLAS_HANDLE, 0, LOWER, 0, 0, N, 2, one.address, a.pointers, 3, b.pointers, b.ld, B
        )


# ------------------------------------------------------------------------------------------ LU


@pytest.mark.parametrize("trans", [0, 1, 2])
def test_lu(cuda, trans):
    matrices = SQUARE.copy()
    matrices[:, 0, 0] = 0.0  # so that rows are exchanged
    matrices[1] = 0.0
    a, b = Batch(cuda, matrices), Batch(cuda, SIDES)
    pivots, info, word = Ints(cuda, (B, N)), Ints(cuda, B), ctypes.c_int(9)
    cuda.cublas.dgetrfBatched(CUBLAS_HANDLE, N, a.pointers, a.ld, pivots.address, info.address, B)
    status = cuda.cublas.dgetrsBatched(
        *(CUBLAS_HANDLE, trans, N, 2, a.pointers, a.ld, pivots.address),
        *(b.pointers, b.ld, ctypes.addressof(word), B),
    )
    assert (status, word.value, info.array.tolist()) == (0, 0, [0, 1, 0])
    assert pivots.array.min() == 1
    assert pivots.array[0, 0] > 1
    good = [0, 2]
    close(flipped(matrices, trans)[good] @ b.read()[good], SIDES[good])
    assert not np.isfinite(b.read()[1]).any()


@pytest.mark.parametrize("trans", [0, 1])
def test_lu_of_one_matrix(cuda, trans):
    matrices = SQUARE[:1].copy()
    a, b, pivots, info = Batch(cuda, matrices), Batch(cuda, SIDES[:1]), Ints(cuda, N), Ints(cuda, 1)
    solver, handle = cuda.cusolver, CUSOLVER_HANDLE
    size = solver.dgetrf_bufferSize(handle, N, N, a.address, a.ld)
    work = np.zeros(size)
    solver.dgetrf(handle, N, N, a.address, a.ld, cuda.address(work), pivots.address, info.address)
    assert info.array[0] == 0
    assert np.isnan(work).all()
    info.array[0] = 9
    solver.dgetrs(
        handle, trans, N, 2, a.address, a.ld, pivots.address, b.address, b.ld, info.address
    )
    assert info.array[0] == 0
    close(flipped(matrices, trans) @ b.read(), SIDES[:1])


def test_lu_refuses_other_memory(cuda):
    a, b, pivots, info = Batch(cuda, SQUARE), Batch(cuda, SIDES), Ints(cuda, (B, N)), Ints(cuda, B)
    pivots.array[...] = 0  # counted from 0
    with pytest.raises(FakeCublasError, match=r"info points to device memory"):
        cuda.cublas.dgetrsBatched(
            *(CUBLAS_HANDLE, 0, N, 2, a.pointers, a.ld, pivots.address),
            *(b.pointers, b.ld, info.address, B),
        )
    word = ctypes.c_int()
    with pytest.raises(FakeCublasError, match=r"pivots are not within 1\.\.4"):
        cuda.cublas.dgetrsBatched(
            *(CUBLAS_HANDLE, 0, N, 2, a.pointers, a.ld, pivots.address),
            *(b.pointers, b.ld, ctypes.addressof(word), B),
        )
    with pytest.raises(NotImplementedError, match="without pivoting"):
        cuda.cublas.dgetrfBatched(CUBLAS_HANDLE, N, a.pointers, a.ld, 0, info.address, B)


# ------------------------------------------------------------------------------------ Cholesky


def factored(cuda, matrices, uplo):
    """The batch after dpotrfBatched, and its info."""
    a, info = Batch(cuda, matrices), Ints(cuda, len(matrices))
    cuda.cusolver.dpotrfBatched(
        CUSOLVER_HANDLE, uplo, N, a.pointers, a.ld, info.address, len(matrices)
    )
    return a, info.array.tolist()


@pytest.mark.parametrize("uplo", [LOWER, UPPER])
def test_cholesky_keeps_the_other_triangle(cuda, uplo):
    a, info = factored(cuda, one_triangle(DEFINITE, uplo), uplo)
    assert info == [0, 0, 0]
    expected = flipped(np.linalg.cholesky(DEFINITE), uplo)
    np.testing.assert_allclose(a.read(), one_triangle(expected, uplo), rtol=1e-11)


def test_cholesky_of_the_wrong_triangle_is_nan_and_does_not_say_so(cuda):
    a, info = factored(cuda, one_triangle(DEFINITE, LOWER), UPPER)
    assert info == [0, 0, 0]
    assert np.isnan(a.read()[:, -1, -1]).all()


@pytest.mark.parametrize("uplo", [LOWER, UPPER])
def test_cholesky_of_one_that_is_not_definite(cuda, uplo):
    matrices = DEFINITE.copy()
    matrices[1, 2, 2] = -1.0
    a, info = factored(cuda, matrices, uplo)
    assert info == [0, 3, 0]
    expected, found = flipped(np.linalg.cholesky(DEFINITE), uplo), a.read()
    for i in (0, 2):
        close(one_triangle(found, uplo)[i], one_triangle(expected, uplo)[i])
    assert np.isnan(one_triangle(found, uplo)[1, 2:, 2:]).all()
    close(one_triangle(found, uplo)[1, :2, :2], one_triangle(expected, uplo)[1, :2, :2])


@pytest.mark.parametrize("uplo", [LOWER, UPPER])
def test_cholesky_solve(cuda, uplo):
    a, _ = factored(cuda, one_triangle(DEFINITE, uplo), uplo)
    b, info = Batch(cuda, SIDES[:, :, :1]), Ints(cuda, 1)
    arguments = (a.pointers, a.ld, b.pointers, b.ld, info.address, B)
    with pytest.raises(FakeCusolverError, match="nrhs = 2: dpotrsBatched takes one"):
        cuda.cusolver.dpotrsBatched(CUSOLVER_HANDLE, uplo, N, 2, *arguments)
    cuda.cusolver.dpotrsBatched(CUSOLVER_HANDLE, uplo, N, 1, *arguments)
    assert info.array[0] == 0
    close(DEFINITE @ b.read(), SIDES[:, :, :1])
    cuda.cusolver.dpotrsBatched(CUSOLVER_HANDLE, 1 - uplo, N, 1, *arguments)
    assert np.isnan(b.read()).any()


@pytest.mark.parametrize("uplo", [LOWER, UPPER])
def test_cholesky_of_one_matrix(cuda, uplo):
    solver, handle = cuda.cusolver, CUSOLVER_HANDLE
    a, b = Batch(cuda, one_triangle(DEFINITE, uplo)[:1]), Batch(cuda, SIDES[:1])
    info = Ints(cuda, 1)
    size = solver.dpotrf_bufferSize(handle, uplo, N, a.address, a.ld)
    work = np.zeros(size)
    arguments = (handle, uplo, N, a.address, a.ld, cuda.address(work))
    with pytest.raises(FakeCusolverError, match="lwork = 16 is less than"):
        solver.dpotrf(*arguments, 16, info.address)
    solver.dpotrf(*arguments, size, info.address)
    assert info.array[0] == 0
    assert np.isnan(work).all()
    solver.dpotrs(handle, uplo, N, 2, a.address, a.ld, b.address, b.ld, info.address)
    close(DEFINITE[:1] @ b.read(), SIDES[:1])
