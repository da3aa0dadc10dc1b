"""Slack variables that the kernels eliminate, beside the same problems with columns for them."""

import numpy as np
import pytest

import kktdiff
from kktdiff._records import Rhs
from kktdiff.kernels import method
from tests.checks import assert_near
from tests.kernels.calls import LANES, flat, point_of, rows_of, using
from tests.problems import Data
from tests.tolerances import ADJOINT

pytestmark = pytest.mark.usefixtures("native")

SHAPES = {  # n, m, k, slacks
    "all rows": (3, 9, 0, 9),
    "some rows": (6, 7, 2, 4),
    "one row": (2, 1, 0, 1),
    "wide": (10, 20, 3, 20),
    "too large for lanes": (80, 90, 5, 70),
}


def soft_problem(seed, shape, batch=11, price=None, bounded=False):
    """A batch with a slack in some rows of G; return it with the row of each slack."""
    rng = np.random.default_rng(seed)
    n, m, k, slacks = shape
    rows = np.sort(rng.permutation(m)[:slacks])
    root, x = rng.normal(size=(batch, n, n)), rng.normal(size=(batch, n))
    Q, G = np.zeros((batch, n + slacks, n + slacks)), np.zeros((batch, m, n + slacks))
    Q[:, :n, :n] = root @ root.mT / n + 0.1 * np.eye(n)
    G[:, :, :n] = rng.normal(size=(batch, m, n))
    h = np.einsum("bmn,bn->bm", G[:, :, :n], x) + 1.0
    h[:, rows] = rng.normal(size=(batch, slacks))
    G[:, rows, n + np.arange(slacks)] = -1.0
    prices = np.exp(1.5 * rng.normal(size=(batch, slacks))) if price is None else price
    p = np.concatenate([rng.normal(size=(batch, n)), np.zeros((batch, slacks)) + prices], axis=1)
    A = np.zeros((batch, k, n + slacks))
    A[:, :, :n] = rng.normal(size=(batch, k, n))
    b = np.einsum("bkn,bn->bk", A[:, :, :n], x)
    lb, ub = np.zeros(p.shape), np.full(p.shape, 1e20)
    lb[:, :n] = -1e20
    if bounded:
        lb[:, :n], ub[:, :n] = x - 0.3, x + 0.5
        lb[:, 0] = ub[:, 0] = x[:, 0]
    return Data(Q, p, G, h, A if k else None, b if k else None, lb, ub), rows


def both(data, rows):
    qp = flat(data)
    return qp, qp._replace(slack_rows=rows)


def assert_same_solution(whole, slacks, **options):
    expected, found = (method.solve(qp, None, 100, **options) for qp in (whole, slacks))
    assert np.array_equal(found.status, expected.status)
    assert np.abs(found.iterations - expected.iterations).max() <= 3
    parts = (method.kept_parts(whole, one.kept) for one in (found, expected))
    for name, own, other in zip(method.Kept._fields[1:], *(one[1:] for one in parts), strict=True):
        assert_near(own, other, 10 * ADJOINT * (1 + np.abs(other).max(initial=0)), name)
    assert np.array_equal(found.active, expected.active)
    return expected, found


@pytest.mark.parametrize("variant", LANES)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("bounded", [False, True])
def test_solutions_and_derivatives(native, variant, shape, bounded):
    if variant not in native.variants():
        pytest.skip(f"{variant} does not run here")
    whole, slacks = both(*soft_problem(0, shape, bounded=bounded))
    with using(variant):
        expected, found = assert_same_solution(whole, slacks)
        assert not found.status.any()
        rng = np.random.default_rng(1)
        sizes = whole.sizes[0], rows_of(whole), whole.sizes[2]
        rhs = Rhs(*(rng.normal(size=(whole.length, size, 2)) for size in sizes))
        reference, *_ = method.derive(whole, expected.kept, expected.active, rhs, 1e-15)
        own, error, singular = method.derive(slacks, found.kept, found.active, rhs, 1e-15)
    assert error.max() < 1e-11
    assert not singular.any()
    for name, v, other in zip(Rhs._fields, own, reference, strict=True):
        assert_near(v, other, 100 * ADJOINT * (1 + np.abs(other).max(initial=0)), name)


def test_kept_factors_and_factors_anew_give_the_same_bits():
    _, qp = both(*soft_problem(2, SHAPES["too large for lanes"]))
    out = method.solve(qp, None, 100)
    sizes = qp.sizes[0], rows_of(qp), qp.sizes[2]
    rhs = Rhs(*(np.ones((qp.length, size, 1)) for size in sizes))
    system = qp, out.kept, out.active, rhs, 1e-15
    kept, *_ = method.derive(*system, factors=out.factors)
    again, *_ = method.derive(*system)
    assert out.factors is not None
    for own, other in zip(kept, again, strict=True):
        assert np.array_equal(own, other)


@pytest.mark.parametrize("price", [1e-3, 1e3, 1e6])
def test_prices_over_decades(price):
    assert_same_solution(*both(*soft_problem(3, SHAPES["some rows"], price=price)))


def test_where_hard_rows_contradict_each_other_the_proof_needs_no_soft_one():
    data, rows = soft_problem(4, SHAPES["some rows"])
    hard = np.setdiff1d(np.arange(7), rows)[:2]
    data.G[5, hard[1]] = -data.G[5, hard[0]]
    data.h[5, hard] = -1.0
    whole, slacks = both(data, rows)
    expected, found = (method.solve(qp, None, 100) for qp in (whole, slacks))
    assert found.status.tolist() == expected.status.tolist()
    assert found.status[5] == kktdiff.Status.PRIMAL_INFEASIBLE
    lam = point_of(slacks, found).lam[5]
    assert np.all(lam[rows] <= 1e-7 * lam[hard].max())


def test_without_a_price_on_what_falls_there_is_no_bound():
    data, rows = soft_problem(5, SHAPES["all rows"])
    data.Q[3] = 0.0
    data.p[3] = 0.0
    data.p[3, 0] = -1.0
    data.G[3, :, 0] = -1.0
    whole, slacks = both(data, rows)
    for qp in (whole, slacks):
        assert method.solve(qp, None, 100).status[3] == kktdiff.Status.DUAL_INFEASIBLE


def test_a_warm_start_from_the_solution_takes_no_iteration():
    _, qp = both(*soft_problem(6, SHAPES["some rows"]))
    out = method.solve(qp, None, 100)
    again = method.solve(qp, point_of(qp, out), 100)
    assert not again.status.any()
    assert not again.iterations.any()


@pytest.mark.parametrize("shape", ["some rows", "too large for lanes"])
def test_an_element_has_the_same_bits_in_any_batch(shape):
    _, qp = both(*soft_problem(7, SHAPES[shape]))
    whole = method.solve(qp, None, 100)
    for index in (np.array([4]), np.arange(3), np.arange(10, 2, -1)):
        found, expected = method.solve(qp.take(index), None, 100), whole.take(index)
        for name in ("x", "s", "lam", "nu", "kept", "iterations"):
            assert np.array_equal(getattr(found, name), getattr(expected, name)), name


def test_slack_variables_do_not_count_as_size():
    rows, limits = np.ones((1250, 2)), np.linspace(-1.0, 1.0, 1250)
    solution = kktdiff.solve_qp(np.eye(2), np.zeros(2), rows, limits, soft={"h": 0.01})
    (part,) = solution._engine.parts
    assert method.supports(part.problem.data)
    assert not method.supports(part.problem.data._replace(slack_rows=None))
    assert_near(solution.lam.sum(), -solution.x[0], ADJOINT, "x")
