"""Elements that have no solution, or data that are none."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from kktdiff.backends.numpy import NumPyBackend
from tests.checks import (
    assert_answer,
    assert_farkas,
    assert_near,
    assert_ray,
    assert_same_bits,
    grads_of,
)
from tests.problems import FULL, Data, Sizes, known
from tests.robustness.one_bad import (
    BAD,
    OUTPUTS,
    assert_failed,
    assert_isolated,
    assert_no_iterations,
    batch_of_five,
    proof_of,
    solve,
)
from tests.tolerances import ANSWER, CERTIFICATE, SUM


def infeasible(how):
    """Element 2 has contradicting rows, equalities, or one of them against the bounds."""
    data = batch_of_five(1)
    if how == "rows":
        data.G[BAD, 1], data.h[BAD, 1] = -data.G[BAD, 0], -data.h[BAD, 0] - 1.0
    elif how == "equalities":
        data.A[BAD, 1], data.b[BAD, 1] = data.A[BAD, 0], data.b[BAD, 0] + 1.0
    elif how == "a row of zeros":
        data.G[BAD, 0], data.h[BAD, 0] = 0.0, -1.0
    elif how == "a row and the bounds":
        data.G[BAD, 0], data.h[BAD, 0] = 1.0, data.lb[BAD].sum() - 1.0
    else:
        data.A[BAD, 0], data.b[BAD, 0] = 1.0, data.ub[BAD].sum() + 1.0
    return data


INFEASIBLE = ["rows", "equalities", "a row of zeros", "a row and the bounds", "bounds and equality"]


@pytest.mark.parametrize("how", INFEASIBLE)
def test_one_infeasible_element_fails_alone_and_is_proven(how):
    data = infeasible(how)
    assert_failed(data, Status.PRIMAL_INFEASIBLE)
    assert_isolated(data)
    assert_farkas(*proof_of(data), CERTIFICATE)
    assert np.all(np.isnan(np.delete(solve(data).certificate().lam, BAD, axis=0)))


def test_a_shared_array_has_the_gradient_of_the_elements_that_are_solved():
    Q, p = np.array([[2.0, 1.0], [1.0, 3.0]]), np.random.default_rng(2).normal(size=(5, 2))
    lb, ub = np.zeros((5, 2)), np.ones((5, 2))
    G, h = np.ones((1, 2)), np.array([[1.0], [0.5], [-1.0], [0.3], [2.0]])
    others = np.delete(np.arange(5), BAD)
    grads = solve(Data(Q, p, G, h, lb=lb, ub=ub)).vjp(np.ones((5, 2)))
    alone = solve(Data(Q, p[others], G, h[others], lb=lb[others], ub=ub[others]))
    assert_near(grads.Q, alone.vjp(np.ones((4, 2))).Q, SUM, "Q")
    assert_near(grads.G, alone.vjp(np.ones((4, 2))).G, SUM, "G")


def unbounded(how):
    """Element 2 falls for ever: along (1, ..., 1), or with no constraints at all in its way."""
    data, r = batch_of_five(3), np.ones(6)
    if how == "no constraints":
        for array in (data.Q, data.G, data.A, data.b):
            array[BAD] = 0.0
        data.h[BAD], data.lb[BAD], data.ub[BAD] = 1.0, -np.inf, np.inf
        return data
    Q, A, G = data.Q[BAD], data.A[BAD], data.G[BAD]
    x = data.lb[BAD] + 1.0
    Q -= np.outer(Q @ r, Q @ r) / (r @ Q @ r)
    A -= np.outer(A @ r, r) / 6
    G -= np.outer(np.maximum(G @ r, 0.0), r) / 6
    data.h[BAD], data.b[BAD], data.ub[BAD] = G @ x + 1.0, A @ x, np.inf
    data.p[BAD] -= data.p[BAD].mean() + 1.0
    if how == "linear":
        Q[:] = 0.0
    return data


UNBOUNDED = ["flat", "linear", "no constraints"]


@pytest.mark.parametrize("how", UNBOUNDED)
def test_one_unbounded_element_fails_alone_and_has_a_ray(how):
    data = unbounded(how)
    assert_failed(data, Status.DUAL_INFEASIBLE)
    assert_isolated(data)
    assert_ray(*proof_of(data), CERTIFICATE)
    assert np.all(np.isnan(np.delete(solve(data).certificate().x, BAD, axis=0)))


def all_infeasible():
    """Each of five elements for another reason."""
    data = batch_of_five(4)
    for i, how in enumerate(INFEASIBLE):
        broken = infeasible(how)
        for array, other in zip(data, broken, strict=True):
            array[i] = other[BAD]
    return data


def test_all_infeasible_is_all_flagged_and_all_proven():
    data = all_infeasible()
    solution = solve(data)
    np.testing.assert_array_equal(solution.status, [Status.PRIMAL_INFEASIBLE] * 5)
    np.testing.assert_array_equal(solution.solved, [False] * 5)
    for i in range(5):
        assert_farkas(*proof_of(data, i), CERTIFICATE)


def with_entry(name, value):
    """One entry of element 2, off the diagonal in a matrix, has this value."""
    data = batch_of_five(5)
    getattr(data, name)[BAD].flat[1] = value
    return data


@pytest.mark.parametrize("name", Data._fields)
def test_a_nan_never_comes_to_a_factorization(name, monkeypatch):
    for method in ("cholesky", "condensed_cholesky", "lu_factor"):
        real = getattr(NumPyBackend, method)

        def finite(self, *arrays, real=real):
            assert all(np.all(np.isfinite(array)) for array in arrays if array is not None)
            return real(self, *arrays)

        monkeypatch.setattr(NumPyBackend, method, finite)
    solution = solve(with_entry(name, np.nan))
    np.testing.assert_array_equal(solution.solved, np.arange(5) != BAD)


INVALID = [(name, np.nan) for name in Data._fields]
INVALID += [(name, sign * np.inf) for name in "QpGA" for sign in (1, -1)]
INVALID += [("b", sign * 1e20) for sign in (1, -1)]  # it says nothing


@pytest.mark.parametrize(("name", "value"), INVALID)
def test_an_entry_that_may_not_be_makes_its_element_invalid_and_moves_no_other(name, value):
    data = with_entry(name, value)
    assert_failed(data, Status.INVALID_DATA)
    assert_no_iterations(data)
    assert_isolated(data)


def with_rows_without_limit(seed, infinite):
    """The known problem with three more rows of G, of which the answer takes no notice."""
    data, answer = known(np.random.default_rng(seed), FULL)
    G = np.insert(data.G, [0, 4, 7], np.ones(6), axis=0)
    h = np.insert(data.h, [0, 4, 7], infinite)
    lam = np.insert(answer.lam, [0, 4, 7], 0.0)
    return data._replace(G=G, h=h), answer, lam


def test_a_row_without_a_limit_is_absent_and_its_multiplier_exactly_zero():
    data, answer, lam = with_rows_without_limit(30, np.inf)
    solution = kktdiff.solve_qp(*data)
    assert_near(solution.x, answer.x, ANSWER, "x")
    assert_near(solution.lam, lam, ANSWER, "lam")
    np.testing.assert_array_equal(solution.lam[np.isinf(data.h)], 0.0)


def test_a_row_without_a_limit_has_gradients_of_exactly_zero():
    data, *_ = with_rows_without_limit(31, np.inf)
    solution = kktdiff.solve_qp(*data)
    for weights in ({"x": np.ones(6)}, {"lam": np.ones(10)}, {"objective": np.ones(())}):
        grads = solution.vjp(**weights)
        np.testing.assert_array_equal(grads.h[np.isinf(data.h)], 0.0)
        np.testing.assert_array_equal(grads.G[np.isinf(data.h)], 0.0)
        assert np.all(np.isfinite(grads.G))
        assert np.all(grads.h[solution.lam > 0.1] != 0.0)


def with_infinite_bounds(seed, infinite):
    """Bounds that the answer does not touch are taken away."""
    data, answer = known(np.random.default_rng(seed), FULL)
    lb = np.where(answer.lam_lb > 0, data.lb, -infinite)
    ub = np.where(answer.lam_ub > 0, data.ub, infinite)
    return data._replace(lb=lb, ub=ub), answer


def test_infinite_bounds_are_absent_and_their_multipliers_and_gradients_exactly_zero():
    data, answer = with_infinite_bounds(33, np.inf)
    solution = kktdiff.solve_qp(*data)
    assert_answer(solution, answer, ANSWER)
    grads = solution.vjp(np.ones(6), lam_lb=np.ones(6), lam_ub=np.ones(6))
    for name, bound in (("lb", data.lb), ("ub", data.ub)):
        np.testing.assert_array_equal(getattr(solution, f"lam_{name}")[np.isinf(bound)], 0.0)
        np.testing.assert_array_equal(getattr(grads, name)[np.isinf(bound)], 0.0)
    assert np.all(np.isfinite(grads.Q))


def test_bounds_infinite_throughout_are_no_bounds_at_all():
    data, answer = known(np.random.default_rng(34), Sizes(n=5, m=6, k=1))
    free = data._replace(lb=np.full(5, -np.inf), ub=np.full(5, np.inf))
    assert_answer(kktdiff.solve_qp(*free), answer, ANSWER)


IMPOSSIBLE = [("h", -1), ("b", -1), ("b", 1), ("lb", 1), ("ub", -1)]


@pytest.mark.parametrize(("name", "sign"), IMPOSSIBLE)
@pytest.mark.parametrize("infinite", [np.inf, 1e20])
def test_a_limit_that_nothing_meets_is_never_solved_and_gives_no_nan(name, sign, infinite):
    data = with_entry(name, sign * infinite)
    status = Status(int(solve(data).status[BAD]))
    assert status in (Status.PRIMAL_INFEASIBLE, Status.INVALID_DATA)
    assert_failed(data, status)
    assert_isolated(data)


@pytest.mark.parametrize("size", [1e20, 3e25, 1e300])
def test_from_1e20_on_a_limit_has_the_bits_of_an_infinite_one(size):
    pairs = [[with_rows_without_limit(32, v)[0] for v in (size, np.inf)]]
    pairs += [[with_infinite_bounds(33, v)[0] for v in (size, np.inf)]]
    for finite, infinite in pairs:
        found, expected = kktdiff.solve_qp(*finite), kktdiff.solve_qp(*infinite)
        assert_same_bits(found, expected, OUTPUTS)
        grads = (grads_of(s.vjp(np.ones(6), lam=np.ones_like(s.lam))) for s in (found, expected))
        assert_same_bits(*grads, Data._fields)


def test_below_1e20_a_limit_counts():
    """x >= 9e19 is met; x >= 1e20 is not."""
    solution = solve(Data(np.zeros((2, 1, 1)), np.ones((2, 1)), lb=np.array([[9e19], [1e20]])))
    np.testing.assert_array_equal(solution.status, [Status.SOLVED, Status.PRIMAL_INFEASIBLE])


@pytest.mark.parametrize("gap", [1e-4, 1.0])
def test_crossed_bounds_are_infeasible_before_any_iteration(gap):
    data = batch_of_five(9)
    data.lb[BAD, 3] = data.ub[BAD, 3] + gap
    assert_failed(data, Status.PRIMAL_INFEASIBLE)
    assert_no_iterations(data)
    assert_farkas(*proof_of(data), CERTIFICATE)
    assert_isolated(data)
