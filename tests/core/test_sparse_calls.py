"""Wrong calls with sparse matrices say what to do; patterns."""

import numpy as np
import pytest
import scipy.sparse

import kktdiff
from kktdiff import _sparse_inputs as inputs
from kktdiff import kernels
from tests.sparse import banded, rows_of, sparse_problem

WRONG = {
    "size": (
        lambda: kktdiff.solve_qp(scipy.sparse.eye_array(4), np.ones(3)),
        ["Q has shape (4, 4)", "n = 3"],
    ),
    "one dimension": (
        lambda: kktdiff.solve_qp(scipy.sparse.coo_array(np.ones(3)), np.ones(3)),
        ["Q has shape (3,)", "a sparse matrix"],
    ),
    "bool": (
        lambda: kktdiff.solve_qp(scipy.sparse.eye_array(3, dtype=bool)),
        ["Q has dtype bool", "Q.astype(float)"],
    ),
    "dtypes": (
        lambda: kktdiff.solve_qp(scipy.sparse.eye_array(3, dtype=np.float32), np.ones(3)),
        ["p has dtype float64, but Q has float32"],
    ),
    "objects": (
        lambda: kktdiff.solve_qp(kktdiff.Sparse(banded(1), _Values())),
        ["Q.values: expected an array, got _Values"],
    ),
    "vector": (
        lambda: kktdiff.solve_qp(p=scipy.sparse.eye_array(3)),
        ["p is sparse", "p.toarray()"],
    ),
    "range": (
        lambda: kktdiff.Pattern((2, 2), [0, 2], [0, 1]),
        ["rows has indices from 0 to 2", "0 to 1"],
    ),
    "negative": (
        lambda: kktdiff.Pattern((2, 2), [0, 1], [0, -1]),
        ["cols has indices from -1 to 0"],
    ),
    "lengths": (
        lambda: kktdiff.Pattern((2, 2), [0, 1], [0]),
        ["rows has shape (2,), but cols has (1,)"],
    ),
    "floats": (lambda: kktdiff.Pattern((2, 2), [0.0], [1]), ["rows has dtype float64", "integers"]),
    "dimensions": (
        lambda: kktdiff.Pattern((2, 2), [[0]], [[1]]),
        ["rows has shape (1, 1)", "(nnz,)"],
    ),
    "shape": (lambda: kktdiff.Pattern((2,), [0], [0]), ["shape=(2,)", "rows and of columns"]),
    "values": (
        lambda: kktdiff.Sparse(banded(2), np.ones(2)),
        ["values has shape (2,)", "(..., 3)"],
    ),
    "pattern": (
        lambda: kktdiff.Sparse(scipy.sparse.eye_array(2), np.ones(2)),
        ["kktdiff.Pattern.of(matrix)"],
    ),
    "tangent": (
        lambda: _solved().jvp(Q=np.eye(3)),
        ["the tangent of Q is a ndarray", "a sparse matrix"],
    ),
    "tangent pattern": (
        lambda: _solved().jvp(Q=scipy.sparse.coo_array(np.ones((3, 3)))),
        ["9 entries", "the 3 entries of Q"],
    ),
}


class _Values:
    shape = (1,)
    dtype = np.dtype(float)


def _solved():
    return kktdiff.solve_qp(scipy.sparse.eye_array(3), np.ones(3))


@pytest.mark.parametrize("case", WRONG)
def test_wrong_calls_say_what_to_do(case):
    call, parts = WRONG[case]
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)


def test_dense_copies_that_are_too_large_are_refused(monkeypatch):
    monkeypatch.setattr(inputs, "_MOST_DENSE", 1000)
    problem = sparse_problem(np.random.default_rng(14), 200, 100, 0)
    with pytest.raises(ValueError, match="works on dense matrices, and Q, G would take"):
        kktdiff.solve_qp(**problem.sparse(), infeasible="closest")
    monkeypatch.setattr(kernels, "available", lambda: "off")
    assert kktdiff.solve_qp(**problem.sparse()).solved


def test_patterns():
    rng = np.random.default_rng(15)
    pattern = rows_of(rng, 5, 7)
    same = kktdiff.Pattern((5, 7), pattern.rows[::-1], pattern.cols[::-1])
    assert pattern.key == same.key
    assert pattern.key != rows_of(rng, 5, 7).key
    assert repr(pattern) == "Pattern((5, 7), nnz=20)"
    values = rng.normal(size=(2, 20))
    matrix = kktdiff.Sparse(pattern, values)
    assert repr(matrix) == "Sparse(shape=(2, 5, 7), nnz=20, dtype=float64)"
    np.testing.assert_array_equal(matrix.to_dense()[:, pattern.rows, pattern.cols], values)
