"""The compiled path: the same steps, the same answers and statuses as without it."""

import pickle

import numpy as np
import pytest

import kktdiff
from kktdiff import _condensed as condensed
from kktdiff import _ipm as ipm
from kktdiff._inputs import check
from kktdiff._problem import NAMES, build
from kktdiff._scaling import Scaling, equilibrate
from kktdiff._settings import Settings
from kktdiff.backends import compiled
from tests import families
from tests.checks import assert_near, assert_no_difference, assert_same_course, grads_of
from tests.problems import COMBINATIONS, FULL, Data, Sizes, known
from tests.tolerances import SMOOTHED, SUM

pytest.importorskip("numba")
pytest.importorskip("threadpoolctl")

LARGE = Sizes(n=40, m=50, k=10)


# -------------------------------------------------------------------------- the same as without


@pytest.mark.parametrize("sizes", [*COMBINATIONS, LARGE], ids=lambda sizes: sizes.label)
def test_answers_and_gradients_are_those_of_numpy(without, sizes):
    data = known(np.random.default_rng(400), sizes, batch=(4,)).data
    assert_no_difference(without, data, 401)


@pytest.mark.parametrize("k", [0, 3])
def test_separable_problems_too(without, k):
    """A diagonal Q and no G: the condensed matrix is diagonal."""
    rng = np.random.default_rng(402)
    A = rng.normal(size=(k, 8)) if k else None
    b = A @ rng.random(8) if k else None
    data = Data(np.diag(rng.random(8)), rng.normal(size=(6, 8)), A=A, b=b, lb=0 * np.ones(8))
    assert_same_course(*without(lambda: kktdiff.solve_qp(**data._asdict())))


def test_linear_programs_take_steps_of_their_own(without):
    rng = np.random.default_rng(403)
    G, x = rng.normal(size=(12, 5)), rng.normal(size=(3, 5))
    h, p = x @ G.T + rng.random((3, 12)), -rng.random((3, 12)) @ G
    solution, plain = without(lambda: kktdiff.solve_qp(np.zeros((5, 5)), p, G, h))
    assert solution.solved.all()
    assert_same_course(solution, plain)


@pytest.mark.parametrize("barrier", [0.0, 1e-2])
@pytest.mark.parametrize("family", families.HARD)
def test_it_takes_the_steps_of_the_numpy_loop(family, barrier):
    """In as many iterations, but for rounding; it solves none that the NumPy loop gives up.

    It may give up more: what it does not factor, the NumPy loop tries again with more weight on the
    proximal term.
    """
    given = check(dict(zip(NAMES, family(np.random.default_rng(404), 40), strict=True)), None)
    qp, backend = build(given).qp, given.backend
    scaling, system = equilibrate(qp, backend), condensed.system(backend, separable=False)
    settings = Settings(1e-6, 60, None, barrier, exacting=True)
    with backend.at(None):
        spent = np.zeros(qp.length, int)
        plain = ipm.run(qp, scaling, ipm.start(qp, scaling, system), settings, system, spent)
        found, iterations = compiled._load().loop(qp, scaling, settings)
    exact = family is not families.badly_scaled
    families.assert_steps(qp, found, iterations, plain, exact=exact)


def test_a_division_by_zero_raises_nothing_and_moves_no_other():
    data = known(np.random.default_rng(414), FULL, batch=(3,)).data
    given = check(dict(zip(NAMES, data, strict=True)), None)
    qp = build(given).qp
    scaling = equilibrate(qp, given.backend)
    settings = Settings(1e-6, 50, None)
    expected, iterations = compiled._load().loop(qp, scaling, settings)
    scaling.x[1, 0] = 0.0  # by which the proximal term divides
    found, again = compiled._load().loop(qp, scaling, settings)
    assert again[1] == -1
    np.testing.assert_array_equal(again[[0, 2]], iterations[[0, 2]])
    np.testing.assert_array_equal(found.x[[0, 2]], expected.x[[0, 2]])


def test_what_is_not_easy_gets_the_same_status(without):
    """Infeasible, unbounded, not convex, not finite, and one that is solved, in one batch."""
    Q = np.array([np.eye(2), np.zeros((2, 2)), -np.eye(2), np.eye(2), np.eye(2)])
    p = np.array([[0, 0], [-1, 0], [1, 1], [np.nan, 0], [1, 2]])
    G = np.array([[1.0, 0], [-1.0, 0]])
    h = np.array([[-1, -1], [np.inf, 0], [1, 1], [1, 1], [1, 1.0]])
    solution, plain = without(lambda: kktdiff.solve_qp(Q, p, G, h, on_failure="ignore"))
    names = [kktdiff.Status(int(s)).name for s in solution.status]
    assert names == ["PRIMAL_INFEASIBLE", "DUAL_INFEASIBLE", "NONCONVEX", "INVALID_DATA", "SOLVED"]
    assert_same_course(solution, plain)


