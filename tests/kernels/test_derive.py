"""The kernel `derive` beside dense linear algebra, and gradients beside those of the array code."""

import numpy as np
import pytest

import kktdiff
from kktdiff._records import Rhs
from kktdiff.kernels import method
from tests.checks import assert_near, grads_of
from tests.kernels.calls import flat, rows_of, using
from tests.problems import FULL, Answer, Data, Sizes, known, tangent
from tests.robustness import fuzz
from tests.tolerances import ADJOINT, DENSE_REFERENCE

pytestmark = pytest.mark.usefixtures("native")

TARGET = 1e-16
LARGE = Sizes(n=120, m=30, k=5, upper=True)


def rows(qp, i):
    """Return C of one element, bounds as rows."""
    eye = np.eye(qp.sizes[0])
    blocks = [np.empty((0, len(eye))) if qp.G is None else qp.G[min(i, len(qp.G) - 1)]]
    blocks += [-eye] if qp.bounds[0] else []
    return np.concatenate(blocks + ([eye] if qp.bounds[1] else []))


def dense_solution(qp, i, active, rhs):
    """Solve the KKT system of one element's active rows by LU with pivoting."""
    n, _, k = qp.sizes
    none = np.empty((1, 0, n))
    Q, A = (M[min(i, len(M) - 1)] for M in (qp.Q, none if qp.A is None else qp.A))
    border = np.concatenate([rows(qp, i)[active], A])
    K = np.block([[Q, border.T], [border, np.zeros((len(border), len(border)))]])
    right = np.concatenate([rhs.x[i], rhs.c[i][active], rhs.nu[i]])
    found = np.linalg.solve(K, right)
    c = np.zeros(rhs.c[i].shape)
    c[active] = found[n : len(found) - k]
    return found[:n], c, found[len(found) - k :]


def right_hand_side(rng, qp, columns):
    n, _, k = qp.sizes
    return Rhs(*(rng.normal(size=(qp.length, size, columns)) for size in (n, rows_of(qp), k)))


def assert_solves(data, columns):
    qp = flat(data)
    out = method.solve(qp, None, 100)
    assert not out.status.any()
    rhs = right_hand_side(np.random.default_rng(0), qp, columns)
    found, error, singular = method.derive(qp, out.kept, out.active, rhs, TARGET)
    assert error.max(initial=0) < 1e-10
    assert not singular.any()
    for i in range(qp.length):
        for own, name, value in zip(
            found, Rhs._fields, dense_solution(qp, i, out.active[i], rhs), strict=True
        ):
            assert_near(own[i], value, DENSE_REFERENCE, name)


@pytest.mark.parametrize("n", range(1, 13))
def test_every_remainder_of_the_register_tiles(n):
    rng = np.random.default_rng(n)
    for m in (0, 1, 2, 3, 4, 5, 6, 7, 20):
        sizes = Sizes(n, m, int(rng.integers(0, min(n, 5))), not m or bool(m % 2), bool(n % 2))
        assert_solves(known(rng, sizes, (5,)).data, columns=1 + m % 3)


@pytest.mark.parametrize("shared", [(), ("Q",), ("Q", "G", "A")])
def test_shared_matrices(shared):
    assert_solves(known(np.random.default_rng(20), FULL, (11,), shared).data, columns=2)


def test_a_problem_too_large_for_lanes():
    assert_solves(known(np.random.default_rng(21), LARGE, (3,)).data, columns=4)


def large(kind):
    """A problem whose factors are kept: plain, with held variables, or with a diagonal H."""
    rng = np.random.default_rng(33)
    if kind == "diagonal":
        data = known(rng, Sizes(n=170, m=0, k=9, lower=True, upper=True), (3,)).data
        return data._replace(Q=np.eye(170) * rng.uniform(1, 2, (3, 170, 1)))
    data = known(rng, LARGE._replace(lower=True), (3,)).data
    if kind == "fixed variables":
        data.ub[:, :7] = data.lb[:, :7]
    return data


@pytest.mark.parametrize("kind", ["plain", "fixed variables", "diagonal"])
def test_kept_factors_give_the_bits_that_factoring_again_gives(kind):
    qp = flat(large(kind))
    separable = kind == "diagonal"
    out = method.solve(qp, None, 100, separable=separable)
    assert out.factors is not None
    assert not out.status.any()
    rhs = right_hand_side(np.random.default_rng(0), qp, 2)
    system = qp, out.kept, out.active, rhs, TARGET
    found, *rest = method.derive(*system, factors=out.factors, separable=separable)
    again, *others = method.derive(*system, separable=separable)
    for own, other in zip((*found, *rest), (*again, *others), strict=True):
        assert np.array_equal(own, other)


def test_factors_are_kept_within_bounds(monkeypatch):
    """Neither in lanes nor beyond a limit; gradients are the same to the bit."""
    assert (
        method.solve(flat(known(np.random.default_rng(34), FULL, (3,)).data), None, 100).factors
        is None
    )
    data = large("plain")
    g = np.random.default_rng(0).normal(size=data.p.shape)
    kept = grads_of(kktdiff.solve_qp(*data).vjp(g))
    monkeypatch.setattr(method, "_MOST_KEPT", 3 * 8 * method._factors_size(flat(data)) - 1)
    assert method.solve(flat(data), None, 100).factors is None
    for own, other in zip(kept, grads_of(kktdiff.solve_qp(*data).vjp(g)), strict=True):
        assert own is other is None or np.array_equal(own, other)


