"""A stand-in for ``cupy_backends.cuda.libs.cublas``, over the host's memory.

The same names, arguments and constants; matrices are column-major. See cuBLAS's documentation for
what the functions do.
"""

import ctypes

import numpy as np
from scipy.linalg import blas, lapack

from tests.backends.cuda.fake_library import Library, triangle


class FakeCublasError(RuntimeError):
    """As ``cublas.CUBLASError``."""


class FakeCublas(Library):
    """The functions of cuBLAS that are used; see the module's text."""

    name = "cublas"
    error = FakeCublasError

    CUBLAS_OP_N = 0
    CUBLAS_OP_T = 1
    CUBLAS_OP_C = 2
    CUBLAS_FILL_MODE_LOWER = 0
    CUBLAS_FILL_MODE_UPPER = 1
    CUBLAS_SIDE_LEFT = 0
    CUBLAS_SIDE_RIGHT = 1
    CUBLAS_DIAG_NON_UNIT = 0
    CUBLAS_DIAG_UNIT = 1
    CUBLAS_POINTER_MODE_HOST = 0
    CUBLAS_POINTER_MODE_DEVICE = 1
    CUBLASError = FakeCublasError

    def __init__(self, memory, handle, submit):
        super().__init__(memory, handle, submit)
        self._mode = self.CUBLAS_POINTER_MODE_HOST

    def setPointerMode(self, handle, mode):
        self.check_handle(handle)
        self.modes(mode=(mode, 1))
        self._mode = mode

    def getPointerMode(self, handle):
        self.check_handle(handle)
        return self._mode

    def scalar(self, name, pointer):
        if self._mode != self.CUBLAS_POINTER_MODE_HOST:
            raise NotImplementedError(f"{name}: scalars in device memory have no stand-in")
        return super().scalar(name, pointer)

    def dgemmStridedBatched(  # C = alpha op(A) op(B) + beta C
        self,
        handle,
        transa,
        transb,
        m,
        n,
        k,
        alpha,
        A,
        lda,
        strideA,
        B,
        ldb,
        strideB,
        beta,
        C,
        ldc,
        strideC,
        batchCount,
    ):
        self.check_handle(handle)
        self.modes(transa=(transa, 2), transb=(transb, 2))
        self.sizes(m=m, n=n, k=k, batchCount=batchCount)
        self.leading(lda=(lda, k if transa else m), ldb=(ldb, n if transb else k), ldc=(ldc, m))
        alpha, beta = self.scalar("alpha", alpha), self.scalar("beta", beta)
        left = self._strided("A", A, (k, m) if transa else (m, k), lda, strideA, batchCount)
        right = self._strided("B", B, (n, k) if transb else (k, n), ldb, strideB, batchCount)
        out = self._strided("C", C, (m, n), ldc, strideC, batchCount)
        if batchCount > 1 and strideC < ldc * (n - 1) + m:
            self.refuse(f"strideC = {strideC}: the matrices of C overlap")
        if any(np.shares_memory(out, source) for source in (left, right)):
            self.refuse("C overlaps A or B")

        def work():
            first = left.transpose(0, 2, 1) if transa else left
            second = right.transpose(0, 2, 1) if transb else right
            with np.errstate(all="ignore"):
                product = alpha * (first @ second)
                out[...] = product if beta == 0.0 else product + beta * out

        self.submit("dgemmStridedBatched", work)

    def _strided(self, name, pointer, shape, ld, stride, count):
        if stride < 0:
            self.refuse(f"stride{name} = {stride} is negative")
        return self.memory.view(name, pointer, np.float64, (count, *shape), (stride, 1, ld))

    def dtrsmBatched(  # op(A) X = alpha B, or X op(A) = alpha B; X takes the place of B
        self, handle, side, uplo, trans, diag, m, n, alpha, Aarray, lda, Barray, ldb, batchCount
    ):
        self.check_handle(handle)
        self.modes(side=(side, 1), uplo=(uplo, 1), trans=(trans, 2), diag=(diag, 1))
        self.sizes(m=m, n=n, batchCount=batchCount)
        order = n if side == self.CUBLAS_SIDE_RIGHT else m
        self.leading(lda=(lda, order), ldb=(ldb, m))
        alpha = self.scalar("alpha", alpha)
        for name, pointer in (("Aarray", Aarray), ("Barray", Barray)):
            self.memory.view(name, pointer, np.uint64, (batchCount,))
        lower = uplo == self.CUBLAS_FILL_MODE_LOWER

        def work():
            matrices = self.memory.matrices("Aarray", Aarray, batchCount, order, order, lda)
            sides = self.memory.matrices("Barray", Barray, batchCount, m, n, ldb)
            for A, B in zip(matrices, sides, strict=True):
                if m and n:
                    B[...] = blas.dtrsm(
                        alpha, triangle(A, lower), B, side, int(lower), min(trans, 1), diag
                    )

        self.submit("dtrsmBatched", work)

    def dgetrfBatched(self, handle, n, Aarray, lda, PivotArray, infoArray, batchSize):
        self.check_handle(handle)
        self.sizes(n=n, batchSize=batchSize)
        self.leading(lda=(lda, n))
        if not PivotArray:
            raise NotImplementedError("PivotArray is NULL: LU without pivoting has no stand-in")
        self.memory.view("Aarray", Aarray, np.uint64, (batchSize,))
        pivots = self.memory.view("PivotArray", PivotArray, np.int32, (batchSize, n))
        info = self.memory.view("infoArray", infoArray, np.int32, (batchSize,))

        def work():
            matrices = self.memory.matrices("Aarray", Aarray, batchSize, n, n, lda)
            for i, A in enumerate(matrices):
                info[i] = factor_lu(A, pivots[i])

        self.submit("dgetrfBatched", work)

    def dgetrsBatched(
        self, handle, trans, n, nrhs, Aarray, lda, devIpiv, Barray, ldb, info, batchSize
    ):
        self.check_handle(handle)
        self.modes(trans=(trans, 2))
        self.sizes(n=n, nrhs=nrhs, batchSize=batchSize)
        self.leading(lda=(lda, n), ldb=(ldb, n))
        for name, pointer in (("Aarray", Aarray), ("Barray", Barray)):
            self.memory.view(name, pointer, np.uint64, (batchSize,))
        pivots = self.memory.view("devIpiv", devIpiv, np.int32, (batchSize, n))
        self.on_host("info", info, ctypes.c_int).value = 0  # about the arguments; set by the call

        def work():
            matrices = self.memory.matrices("Aarray", Aarray, batchSize, n, n, lda)
            sides = self.memory.matrices("Barray", Barray, batchSize, n, nrhs, ldb)
            for A, pivot, B in zip(matrices, pivots, sides, strict=True):
                solve_lu(A, pivot, B, trans)

        self.submit("dgetrsBatched", work)
        return 0


def factor_lu(A, pivots):  # (m, n), (min(m, n),)
    """PA = LU in place, pivots from 1 on; the number of the first zero pivot, or 0."""
    if not A.size:
        return 0
    with np.errstate(all="ignore"):
        A[...], found, info = lapack.dgetrf(A)
    pivots[...] = found + 1
    return info


def solve_lu(A, pivots, B, trans):  # (n, n), (n,), (n, nrhs)
    """B = op(A)^-1 B from `factor_lu`; a zero pivot gives infinity and NaN."""
    if not B.size:
        return
    if not ((pivots >= 1) & (pivots <= len(A))).all():
        raise FakeCublasError(f"pivots are not within 1..{len(A)}: {pivots}")
    B[...] = lapack.dgetrs(A, pivots - 1, B, min(trans, 1))[0]
