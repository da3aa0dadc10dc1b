"""Batches of any size and company, training, and what LAPACK gives up on."""

import tracemalloc

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import answer_of, assert_finite, assert_near, assert_same_bits, element, grads_of
from tests.problems import FULL, Answer, Data, Sizes, feasible, known
from tests.robustness.one_bad import OUTPUTS, assert_isolated, solve, weights_for
from tests.tolerances import LEAST_SQUARES, WORKSPACE


@pytest.fixture(scope="module")
def seven():
    """(data, weights, solution, gradients) of one batch with separate data."""
    data = known(np.random.default_rng(61), FULL, batch=(7,)).data
    solution = solve(data)
    weights = Answer(**weights_for(solution))
    return data, weights, solution, grads_of(solution.vjp(**weights._asdict()))


PARTS = {
    "alone, first": 0,
    "alone, last": 6,
    "of one": slice(3, 4),
    "two": [1, 4],
    "three": [6, 0, 3],
    "shuffled": np.random.default_rng(62).permutation(7),
    "300": np.random.default_rng(63).integers(7, size=300),
}


@pytest.mark.parametrize("part", PARTS)
def test_an_element_has_the_same_bits_and_status_in_any_batch(seven, part):
    data, weights, whole, grads = seven
    index = PARTS[part]
    solution = solve(element(data, index))
    for name in OUTPUTS:
        expected = getattr(whole, name)[index]
        np.testing.assert_array_equal(getattr(solution, name), expected, err_msg=name)
    found = grads_of(solution.vjp(**element(weights, index)._asdict()))
    assert_same_bits(found, element(grads, index), Data._fields)


def test_one_failure_of_each_kind_changes_no_bit_of_sixty_others():
    """Infeasible, not a number, unbounded, not convex; values and gradients of the rest."""
    data = known(np.random.default_rng(64), FULL, batch=(64,)).data
    data.lb[5], data.ub[5] = 1.0, 0.0
    data.G[17, 2, 1] = np.nan
    for array in (data.Q, data.G, data.A, data.b):
        array[30] = 0.0
    data.h[30], data.lb[30], data.ub[30] = 1.0, -np.inf, np.inf
    data.Q[63] -= 2 * np.linalg.eigvalsh(data.Q[63])[-1] * np.eye(6)
    bad = [5, 17, 30, 63]
    assert [Status(s).name for s in solve(data).status[bad].tolist()] == [
        "PRIMAL_INFEASIBLE",
        "INVALID_DATA",
        "DUAL_INFEASIBLE",
        "NONCONVEX",
    ]
    assert_isolated(data, bad)


@pytest.mark.usefixtures("blas_in_threads")
def test_a_batch_too_large_for_one_chunk_has_the_bits_of_its_elements():
    data = known(np.random.default_rng(70), Sizes(n=30, m=30, k=5), batch=(5,)).data
    many = np.arange(900) % 5
    few, large = solve(data), solve(element(data, many))
    for name in OUTPUTS:
        np.testing.assert_array_equal(getattr(large, name), getattr(few, name)[many], name)
    grads, large_grads = (grads_of(s.vjp(np.ones_like(s.x))) for s in (few, large))
    assert_same_bits(large_grads, element(grads, many), Data._fields)


@pytest.mark.usefixtures("blas_in_threads")
def test_a_large_batch_stays_inside_its_workspace():
    """10 variables, 100 rows; unchunked, it takes 82 MB on top of what the solution holds."""
    data = feasible(np.random.default_rng(38), Sizes(n=10, m=100), {"p": (4200,)})
    tracemalloc.start()
    try:
        solution = kktdiff.solve_qp(*data)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert np.all(solution.solved)
    assert peak - held <= WORKSPACE
    some = [0, 777, 4199]
    few = kktdiff.solve_qp(*data._replace(p=data.p[some]))
    assert_same_bits(few, element(answer_of(solution), some), Answer._fields)


def test_training_that_drives_an_element_infeasible_keeps_a_finite_gradient_and_the_count():
    """min |x|^2/2 with x0 + x1 >= 1 and x <= h: the loss, a mean, pulls every h down."""
    h = np.full((1000, 2), 2.0)
    h[137] = 0.56
    G, floor, failed = np.eye(2), (-np.ones((1, 2)), -np.ones(1)), []
    for _ in range(4):
        solution = solve(Data(np.eye(2), -np.ones(2), np.vstack([G, floor[0]]), limits(h)))
        failed.append(np.flatnonzero(~solution.solved).tolist())
        grads = solution.vjp(np.full((1000, 2), 1 / 1000))
        assert_finite(grads)
        h = h - 50.0 * grads.h[:, :2]
    assert failed == [[], [], [137], [137]]
    assert solution.status[137] == Status.PRIMAL_INFEASIBLE
    np.testing.assert_array_equal(grads.h[137], 0.0)
    assert np.all(np.delete(solution.solved, 137))
    with pytest.warns(kktdiff.SolveWarning, match="1 of 1000 .* PRIMAL_INFEASIBLE at 137"):
        kktdiff.solve_qp(np.eye(2), -np.ones(2), np.vstack([G, floor[0]]), limits(h))


def limits(h):
    """x <= h, and x0 + x1 >= 1."""
    return np.concatenate([h, -np.ones((len(h), 1))], axis=1)


def test_a_singular_kkt_system_has_a_finite_least_squares_gradient_and_a_flag():
    """Element 1 has its active row twice: half of the gradient each. Element 0 is regular."""
    G, h = np.array([[[1.0], [-1.0]], [[1.0], [1.0]]]), np.array([[1.0, 5.0], [1.0, 1.0]])
    solution = kktdiff.solve_qp(np.eye(1), np.array([-2.0]), G, h)
    assert_near(solution.x, np.ones((2, 1)), LEAST_SQUARES, "x")
    assert_near(solution.lam.sum(1), np.ones(2), LEAST_SQUARES, "sum of lam")
    exact, least = (solution.vjp(np.ones((2, 1)), gradient=g) for g in ("exact", "least_squares"))
    for grads in (exact, least):
        assert_finite(grads)
        assert_near(grads.h, np.array([[1.0, 0.0], [0.5, 0.5]]), LEAST_SQUARES, "h")
        assert_near(grads.p, np.zeros(1), LEAST_SQUARES, "p")
    report = solution.diagnostics()
    np.testing.assert_array_equal(report.trustworthy, [True, False])
    np.testing.assert_array_equal(np.isinf(report.condition), [False, True])


@pytest.mark.parametrize(("seed", "rank"), [(3, 3), (15, 1), (21, 0), (28, 0), (33, 1), (34, 0)])
def test_a_factorization_that_breaks_down_changes_no_bit_of_another_element(seed, rank):
    """Singular Q at a vertex: the elements that finish first have the worst matrices."""
    sizes = Sizes(n=7, m=13, k=5, upper=True, rank=rank)
    data = known(np.random.default_rng(seed), sizes, batch=(4,)).data
    together = kktdiff.solve_qp(*data)
    for i in range(4):
        alone = kktdiff.solve_qp(*element(data, i))
        for name in OUTPUTS:
            found = getattr(together, name)[i]
            np.testing.assert_array_equal(getattr(alone, name), found, err_msg=name)
