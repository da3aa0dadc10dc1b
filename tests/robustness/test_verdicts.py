"""Exact answers to integer problems against answers by hand, and what may pass for a proof."""

from fractions import Fraction
from math import inf

import numpy as np
import pytest

from kktdiff import Status
from tests.problems import Sizes
from tests.robustness.exact import any_problem
from tests.robustness.lemke import LARGEST, lemke, solve_linear
from tests.robustness.verdicts import decide, is_farkas, is_optimal, is_ray, problem, rows_of

SOLVED = Status.SOLVED
PRIMAL, DUAL = Status.PRIMAL_INFEASIBLE, Status.DUAL_INFEASIBLE

HALF_LINE = problem([[0]], [-1], lb=[0])
EDGE = problem([[0, 0], [0, 0]], [-1, -1], [[1, 1]], [1], lb=[0, 0])
KINK = problem([[1]], [-1], [[1]], [1])
TWICE = problem([[1]], [-2], [[1], [1]], [1, 1])
HAND = [
    (problem([[2]], [-2]), SOLVED, -1),
    (problem([[0]], [0]), SOLVED, 0),
    (problem([[0]], [1]), DUAL, None),
    (HALF_LINE, DUAL, None),
    (EDGE, SOLVED, -1),
    (KINK, SOLVED, Fraction(-1, 2)),
    (TWICE, SOLVED, Fraction(-3, 2)),
    (problem([[1, 0], [0, 1]], [0, 0], A=[[1, 2]], b=[3]), SOLVED, Fraction(9, 10)),
    (problem([[1, 1], [1, 1]], [1, 0]), DUAL, None),
    (problem([[1, 1], [1, 1]], [1, 1]), SOLVED, Fraction(-1, 2)),
    (problem([[1, 1], [1, 1]], [1, 0], lb=[-1, -inf], ub=[inf, 2]), SOLVED, -1),
    (problem([[1]], [0], [[1], [-1]], [-1, 0]), PRIMAL, None),
    (problem([[1]], [0], lb=[1], ub=[0]), PRIMAL, None),
    (problem([[1, 0], [0, 1]], [0, 0], A=[[1, 1], [2, 2]], b=[1, 3]), PRIMAL, None),
    (problem([[1, 0], [0, 1]], [0, 0], A=[[1, 1], [2, 2]], b=[1, 2]), SOLVED, Fraction(1, 4)),
    (problem([[1, 0], [0, 1]], [0, 0], [[1, 1]], [2], lb=[1, 2], ub=[1, 2]), PRIMAL, None),
    (problem([[1, 0], [0, 1]], [0, 0], lb=[1, -2], ub=[1, 5]), SOLVED, Fraction(1, 2)),
    (problem([[1]], [0], [[0]], [-1]), PRIMAL, None),
]


def decided(data):
    """Decide a problem; the weights of its gradient are ones."""
    return decide(data, np.ones(data.p.size, int))


@pytest.mark.parametrize(("data", "status", "objective"), HAND, ids=range(len(HAND)))
def test_problems_solved_by_hand(data, status, objective):
    verdict = decided(data)
    assert verdict.statuses == {status}
    assert verdict.objective == objective


def test_infeasible_problems_with_a_ray_have_both_statuses():
    data = problem([[0, 0], [0, 0]], [0, -1], [[1, 0], [-1, 0]], [-1, 0])
    assert decided(data).statuses == {PRIMAL, DUAL}


def test_a_kkt_point_by_hand():
    """x1 = -3 by its row and x1 + 2 + 2 lam = 0; x2 = 2 and 3 x2 + 1 + nu = 0."""
    verdict = decided(problem([[1, 0], [0, 3]], [2, 1], [[2, 0]], [-6], A=[[0, 1]], b=[2]))
    x, lam, nu = (v / Fraction(verdict.point.denominator) for v in verdict.point[:3])
    assert (x.tolist(), lam.tolist(), nu.tolist()) == ([-3, 2], [Fraction(1, 2)], [-7])


@pytest.mark.parametrize(
    "data",
    [
        EDGE,
        KINK,
        TWICE,
        problem([[0]], [0]),
        problem([[1, 0], [0, 1]], [0, 0], A=[[1, 1], [2, 2]], b=[1, 2]),
        problem([[0, 0], [0, 0]], [-2, -2], [[1, 0], [0, 1], [1, 1]], [1, 1, 2]),
        problem([[1]], [1], [[0]], [0]),
    ],
    ids=[
        "edge",
        "kink",
        "row twice",
        "flat",
        "dependent equalities",
        "three at a vertex",
        "0 <= 0",
    ],
)
def test_degenerate_solutions_have_no_gradient(data):
    verdict = decided(data)
    assert verdict.statuses == {SOLVED}
    assert verdict.gradient is None


