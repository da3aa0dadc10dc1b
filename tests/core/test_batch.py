"""Every array broadcasts on its own; what the batch shares is computed once."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import answer_of, assert_answer, assert_near
from tests.problems import FULL, Data, Sizes, feasible, known
from tests.tolerances import ANSWER, HAND_DERIVATIVE, ITERATIONS_MOST, SHARED


def test_arrays_of_different_depth_make_one_batch():
    batches = {"Q": (4, 1), "p": (5,), "G": (1, 5), "h": (3, 1, 1), "lb": (1,), "b": (4, 1)}
    data = feasible(np.random.default_rng(67), FULL, batches)
    copies = Data(*(np.broadcast_to(a, (3, 4, 5, *_core(f, a))).copy() for f, a in _items(data)))
    solution, expected = (answer_of(kktdiff.solve_qp(*d)) for d in (data, copies))
    assert solution.x.shape == (3, 4, 5, 6)
    assert_answer(solution, expected, SHARED)


def test_without_inequalities_shared_matrices_are_factored_once_for_all():
    problem = known(np.random.default_rng(69), Sizes(n=6, k=2, rank=4), (5,), ("Q", "A"))
    solution = kktdiff.solve_qp(*problem.data)
    assert_answer(solution, problem.answer, ANSWER)
    grads = solution.vjp(np.ones((5, 6)), nu=np.ones((5, 2)))
    own = [problem.data._replace(p=problem.data.p[i], b=problem.data.b[i]) for i in range(5)]
    alone = [kktdiff.solve_qp(*data).vjp(np.ones(6), nu=np.ones(2)) for data in own]
    assert_near(grads.p, np.stack([g.p for g in alone]), SHARED, "p")
    assert_near(grads.A, sum(g.A for g in alone), SHARED, "A")


def test_factors_for_all_leave_out_who_has_no_solution():
    """The objective falls for ever along the third variable wherever p pulls at it."""
    Q, p = np.diag([1.0, 1.0, 0.0]), np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0], [3.0, 0.0, 0.0]])
    solution = kktdiff.solve_qp(Q, p, on_failure="ignore")
    np.testing.assert_array_equal(
        solution.status, [Status.SOLVED, Status.DUAL_INFEASIBLE, Status.SOLVED]
    )
    expected = -p * [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    assert_near(np.nan_to_num(solution.x), expected, ANSWER, "x")
    grads = solution.vjp(np.ones((3, 3)))
    assert_near(grads.p, [[-1, -1, 0], [0, 0, 0], [-1, -1, 0]], HAND_DERIVATIVE, "p")
    np.testing.assert_array_equal(solution.diagnostics().trustworthy, [False, False, False])


def _items(data):
    return data._asdict().items()


def _core(name, array):
    return array.shape[-2:] if name in "QGA" else array.shape[-1:]


@pytest.mark.parametrize("m", [0, 40])
def test_shared_matrices_take_the_iterations_of_separate_ones(m):
    """Above the size from which each matrix has a LAPACK call of its own."""
    data = known(np.random.default_rng(48), Sizes(n=40, m=m, k=3, lower=True), batch=(4,)).data
    one = data._replace(**{name: getattr(data, name)[0] for name in "QGA" if m or name != "G"})
    copies = {name: np.stack([getattr(one, name)] * 4) for name in "QGA" if m or name != "G"}
    shared, separate = kktdiff.solve_qp(*one), kktdiff.solve_qp(*one._replace(**copies))
    np.testing.assert_array_equal(shared.iterations, separate.iterations)
    assert_near(shared.x, separate.x, SHARED, "x")


def test_total_variation_of_noisy_signals_is_found_at_any_strength():
    """Its dual: one dense Q of a hundred variables for all, and bounds that are mostly active."""
    rng = np.random.default_rng(49)
    D, steps = (
        np.diff(np.eye(100), axis=0),
        np.repeat(rng.uniform(10, 100, size=(30, 5)), 20, axis=1),
    )
    noisy = steps + rng.normal(scale=10, size=steps.shape)
    for strength in (1.0, 5.0, 20.0):
        limit = np.full(99, strength)
        solution = kktdiff.solve_qp(D @ D.T, -noisy @ D.T, lb=-limit, ub=limit)
        np.testing.assert_array_equal(solution.status, [kktdiff.Status.SOLVED] * 30)
        assert solution.iterations.max() <= ITERATIONS_MOST
