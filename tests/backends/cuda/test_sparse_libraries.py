"""Matrices of CuPy's own sparse library, which a stand-in has the place of."""

import sys
from types import ModuleType

import numpy as np
import pytest
import scipy.sparse

import kktdiff
from kktdiff import _sparse_inputs as inputs
from tests.backends.cuda.guard import Device
from tests.sparse import assert_close, sparse_problem
from tests.tolerances import DENSE_REFERENCE

NAME = "cupyx.scipy.sparse"


class Matrix:
    """As of `cupyx.scipy.sparse`, over a matrix of SciPy: its arrays are the device's."""

    ndim = 2

    def __init__(self, own):
        self.own = own

    shape = property(lambda self: self.own.shape)
    format = property(lambda self: self.own.format)
    data = property(lambda self: Device(self.own.data))
    indices = property(lambda self: Device(self.own.indices))
    indptr = property(lambda self: Device(self.own.indptr))

    def tocsr(self):
        return self if self.own.format == "csr" else Matrix(self.own.tocsr())

    def copy(self):
        return Matrix(self.own.copy())

    def sum_duplicates(self):
        self.own.sum_duplicates()

    def asformat(self, name):
        return Matrix(self.own.asformat(name))


def csr_matrix(parts, shape):
    return Matrix(scipy.sparse.csr_matrix(tuple(v.get() for v in parts), shape=shape))


@pytest.fixture
def sparse(device, monkeypatch):
    """CuPy's library, or the stand-in."""
    if not isinstance(device.cuda.to_device(np.zeros(1)), Device):
        from cupyx.scipy import sparse

        return sparse
    module = ModuleType(NAME)
    module.issparse = module.isspmatrix = lambda value: isinstance(value, Matrix)
    module.csr_matrix = csr_matrix
    monkeypatch.setitem(sys.modules, NAME, module)
    return module


@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
@pytest.mark.parametrize("faster", [(0.0, 0.0), (1e9, 1e9)], ids=["kernels", "dense"])
def test_matrices_of_cupy(device, sparse, monkeypatch, format, faster):
    monkeypatch.setattr(inputs, "_SMALL", 0)
    monkeypatch.setattr(inputs, "_FASTER", faster)
    rng = np.random.default_rng(1)
    problem = sparse_problem(rng, 20, 15, 4)
    right, take = {}, device.cuda.to_device
    for name, own in problem.matrices.items():
        coo = scipy.sparse.coo_matrix((own.values, (own.pattern.rows, own.pattern.cols)), own.shape)
        right[name] = coo.asformat(format)
    there = {name: _moved(device, sparse, v) for name, v in right.items()}
    kept = {name: _as_scipy(v) for name, v in there.items()}
    there |= {name: take(v) for name, v in problem.vectors.items()}
    found = kktdiff.solve_qp(**there)
    expected = kktdiff.solve_qp(**right, **problem.vectors)
    assert_close(device.cuda.to_host(found.x), expected.x)
    g = rng.normal(size=20)
    grads, other = found.vjp(x=take(g)), expected.vjp(x=g)
    for name in problem.matrices:
        own = getattr(grads, name)
        assert sparse.issparse(own)
        assert own.format == format
        difference = abs(_as_scipy(own) - getattr(other, name))
        assert difference.max() <= DENSE_REFERENCE
        assert (_as_scipy(there[name]) != kept[name]).nnz == 0  # inputs are never written
    moved = found.jvp(G=there["G"])
    assert_close(device.cuda.to_host(moved.x), expected.jvp(G=right["G"]).x, DENSE_REFERENCE)


def _moved(device, sparse, matrix):
    if sparse.csr_matrix is csr_matrix:
        return Matrix(matrix)
    csr = matrix.tocsr()
    parts = tuple(device.cuda.to_device(v) for v in (csr.data, csr.indices, csr.indptr))
    return sparse.csr_matrix(parts, shape=csr.shape).asformat(matrix.format)


def _as_scipy(matrix):
    return (matrix.own if isinstance(matrix, Matrix) else matrix.get()).copy()