@pytest.mark.parametrize(
    ("data", "p", "h", "b"),
    [
        (problem([[2]], [-2]), [Fraction(-1, 2)], None, None),
        (problem([[1]], [-2], [[2]], [2]), [0], [Fraction(1, 2)], None),
        (problem([[1]], [-2], [[1]], [3]), [-1], [0], None),
        (problem([[1]], [-2], lb=[1], ub=[1]), [0], None, None),
        (problem([[1]], [-2], [[1]], [3], ub=[1]), [0], [0], None),
        (
            problem([[1, 0], [0, 1]], [0, 0], A=[[1, 2]], b=[5]),
            [Fraction(-2, 5), Fraction(1, 5)],
            None,
            [Fraction(3, 5)],
        ),
    ],
    ids=["no row", "active row", "inactive row", "fixed", "at a bound", "equality"],
)
def test_gradients_by_hand(data, p, h, b):
    gradient = decided(data).gradient
    found = [None if v is None else v.tolist() for v in (gradient.p, gradient.h, gradient.b)]
    assert found == [p, h, b]


@pytest.mark.parametrize(
    "change",
    [
        {"x": [1]},
        {"x": [-1], "lam": [3]},
        {"lam": [0]},
        {"lam": [-1]},
        {"denominator": 2},
        {"denominator": -1},
    ],
    ids=str,
)
def test_a_wrong_point_is_not_optimal(change):
    data = problem([[1]], [-2], [[1]], [0])
    point = decided(data).point
    assert is_optimal(data, rows_of(data), point)
    wrong = {name: v if name == "denominator" else np.array(v) for name, v in change.items()}
    wrong = point._replace(**wrong)
    assert not is_optimal(data, rows_of(data), wrong)


@pytest.mark.parametrize(
    ("lam", "nu", "proves"),
    [([1, 1], [0], True), ([0, 0], [1], False), ([1, 0], [0], False), ([-1, -1], [0], False)],
)
def test_what_proves_that_no_point_is_feasible(lam, nu, proves):
    """The rows are x <= -1, x >= 0 and 0 = 0."""
    data = problem([[1]], [0], [[1], [-1]], [-1, 0], A=[[0]], b=[0])
    point = decided(problem([[1]], [0])).point
    assert is_farkas(rows_of(data), point._replace(lam=np.array(lam), nu=np.array(nu))) is proves


@pytest.mark.parametrize(
    ("x", "falls"), [([1, 0, 0], True), ([-1, 0, 0], False), ([1, 1, 0], False), ([1, 0, 1], False)]
)
def test_what_proves_that_the_objective_falls_for_ever(x, falls):
    """It falls along x1, is curved along x2, and x3 is fixed."""
    Q = np.diag([0, 1, 0])
    data = problem(Q, [-1, -9, -9], [[-1, 0, 0]], [0], lb=[0, 0, 1], ub=[inf, inf, 1])
    assert is_ray(data, rows_of(data), np.array(x)) is falls


def test_large_integers_are_exact():
    """In units in which the numbers of the tableau need more than 64 bits."""
    rng, unit = np.random.default_rng(505), 10**6 + 3
    for _ in range(30):
        data = any_problem(rng, Sizes(n=4, m=5, k=1))
        large = data._replace(**{name: unit * getattr(data, name) for name in "QpGA"})
        large = large._replace(h=unit * data.h, b=unit * data.b)
        verdict, again = decided(data), decided(large)
        assert again.statuses == verdict.statuses
        if verdict.objective is not None:
            assert again.objective == unit * verdict.objective


def test_linear_systems_are_solved_exactly():
    K = np.array([[0, 2, 1], [1, 1, 1], [2, 0, 3]])
    for unit in (1, LARGEST):
        u = solve_linear(unit * K, np.array([3, 3, 5]))
        assert u.tolist() == [Fraction(1, unit)] * 3
    assert solve_linear(np.array([[1, 2], [2, 4]]), np.array([1, 2])) is None


def test_the_ray_of_a_complementarity_problem_without_a_solution():
    """The rows are x >= 1 and x <= 0, for x >= 0."""
    M, q = np.array([[1, -1, 1], [1, 0, 0], [-1, 0, 0]]), np.array([0, -1, 0])
    solved, z, _ = lemke(M, q)
    assert not solved
    assert np.all(z >= 0)
    assert np.all(M @ z >= 0)
    assert z @ M @ z == 0
    assert q @ z < 0
