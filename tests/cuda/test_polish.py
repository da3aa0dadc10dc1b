"""Polishing in kernels: the solutions and factors of active sets, and what is given up."""

import numpy as np
import pytest

from kktdiff import _kkt as kkt
from kktdiff._residuals import Point, evaluate
from kktdiff._settings import CLEAN, CLOSE, HANDOVER, NEAR, REFINED, Settings
from kktdiff.backends import NUMPY
from kktdiff.backends.cuda import _libraries as libraries
from kktdiff.backends.cuda import _loop, _polish
from kktdiff.backends.cupy import CuPyBackend
from tests import families
from tests.checks import assert_near
from tests.cuda.fake_cuda import FakeCuda
from tests.cuda.test_loop import LARGE, separable
from tests.one_call import scaled
from tests.problems import COMBINATIONS, FULL, Sizes, known
from tests.tolerances import ANSWER, SHARED

SETTINGS = Settings(HANDOVER, 60, None)
ROUGH = SETTINGS._replace(tol=3e-2)  # its points show active sets with some rows wrong
INEQUALITIES = [s for s in COMBINATIONS if s.m or s.lower or s.upper]


def solved(data, settings=SETTINGS):
    """What the one call makes of the problems, and the stand-in that it ran on."""
    cuda = FakeCuda()
    return CuPyBackend(cuda).solve(*scaled(data), settings), cuda


@pytest.mark.parametrize("sizes", INEQUALITIES, ids=lambda sizes: sizes.label)
def test_points_are_optimal_to_rounding_and_signs_are_right(compiler, sizes):
    data, answer = known(np.random.default_rng(770), sizes, batch=(4,))
    found, _ = solved(data)
    qp, _ = scaled(data)
    point = Point(*found.point)
    assert (found.iterations > 0).all()
    assert (evaluate(qp, point).merit <= CLEAN).all()
    assert min(point.s.min(), point.lam.min()) >= 0
    assert_near(point.x, answer.x, ANSWER)
    assert_near(found.numbers[:, 0], answer.objective, ANSWER)


@pytest.mark.parametrize("settings", [SETTINGS, ROUGH], ids=["near", "rough"])
@pytest.mark.parametrize("family", [*families.HARD, separable])
def test_problems_that_move_together_have_the_answers_of_those_that_do_not(
    compiler, monkeypatch, family, settings
):
    data = family(np.random.default_rng(771), 40)
    expected, _ = solved(data, settings)
    monkeypatch.setattr(_loop, "FEWEST", 2)
    found, cuda = solved(data, settings)
    assert ("launch", "gather", 1) in cuda.calls
    np.testing.assert_array_equal(found.iterations, expected.iterations)
    done = expected.iterations >= 0
    assert done.any()
    for one, other in zip(
        (*found.point, *found.lu.factor), (*expected.point, *expected.lu.factor), strict=True
    ):
        np.testing.assert_array_equal(one[done], other[done])


def test_another_active_set_is_tried_where_signs_are_wrong(compiler, monkeypatch):
    data, rough = separable(np.random.default_rng(772), 40), SETTINGS._replace(tol=0.3)
    found, _ = solved(data, rough)
    monkeypatch.setattr(_polish, "CORRECTIONS", 0)
    first, _ = solved(data, rough)
    more = (found.iterations >= 0) & (first.iterations < 0)
    assert more.sum() >= 3
    rest = (found.iterations >= 0) & ~more
    np.testing.assert_array_equal(found.point[0][rest], first.point[0][rest])


def test_what_has_no_factor_is_given_up_and_moves_no_other(compiler, monkeypatch):
    data = known(np.random.default_rng(773), FULL, batch=(3,)).data
    expected, _ = solved(data)
    lu = libraries.lu

    def failing(cuda, a, pivots, info):
        lu(cuda, a, pivots, info)
        info[1] = 2

    monkeypatch.setattr(libraries, "lu", failing)
    found, _ = solved(data)
    np.testing.assert_array_equal(found.iterations >= 0, [True, False, True])
    for one, other in zip(found.point, expected.point, strict=True):
        np.testing.assert_array_equal(one[[0, 2]], other[[0, 2]])


def test_an_active_set_with_no_room_in_its_matrix_is_given_up(compiler, monkeypatch):
    """Though the row that is left out says what another one says: the derivatives need both."""
    data = known(np.random.default_rng(774), Sizes(n=5, m=4), batch=(2,)).data
    G, h = (np.concatenate([v, v], axis=1) for v in (data.G, data.h))
    found, _ = solved(data._replace(G=G, h=h))
    assert (found.iterations >= 0).all()
    monkeypatch.setattr(_polish, "SPARE", -1)
    found, _ = solved(data._replace(G=G, h=h))
    assert (found.iterations < 0).any()


def test_what_rounding_leaves_much_of_is_left_where_the_loop_brought_it(compiler):
    """The array code tries smaller multipliers."""
    data = known(np.random.default_rng(775), FULL, batch=(3,)).data
    found, _ = solved(data._replace(Q=1e9 * data.Q, p=1e9 * data.p), SETTINGS._replace(tol=1e-2))
    assert (found.iterations <= NEAR).all()


def test_a_variable_at_both_of_its_bounds_is_given_up(compiler):
    data = known(np.random.default_rng(776), FULL, batch=(3,)).data
    data.ub[1, 2] = data.lb[1, 2] + 1e-12
    found, _ = solved(data)
    np.testing.assert_array_equal(found.iterations < 0, [False, True, False])


# ------------------------------------------------------------------------- with the factors left


@pytest.mark.parametrize("inside", [True, False], ids=["interior", "vertex"])
@pytest.mark.parametrize("sizes", [*INEQUALITIES, LARGE], ids=lambda sizes: sizes.label)
def test_the_kkt_system_is_solved_to_rounding(compiler, sizes, inside):
    """As the array code does it with LAPACK's factors; each problem's worst residual is told."""
    rng = np.random.default_rng(777)
    qp, scaling = scaled(known(rng, sizes, batch=(3,)).data)
    n, m, k = qp.sizes
    a = rng.random((3, qp.d.shape[1]))
    if not inside:  # as many active rows as there can be
        a = (np.arange(a.shape[1]) < min(m, n - k)).astype(float) + 0 * a
    rhs = kkt.Rhs(*(rng.normal(size=(3, size, 2)) for size in (n, a.shape[1], k)))
    rhs = rhs._replace(c=np.where(a[..., None] > 0, rhs.c, 0.0))
    device = CuPyBackend(FakeCuda())
    *found, error = device.kkt_solve(qp, kkt.factor(qp, scaling, a, device), rhs)
    expected, _ = kkt.solve(qp, kkt.factor(qp, scaling, a, NUMPY), rhs, NUMPY)
    assert (error <= 100 * REFINED).all()
    for name, one in zip(kkt.Rhs._fields, found, strict=True):
        assert_near(one, getattr(expected, name), SHARED, name)


@pytest.mark.parametrize("size", [1.0, 3e-4])
def test_what_the_loop_leaves_near_the_solution_is_polished_or_kept_as_it_is(compiler, size):
    """Variables that equalities define: rounding leaves much."""
    data = families.least_squares(np.random.default_rng(776), 30, size)
    found, _ = solved(data)
    near = found.iterations <= NEAR
    assert (near | (found.iterations >= 0)).sum() >= (30 if size == 1 else 10)
    assert near.any() == (size < 1)
    qp, _ = scaled(data)
    merit = evaluate(qp, Point(*found.point)).merit
    assert (merit[found.iterations >= 0] <= CLEAN).all()
    assert (merit[near] < CLOSE).all()
