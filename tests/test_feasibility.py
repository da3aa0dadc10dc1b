"""Elements on which the iteration got stuck: which of them have no solution, and the proof.

The iteration finds most proofs by itself, so it is kept from looking for any here.
"""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status, _solve, _stopping
from kktdiff import _kkt as kkt
from kktdiff._certificates import CLEARLY
from kktdiff._feasibility import verdict
from kktdiff._homogeneous import prove_infeasible
from kktdiff._inputs import check
from kktdiff._problem import build
from kktdiff._scaling import equilibrate
from kktdiff._settings import checked
from tests.checks import assert_farkas, assert_near, assert_ray, element
from tests.problems import COMBINATIONS, Data, Sizes, feasible, known
from tests.tolerances import CERTIFICATE
from tests.unsolvable import Proof, contradictory, proof_of, stacked, unbounded

SETTINGS = checked(None, 100, "float64", None)
B = 6
SIZES = [s._replace(n=4, m=min(s.m, 5)) for s in COMBINATIONS if s.m or s.k]
LABEL = {"ids": lambda sizes: sizes.label}
SMALL = Sizes(n=4, m=5, k=2, lower=True, upper=True)


def inner_proof(data, point, i):
    """What an inner proof of element i says, as a certificate."""
    m, n = 0 if data.h is None else data.h.shape[-1], data.p.shape[-1]
    rows, sides = np.split(point.lam[i], [m])
    lower = np.split(sides, [n])[0] if data.lb is not None else np.zeros(n)
    upper = sides[-n:] if data.ub is not None else np.zeros(n)
    return Proof(point.x[i], rows, point.nu[i], lower, upper)


def judged(data, violation=1.0):
    """`verdict` of a batch in which every array has its own batch dimension."""
    with np.errstate(all="ignore"):  # `solve_qp` calls it like this
        return verdict(data._asdict(), np.full(len(data.p), violation), SETTINGS)


def proven(data):
    """`prove_infeasible` of a batch's constraints alone, put together as `verdict` does."""
    given = check(data._asdict(), None)
    rows = build(given, soft={}).qp
    rows = rows._replace(Q=0 * rows.Q, p=0 * rows.p)
    return prove_infeasible(rows, equilibrate(rows, given.backend), kkt.system(given.backend))


@pytest.mark.parametrize("sizes", SIZES, **LABEL)
def test_the_embedding_proves_contradictions(sizes):
    data = stacked(contradictory, np.random.default_rng(420), sizes, (B,))
    proof = proven(data)
    assert np.all(proof.holds)
    for i in range(B):
        assert_farkas(element(data, i), inner_proof(data, proof.point, i), CERTIFICATE)


@pytest.mark.parametrize("draw", [feasible, unbounded], ids=lambda f: f.__name__)
@pytest.mark.parametrize("sizes", SIZES, **LABEL)
def test_the_embedding_proves_nothing_where_a_point_exists(sizes, draw):
    data = stacked(draw, np.random.default_rng(421), sizes, (B,))
    assert not np.any(proven(data).holds)


def test_the_embedding_proves_nothing_where_points_have_no_room():
    """Equal limits on both sides of every row: one point, and no interior."""
    rng = np.random.default_rng(422)
    G, x = rng.normal(size=(B, 3, 3)), rng.normal(size=(B, 3, 1))
    h = (G @ x)[..., 0]
    rows = np.concatenate([G, -G], axis=1), np.concatenate([h, -h], axis=1)
    assert not np.any(proven(Data(np.zeros((B, 3, 3)), np.zeros((B, 3)), *rows)).holds)


def test_the_embedding_proves_no_element_by_another():
    rng = np.random.default_rng(423)
    parts = [contradictory(rng, SMALL), feasible(rng, SMALL), contradictory(rng, SMALL)]
    data = Data(*map(np.stack, zip(*parts, strict=True)))
    np.testing.assert_array_equal(proven(data).holds, [True, False, True])


