"""jacobian(of, wrt), against a dense reference."""

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_near
from tests.problems import FULL, Answer, Data, Sizes, known
from tests.reference import jacobian
from tests.tolerances import DENSE_REFERENCE


@pytest.fixture(scope="module")
def case():
    problem = known(np.random.default_rng(110), FULL)
    return problem, kktdiff.solve_qp(*problem.data), jacobian(*problem)


@pytest.mark.parametrize("of", Answer._fields)
def test_every_jacobian_agrees_with_the_dense_reference(case, of):
    _, solution, table = case
    for wrt in Data._fields:
        found = solution.jacobian(of=of, wrt=wrt)
        assert_near(found, getattr(table[wrt], of), DENSE_REFERENCE, f"d{of}/d{wrt}")


def test_the_default_is_x_in_p(case):
    _, solution, _ = case
    np.testing.assert_array_equal(solution.jacobian(), solution.jacobian(of="x", wrt="p"))


@pytest.mark.parametrize("batch", [(), (1,), (3,), (2, 3)], ids=str)
def test_a_batch_of_jacobians_has_the_batch_in_front(batch):
    data = known(np.random.default_rng(111), Sizes(n=4, m=5, k=1), batch=batch).data
    solution = kktdiff.solve_qp(*data)
    assert solution.jacobian(of="x", wrt="p").shape == (*batch, 4, 4)
    assert solution.jacobian(of="lam", wrt="h").shape == (*batch, 5, 5)
    assert solution.jacobian(of="nu", wrt="p").shape == (*batch, 1, 4)
    assert solution.jacobian(of="objective", wrt="p").shape == (*batch, 4)


def test_a_jacobian_in_a_shared_input_is_each_elements_own():
    problem = known(np.random.default_rng(113), FULL, batch=(3,), shared=("G",))
    found = kktdiff.solve_qp(*problem.data).jacobian(of="x", wrt="G")
    assert found.shape == (3, 6, 7, 6)
    for i in range(3):
        data = Data(*(a if a is problem.data.G else a[i] for a in problem.data))
        alone = kktdiff.solve_qp(*data).jacobian(of="x", wrt="G")
        assert_near(found[i], alone, DENSE_REFERENCE, "x in G")


def test_unsolved_elements_have_a_jacobian_of_zero():
    data = known(np.random.default_rng(114), FULL, batch=(2,)).data
    data.p[1, 0] = np.nan
    found = kktdiff.solve_qp(*data, on_failure="ignore").jacobian(of="x", wrt="p")
    np.testing.assert_array_equal(found[1], np.zeros((6, 6)))
    assert np.any(found[0] != 0.0)
