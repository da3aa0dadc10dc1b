"""Derivatives of every output in every input, against differences and a dense reference."""

import numpy as np
import pytest

import kktdiff
from tests.checks import answer_of, assert_answer, assert_near, element, grads_of
from tests.problems import FULL, Answer, Data, Sizes, known, tangent
from tests.reference import CENTRAL, FORWARD, difference, jacobian, jvp
from tests.tolerances import DENSE_REFERENCE, DIFFERENCE

SINGULAR = Sizes(n=6, m=8, k=2, lower=True, upper=True, rank=3)
VERTEX = Sizes(n=5, m=6, k=1, lower=True, upper=True, rank=0)


def label(sizes):
    return sizes.label


def solve_closely(data):
    """The outputs at tol 1e-12, for differences."""
    return answer_of(kktdiff.solve_qp(*data, tol=1e-12))


def move(rng, data, name):
    """A direction for one input, and the stencil: a Q that grows stays positive semidefinite."""
    direction = tangent(rng, data, [name])
    if name != "Q":
        return direction, CENTRAL
    return {"Q": direction["Q"] @ direction["Q"].T / data.p.size}, FORWARD


@pytest.fixture(scope="module", params=[FULL, SINGULAR, VERTEX], ids=label)
def case(request):
    """(problem, its solution, the reference's table of Jacobians)."""
    problem = known(np.random.default_rng(80), request.param)
    solution = kktdiff.solve_qp(*problem.data)
    assert solution.diagnostics().trustworthy
    return problem, solution, jacobian(*problem)


@pytest.mark.parametrize("name", Data._fields)
def test_tangents_agree_with_central_differences(case, name):
    (data, _), solution, _ = case
    direction, stencil = move(np.random.default_rng(81), data, name)
    expected = difference(solve_closely, data, direction, stencil=stencil)
    assert_answer(solution.jvp(**direction), expected, DIFFERENCE)


@pytest.mark.parametrize("name", Data._fields)
def test_tangents_agree_with_the_dense_reference(case, name):
    (data, answer), solution, _ = case
    direction = tangent(np.random.default_rng(82), data, [name])
    assert_answer(solution.jvp(**direction), jvp(data, answer, direction), DENSE_REFERENCE)


@pytest.mark.parametrize("output", Answer._fields)
def test_gradients_agree_with_the_dense_reference(case, output):
    (_, answer), solution, table = case
    weight = np.random.default_rng(83).normal(size=np.shape(getattr(answer, output)))
    grads = solution.vjp(**{output: weight})
    for name in Data._fields:
        expected = np.tensordot(weight, getattr(table[name], output), axes=weight.ndim)
        assert_near(getattr(grads, name), expected, DENSE_REFERENCE, f"d{output}/d{name}")


@pytest.mark.parametrize("tol", [1e-6, 1e-8, 1e-12])
def test_all_tangents_together_agree_with_the_reference_over_array_types(namespace, tol):
    problem = known(np.random.default_rng(85), FULL, batch=(2,))
    direction = tangent(np.random.default_rng(86), problem.data)
    solution = kktdiff.solve_qp(*namespace.data(problem.data), tol=tol)
    moved = solution.jvp(**{name: namespace.asarray(t) for name, t in direction.items()})
    moved = answer_of(moved, namespace)
    for i in range(2):
        part = {name: t[i] for name, t in direction.items()}
        expected = jvp(element(problem.data, i), element(problem.answer, i), part)
        assert_answer(element(moved, i), expected, DENSE_REFERENCE)


@pytest.mark.parametrize("tol", [1e-6, 1e-8, 1e-12])
def test_all_gradients_together_agree_with_the_reference_over_array_types(namespace, tol):
    problem = known(np.random.default_rng(87), FULL)
    table, rng = jacobian(*problem), np.random.default_rng(88)
    weights = {f: rng.normal(size=np.shape(a)) for f, a in problem.answer._asdict().items()}
    solution = kktdiff.solve_qp(*namespace.data(problem.data), tol=tol)
    grads = solution.vjp(**{f: namespace.asarray(w) for f, w in weights.items()})
    grads = grads_of(grads, namespace)
    for name in Data._fields:
        parts = [np.tensordot(w, getattr(table[name], f), w.ndim) for f, w in weights.items()]
        assert_near(getattr(grads, name), sum(parts), DENSE_REFERENCE, name)


@pytest.mark.parametrize("n", [20, 60])
def test_larger_problems_agree_with_the_dense_reference(n):
    sizes = Sizes(n=n, m=n, k=n // 5, lower=True, upper=True)
    data, answer = known(np.random.default_rng(n), sizes)
    direction = tangent(np.random.default_rng(89), data)
    moved = kktdiff.solve_qp(*data).jvp(**direction)
    assert_answer(moved, jvp(data, answer, direction), DENSE_REFERENCE)


def test_the_gradient_of_Q_is_symmetric_even_for_an_asymmetric_Q():
    data, _ = known(np.random.default_rng(90), FULL)
    twist = np.triu(np.random.default_rng(91).normal(size=(6, 6)), 1)
    solution = kktdiff.solve_qp(*data._replace(Q=data.Q + twist - twist.T))
    weight = np.random.default_rng(92).normal(size=6)
    grad = solution.vjp(weight).Q
    np.testing.assert_array_equal(grad, grad.T)
    assert_near(grad, kktdiff.solve_qp(*data).vjp(weight).Q, DENSE_REFERENCE, "Q")
    assert np.any(grad != 0.0)
