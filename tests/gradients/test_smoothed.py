"""gradient="smoothed" is the gradient of the central path; "least_squares" survives degeneracy."""

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_near, grads_of
from tests.problems import FULL, Data, Sizes, feasible, known, moved, tangent
from tests.reference import CENTRAL, STEP, weighted
from tests.tolerances import DENSE_REFERENCE, LEAST_SQUARES, SMOOTHED

ROUNDS = 200
PATH = 1e-12


def central_point(data, mu):
    """x with lam_i s_i = mu for every inequality and bound: a damped Newton method.

    Every bound is a row here, and nu is an unknown; the barrier's own Newton system in x.
    """
    Q, (C, c, A, b) = (data.Q + data.Q.T) / 2, _rows(data)
    x, nu = np.zeros(data.p.size), np.zeros(b.size)
    assert np.all(C @ x < c), "the start, 0, must be strictly inside"
    for _ in range(ROUNDS):
        s = c - C @ x
        gradient = Q @ x + data.p + C.T @ (mu / s) + A.T @ nu
        residual = np.concatenate([gradient, A @ x - b])
        if np.max(np.abs(residual)) < PATH:
            return x
        H = Q + C.T @ ((mu / s**2)[:, None] * C)
        K = np.block([[H, A.T], [A, np.zeros((b.size, b.size))]])
        dx, dnu = np.split(np.linalg.solve(K, -residual), [x.size])
        fall = np.max((C @ dx) / s, initial=0.0)
        step = min(1.0, 0.9 / fall) if fall > 0 else 1.0
        x, nu = x + step * dx, nu + step * dnu
    raise AssertionError(f"no central point at mu = {mu}: residual {np.max(np.abs(residual))}")


def _rows(data):
    n = data.p.size
    blocks = [(data.G, data.h)]
    if data.lb is not None:
        blocks.append((-np.eye(n), -data.lb))
    if data.ub is not None:
        blocks.append((np.eye(n), data.ub))
    C = np.vstack([np.zeros((0, n))] + [M for M, v in blocks if v is not None])
    c = np.concatenate([np.zeros(0)] + [v for _, v in blocks if v is not None])
    A, b = (np.zeros((0, n)), np.zeros(0)) if data.A is None else (data.A, data.b)
    return C, c, A, b


@pytest.mark.parametrize("mu", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("sizes", [FULL, Sizes(n=3, m=4), Sizes(n=3, k=1, lower=True)], ids=str)
def test_smoothed_gradients_are_those_of_the_central_path(sizes, mu):
    rng = np.random.default_rng(120)
    data = feasible(rng, sizes)
    weight = rng.normal(size=sizes.n)
    grads = kktdiff.solve_qp(*data).vjp(weight, gradient="smoothed", smoothing=mu)
    for name, t in tangent(rng, data).items():
        expected = weight @ _path_difference(data, {name: t}, mu)
        assert_near(np.sum(getattr(grads, name) * t), expected, SMOOTHED, name)


def _path_difference(data, direction, mu):
    step = STEP * min(1.0, mu**0.5)  # the path bends over distances of the root of mu
    values = (central_point(moved(data, direction, c * step), mu) for c in CENTRAL)
    return weighted(CENTRAL, values, step)


def test_smoothed_gradients_reach_inactive_rows():
    """The exact gradient of an inactive bound is 0; the path leans on every bound."""
    data = Data(np.eye(1), np.zeros(1), lb=-np.ones(1), ub=2 * np.ones(1))
    solution = kktdiff.solve_qp(*data)
    assert_near(solution.vjp(np.ones(1)).lb, np.zeros(1), DENSE_REFERENCE, "exact")
    assert solution.vjp(np.ones(1), gradient="smoothed", smoothing=0.1).lb[0] > 0.01


def test_smoothed_gradients_tend_to_the_exact_ones():
    data = feasible(np.random.default_rng(121), FULL)
    solution = kktdiff.solve_qp(*data)
    exact = grads_of(solution.vjp(np.ones(6)))
    gaps = []
    for mu in (1e-2, 1e-4, 1e-6):
        smooth = grads_of(solution.vjp(np.ones(6), gradient="smoothed", smoothing=mu))
        gaps.append(max(np.max(np.abs(a - b)) for a, b in zip(smooth, exact, strict=True)))
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2]


def test_each_element_has_its_own_smoothed_gradient():
    data = feasible(np.random.default_rng(122), FULL, dict.fromkeys(Data._fields, (3,)))
    weight = np.random.default_rng(123).normal(size=(3, 6))
    options = {"gradient": "smoothed", "smoothing": 1e-3}
    grads = grads_of(kktdiff.solve_qp(*data).vjp(weight, **options))
    for i in range(3):
        alone = kktdiff.solve_qp(*(a[i] for a in data)).vjp(weight[i], **options)
        for name in Data._fields:
            assert_near(getattr(grads, name)[i], getattr(alone, name), DENSE_REFERENCE, name)


def test_unsolved_elements_have_smoothed_and_least_squares_gradients_of_zero():
    p = np.array([[0.0, np.nan], [1.0, 2.0]])
    solution = kktdiff.solve_qp(np.eye(2), p, lb=np.zeros(2), on_failure="ignore")
    weight = np.ones((2, 2))
    for options in ({"gradient": "smoothed", "smoothing": 1e-3}, {"gradient": "least_squares"}):
        grads = solution.vjp(weight, **options)
        np.testing.assert_array_equal(grads.p[0], np.zeros(2))
        assert np.all(np.isfinite(grads.Q))


def test_least_squares_is_exact_where_the_system_is_regular():
    data, answer = known(np.random.default_rng(124), FULL)
    solution = kktdiff.solve_qp(*data)
    weights = {"x": np.ones(6), "lam": np.ones(answer.lam.shape)}
    exact, least = (
        grads_of(solution.vjp(**weights, gradient=g)) for g in ("exact", "least_squares")
    )
    for name in Data._fields:
        assert_near(getattr(least, name), getattr(exact, name), LEAST_SQUARES, name)
