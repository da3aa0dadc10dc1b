"""The helpers themselves: problems meet their conditions, the reference its own differences."""

import numpy as np
import pytest

from tests.checks import assert_near, element, residuals
from tests.problems import COMBINATIONS, FULL, Answer, Sizes, feasible, known, tangent
from tests.reference import difference, jvp
from tests.tolerances import CONSTRUCTION, SELF_CHECK

SINGULAR = [
    Sizes(n=6, m=8, k=2, rank=3),
    Sizes(n=5, m=9, rank=0),
    Sizes(n=5, k=2, lower=True, upper=True, rank=0),
]


@pytest.mark.parametrize("sizes", COMBINATIONS + SINGULAR, ids=lambda s: s.label)
def test_known_answers_meet_the_optimality_conditions(sizes):
    problem = known(np.random.default_rng(1), sizes, batch=(4,))
    for i in range(4):
        data, answer = element(problem.data, i), element(problem.answer, i)
        assert max(residuals(data, answer)) < CONSTRUCTION
        assert np.all((answer.lam > 0) != (answer.s > 0))


@pytest.mark.parametrize("sizes", COMBINATIONS + SINGULAR, ids=lambda s: s.label)
def test_the_dense_reference_agrees_with_differences_of_an_active_set_solve(sizes):
    rng = np.random.default_rng(2)
    data, answer = known(rng, sizes)
    direction = tangent(rng, data)
    expected = difference(lambda d: _active_set_solve(d, answer), data, direction)
    for name, value in jvp(data, answer, direction)._asdict().items():
        assert_near(value, getattr(expected, name), SELF_CHECK, name)


def test_feasible_problems_contain_their_point():
    data = feasible(np.random.default_rng(3), FULL, {"A": (5,), "b": (5,)})
    x = (np.linalg.pinv(data.A) @ data.b[..., None])[..., 0]
    assert np.all(data.G @ x[0] < data.h)
    assert np.all(data.lb < x)
    assert np.all(x < data.ub)


def test_shared_matrices_carry_no_batch_dimension():
    data, answer = known(np.random.default_rng(4), FULL, batch=(2, 3), shared=("Q", "A"))
    assert data.Q.shape == (6, 6)
    assert data.A.shape == (2, 6)
    assert data.G.shape == (2, 3, 7, 6)
    assert answer.x.shape == (2, 3, 6)


def _active_set_solve(data, near):
    """The solution whose active set is that of a nearby answer: one symmetric linear system."""
    n, eye = data.p.shape[0], np.eye(data.p.shape[0])
    blocks = [
        (data.G, data.h, near.lam > 0),
        (data.A, data.b, np.ones(near.nu.shape, bool)),
        (-eye, None if data.lb is None else -data.lb, near.lam_lb > 0),
        (eye, data.ub, near.lam_ub > 0),
    ]
    rows = np.vstack([np.zeros((0, n))] + [C[on] for C, c, on in blocks if c is not None])
    right = np.concatenate([np.zeros(0)] + [c[on] for C, c, on in blocks if c is not None])
    K = np.block([[(data.Q + data.Q.T) / 2, rows.T], [rows, np.zeros((len(rows),) * 2)]])
    x, found = np.split(np.linalg.solve(K, np.concatenate([-data.p, right])), [n])
    multipliers = [np.zeros(on.shape) for _, _, on in blocks]
    ends = np.cumsum([on.sum() for _, _, on in blocks])[:-1]
    for multiplier, (_, _, on), part in zip(
        multipliers, blocks, np.split(found, ends), strict=True
    ):
        multiplier[on] = part
    s = np.zeros(0) if data.G is None else data.h - data.G @ x
    return Answer(x, s, *multipliers, x @ data.Q @ x / 2 + data.p @ x)
