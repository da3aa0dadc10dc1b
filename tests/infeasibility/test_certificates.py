"""Proofs that elements have no solution, checked on the caller's arrays with plain NumPy."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import assert_farkas, assert_near, assert_ray, element
from tests.problems import COMBINATIONS, FULL, Data, Sizes, known
from tests.robustness.units import random_units
from tests.tolerances import CERTIFICATE, SINGLE_ANSWER
from tests.unsolvable import Proof, contradictory, proof_of, stacked, unbounded

SMALL = Sizes(n=4, m=5, k=2, lower=True, upper=True)
CONTRADICTABLE = [s for s in COMBINATIONS if s.m or s.k or (s.lower and s.upper)]


def solve(data, **options):
    return kktdiff.solve_qp(*data, on_failure="ignore", **options)


def assert_proven(data, solution, status, check, tol=CERTIFICATE):
    """Every element has the status, and its certificate passes `check`; data are not shared."""
    assert np.all(solution.status == status), solution.status
    certificate = solution.certificate()
    for index in np.ndindex(solution.status.shape):
        check(element(data, index), proof_of(certificate, index), tol)


@pytest.mark.parametrize("sizes", CONTRADICTABLE, ids=lambda s: s.label)
def test_contradicting_constraints_have_a_farkas_certificate(sizes):
    data = stacked(contradictory, np.random.default_rng(400), sizes, (2, 2))
    assert_proven(data, solve(data), Status.PRIMAL_INFEASIBLE, assert_farkas)


@pytest.mark.parametrize("sizes", COMBINATIONS, ids=lambda s: s.label)
def test_unbounded_objectives_have_a_ray(sizes):
    data = stacked(unbounded, np.random.default_rng(401), sizes, (2, 2))
    assert_proven(data, solve(data), Status.DUAL_INFEASIBLE, assert_ray)


@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize("draw", [contradictory, unbounded], ids=lambda f: f.__name__)
def test_certificates_of_other_sizes(draw, n):
    sizes = Sizes(n=n, m=2 * n, k=n // 2, lower=True, upper=True)
    data = stacked(draw, np.random.default_rng(402), sizes, (8,))
    if draw is contradictory:
        assert_proven(data, solve(data), Status.PRIMAL_INFEASIBLE, assert_farkas)
    else:
        assert_proven(data, solve(data), Status.DUAL_INFEASIBLE, assert_ray)


def moved_apart(data, steps):
    """The same constraints around other points, one for each step: Q, G and A are shared."""
    return Data(
        data.Q,
        data.p - steps @ data.Q,
        data.G,
        data.h + steps @ data.G.T,
        data.A,
        data.b + steps @ data.A.T,
        data.lb + steps,
        data.ub + steps,
    )


@pytest.mark.parametrize("draw", [contradictory, unbounded], ids=lambda f: f.__name__)
def test_shared_matrices_give_each_element_its_own_certificate(draw):
    rng = np.random.default_rng(403)
    data = moved_apart(draw(rng, SMALL), rng.normal(size=(5, 4)))
    apart = data._replace(**{f: np.stack([getattr(data, f)] * 5) for f in "QGA"})
    if draw is contradictory:
        assert_proven(apart, solve(data), Status.PRIMAL_INFEASIBLE, assert_farkas)
    else:
        assert_proven(apart, solve(data), Status.DUAL_INFEASIBLE, assert_ray)


def test_crossed_bounds_have_the_certificate_one_over_the_gap():
    """lb1 - ub1 = 4: lam_lb1 = lam_ub1 = 1/4."""
    lb, ub = np.array([0.0, 3.0, 0.0]), np.array([1.0, -1.0, 0.0])
    certificate = solve(Data(np.eye(3), np.ones(3), lb=lb, ub=ub)).certificate()
    for name in ("lam_lb", "lam_ub"):
        assert_near(getattr(certificate, name), [0.0, 0.25, 0.0], CERTIFICATE, name)


def test_fixed_variables_alone_can_break_a_row():
    """x0 = 1 and x1 = 2 against x0 + x1 <= 2: the bounds' multipliers carry the proof."""
    fixed = np.array([1.0, 2.0])
    data = Data(np.eye(2), np.zeros(2), np.ones((1, 2)), np.array([2.0]), lb=fixed, ub=fixed)
    assert_proven(data, solve(data), Status.PRIMAL_INFEASIBLE, assert_farkas)


@pytest.mark.parametrize("limit", ["h", "lb", "ub"])
def test_a_limit_that_no_number_meets_has_no_certificate_in_numbers(limit):
    data = known(np.random.default_rng(404), FULL).data
    value = getattr(data, limit).copy()
    value[0] = np.inf if limit == "lb" else -np.inf
    solution = solve(data._replace(**{limit: value}))
    assert solution.status == Status.PRIMAL_INFEASIBLE
    assert np.all(np.isnan(solution.certificate().x))


def test_who_needs_no_certificate_has_nan():
    """Solved, contradictory, not a number, unbounded, not convex, in one batch."""
    rng = np.random.default_rng(405)
    parts = [draw(rng, SMALL) for draw in (contradictory, unbounded)]
    good = [known(rng, SMALL).data for _ in range(3)]
    good[1].p[0] = np.nan
    good[2] = good[2]._replace(Q=-good[2].Q)
    data = Data(*map(np.stack, zip(good[0], parts[0], good[1], parts[1], good[2], strict=True)))
    solution = solve(data)
    np.testing.assert_array_equal(solution.status, [0, 2, 7, 3, 6])
    certificate = solution.certificate()
    for name in Proof._fields:
        value = getattr(certificate, name)
        assert np.all(np.isnan(value[::2])), name
        assert np.all(np.isfinite(value[1::2])), name
    assert_farkas(element(data, 1), proof_of(certificate, 1), CERTIFICATE)
    assert_ray(element(data, 3), proof_of(certificate, 3), CERTIFICATE)


