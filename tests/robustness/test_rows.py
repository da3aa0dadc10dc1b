"""Dependent, contradicting, empty and repeated rows."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import assert_farkas, assert_finite, assert_near
from tests.problems import FULL, Data, Sizes, known
from tests.robustness.one_bad import proof_of, solve
from tests.tolerances import ANSWER, CERTIFICATE, DENSE_REFERENCE, HAND_DERIVATIVE, LEAST_SQUARES

MODES = ("exact", "least_squares")


def one(data):
    """A batch of one."""
    return Data(*(None if a is None else a[None] for a in data))


def assert_infeasible(data):
    assert solve(data).status == Status.PRIMAL_INFEASIBLE
    assert np.all(np.isnan(solve(data).x))
    assert_farkas(*proof_of(one(data), 0), CERTIFICATE)


def test_dependent_equalities_have_x_and_finite_multipliers_and_gradients():
    data, answer = known(np.random.default_rng(39), FULL)
    A, b = np.vstack([data.A, data.A]), np.append(data.b, data.b)
    solution, single = kktdiff.solve_qp(*data._replace(A=A, b=b)), kktdiff.solve_qp(*data)
    assert solution.status == Status.SOLVED
    assert_near(solution.x, answer.x, ANSWER, "x")
    assert_near(solution.nu[:2] + solution.nu[2:], answer.nu, ANSWER, "nu")
    for mode in MODES:
        grads, expected = (s.vjp(np.ones(6), gradient=mode) for s in (solution, single))
        assert_finite(grads)
        assert_near(grads.p, expected.p, DENSE_REFERENCE, "p")
        assert_near(grads.b[:2] + grads.b[2:], expected.b, DENSE_REFERENCE, "b")


@pytest.mark.parametrize("gap", [1e-3, 1.0])
@pytest.mark.parametrize("sizes", [Sizes(n=6, k=2), FULL], ids=lambda s: s.label)
def test_inconsistent_equalities_are_infeasible_and_proven(sizes, gap):
    data = known(np.random.default_rng(18), sizes).data
    A, b = np.vstack([data.A, data.A.sum(0)]), np.append(data.b, data.b.sum() + gap)
    assert_infeasible(data._replace(A=A, b=b))


def many_equalities():
    """Seven equalities in three unknowns, all of them met at (1, -2, 3)."""
    A = np.random.default_rng(201).normal(size=(7, 3))
    return Data(np.eye(3), np.ones(3), A=A, b=A @ np.array([1.0, -2.0, 3.0]))


def test_more_consistent_equalities_than_variables_are_solved():
    data = many_equalities()
    solution = kktdiff.solve_qp(*data)
    assert solution.status == Status.SOLVED
    assert_near(solution.x, np.array([1.0, -2.0, 3.0]), ANSWER, "x")
    assert_near(data.A.T @ solution.nu, -solution.x - 1.0, ANSWER, "force")
    for mode in MODES:
        grads = solution.vjp(np.ones(3), gradient=mode)
        assert_near(grads.p, np.zeros(3), LEAST_SQUARES, "p")
        assert_near(grads.b, np.linalg.pinv(data.A).T @ np.ones(3), LEAST_SQUARES, "b")


def test_more_contradicting_equalities_than_variables_are_infeasible():
    data = many_equalities()
    data.b[4] += 0.1
    assert_infeasible(data)


def with_a_zero_row(block, limit, sizes):
    problem = known(np.random.default_rng(38), sizes)
    right, n = {"G": "h", "A": "b"}[block], sizes.n
    rows, limits = getattr(problem.data, block), getattr(problem.data, right)
    rows = np.zeros((1, n)) if rows is None else np.vstack([rows, np.zeros(n)])
    limits = np.full(1, limit) if limits is None else np.append(limits, limit)
    return problem.data._replace(**{block: rows, right: limits}), problem.answer


EITHER = [FULL, Sizes(n=4, k=1), Sizes(n=4)]


@pytest.mark.parametrize("sizes", EITHER, ids=lambda s: s.label)
@pytest.mark.parametrize(("block", "limit"), [("G", 1.0), ("G", 1e-4), ("G", 0.0), ("A", 0.0)])
def test_a_zero_row_that_allows_everything_changes_nothing(block, limit, sizes):
    data, answer = with_a_zero_row(block, limit, sizes)
    solution = kktdiff.solve_qp(*data)
    assert solution.status == Status.SOLVED
    assert_near(solution.x, answer.x, ANSWER, "x")
    if limit > 0:
        assert_near(solution.lam, np.append(answer.lam, 0.0), ANSWER, "lam")
    plain = kktdiff.solve_qp(*known(np.random.default_rng(38), sizes).data)
    for mode in MODES:
        grads = solution.vjp(np.ones(sizes.n), gradient=mode)
        assert_finite(grads)
        assert_near(grads.p, plain.vjp(np.ones(sizes.n)).p, DENSE_REFERENCE, "p")


@pytest.mark.parametrize("sizes", EITHER, ids=lambda s: s.label)
@pytest.mark.parametrize(
    ("block", "limit"),
    [("G", -1.0), ("G", -1e-4), ("A", -1.0), ("A", -1e-4), ("A", 1e-4), ("A", 1.0)],
)
def test_a_zero_row_that_forbids_everything_is_infeasible(block, limit, sizes):
    assert_infeasible(with_a_zero_row(block, limit, sizes)[0])


@pytest.mark.parametrize("block", ["G", "A"])
def test_a_zero_row_among_large_ones_changes_nothing(block):
    """The others are scaled until they have size 1; this one can't be."""
    data, answer = with_a_zero_row(block, 0.0, FULL)
    large = {name: 1e4 * getattr(data, name) for name in ("G", "h", "A", "b")}
    solution = kktdiff.solve_qp(*data._replace(**large))
    assert solution.status == Status.SOLVED
    assert_near(solution.x, answer.x, ANSWER, "x")
    assert_finite(solution.vjp(np.ones(6)))