def test_rows_without_a_limit_take_no_part_in_a_proof():
    data = stacked(contradictory, np.random.default_rng(424), SMALL, (B,))
    G = np.concatenate([-data.G[:, -1:, :], data.G], axis=1)
    h = np.concatenate([np.full((B, 1), np.inf), data.h], axis=1)
    data = data._replace(G=G, h=h)
    proof = proven(data)
    assert np.all(proof.holds)
    np.testing.assert_array_equal(proof.point.lam[:, 0], np.zeros(B))
    for i in range(B):
        assert_farkas(element(data, i), inner_proof(data, proof.point, i), CERTIFICATE)


def test_verdict_tells_contradictory_from_unbounded_from_solvable():
    rng = np.random.default_rng(425)
    parts = [contradictory(rng, SMALL), unbounded(rng, SMALL), known(rng, SMALL).data]
    data = Data(*map(np.stack, zip(*parts, strict=True)))
    status, point = judged(data)
    wanted = [Status.PRIMAL_INFEASIBLE, Status.DUAL_INFEASIBLE, Status.NUMERICAL_ERROR]
    np.testing.assert_array_equal(status, wanted)
    assert_farkas(element(data, 0), inner_proof(data, point, 0), CERTIFICATE)
    assert_ray(element(data, 1), inner_proof(data, point, 1), CERTIFICATE)


@pytest.mark.parametrize("sizes", [Sizes(n=4), *SIZES], **LABEL)
def test_verdict_finds_rays(sizes):
    data = stacked(unbounded, np.random.default_rng(426), sizes, (B,))
    status, point = judged(data)
    np.testing.assert_array_equal(status, [Status.DUAL_INFEASIBLE] * B)
    for i in range(B):
        assert_ray(element(data, i), inner_proof(data, point, i), CERTIFICATE)


def test_verdict_finds_the_steepest_way_down():
    """p = (-3, -4, 0), x0 bounded above, x2 in the objective's curvature: only x1 is free."""
    data = Data(np.diag([0.0, 0, 1]), np.array([-3.0, -4, 0]), ub=np.array([1.0, np.inf, np.inf]))
    status, point = judged(element(data, None))
    assert status == Status.DUAL_INFEASIBLE
    assert_near(point.x, [[0.0, 0.25, 0.0]], CERTIFICATE, "x")


@pytest.mark.parametrize(("violation", "status"), [(CLEARLY / 2, 5), (2 * CLEARLY, 2)])
def test_constraints_that_were_met_to_rounding_do_not_contradict_each_other(violation, status):
    data = stacked(contradictory, np.random.default_rng(427), SMALL, (B,))
    np.testing.assert_array_equal(judged(data, violation)[0], [status] * B)


@pytest.fixture
def without_proofs(monkeypatch):
    """The iteration looks for no proof: every element without a solution gets stuck."""
    monkeypatch.setattr(_stopping, "_PROOFS", ())


@pytest.mark.parametrize("sizes", SIZES, **LABEL)
@pytest.mark.usefixtures("without_proofs")
def test_stuck_elements_get_their_status_and_certificate(sizes):
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


def test_small_contradictions_are_left_to_the_verdict(monkeypatch):
    """On some of these the iteration itself gets stuck; what it finds and what not is one batch."""
    asked = []
    monkeypatch.setattr(_solve, "verdict", lambda *a: asked.append(1) or verdict(*a))
    rng = np.random.default_rng(429)
    draws = [contradictory(rng, SMALL, gap=1e-3) for _ in range(20)]
    data = Data(*map(np.stack, zip(*draws, strict=True)))
    solution = kktdiff.solve_qp(*data, on_failure="ignore")
    assert asked
    np.testing.assert_array_equal(solution.status, [Status.PRIMAL_INFEASIBLE] * 20)
    found = solution.certificate()
    for i in range(20):
        assert_farkas(element(data, i), proof_of(found, i), CERTIFICATE)
