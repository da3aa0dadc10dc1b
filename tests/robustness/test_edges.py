"""Weakly active rows, no interior, rows that disagree by next to nothing."""

from itertools import product

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import assert_finite, assert_near
from tests.problems import Data, Sizes, known
from tests.robustness.one_bad import solve
from tests.tolerances import ANSWER, DENSE_REFERENCE, HAND_DERIVATIVE, LEAST_INFEASIBLE

MODES = ("exact", "least_squares")


def test_a_weakly_active_row_has_a_gradient_from_the_generalised_jacobian():
    """min (x-1)^2/2 with x <= 1: dx/dp is 0 or -1 or between, and dx/dh = 1 + dx/dp."""
    solution = kktdiff.solve_qp(np.eye(1), -np.ones(1), np.eye(1), np.ones(1))
    assert_near(solution.x, np.ones(1), ANSWER, "x")
    for mode in ("exact", "smoothed", "least_squares"):
        grads = solution.vjp(np.ones(1), gradient=mode)
        assert -1 - HAND_DERIVATIVE <= grads.p[0] <= HAND_DERIVATIVE
        assert_near(grads.h, 1 + grads.p, HAND_DERIVATIVE, "h")


def two_weakly_active_rows(rng):
    """Row 0 is active, rows 1 and 2 are met exactly with multipliers 0, the others are not."""
    U, x, G = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=(5, 4))
    Q = U @ U.T + np.eye(4)
    return Data(Q, -Q @ x - G[0], G, G @ x + [0.0, 0.0, 0.0, 1.0, 1.0])


def jacobian_if_active(data, rows):
    """dx/dp where these rows are active and the others are not."""
    G, zero = data.G[rows], np.zeros((len(rows), len(rows)))
    return -np.linalg.inv(np.block([[data.Q, G.T], [G, zero]]))[:4, :4]


@pytest.mark.parametrize("seed", range(5))
def test_two_weakly_active_rows_have_a_jacobian_between_the_four_that_meet(seed):
    data = two_weakly_active_rows(np.random.default_rng(seed))
    found = kktdiff.solve_qp(*data).jacobian("x", "p")
    sides = [[0, *first, *second] for first, second in product(([], [1]), ([], [2]))]
    corners = np.stack([jacobian_if_active(data, rows).ravel() for rows in sides], axis=1)
    shares = np.linalg.lstsq(np.vstack([corners, np.ones(4)]), np.append(found, 1.0))[0]
    assert np.all(shares >= -DENSE_REFERENCE)
    assert_near(corners @ shares, found.ravel(), DENSE_REFERENCE, "dx/dp")
    assert_near(shares.sum(), 1.0, DENSE_REFERENCE, "sum of shares")


def test_weakly_active_rows_are_counted_and_their_gradients_finite():
    solution = kktdiff.solve_qp(*two_weakly_active_rows(np.random.default_rng(22)))
    report = solution.diagnostics()
    assert report.weakly_active == 2
    assert not report.trustworthy
    for mode in ("exact", "smoothed", "least_squares"):
        assert_finite(solution.vjp(np.ones(4), lam=np.ones(5), gradient=mode))


def test_an_empty_interior_is_no_obstacle():
    """Gx <= h and -Gx <= -h: an equality in two rows."""
    data, answer = known(np.random.default_rng(40), Sizes(n=5, k=2))
    pair = np.vstack([data.A, -data.A]), np.append(data.b, -data.b)
    solution, equal = kktdiff.solve_qp(data.Q, data.p, *pair), kktdiff.solve_qp(*data)
    assert solution.status == Status.SOLVED
    assert_near(solution.x, answer.x, ANSWER, "x")
    assert_near(solution.lam[:2] - solution.lam[2:], answer.nu, ANSWER, "nu")
    for mode in MODES:
        grads, expected = (s.vjp(np.ones(5), gradient=mode) for s in (solution, equal))
        assert_finite(grads)
        assert_near(grads.p, expected.p, DENSE_REFERENCE, "p")


