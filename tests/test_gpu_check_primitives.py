"""The GPU check's calls of cuBLAS and cuSOLVER, over the host's memory."""

import ctypes
import importlib
import inspect
import re

import numpy as np
import pytest
from scipy.linalg import lapack

from benchmarks.gpu_check import batched, device, primitives

HOST = device.host()


def doubles(address, count, kind=ctypes.c_double):
    return np.ctypeslib.as_array((kind * count).from_address(address))


def matrices(pointers, batch, rows, columns):
    """Of arrays of addresses, each entry in the order of BLAS, columns first."""
    places = doubles(pointers, batch, ctypes.c_size_t)
    return [doubles(int(p), rows * columns).reshape(columns, rows).T for p in places]


class Blas:
    """cuBLAS and cuSOLVER over the host's memory: names and arguments of CuPy 14.2."""

    CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, CUBLAS_DIAG_NON_UNIT, CUBLAS_SIDE_LEFT = 10, 11, 12, 13

    def dpotrfBatched(self, handle, uplo, n, Aarray, lda, infoArray, batchSize):
        assert (handle, uplo, lda) == (2, 10, n)
        for a in matrices(Aarray, batchSize, n, n):
            a[:] = np.linalg.cholesky(a)
        doubles(infoArray, batchSize, ctypes.c_int32)[:] = 0

    def dgetrfBatched(self, handle, n, Aarray, lda, PivotArray, infoArray, batchSize):
        assert (handle, lda) == (1, n)
        for a in matrices(Aarray, batchSize, n, n):
            a[:] = lapack.dgetrf(a)[0]
        doubles(PivotArray, batchSize * n, ctypes.c_int32)[:] = 1
        doubles(infoArray, batchSize, ctypes.c_int32)[:] = 0

    def dgemmStridedBatched(
        self, handle, transa, transb, m, n, k,
        alpha, A, lda, strideA, B, ldb, strideB, beta, C, ldc, strideC, batchCount,
    ):  # fmt: skip
        assert (handle, transa, transb, lda, ldb, ldc) == (1, 11, 11, m, k, m)
        assert (strideA, strideB, strideC) == (m * k, k * n, m * n)
        assert (doubles(alpha, 1)[0], doubles(beta, 1)[0]) == (1.0, 0.0)
        a, b, c = (doubles(p, batchCount * m * n).reshape(batchCount, n, m) for p in (A, B, C))
        c[:] = b @ a  # columns first: the transposes

    def dtrsmBatched(
        self, handle, side, uplo, trans, diag, m, n, alpha, Aarray, lda, Barray, ldb, batchCount
    ):
        assert (handle, side, uplo, trans, diag, lda, ldb) == (1, 13, 10, 11, 12, m, m)
        assert doubles(alpha, 1)[0] == 1.0
        pairs = matrices(Aarray, batchCount, m, m), matrices(Barray, batchCount, m, n)
        for a, b in zip(*pairs, strict=True):
            b[:] = np.linalg.solve(np.tril(a), b)


def libraries():
    return batched.Libraries(np, Blas(), Blas(), 1, 2, lambda array: array.ctypes.data)


def test_the_routines_are_called_as_they_should_be():
    for build in batched.primitives(libraries(), 20, "d"):
        primitive = build()
        for _ in range(2):  # what was overwritten is restored
            primitive.restore()
            primitive.call()
        first, *_, last = primitive.kept
        if "potrf" in primitive.about["what"]:
            lower = np.tril(first.transpose(0, 2, 1))
            source, _ = batched._definite(libraries(), 20, "d", batched.N)
            np.testing.assert_allclose(lower @ lower.transpose(0, 2, 1), source, atol=1e-12)
        if "gemm" in primitive.about["what"]:
            np.testing.assert_allclose(primitive.kept[2], first @ first, atol=1e-12)
        if "trsm" in primitive.about["what"]:
            rhs = primitive.kept[2]
            back = np.tril(first) @ rhs.transpose(0, 2, 1)
            np.testing.assert_allclose(back, np.ones_like(back), atol=1e-12)
        assert last is not None


def test_the_signatures_are_those_of_cupy():
    """Where CuPy and CUDA's libraries are installed, with or without a GPU."""
    pytest.importorskip("cupy")
    for module in ("cublas", "cusolver"):
        try:
            real = getattr(importlib.import_module("cupy_backends.cuda.libs"), module)
        except ImportError as error:
            pytest.skip(f"CUDA's libraries are not here: {error}")
        for name in [name for name in vars(Blas) if name.endswith("Batched")]:
            if hasattr(real, name):
                said = re.search(r"\((.*?)\)", getattr(real, name).__doc__)[1]
                names = [argument.split()[-1] for argument in said.split(",")]
                assert list(inspect.signature(getattr(Blas(), name)).parameters) == names


def test_primitives_on_numpy(monkeypatch):
    monkeypatch.setattr(primitives, "BATCHES", (3,))
    monkeypatch.setattr(primitives, "MANY", 2)
    found = list(primitives.records(30, device=HOST, make=libraries, large=16))
    whats = [r["what"] for r in found if "ms" in r]
    assert whats[:3] == ["device copy", "dgemm", "sgemm"]
    assert len([what for what in whats if "Batched" in what]) == 6
    failed = [r for r in found if "failed" in r]
    assert [r["dtype"] for r in failed] == ["s"] * 6  # the stand-in has no float32
    assert all(r["ms"] > 0 for r in found if "ms" in r)


def test_missing_libraries_are_told_once(monkeypatch):
    monkeypatch.setattr(primitives, "MANY", 2)

    def missing():
        raise ImportError("no libcublas")

    found = list(primitives.records(30, device=HOST, make=missing, large=16))
    assert [r["failed"] for r in found if "failed" in r] == ["ImportError: no libcublas"]
    assert [r["what"] for r in found if "ms" in r][:3] == ["device copy", "dgemm", "sgemm"]


def test_a_routine_that_fails_by_its_info_is_told():
    primitive = batched.cholesky(libraries(), 2, "d")
    bad = primitive._replace(call=lambda: primitive.info.fill(1))
    assert "not definite" in primitives.routine(HOST, lambda: bad)["failed"]
