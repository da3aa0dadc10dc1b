"""What only an array type beyond NumPy can show: the standard alone, and devices."""

import array_api_strict
import numpy as np
import pytest

import kktdiff
from tests.checks import answer_of, assert_answer, assert_near, grads_of
from tests.namespaces import NUMPY, SECOND, SECOND_DEVICE, STRICT
from tests.problems import FULL, Answer, Data, Sizes, feasible, known, tangent
from tests.tolerances import DENSE_REFERENCE, SHARED, SINGLE_ANSWER

NO_FLOAT64 = array_api_strict.Device("no_float64")
SMALL = Sizes(n=3, m=4, k=1, lower=True, upper=True)


@pytest.fixture(scope="module")
def solution():
    data = known(np.random.default_rng(150), SMALL, batch=(2,)).data
    return kktdiff.solve_qp(*SECOND.data(data))


def test_results_stay_on_the_device_of_the_inputs(solution):
    fields = (*Answer._fields, "status", "solved", "iterations", "primal_residual")
    for name in fields:
        assert getattr(solution, name).device == SECOND_DEVICE, name


def test_gradients_tangents_and_jacobians_stay_on_the_device(solution):
    grads = solution.vjp(array_api_strict.ones((2, 3), device=SECOND_DEVICE))
    moved = solution.jvp(p=array_api_strict.ones((2, 3), device=SECOND_DEVICE))
    for name in Data._fields:
        assert getattr(grads, name).device == SECOND_DEVICE, name
    for name in Answer._fields:
        assert getattr(moved, name).device == SECOND_DEVICE, name
    assert solution.jacobian(of="x", wrt="p").device == SECOND_DEVICE


def test_fields_have_the_dtypes_of_the_contract(solution):
    xp = array_api_strict
    assert solution.x.dtype == solution.objective.dtype == xp.float64
    assert solution.solved.dtype == xp.bool
    assert xp.isdtype(solution.status.dtype, "integral")
    assert xp.isdtype(solution.iterations.dtype, "integral")


def test_single_precision_stays_single_precision():
    data = known(np.random.default_rng(151), SMALL).data
    single = (STRICT.asarray(a.astype(np.float32)) for a in data)
    found = kktdiff.solve_qp(*single)
    assert found.x.dtype == array_api_strict.float32
    grads = found.vjp(array_api_strict.ones((3,), dtype=array_api_strict.float32))
    assert grads.Q.dtype == array_api_strict.float32


def test_strict_arrays_and_numpy_agree():
    data = feasible(np.random.default_rng(152), SMALL, {"p": (3,), "G": (2, 1), "h": (3,)})
    weight = np.random.default_rng(153).normal(size=(2, 3, 3))
    direction = tangent(np.random.default_rng(154), data)
    results = []
    for namespace in (NUMPY, STRICT):
        found = kktdiff.solve_qp(*namespace.data(data))
        grads = grads_of(found.vjp(namespace.asarray(weight)), namespace)
        moved = found.jvp(**{f: namespace.asarray(t) for f, t in direction.items()})
        results.append((answer_of(found, namespace), grads, answer_of(moved, namespace)))
    for left, right in zip(*results, strict=True):
        for name in type(left)._fields:
            assert_near(getattr(left, name), getattr(right, name), DENSE_REFERENCE, name)


def test_work_on_numpy_gives_results_where_the_inputs_live():
    problem = known(np.random.default_rng(155), SMALL, batch=(2,))
    found = kktdiff.solve_qp(*SECOND.data(problem.data), backend="numpy")
    assert found.x.device == SECOND_DEVICE
    plain = answer_of(kktdiff.solve_qp(*problem.data))
    assert_answer(answer_of(found, SECOND), plain, SHARED)
    grads = found.vjp(array_api_strict.ones((2, 3), device=SECOND_DEVICE))
    assert grads.Q.device == SECOND_DEVICE


def test_one_bad_element_is_isolated_on_strict_arrays_too():
    data = known(np.random.default_rng(156), SMALL, batch=(3,)).data
    good = answer_of(kktdiff.solve_qp(*STRICT.data(data)), STRICT)
    data.p[1, 0] = np.nan
    found = kktdiff.solve_qp(*STRICT.data(data), on_failure="ignore")
    np.testing.assert_array_equal(STRICT.to_numpy(found.solved), [True, False, True])
    bad = answer_of(found, STRICT)
    for i in (0, 2):
        np.testing.assert_array_equal(bad.x[i], good.x[i])
        np.testing.assert_array_equal(bad.lam[i], good.lam[i])


def test_the_full_problem_agrees_at_a_tight_tolerance():
    problem = known(np.random.default_rng(157), FULL)
    found = kktdiff.solve_qp(*STRICT.data(problem.data), tol=1e-12)
    assert_answer(answer_of(found, STRICT), problem.answer, DENSE_REFERENCE)


def test_a_device_without_float64_gets_results_in_single_precision():
    """Nothing in double precision ever comes back, or the device would raise."""
    data, answer = known(np.random.default_rng(158), SMALL, batch=(2,))
    single = [array_api_strict.asarray(v.astype(np.float32), device=NO_FLOAT64) for v in data]
    found = kktdiff.solve_qp(*single, backend="numpy")
    assert found.x.device == found.status.device == NO_FLOAT64
    assert_near(STRICT.to_numpy(found.x), answer.x, SINGLE_ANSWER)
    ones = array_api_strict.ones((2, 3), dtype=array_api_strict.float32, device=NO_FLOAT64)
    results = found.vjp(ones).Q, found.jvp(p=ones).x, found.jacobian(), found.diagnostics().margin
    for result in results:
        assert result.device == NO_FLOAT64
        assert result.dtype == array_api_strict.float32


def test_to_compute_there_is_refused_in_one_sentence():
    data = known(np.random.default_rng(159), SMALL).data
    single = [array_api_strict.asarray(v.astype(np.float32), device=NO_FLOAT64) for v in data]
    with pytest.raises(TypeError, match=r'no float64, in which .* pass backend="numpy"'):
        kktdiff.solve_qp(*single)
