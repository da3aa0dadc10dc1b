"""Programs as cvxpy makes them, and as it might: whatever goes, the optimum is the same."""

import numpy as np
import pytest
import scipy.sparse as sp

import kktdiff
from tests.checks import assert_near
from tests.tolerances import OTHER_SOLVER

cp = pytest.importorskip("cvxpy")
from kktdiff.adapters.cvxpy._evaluate import Framework, filled, pool
from kktdiff.adapters.cvxpy._maps import blocks, laid_out, products
from kktdiff.adapters.cvxpy._presolve import presolved
from kktdiff.adapters.cvxpy._program import Entries, Program

N, PARAMETER = 9, 1.5
NUMPY = Framework(np, np.asarray, lambda matrix, vectors: vectors @ matrix.T)
GROUPS = [[0, 1], [2], [3, 4], [5], [6, 7], [8]]


def drawn_program(rng):
    """Feasible, bounded below; each entry may depend on the parameter; variables 0 to 2 are own."""
    k, m = rng.integers(0, 4), rng.integers(3, 9)
    matrix = rng.choice([-2.0, -1.0, 1.0, 3.0], size=(k + m, N))
    matrix *= rng.random((k + m, N)) < rng.choice([0.15, 0.3])
    for row in rng.choice(k + m, size=2):  # limits of one variable
        matrix[row] = 0.0
        matrix[row, rng.integers(N)] = -1.0
    if k and rng.random() < 0.5:  # a variable that is fixed
        matrix[0] = 0.0
        matrix[0, rng.integers(N)] = 2.0
    if rng.random() < 0.3:  # two limits that meet in a row
        matrix[:, 3:5] = 0.0
        matrix[k], matrix[k + 1] = -np.eye(N)[3:5]
        matrix[-1, 3:5] = 1.0
    point = rng.normal(size=N)
    slack = np.where(np.arange(k + m) < k, 0.0, rng.choice([0.0, 1.0], size=k + m))
    full = np.c_[matrix, slack - matrix @ point]
    row, column = np.nonzero(np.c_[matrix != 0, np.ones((k + m, 1), dtype=bool)])
    value = full[row, column]
    by_parameter = rng.random(row.size) < 0.2
    curved = rng.random(N) < 0.6
    diagonal = np.where(curved, rng.uniform(0.5, 2.0, size=N), 0.0)
    P = np.diag(diagonal)
    for group in GROUPS:  # a form in both entries
        if len(group) == 2 and curved[group].all() and rng.random() < 0.5:
            P[group[0], group[1]] = P[group[1], group[0]] = 0.3
    if rng.random() < 0.2 and curved[[2, 5]].all():
        P[2, 5] = P[5, 2] = 0.3
    bounded = rng.random(N) < 0.15
    p_row, p_column = np.nonzero(P)
    linear = np.flatnonzero(curved)
    return Program(
        Entries(p_row, p_column, entries(P[p_row, p_column])),
        Entries(linear, 0 * linear, entries(rng.normal(size=linear.size))),
        Entries(row, column, entries(value, by_parameter)),
        Entries(np.arange(N), 0, entries(np.where(bounded, point - 0.5, -np.inf))),
        None,
        (N, int(m), int(k)),
        {0: (0, cp.Variable(2)), 1: (2, cp.Variable())},
        {},
        [np.array(group) for group in GROUPS],
    )


def entries(value, by_parameter=False):
    """As a map of one parameter, and the constant part."""
    by_parameter = np.broadcast_to(by_parameter, value.shape)
    parts = np.where(by_parameter, value / PARAMETER, 0.0), np.where(by_parameter, 0.0, value)
    return sp.csr_array(np.stack(parts, -1))


def optimum(program, wanted, eliminate):
    """The least value, and how many variables the QP has."""
    smaller = presolved(program, wanted, eliminate=eliminate)
    layout = laid_out(smaller)
    own = np.arange(3)
    assert np.all((layout.x[own] >= 0) | (layout.y[own] >= 0) | (layout.fixed[own] >= 0))
    for rows in wanted:  # their multipliers are asked for
        assert np.all((layout.row[rows] >= 0) | np.isin(rows, layout.moved.row))
    sizes = [1]
    inner = [(a, b, sums) for a, b, sums in products(smaller, sizes)]
    plan = inner, blocks(smaller, layout, sizes)
    data, results = filled(NUMPY, plan, [np.array([PARAMETER])])
    solution = kktdiff.solve_qp(**data)
    found = pool(np, solution, results, ("x", "y", "fixed") if "t" in results else ("x", "fixed"))[
        1:
    ]
    x = np.zeros(N)
    ahead = 0
    for place in (layout.x, layout.y, layout.fixed):
        x[place >= 0] = found[ahead + place[place >= 0]]
        ahead += np.count_nonzero(place >= 0)
    both = [block.map @ np.array([PARAMETER, 1.0]) for block in (program.P, program.q)]
    curved = x[program.P.row] @ (both[0] * x[program.P.column])
    return curved / 2 + x[program.q.row] @ both[1], layout.sizes[0]


def test_whatever_goes_the_optimum_stays():
    fewer = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        program = drawn_program(rng)
        rows = sum(program.sizes[1:])
        wanted = [rng.choice(rows, size=1)] if seed % 3 == 0 else []
        (expected, all_of_them), (found, left) = (
            optimum(program, wanted, eliminate) for eliminate in (False, True)
        )
        assert all_of_them == N
        assert_near(found, expected, OTHER_SOLVER, f"seed {seed}")
        fewer += left < N
    assert fewer > 40
