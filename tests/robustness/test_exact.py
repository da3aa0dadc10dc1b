"""The solver against exact answers on tiny integer problems; the comparison against wrong ones."""

from math import inf

import numpy as np
import pytest

import kktdiff
from tests.problems import Data, Sizes
from tests.robustness import exact
from tests.robustness.exact import FAULTS, any_problem, compare, literal_of, rank_one
from tests.robustness.verdicts import problem

pytestmark = pytest.mark.slow

SIZES = [
    Sizes(n=1, m=2, lower=True, upper=True),
    Sizes(n=2, m=3),
    Sizes(n=2, k=1, lower=True),
    Sizes(n=2, m=6, k=2, upper=True),
    Sizes(n=3, m=2, k=1),
    Sizes(n=3, m=4, lower=True),
    Sizes(n=3, k=2),
    Sizes(n=3, m=6, lower=True, upper=True),
    Sizes(n=4, m=3, k=1, lower=True, upper=True),
    Sizes(n=4, m=6),
    Sizes(n=4, m=5, k=2, lower=True),
    Sizes(n=4, lower=True, upper=True),
]


@pytest.fixture(scope="module")
def compared():
    rng = np.random.default_rng(500)
    problems = [any_problem(rng, sizes) for sizes in SIZES for _ in range(40)]
    return compare(problems + [rank_one(rng) for _ in range(400)], rng)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_solver_agrees_with_exact_arithmetic(compared, fault):
    faults, _ = compared
    assert not faults[fault], "\n".join(faults[fault])


def test_the_problems_are_of_every_kind(compared):
    _, seen = compared
    kinds = ["SOLVED", "PRIMAL_INFEASIBLE", "DUAL_INFEASIBLE", "differentiable"]
    assert min(seen[kind] for kind in kinds) > 80
    assert seen["DUAL_INFEASIBLE or PRIMAL_INFEASIBLE"] > 0
    assert seen["SOLVED"] - seen["differentiable"] > 80
    assert seen["trusted"] > 0.99 * seen["differentiable"]


HARD = {
    "runs away 1": problem([[1, 1], [1, 1]], [0, -1], [[1, 0], [1, 1]], [0, -3]),
    "runs away 2": problem([[1, 1], [1, 1]], [-1, 1], [[0, 2], [1, 1]], [0, -3]),
    "runs away 3": problem([[1, -1], [-1, 1]], [-2, 1], [[-2, 1], [1, -1]], [2, 3]),
    "runs away 4": problem([[1, -1], [-1, 1]], [1, 0], [[-1, 1], [0, 1]], [-2, -2]),
    "runs away along two flat directions": problem(
        [[1, 1, 0], [1, 1, 0], [0, 0, 0]], [-2, -1, -2], [[1, 1, 0], [1, 2, -1]], [-2, -2]
    ),
    "runs away between bounds": problem(
        [[4, 4, 4, -4], [4, 8, 0, -8], [4, 0, 8, 0], [-4, -8, 0, 8]],
        [2, -1, -2, 2],
        [[-1, 1, 1, -1], [-1, -1, -1, 2]],
        [-1, 3],
        [[1, -2, -2, 2]],
        [2],
        ub=[0, 3, -1, inf],
    ),
    "infeasible": problem(
        [[1, 0, -1], [0, 0, 0], [-1, 0, 1]],
        [-1, 1, 0],
        [[-1, 0, 1], [0, 1, 0]],
        [-2, -3],
        lb=[-1, -2, -2],
    ),
    "infeasible, with a ray": problem(
        [[1, -1, 0, -1], [-1, 1, 0, 1], [0, 0, 0, 0], [-1, 1, 0, 1]],
        [1, -1, -1, 1],
        [[-1, -1, 0, 0], [-1, 1, -1, 1]],
        [1, -1],
        [[-1, 1, -1, 1]],
        [1],
        lb=[-inf, -1, 0, -inf],
    ),
    "solvable": problem(
        [[3, 5, 2, 5], [5, 9, 6, 8], [2, 6, 12, 2], [5, 8, 2, 9]],
        [2, 1, -1, -1],
        [[2, 1, 2, 2]],
        [2],
        [[1, -1, -2, -2]],
        [2],
        ub=[3, 2, 2, 0],
    ),
    "solvable, dependent equalities": problem(
        [[0, 0], [0, 0]], [-1, 3], A=[[-3, 3], [1, -1]], b=[0, 0], lb=[-inf, -2]
    ),
}


@pytest.mark.parametrize("data", HARD.values(), ids=HARD)
def test_problems_that_were_once_judged_wrongly(data):
    faults, _ = compare([data], np.random.default_rng(501))
    assert not any(faults.values()), {name: found for name, found in faults.items() if found}


def of_another_problem(**changes):
    """Return a solver that adds numbers to the data before it solves."""

    def solve(*data, **options):
        data = Data(*data)
        moved = {name: getattr(data, name) + change for name, change in changes.items()}
        return kktdiff.solve_qp(*data._replace(**moved), **options)

    return solve


@pytest.mark.parametrize(
    ("solve", "expected"),
    [
        (of_another_problem(Q=np.eye(3)), ["false SOLVED"]),
        (of_another_problem(h=-2), ["false PRIMAL_INFEASIBLE"]),
        (of_another_problem(p=2), ["false DUAL_INFEASIBLE"]),
        (of_another_problem(h=1e-5), ["wrong objective", "wrong x", "wrong certificate"]),
        (of_another_problem(p=1e-3), ["wrong trust"]),
        (of_another_problem(Q=1e-4), ["wrong gradient"]),
        (lambda *data, **kw: kktdiff.solve_qp(*data, max_iter=2, **kw), ["unsolved"]),
    ],
    ids=["Q", "h", "p", "h slightly", "p slightly", "Q slightly", "max_iter"],
)
def test_answers_to_another_problem_are_faults(solve, expected):
    rng = np.random.default_rng(502)
    faults, _ = compare([any_problem(rng, Sizes(n=3, m=4)) for _ in range(300)], rng, solve)
    assert all(faults[name] for name in expected)


def test_a_literal_is_the_problem():
    rng = np.random.default_rng(503)
    for _ in range(20):
        data = any_problem(rng)
        again = eval(literal_of(data), {"problem": problem, "inf": inf})
        for value, other in zip(data, again, strict=True):
            np.testing.assert_array_equal(value, other)


def test_the_command_counts(capsys):
    assert exact.main(["--count", "20", "--seed", "504", "--family", "rank_one"]) == 0
    assert "\nfalse SOLVED: 0\n" in capsys.readouterr().out


def test_the_command_fails_with_the_problem(capsys, monkeypatch):
    liar = of_another_problem(h=-5)
    monkeypatch.setattr(exact, "compare", lambda problems, rng: compare(problems, rng, liar))
    assert exact.main(["--count", "20", "--seed", "504", "--family", "rank_one"]) == 1
    assert "\nwrong objective\nproblem(Q=[[" in capsys.readouterr().out
