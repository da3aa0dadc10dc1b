"""Every array broadcasts on its own; what the batch shares is computed once."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import answer_of, assert_answer, assert_near
from tests.problems import FULL, Data, Sizes, feasible, known
from tests.tolerances import ANSWER, HAND_DERIVATIVE, SHARED


@pytest.mark.parametrize("name", Data._fields)
@pytest.mark.parametrize("own", [(), (3,), (1, 3), (2, 1), (2, 3)], ids=str)
def test_every_array_broadcasts_on_its_own(name, own):
    batches = dict.fromkeys(Data._fields, (2, 3)) | {name: own}
    data = feasible(np.random.default_rng(66), FULL, batches)
    copies = Data(*(np.broadcast_to(a, (2, 3, *_core(f, a))).copy() for f, a in _items(data)))
    solution, expected = (answer_of(kktdiff.solve_qp(*d)) for d in (data, copies))
    assert_answer(solution, expected, SHARED)


def test_arrays_of_different_depth_make_one_batch():
    batches = {"Q": (4, 1), "p": (5,), "G": (1, 5), "h": (3, 1, 1), "lb": (1,), "b": (4, 1)}
    data = feasible(np.random.default_rng(67), FULL, batches)
    copies = Data(*(np.broadcast_to(a, (3, 4, 5, *_core(f, a))).copy() for f, a in _items(data)))
    solution, expected = (answer_of(kktdiff.solve_qp(*d)) for d in (data, copies))
    assert solution.x.shape == (3, 4, 5, 6)
    assert_answer(solution, expected, SHARED)


def test_shared_matrices_give_the_known_answers():
    problem = known(np.random.default_rng(68), FULL, batch=(5,), shared=("Q", "G", "A"))
    solution = answer_of(kktdiff.solve_qp(*problem.data))
    assert_near(solution.x, problem.answer.x, ANSWER, "x")


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