@pytest.mark.parametrize("max_iter", [0, 3, 100])
def test_the_limit_of_iterations(without, max_iter):
    data = known(np.random.default_rng(405), FULL, batch=(3,)).data
    options = {"max_iter": max_iter, "on_failure": "ignore"}
    assert_same_course(*without(lambda: kktdiff.solve_qp(*data, **options)))


def test_smoothed_gradients(without):
    data = known(np.random.default_rng(406), FULL, batch=(3,)).data
    weight = np.random.default_rng(407).normal(size=data.p.shape)
    how = {"gradient": "smoothed", "smoothing": 1e-2}
    grads, plain = without(lambda: grads_of(kktdiff.solve_qp(*data).vjp(weight, **how)))
    for name in Data._fields:
        assert_near(getattr(grads, name), getattr(plain, name), SMOOTHED, name)


@pytest.mark.parametrize("shared", [(), ("Q", "G", "A")])
def test_the_weights_of_equilibration(shared):
    """Rows of sizes from 1e-6 to 1e6, one of zeros; the NumPy code is the reference."""
    rng = np.random.default_rng(413)
    data = known(rng, FULL, batch=(3,), shared=shared).data
    G = data.G * 10 ** rng.uniform(-6, 6, size=(7, 1))
    G[..., 2, :] = 0
    given = check(dict(zip(NAMES, data._replace(G=G), strict=True)), None)
    qp = build(given).qp
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "_LOADED", [None])
        expected = equilibrate(qp, given.backend)
        patch.setattr(compiled, "_LOADED", [compiled._load()])
        found = equilibrate(qp, given.backend)
    assert expected.rows.max() > 100 * expected.rows.min()
    for name in Scaling._fields:
        left, right = getattr(found, name), getattr(expected, name)
        assert left.shape == right.shape
        np.testing.assert_allclose(left, right, rtol=SUM)


def test_a_matrix_that_breaks_down_says_so_and_moves_no_other():
    """A matrix of zeros, one of NaN, and two that are sound."""
    from kktdiff.backends.compiled import _run

    ones = np.ones((4, 2))
    Q = np.array([np.zeros((2, 2)), np.full((2, 2), np.nan), np.eye(2), 2 * np.eye(2)])
    factors, ok = _run.kkt_factor(
        Q=Q,
        G=np.zeros((1, 0, 2)),
        A=np.zeros((1, 0, 2)),
        x=ones,
        g=np.zeros((1, 0)),
        nu=np.zeros((1, 0)),
        cost=ones[:, 0],
        order=np.zeros((1, 0), int),
        diagonal=0 * ones,
        size=np.full(4, 2),
    )
    np.testing.assert_array_equal(ok, [False, False, True, True])
    assert not factors.counts[:, 2].any()  # the array code, which has the hard elements, gets LU
    rhs = np.arange(8.0).reshape(4, 2, 1)
    found = _run.kkt_solve(factors, np.array([3, 2]), rhs[2:])
    np.testing.assert_array_equal(found[..., 0], [[2, 2.5], [6, 7]])
    shared = _run.kkt_solve(factors, np.array([3]), rhs)
    np.testing.assert_array_equal(shared, rhs / 2)


def test_a_solution_keeps_its_factors_when_pickled():
    data = known(np.random.default_rng(411), FULL, batch=(3,)).data
    solution = kktdiff.solve_qp(*data)
    again = pickle.loads(pickle.dumps(solution))
    weight = np.random.default_rng(412).normal(size=data.p.shape)
    for left, right in zip(*(grads_of(s.vjp(weight)) for s in (solution, again)), strict=True):
        np.testing.assert_array_equal(left, right)


def test_it_does_the_work(monkeypatch):
    """Easy problems never reach the loop in NumPy."""
    monkeypatch.setattr(compiled, "_LOADED", [compiled._load()])
    monkeypatch.setattr(ipm, "run", lambda *_: pytest.fail("the NumPy loop was called"))
    assert kktdiff.solve_qp(*known(np.random.default_rng(408), FULL, batch=(3,)).data).solved.all()
