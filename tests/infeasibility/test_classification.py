"""Classification of stalled elements: which of them have no solution, and the proof.

The iteration finds most proofs by itself, so it is kept from looking for any here.
"""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from kktdiff._infeasibility import auxiliary
from kktdiff._infeasibility.classify import classify
from kktdiff._interior_point import termination
from kktdiff._settings import checked
from tests.checks import assert_farkas, assert_near, assert_ray, element
from tests.problems import COMBINATIONS, Data, Sizes, feasible
from tests.tolerances import CERTIFICATE, ITERATIONS_MOST
from tests.unsolvable import contradictory, proof_of, stacked, unbounded

SETTINGS = checked(None, 100, "float64", None)
B = 6
SIZES = [s._replace(n=4, m=min(s.m, 5)) for s in COMBINATIONS if s.m or s.k]
LABEL = {"ids": lambda sizes: sizes.label}
SMALL = Sizes(n=4, m=5, k=2, lower=True, upper=True)


def judged(data):
    """`classify` a batch in which every array has its own batch dimension."""
    with np.errstate(all="ignore"):  # `solve_qp` calls it like this
        nowhere = np.full_like(data.p, np.nan)
        return classify(data._asdict(), SETTINGS, nowhere, np.full(len(data.p), True))[0]


@pytest.mark.parametrize("sizes", SIZES, **LABEL)
def test_nothing_is_proven_where_there_is_a_solution(sizes):
    data = stacked(feasible, np.random.default_rng(421), sizes, (B,))
    np.testing.assert_array_equal(judged(data).status, [Status.NUMERICAL_ERROR] * B)


def test_nothing_is_proven_where_points_have_no_room():
    """Equal limits on both sides of every row: one point, and no interior."""
    rng = np.random.default_rng(422)
    G, x = rng.normal(size=(B, 3, 3)), rng.normal(size=(B, 3, 1))
    h = (G @ x)[..., 0]
    rows = np.concatenate([G, -G], axis=1), np.concatenate([h, -h], axis=1)
    status, _ = judged(Data(np.zeros((B, 3, 3)), np.zeros((B, 3)), *rows))
    np.testing.assert_array_equal(status, [Status.NUMERICAL_ERROR] * B)


def test_the_steepest_way_down_is_found():
    """p = (-3, -4, 0), x0 bounded above, x2 in the objective's curvature: only x1 is free."""
    data = Data(np.diag([0.0, 0, 1]), np.array([-3.0, -4, 0]), ub=np.array([1.0, np.inf, np.inf]))
    status, point = judged(element(data, None))
    assert status == Status.DUAL_INFEASIBLE
    assert_near(point.x, [[0.0, 0.25, 0.0]], CERTIFICATE, "x")


@pytest.mark.parametrize(("gap", "status"), [(1e-7, 5), (1e-4, 2)])
def test_a_contradiction_that_may_be_rounding_is_no_proof(gap, status):
    """x0 <= 1 and x0 >= 1 + gap."""
    G, h = np.array([[[1.0, 0.0], [-1.0, 0.0]]]), np.array([[1.0, -1.0 - gap]])
    data = Data(np.eye(2)[None], np.ones((1, 2)), G, h)
    np.testing.assert_array_equal(judged(data).status, [status])


@pytest.fixture
def no_early_proofs(monkeypatch):
    monkeypatch.setattr(termination, "_proofs", lambda *_: iter(()))


@pytest.mark.usefixtures("no_early_proofs")
@pytest.mark.parametrize("sizes", [Sizes(n=4, k=1), *SIZES], **LABEL)
def test_stalled_elements_get_their_status_and_certificate(sizes):
    rng = np.random.default_rng(428)
    pair = [stacked(draw, rng, sizes, (B,)) for draw in (contradictory, unbounded)]
    data = Data(
        *(None if v is None else np.concatenate([v, w]) for v, w in zip(*pair, strict=True))
    )
    solution = kktdiff.solve_qp(*data, on_failure="ignore")
    wanted = [Status.PRIMAL_INFEASIBLE] * B + [Status.DUAL_INFEASIBLE] * B
    np.testing.assert_array_equal(solution.status, wanted)
    found = solution.certificate()
    for i in range(2 * B):
        (assert_farkas if i < B else assert_ray)(element(data, i), proof_of(found, i), CERTIFICATE)


@pytest.mark.usefixtures("no_early_proofs")
def test_rows_without_a_limit_take_no_part_in_a_proof():
    data = stacked(contradictory, np.random.default_rng(424), SMALL, (B,))
    G = np.concatenate([-data.G[:, -1:, :], data.G], axis=1)
    h = np.concatenate([np.full((B, 1), np.inf), data.h], axis=1)
    solution = kktdiff.solve_qp(*data._replace(G=G, h=h), on_failure="ignore")
    np.testing.assert_array_equal(solution.status, Status.PRIMAL_INFEASIBLE)
    np.testing.assert_array_equal(solution.certificate().lam[:, 0], np.zeros(B))


def test_small_contradictions_are_proven():
    rng = np.random.default_rng(429)
    data = [contradictory(rng, SMALL, gap=1e-3) for _ in range(20)]
    solution = kktdiff.solve_qp(*map(np.stack, zip(*data, strict=True)), on_failure="ignore")
    np.testing.assert_array_equal(solution.status, [Status.PRIMAL_INFEASIBLE] * 20)
    for i, one in enumerate(data):
        assert_farkas(one, proof_of(solution.certificate(), i), CERTIFICATE)


def missed_by(gap):
    """Draw problems that are feasible but for one row, which others contradict by `gap`."""
    data = stacked(feasible, np.random.default_rng(431), Sizes(n=20, m=60), (B,))
    share = np.random.default_rng(430).uniform(0.5, 1.5, 3)
    data.G[:, -1] = -share @ data.G[:, :3]
    data.h[:, -1] = -data.h[:, :3] @ share - gap
    return data


@pytest.mark.parametrize("gap", [1e-6, 1e-7])
def test_the_iteration_ends_where_no_point_is_less_infeasible(gap):
    solution = kktdiff.solve_qp(*missed_by(gap))
    assert np.all(solution.solved)
    assert np.all(solution.primal_residual <= gap)
    assert np.max(solution.iterations) <= 2 * ITERATIONS_MOST


def test_an_element_that_is_infeasible_by_rounding_has_gradients_that_are_not_trusted():
    """They are those of the least infeasible point, and there are none of second order."""
    solution = kktdiff.solve_qp(*missed_by(1e-7))
    assert not solution.diagnostics().trustworthy.any()
    assert np.all(np.isfinite(solution.vjp(np.ones((B, 20))).p))
    for way in ("x", "nu"):  # there is no equality
        assert np.all(np.isfinite(solution.jacobian(of=way, wrt="p")))
    assert solution.vjp().p.tolist() == np.zeros((B, 20)).tolist()
    moves = {"p": np.ones((B, 20))}
    assert not solution.hvp({"x": np.ones((B, 20))}, moves).p.any()
    assert not solution.second_jvp(moves, moves).x.any()


def test_an_element_that_is_infeasible_by_rounding_takes_three_more_solves(monkeypatch):
    """The least shifts in their own unit, again for their derivatives, and the closest QP."""
    solves, run = [], auxiliary.run

    def counted(*arguments):
        solves.append(arguments)
        return run(*arguments)

    monkeypatch.setattr(auxiliary, "run", counted)
    assert np.all(kktdiff.solve_qp(*missed_by(1e-7)).status == Status.ALMOST_SOLVED)
    assert len(solves) == 3
