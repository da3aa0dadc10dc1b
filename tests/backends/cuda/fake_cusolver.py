"""A stand-in for ``cupy_backends.cuda.libs.cusolver``, over the host's memory.

The same names and arguments; matrices are column-major. See cuSOLVER's documentation for what the
functions do.
"""

import numpy as np
from scipy.linalg import lapack

from tests.backends.cuda.fake_cublas import factor_lu, solve_lu
from tests.backends.cuda.fake_library import Library, triangle

SPARE = 37  # what a work area holds beyond n*n; unlike any number that a caller might guess


class FakeCusolverError(RuntimeError):
    """As ``cusolver.CUSOLVERError``."""


class FakeCusolver(Library):
    """The functions of cuSOLVER that are used; see the module's text."""

    name = "cusolver"
    error = FakeCusolverError
    CUSOLVERError = FakeCusolverError

    def dgetrf_bufferSize(self, handle, m, n, A, lda):
        self.check_handle(handle)
        self.sizes(m=m, n=n)
        self.leading(lda=(lda, m))
        return m * n + SPARE

    def dgetrf(self, handle, m, n, A, lda, work, devIpiv, devInfo):
        size = self.dgetrf_bufferSize(handle, m, n, A, lda)
        if not devIpiv:
            raise NotImplementedError("devIpiv is NULL: LU without pivoting has no stand-in")
        matrix = self.memory.matrix("A", A, m, n, lda)
        area = self.memory.view("work", work, np.float64, (size,))
        pivots = self.memory.view("devIpiv", devIpiv, np.int32, (min(m, n),))
        info = self.memory.view("devInfo", devInfo, np.int32, (1,))

        def run():
            area[...] = np.nan  # nothing of the caller's survives here
            info[0] = factor_lu(matrix, pivots)

        self.submit("dgetrf", run)

    def dgetrs(self, handle, trans, n, nrhs, A, lda, devIpiv, B, ldb, devInfo):
        self.check_handle(handle)
        self.modes(trans=(trans, 2))
        self.sizes(n=n, nrhs=nrhs)
        self.leading(lda=(lda, n), ldb=(ldb, n))
        matrix = self.memory.matrix("A", A, n, n, lda)
        pivots = self.memory.view("devIpiv", devIpiv, np.int32, (n,))
        side = self.memory.matrix("B", B, n, nrhs, ldb)
        info = self.memory.view("devInfo", devInfo, np.int32, (1,))

        def run():
            solve_lu(matrix, pivots, side, trans)
            info[0] = 0

        self.submit("dgetrs", run)

    def dpotrf_bufferSize(self, handle, uplo, n, A, lda):
        self.check_handle(handle)
        self.modes(uplo=(uplo, 1))
        self.sizes(n=n)
        self.leading(lda=(lda, n))
        return n * n + SPARE

    def dpotrf(self, handle, uplo, n, A, lda, work, lwork, devInfo):
        size = self.dpotrf_bufferSize(handle, uplo, n, A, lda)
        self.sizes(lwork=lwork)
        if lwork < size:
            self.refuse(f"lwork = {lwork} is less than dpotrf_bufferSize gives, {size}")
        matrix = self.memory.matrix("A", A, n, n, lda)
        area = self.memory.view("work", work, np.float64, (lwork,))
        info = self.memory.view("devInfo", devInfo, np.int32, (1,))

        def run():
            area[...] = np.nan
            info[0] = factor_cholesky(matrix, lower=uplo == 0)

        self.submit("dpotrf", run)

    def dpotrs(self, handle, uplo, n, nrhs, A, lda, B, ldb, devInfo):
        self.check_handle(handle)
        self.modes(uplo=(uplo, 1))
        self.sizes(n=n, nrhs=nrhs)
        self.leading(lda=(lda, n), ldb=(ldb, n))
        matrix = self.memory.matrix("A", A, n, n, lda)
        side = self.memory.matrix("B", B, n, nrhs, ldb)
        info = self.memory.view("devInfo", devInfo, np.int32, (1,))

        def run():
            solve_cholesky(matrix, side, lower=uplo == 0)
            info[0] = 0

        self.submit("dpotrs", run)

    def dpotrfBatched(self, handle, uplo, n, Aarray, lda, infoArray, batchSize):
        self.check_handle(handle)
        self.modes(uplo=(uplo, 1))
        self.sizes(n=n, batchSize=batchSize)
        self.leading(lda=(lda, n))
        self.memory.view("Aarray", Aarray, np.uint64, (batchSize,))
        info = self.memory.view("infoArray", infoArray, np.int32, (batchSize,))

        def run():
            matrices = self.memory.matrices("Aarray", Aarray, batchSize, n, n, lda)
            for i, A in enumerate(matrices):
                info[i] = factor_cholesky(A, lower=uplo == 0)

        self.submit("dpotrfBatched", run)

    def dpotrsBatched(self, handle, uplo, n, nrhs, Aarray, lda, Barray, ldb, devInfo, batchSize):
        self.check_handle(handle)
        self.modes(uplo=(uplo, 1))
        self.sizes(n=n, nrhs=nrhs, batchSize=batchSize)
        self.leading(lda=(lda, n), ldb=(ldb, n))
        if nrhs != 1:
            self.refuse(f"nrhs = {nrhs}: dpotrsBatched takes one right-hand side")
        for name, pointer in (("Aarray", Aarray), ("Barray", Barray)):
            self.memory.view(name, pointer, np.uint64, (batchSize,))
        info = self.memory.view("devInfo", devInfo, np.int32, (1,))

        def run():
            matrices = self.memory.matrices("Aarray", Aarray, batchSize, n, n, lda)
            sides = self.memory.matrices("Barray", Barray, batchSize, n, nrhs, ldb)
            for A, B in zip(matrices, sides, strict=True):
                solve_cholesky(A, B, lower=uplo == 0)
            info[0] = 0

        self.submit("dpotrsBatched", run)


def factor_cholesky(A, lower):  # (n, n)
    """The factor in the one triangle of A, in place; the number of the first bad pivot, or 0.

    Where there is one, what is not in the leading block before it is NaN. A pivot that is NaN is
    not told of: LAPACK's libraries differ in it, and cuSOLVER's documentation promises nothing.
    """
    n = len(A)
    if not n:
        return 0
    factor, info = lapack.dpotrf(triangle(A, lower), lower=lower, clean=0)
    if info:
        places = np.arange(n)
        beyond = np.maximum(places[:, None], places[None, :]) >= info - 1
        info = 0 if np.isnan(factor[info - 1, info - 1]) else info
        factor[beyond] = np.nan
    mine = np.tri(n, dtype=bool) if lower else np.tri(n, dtype=bool).T
    A[mine] = factor[mine]
    return info


def solve_cholesky(A, B, lower):  # (n, n), (n, nrhs)
    """B = (LL')^-1 B from `factor_cholesky`."""
    if B.size:
        B[...] = lapack.dpotrs(triangle(A, lower), B, lower=lower)[0]