def with_a_zero_column(**changes):
    """The known problem and a fifth variable, which appears nowhere but where told."""
    data, answer = known(np.random.default_rng(200), Sizes(n=4, m=5, k=1))
    wide = {name: np.pad(getattr(data, name), ((0, 0), (0, 1))) for name in "GA"}
    data = data._replace(Q=np.pad(data.Q, (0, 1)), p=np.pad(data.p, (0, 1)), **wide)
    return data._replace(**changes), answer


def test_a_variable_that_appears_nowhere_is_left_in_peace():
    data, answer = with_a_zero_column()
    solution = kktdiff.solve_qp(*data)
    assert solution.status == Status.SOLVED
    assert_near(solution.x[:4], answer.x, ANSWER, "x")
    for mode in MODES:
        grads = solution.vjp(np.ones(5), gradient=mode)
        assert_finite(grads)
        assert_near(grads.p[4], 0.0, LEAST_SQUARES, "p")


def test_a_zero_column_with_a_price_goes_to_its_bound_or_falls_for_ever():
    data, answer = with_a_zero_column(lb=np.append(np.full(4, -np.inf), -2.0))
    data.p[4] = 3.0
    solution = kktdiff.solve_qp(*data)
    assert solution.status == Status.SOLVED
    assert_near(solution.x, np.append(answer.x, -2.0), ANSWER, "x")
    assert_near(solution.vjp(np.ones(5)).lb[4], 1.0, HAND_DERIVATIVE, "lb")
    assert solve(data._replace(lb=None)).status == Status.DUAL_INFEASIBLE


@pytest.mark.parametrize("copies", [2, 3])
def test_every_row_given_several_times_changes_neither_x_nor_its_gradients(copies):
    data, answer = known(np.random.default_rng(21), FULL)
    G, h = np.tile(data.G, (copies, 1)), np.tile(data.h, copies)
    solution, single = kktdiff.solve_qp(*data._replace(G=G, h=h)), kktdiff.solve_qp(*data)
    assert solution.status == Status.SOLVED
    assert_near(solution.x, answer.x, ANSWER, "x")
    assert_near(solution.lam.reshape(copies, -1).sum(0), answer.lam, ANSWER, "sum of lam")
    assert not solution.diagnostics().trustworthy
    for mode in MODES:
        grads, expected = (s.vjp(np.ones(6), gradient=mode) for s in (solution, single))
        assert_finite(grads)
        assert_near(grads.p, expected.p, DENSE_REFERENCE, "p")
        assert_near(grads.h.reshape(copies, -1).sum(0), expected.h, DENSE_REFERENCE, "h")