def together(problems):
    """A batch of problems of one form."""
    columns = zip(*problems, strict=True)
    return Data(*(None if arrays[0] is None else np.stack(arrays) for arrays in columns))


def undone(units, proof):
    """A proof found in these units, in the problem's own."""
    x = proof.x * units.w / units.u
    return Proof(x, *units.multipliers(proof.lam, proof.nu, proof.lam_lb, proof.lam_ub))


UNITS = pytest.mark.parametrize(("rows", "variables"), [(4, 0), (0, 4), (4, 4)])
ROWS_ALONE = Sizes(n=4, m=6, k=1)  # no bounds that take up what the other multipliers leave


@UNITS
@pytest.mark.parametrize("sizes", [SMALL, ROWS_ALONE], ids=lambda s: s.label)
@pytest.mark.parametrize("draw", [contradictory, unbounded], ids=lambda f: f.__name__)
def test_certificates_hold_in_any_units(draw, sizes, rows, variables):
    rng, check = np.random.default_rng(406), assert_ray
    wanted = Status.DUAL_INFEASIBLE
    if draw is contradictory:
        wanted, check = Status.PRIMAL_INFEASIBLE, assert_farkas
    drawn = []
    for _ in range(6):
        data = draw(rng, sizes)
        units = random_units(rng, sizes, rows=rows, variables=variables, objective=rows)
        drawn.append((data, units))
    solution = solve(together(units.data(data) for data, units in drawn))
    np.testing.assert_array_equal(solution.status, wanted)
    for i, (data, units) in enumerate(drawn):
        check(data, undone(units, proof_of(solution.certificate(), i)), CERTIFICATE)


@UNITS
@pytest.mark.parametrize("rank", [None, 2, 0])
def test_units_make_no_problem_without_a_solution(rows, variables, rank):
    rng, sizes = np.random.default_rng(407), SMALL._replace(rank=rank)
    data = []
    for _ in range(8):
        units = random_units(rng, sizes, rows=rows, variables=variables, objective=rows)
        data.append(units.data(known(rng, sizes).data))
    solution = solve(together(data))
    assert np.all(solution.solved), solution.status


@pytest.mark.parametrize("far", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("rank", [None, 2, 0])
def test_distance_from_the_origin_makes_no_problem_without_a_solution(far, rank):
    rng, sizes = np.random.default_rng(408), SMALL._replace(rank=rank)
    data = [known(rng, sizes).data for _ in range(8)]
    data = [moved_apart(d, far * rng.normal(size=4)) for d in data]
    solution = solve(Data(*map(np.stack, zip(*data, strict=True))))
    assert np.all(solution.solved), solution.status


@pytest.mark.parametrize("seed", range(4))
def test_linear_programs_unbounded_and_contradictory_at_once_have_one_of_the_proofs(seed):
    """A variable that no constraint knows falls for ever; those of the others contradict."""
    data = contradictory(np.random.default_rng(seed), SMALL)
    n = data.p.size + 1
    data = Data(
        np.zeros((n, n)),
        np.append(data.p, 1.0),
        np.pad(data.G, ((0, 0), (0, 1))),
        data.h,
        np.pad(data.A, ((0, 0), (0, 1))),
        data.b,
        np.append(data.lb, -np.inf),
        np.append(data.ub, np.inf),
    )
    solution = solve(data)
    assert solution.status in (Status.PRIMAL_INFEASIBLE, Status.DUAL_INFEASIBLE)
    check = assert_farkas if solution.status == Status.PRIMAL_INFEASIBLE else assert_ray
    check(data, proof_of(solution.certificate(), ()), CERTIFICATE)


@pytest.mark.parametrize("draw", [contradictory, unbounded], ids=lambda f: f.__name__)
def test_certificates_over_array_types(namespace, draw):
    sizes = Sizes(n=2, m=2, k=1, lower=True)
    data = stacked(draw, np.random.default_rng(409), sizes, (2,))
    certificate = solve(namespace.data(data)).certificate()
    check = assert_farkas if draw is contradictory else assert_ray
    for i in range(2):
        check(element(data, i), proof_of(certificate, i, namespace.to_numpy), CERTIFICATE)


def test_single_precision_certificates_are_single_precision():
    """x0 <= -1 and x0 >= 2; and x0 falls for ever. Their numbers are exact in float32."""
    G, h = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([[-1.0, -2.0], [3.0, np.inf]])
    data = Data(np.diag([0.0, 1.0]), np.array([1.0, 0.0]), G, h)
    single = Data(*(None if a is None else a.astype(np.float32) for a in data))
    certificate = solve(single).certificate()
    assert {getattr(certificate, name).dtype for name in Proof._fields} == {np.dtype(np.float32)}
    assert_farkas(data._replace(h=h[0]), proof_of(certificate, 0), SINGLE_ANSWER)
    assert_ray(data._replace(h=h[1]), proof_of(certificate, 1), SINGLE_ANSWER)


@pytest.mark.parametrize("size", [1e5, 1e7, 1e12])
def test_a_solution_far_beyond_the_limits_is_no_proof_that_there_is_none(size):
    """Strictly convex, and the minimiser is `size` limits away."""
    p = -size * np.array([1.0, 2.0])
    for limits in ({"lb": -np.ones(2)}, {"G": size * np.ones((1, 2)), "h": np.ones(1)}):
        solution = kktdiff.solve_qp(np.eye(2), p, **limits)
        assert solution.status == Status.SOLVED
    assert_near(solution.x / size, [-0.5, 0.5], CERTIFICATE, "x")
