"""The messages that the page on troubleshooting quotes are those that are given."""

import re
from functools import partial

import numpy as np
import pytest
import scipy.sparse

import kktdiff
from kktdiff import backends

EYE, ONES = np.eye(2), np.ones(2)
QUOTED = re.compile(r"^\| `([^|]+)` \|", re.M)


def solve(*given, **options):
    return kktdiff.solve_qp(*given, **options)


def tensor(array):
    return pytest.importorskip("torch").as_tensor(array)


def layer(objective, constraint):
    cp = pytest.importorskip("cvxpy")
    pytest.importorskip("torch")
    from kktdiff.adapters.cvxpy import CvxpyLayer

    x, a, b = cp.Variable(2), cp.Parameter(nonneg=True), cp.Parameter(nonneg=True)
    problem = cp.Problem(objective(cp, x), [constraint(x, a, b)])
    CvxpyLayer(problem, problem.parameters(), [x])


def without_a_gpu():
    pytest.importorskip("cupy")
    if backends.available()["cupy"] is None:
        pytest.skip("there is a GPU")
    solve(EYE, ONES, backend="cupy")


CALLS = {
    "expected (..., n, n) with n = 2, as": lambda: solve(np.eye(3), ONES),
    "given without h: pass both or neither": lambda: solve(EYE, ONES, EYE),
    "do not broadcast": lambda: solve(EYE, np.ones((5, 2)), EYE, np.ones((4, 2))),
    "convert all arrays to one dtype": lambda: solve(EYE.astype(np.float32), ONES),
    "expected float64 or float32": lambda: solve(EYE.astype(complex), ONES),
    "nothing tells the number of variables": lambda: solve(lb=0),
    "is sparse": lambda: solve(np.eye(2), scipy.sparse.eye_array(2)),
    "has no argument": lambda: solve(P=EYE, q=ONES),
    "expected a torch.Tensor": lambda: solve(tensor(EYE), ONES),
    "there is no such backend": lambda: solve(EYE, ONES, backend="gpu"),
    "there is no NVIDIA driver": without_a_gpu,
    "the cotangent of x has shape": lambda: solve(EYE, ONES).vjp(x=np.ones(3)),
    "expected one of 'exact', 'smoothed', 'least_squares'": lambda: solve(EYE, ONES).vjp(
        x=ONES, gradient="smooth"
    ),
    "expected a kktdiff.Solution or None": lambda: solve(EYE, ONES, warm_start=ONES),
    "the problem is not DPP": partial(
        layer, lambda cp, x: cp.Minimize(cp.sum_squares(x)), lambda x, a, b: a * b * x[0] >= 1
    ),
    "the problem is not a QP": partial(
        layer, lambda cp, x: cp.Minimize(cp.exp(x[0]) + x[1]), lambda x, a, b: x >= a
    ),
}


@pytest.fixture
def page(repository):
    return (repository / "docs" / "troubleshooting.md").read_text(encoding="utf-8")


def test_each_message_of_the_page_has_its_call(page):
    errors = page[page.index("## An error at the call") :]
    assert QUOTED.findall(errors) == list(CALLS)


@pytest.mark.parametrize("message", CALLS)
def test_the_message_is_given(message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        CALLS[message]()


def test_each_status_has_its_row(page):
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.M)) == {
        status.name for status in kktdiff.Status if status is not kktdiff.Status.SOLVED
    }
