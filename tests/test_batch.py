"""One element's answer depends on nothing but its own data: bit for bit on NumPy."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import answer_of, assert_answer, assert_near, assert_same_bits, element, grads_of
from tests.problems import FULL, Answer, Data, Sizes, feasible, known
from tests.tolerances import ANSWER, HAND_DERIVATIVE, SHARED

B = 7
OUTPUTS = (*Answer._fields, "status", "iterations", "primal_residual", "duality_gap")


def cotangents(answer):
    """Fixed random cotangents of every output, in the solution's shapes."""
    rng = np.random.default_rng(60)
    return {name: rng.normal(size=np.shape(value)) for name, value in answer._asdict().items()}


def run(data, weights):
    """(solution, gradients as NumPy), silently."""
    solution = kktdiff.solve_qp(*data, on_failure="ignore")
    return solution, grads_of(solution.vjp(**weights))


def pick(record, index):
    return {name: value[index] for name, value in record.items()}


@pytest.fixture(scope="module")
def batch():
    """(data, weights, solution, gradients) of one batch with separate data."""
    problem = known(np.random.default_rng(61), FULL, batch=(B,))
    weights = cotangents(problem.answer)
    return problem.data, weights, *run(problem.data, weights)


def assert_part(batch, index):
    """Solving the indexed part alone gives the same bits as that part of the whole."""
    data, weights, whole, whole_grads = batch
    part, grads = run(element(data, index), pick(weights, index))
    for name in OUTPUTS:
        np.testing.assert_array_equal(
            getattr(part, name), getattr(whole, name)[index], err_msg=name
        )
    assert_same_bits(grads, element(whole_grads, index), Data._fields)


@pytest.mark.parametrize("i", range(B))
def test_a_batch_is_its_elements_one_by_one(batch, i):
    assert_part(batch, i)


@pytest.mark.parametrize("i", [0, B - 1])
def test_a_batch_of_one_is_its_element(batch, i):
    assert_part(batch, slice(i, i + 1))


def test_order_does_not_matter(batch):
    assert_part(batch, np.random.default_rng(62).permutation(B))


def test_repetition_and_size_do_not_matter(batch):
    assert_part(batch, np.arange(300) % B)


def test_a_batch_too_large_for_one_chunk_has_the_bits_of_its_elements():
    sizes = Sizes(n=30, m=30, k=5)
    data = known(np.random.default_rng(70), sizes, batch=(5,)).data
    many = np.arange(900) % 5
    few, grads = run(data, {"x": np.ones((5, 30))})
    large, large_grads = run(element(data, many), {"x": np.ones((900, 30))})
    np.testing.assert_array_equal(large.x, few.x[many])
    assert_same_bits(large_grads, element(grads, many), ("Q", "p", "G", "h", "A", "b"))


@pytest.mark.parametrize("subset", [[1, 4], [6, 0, 3]])
def test_batch_mates_do_not_matter(batch, subset):
    assert_part(batch, np.array(subset))


def spoiled(data, how):
    """A copy whose element 2 cannot be solved."""
    bad = Data(*(a.copy() for a in data))
    if how == "infeasible":
        bad.G[2, 0], bad.h[2, 0] = 0.0, -1.0
    elif how == "unbounded":
        for array in (bad.Q, bad.G, bad.A, bad.b):
            array[2] = 0.0
        bad.h[2], bad.lb[2], bad.ub[2] = 1.0, -np.inf, np.inf
    elif how == "crossed bounds":
        bad.lb[2], bad.ub[2] = 1.0, -1.0
    elif how == "nonconvex":
        bad.Q[2] = -np.eye(6)
    else:
        getattr(bad, how)[2].flat[-1] = np.nan
    return bad


WAYS = ["infeasible", "unbounded", "crossed bounds", "nonconvex", *Data._fields]


@pytest.mark.parametrize("how", WAYS)
def test_one_bad_element_changes_no_bit_of_another(batch, how):
    data, weights, whole, whole_grads = batch
    solution, grads = run(spoiled(data, how), weights)
    others = np.arange(B) != 2
    assert not solution.solved[2]
    for name in OUTPUTS:
        np.testing.assert_array_equal(
            getattr(solution, name)[others], getattr(whole, name)[others], err_msg=name
        )
    assert_same_bits(element(grads, others), element(whole_grads, others), Data._fields)


@pytest.mark.parametrize("how", WAYS)
def test_one_bad_element_has_gradients_of_exactly_zero(batch, how):
    data, weights, *_ = batch
    _, grads = run(spoiled(data, how), weights)
    for name, gradient in grads._asdict().items():
        np.testing.assert_array_equal(gradient[2], 0.0, err_msg=name)


@pytest.mark.parametrize(("seed", "rank"), [(3, 3), (15, 1), (21, 0), (28, 0), (33, 1), (34, 0)])
def test_a_factorization_that_breaks_down_changes_no_bit_of_another_element(seed, rank):
    """Singular Q at a vertex: the elements that finish first have the worst matrices."""
    sizes = Sizes(n=7, m=13, k=5, upper=True, rank=rank)
    data = known(np.random.default_rng(seed), sizes, batch=(4,)).data
    together = kktdiff.solve_qp(*data)
    for i in range(4):
        alone = kktdiff.solve_qp(*element(data, i))
        for name in OUTPUTS:
            np.testing.assert_array_equal(
                getattr(alone, name), getattr(together, name)[i], err_msg=name
            )


def test_a_batch_of_none_has_results_of_none():
    data = known(np.random.default_rng(63), FULL, batch=(1,)).data
    solution = kktdiff.solve_qp(*element(data, slice(0, 0)))
    assert solution.x.shape == (0, 6)
    assert solution.lam.shape == (0, 7)
    assert solution.status.shape == solution.solved.shape == (0,)
    grads = solution.vjp(np.zeros((0, 6)))
    assert grads.G.shape == (0, 7, 6)
    assert solution.jvp(p=np.zeros((0, 6))).x.shape == (0, 6)


def test_a_batch_of_none_gives_shared_inputs_a_zero_gradient():
    data = known(np.random.default_rng(64), FULL).data
    solution = kktdiff.solve_qp(*data._replace(p=np.zeros((0, 6))))
    np.testing.assert_array_equal(solution.vjp(np.zeros((0, 6))).Q, np.zeros((6, 6)))


@pytest.mark.parametrize(
    "sizes",
    [Sizes(n=1), Sizes(n=1, m=1), Sizes(n=1, k=1), Sizes(n=1, m=3, lower=True, upper=True)],
    ids=lambda s: s.label,
)
def test_one_variable_is_enough(sizes):
    problem = known(np.random.default_rng(65), sizes, batch=(4,))
    assert_answer(answer_of(kktdiff.solve_qp(*problem.data)), problem.answer, ANSWER)


def test_a_batch_in_two_dimensions_is_the_flat_batch(batch):
    data, weights, *_ = batch
    six = element(data, slice(6)), pick(weights, slice(6))
    flat, flat_grads = run(*six)
    grid = Data(*(a.reshape(2, 3, *a.shape[1:]) for a in six[0]))
    square = {name: w.reshape(2, 3, *w.shape[1:]) for name, w in six[1].items()}
    solution, grads = run(grid, square)
    for name in OUTPUTS:
        value = getattr(solution, name)
        expected = getattr(flat, name)
        np.testing.assert_array_equal(value, expected.reshape(value.shape), err_msg=name)
        assert value.shape[:2] == (2, 3)
    for gradient, expected in zip(grads, flat_grads, strict=True):
        np.testing.assert_array_equal(gradient, expected.reshape(gradient.shape))


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