def test_a_large_element_without_a_solution_changes_no_gradient_beside_it():
    data = large("plain")
    g = np.random.default_rng(0).normal(size=data.p.shape)
    expected = grads_of(kktdiff.solve_qp(*data).vjp(g))
    data.lb[1, 0], data.ub[1, 0] = 1.0, 0.0
    found = grads_of(kktdiff.solve_qp(*data, on_failure="ignore").vjp(g))
    for own, other in zip(found, expected, strict=True):
        assert own is other is None or np.array_equal(own[[0, 2]], other[[0, 2]])


@pytest.mark.parametrize("columns", [0, 1, 9])
def test_any_number_of_columns(columns):
    assert_solves(known(np.random.default_rng(22), FULL, (5,)).data, columns)


def test_an_empty_batch():
    qp = flat(known(np.random.default_rng(23), FULL, (2,)).data).take(np.arange(0))
    rhs = right_hand_side(np.random.default_rng(0), qp, 2)
    none = method.solve(qp, None, 100)
    found, error, singular = method.derive(qp, none.kept, none.active, rhs, TARGET)
    assert found.x.shape == (0, 6, 2)
    assert len(error) == len(singular) == 0


def test_a_zero_right_hand_side_has_a_zero_solution():
    qp = flat(known(np.random.default_rng(24), FULL, (3,)).data)
    out = method.solve(qp, None, 100)
    zero = Rhs(*(0 * v for v in right_hand_side(np.random.default_rng(0), qp, 2)))
    found, error, _ = method.derive(qp, out.kept, out.active, zero, TARGET)
    assert not any(v.any() for v in (*found, error))


@pytest.mark.parametrize("how", ["row twice", "equality twice", "flat"])
def test_singular_systems_are_told(how):
    """Also beside one that is regular."""
    data = known(np.random.default_rng(25), Sizes(5, 4, 2, True), (2,)).data
    qp = flat(data)
    out = method.solve(qp, None, 100)
    active = out.active.copy()
    Q, G, A = (v.copy() for v in (qp.Q, qp.G, qp.A))
    if how == "row twice":
        G[1, 1] = G[1, 0]
        active[1, :2] = True
    elif how == "equality twice":
        A[1, 1] = A[1, 0]
    else:
        Q[1, :] = 0.0
        active[1, :] = False
    qp = qp._replace(Q=Q, G=G, A=A)
    rhs = right_hand_side(np.random.default_rng(0), qp, 1)
    *_, singular = method.derive(qp, out.kept, active, rhs, TARGET)
    assert singular.tolist() == [False, True]


def test_what_is_not_finite_has_no_small_residual():
    qp = flat(known(np.random.default_rng(26), FULL, (3,)).data)
    out = method.solve(qp, None, 100)
    rhs = right_hand_side(np.random.default_rng(0), qp, 2)
    rhs.x[1, 0, 1] = np.nan
    _, error, _ = method.derive(qp, out.kept, out.active, rhs, TARGET)
    assert np.isnan(error[1])
    assert error[[0, 2]].max() < 1e-13


def derivatives(data, cotangents, direction):
    """Solve; return the gradients of each output, and the tangents."""
    solution = kktdiff.solve_qp(*data, on_failure="ignore")
    grads = [grads_of(solution.vjp(**{name: g})) for name, g in cotangents.items()]
    return grads, solution.jvp(**direction)


def assert_same_derivatives(data, scale=1.0):
    rng = np.random.default_rng(1)
    direction = tangent(rng, data)
    batch, n = data.p.shape
    m, k = (0 if v is None else v.shape[1] for v in (data.h, data.b))
    shapes = zip(Answer._fields, ((n,), (m,), (m,), (k,), (n,), (n,), ()), strict=True)
    cotangents = {name: rng.normal(size=(batch, *shape)) for name, shape in shapes}
    found, moved = derivatives(data, cotangents, direction)
    with using("off"):
        expected, expected_moved = derivatives(data, cotangents, direction)
    for own, other in zip(found, expected, strict=True):
        for name in Data._fields:
            if getattr(other, name) is not None:
                assert_near(getattr(own, name), getattr(other, name), scale * ADJOINT, name)
    for name in Answer._fields:
        assert_near(getattr(moved, name), getattr(expected_moved, name), scale * ADJOINT, name)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 12])
def test_gradients_of_every_output_are_those_of_the_array_code(n):
    rng = np.random.default_rng(30 + n)
    for m, k in ((0, 0), (3, 0), (7, 1), (20, 4)):
        sizes = Sizes(n, m, min(k, n - 1), not m or n % 2 == 0, n % 3 > 0)
        assert_same_derivatives(known(rng, sizes, (5,)).data)


@pytest.mark.parametrize("kind", ["plain", "least_squares", "diagonal", "fixed_variables"])
def test_gradients_of_kinds_are_those_of_the_array_code(kind):
    for seed in range(2):
        assert_same_derivatives(fuzz.draw(kind, 400 + seed)[0], scale=1e3)


def test_gradients_where_an_element_has_no_solution_are_zero():
    data = known(np.random.default_rng(31), FULL, (5,)).data
    data.lb[2, 0], data.ub[2, 0] = 1.0, 0.0
    data.G[3, :2] = np.array([[1.0, 0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0, 0]])
    data.h[3, :2] = -1.0
    solution = kktdiff.solve_qp(*data, on_failure="ignore")
    assert solution.solved.tolist() == [True, True, False, False, True]
    grads = grads_of(solution.vjp(np.ones((5, 6))))
    for name in Data._fields:
        own = getattr(grads, name)
        assert not own[2:4].any()
        assert own[[0, 1, 4]].any()