def apart(gap, at=1.0):
    """x0 <= at and x0 >= at + gap."""
    G, h = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([at, -at - gap])
    return Data(np.eye(2), np.ones(2), G, h)


def assert_least_infeasible(data, solution, gap):
    """Half of the gap is the least violation of two rows that disagree by it."""
    violation = max(np.max(data.G @ solution.x - data.h), 0.0)
    assert violation <= LEAST_INFEASIBLE * gap / 2
    assert_near(solution.primal_residual, violation, HAND_DERIVATIVE, "primal residual")


@pytest.mark.parametrize("at", [0.0, 1.0])
@pytest.mark.parametrize("gap", [1e-12, 1e-10, 1e-9])
def test_infeasible_by_up_to_1e_9_is_solved(gap, at):
    solution = solve(apart(gap, at))
    assert solution.status == Status.SOLVED
    assert_near(solution.x, np.array([at, -1.0]), ANSWER, "x")
    assert_finite(solution.vjp(np.ones(2)))


@pytest.mark.parametrize("at", [0.0, 1.0])
@pytest.mark.parametrize("gap", [3e-8, 1e-7, 1e-6, 3e-6])
def test_infeasible_by_a_little_more_is_almost_solved_at_the_least_infeasible_point(gap, at):
    data = apart(gap, at)
    solution = solve(data)
    assert solution.status == Status.ALMOST_SOLVED
    assert solution.solved
    assert_least_infeasible(data, solution, gap)
    assert_near(solution.x[1], -1.0, ANSWER, "x1")
    for mode in MODES:
        assert_finite(solution.vjp(np.ones(2), gradient=mode))


@pytest.mark.parametrize(("gap", "at"), [(1e-4, 0.0), (1e-4, 1.0), (1e-2, 1.0)])
def test_infeasible_by_1e_4_is_infeasible(gap, at):
    assert solve(apart(gap, at)).status == Status.PRIMAL_INFEASIBLE


@pytest.mark.parametrize("form", ["equalities", "pairs of rows"])
@pytest.mark.parametrize("seed", range(4))
def test_rows_that_disagree_by_up_to_1e_6_have_a_point_and_the_gradient_in_p(seed, form):
    """Each of three equalities is there twice; the second has moved by up to 1e-6."""
    rng = np.random.default_rng(240 + seed)
    data, _ = known(rng, Sizes(n=8, m=5, k=3))
    moves = rng.uniform(1e-7, 1e-6, size=3)
    equal = kktdiff.solve_qp(*data).vjp(np.ones(8))
    if form == "equalities":
        A, b = np.vstack([data.A, data.A]), np.append(data.b, data.b + moves)
        solution = solve(data._replace(A=A, b=b))
    else:
        rows = np.vstack([data.A, -data.A, data.G])
        h = np.concatenate([data.b, -data.b - moves, data.h])
        solution = solve(Data(data.Q, data.p, rows, h))
    assert solution.status == Status.ALMOST_SOLVED
    assert solution.primal_residual <= LEAST_INFEASIBLE * moves.max() / 2
    for mode in MODES:
        grads = solution.vjp(np.ones(8), gradient=mode)
        assert_finite(grads)
        assert_near(grads.p, equal.p, HAND_DERIVATIVE, "p")


@pytest.mark.parametrize("seed", range(4))
def test_sums_taken_in_single_precision_are_solved(seed):
    """The fourth pair of rows is the sum of the other three, rounded: there is no interior."""
    data, answer = known(np.random.default_rng(seed), Sizes(n=8, m=5, k=3))
    single = data.A.astype(np.float32), answer.x.astype(np.float32)
    b = single[0] @ single[1]
    A = np.vstack([single[0].astype(float), single[0].astype(float).sum(0)])
    b = np.append(b, b.sum(dtype=np.float32)).astype(float)
    rows, h = np.vstack([A, -A, data.G]), np.concatenate([b, -b, data.h])
    solution = solve(Data(data.Q, data.p, rows, h))
    assert solution.solved
    assert solution.primal_residual <= np.abs(b[:3].sum() - b[3]) + HAND_DERIVATIVE
    assert_finite(solution.vjp(np.ones(8)))
