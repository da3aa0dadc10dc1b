"""Soft rows: wrong calls, elements that fail, proofs, warm starts, and the closest QP."""

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.checks import assert_near, assert_same_bits, element
from tests.namespaces import NUMPY, STRICT
from tests.problems import FULL, Data, known
from tests.soft import FLOATS, INPUTS, VIOLATIONS, assert_same_alone, cotangents, soft_problem
from tests.tolerances import ANSWER, DENSE_REFERENCE, DIFFERENCE


def rng(seed=0):
    return np.random.default_rng(7500 + seed)


@pytest.mark.parametrize(
    ("soft", "error", "says"),
    [
        (3.0, TypeError, r"soft=3.0: expected a dict.*such as \{'h': 10.0\}"),
        ({"G": 1.0}, ValueError, "soft has 'G': expected some of 'h', 'b', 'lb', 'ub'"),
        ({"ub": 1.0}, ValueError, "soft has 'ub', but ub is None"),
        ({"h": np.ones(6)}, ValueError, r"soft_h has shape \(6,\).*m = 7"),
        ({"h": np.ones((3, 7))}, ValueError, "soft_h with shape .* do not broadcast: 3 against 2"),
        ({"h": np.ones(7, np.float32)}, TypeError, "soft_h has dtype float32, but Q has float64"),
        ({"h": "much"}, TypeError, "soft_h"),
        ({"h": 0.0}, ValueError, r"soft\['h'\] has a price that is not positive, at \(0,\)"),
        ({"b": np.array([1.0, -2.0])}, ValueError, r"soft\['b'\].* at \(1,\).*positive prices"),
        ({"lb": np.full((2, 6), -np.inf)}, ValueError, r"soft\['lb'\].* at \(0, 0\)"),
    ],
    ids=str,
)
def test_wrong_prices_are_refused_by_name(soft, error, says):
    data = known(rng(), FULL, batch=(2,)).data._replace(ub=None)
    with pytest.raises(error, match=says):
        kktdiff.solve_qp(*data, soft=soft)


def test_wrong_derivatives_are_refused_by_name():
    data, _ = soft_problem(rng(), ("h",))
    solution = kktdiff.solve_qp(*data, soft={"h": 1.0})
    with pytest.raises(ValueError, match=r"tangent of soft_h has shape \(7,\): expected \(\)"):
        solution.jvp(soft={"h": np.ones(7)})
    with pytest.raises(ValueError, match="the tangent of soft has 'G'"):
        solution.jvp(soft={"G": np.ones(7)})
    with pytest.raises(ValueError, match="cotangent of violation_h has shape"):
        solution.vjp(violation_h=np.ones(6))
    with pytest.raises(TypeError, match="expected a tuple of names"):
        solution.vjp(x=np.ones(6), wrt="soft_h")
    with pytest.raises(ValueError, match="wrt='soft_G'"):
        solution.vjp(x=np.ones(6), wrt=("soft_G",))
    hard = kktdiff.solve_qp(np.eye(2), np.ones(2), lb=np.zeros(2))
    with pytest.raises(ValueError, match="soft_lb, which was None in the solve"):
        hard.jvp(soft={"lb": np.ones(2)})
    with pytest.raises(ValueError, match="cotangent='violation_lb'"):
        hard.vjp(violation_lb=np.ones(2))
    with pytest.raises(ValueError, match="wrt='soft_lb'"):
        hard.jacobian(wrt="soft_lb")


def mixed():
    """Known, a price that is no number, p that is none, hard limits that cross, known."""
    data, prices = soft_problem(rng(1), batch=(5,))
    prices["lb"][:, 0], prices["ub"][:, 0] = np.inf, np.inf
    data.lb[:, 0], data.ub[:, 0] = -9.0, 9.0
    prices["h"][1, 3] = data.p[2, 0] = np.nan
    data.lb[3, 0] = 10.0
    return data, prices


def test_a_bad_element_changes_no_other():
    data, prices = mixed()
    solution = kktdiff.solve_qp(*data, soft=prices, on_failure="ignore")
    bad = Status.INVALID_DATA
    expected = [Status.SOLVED, bad, bad, Status.PRIMAL_INFEASIBLE, Status.SOLVED]
    np.testing.assert_array_equal(solution.status, expected)
    assert np.isnan(solution.x[1:4]).all()
    g = cotangents(rng(2), solution)
    grads = solution.vjp(**g)
    for i in (0, 4):
        assert_same_alone(i, data, prices, solution, g, grads)
    for name in INPUTS:
        np.testing.assert_array_equal(getattr(grads, name)[1:4], 0.0, err_msg=name)
    np.testing.assert_array_equal(solution.jvp(p=data.p * 0 + 1).violation_h[1:4], 0.0)
    np.testing.assert_array_equal(
        solution.diagnostics().trustworthy, [True, False, False, False, True]
    )


def test_failures_are_told_by_their_places_in_the_batch():
    data, prices = mixed()
    with pytest.warns(kktdiff.SolveWarning, match="3 of 5.*PRIMAL_INFEASIBLE at 3.*DATA at 1, 2"):
        kktdiff.solve_qp(*data, soft=prices)
    with pytest.raises(kktdiff.SolveError) as raised:
        kktdiff.solve_qp(*data, soft=prices, on_failure="raise")
    assert raised.value.solution.violation_h.shape == (5, 7)


def test_hard_limits_that_contradict_each_other_have_a_proof_without_soft_rows():
    data, prices = mixed()
    solution = kktdiff.solve_qp(*data, soft=prices, on_failure="ignore")
    proof = solution.certificate()
    assert np.isnan(proof.lam[[0, 1, 2, 4]]).all()
    np.testing.assert_array_equal(proof.lam[3], 0.0)
    assert_near(proof.lam_lb[3] > 0, np.eye(6)[0] > 0, 0, "lam_lb")
    value = proof.lam_ub[3] @ data.ub[3] - proof.lam_lb[3] @ data.lb[3]
    assert_near(value, -1.0, ANSWER, "value")


def test_an_objective_that_falls_faster_than_the_price_rises_is_unbounded():
    line = np.zeros((1, 1)), np.array([-5.0]), np.ones((1, 1)), np.ones(1)
    assert_near(kktdiff.solve_qp(*line, soft={"h": 6.0}).x, np.ones(1), ANSWER, "x")
    solution = kktdiff.solve_qp(*line, soft={"h": 4.0}, on_failure="ignore")
    assert solution.status == Status.DUAL_INFEASIBLE
    ray = solution.certificate().x
    assert_near((-5.0 + 4.0) * ray[0], -1.0, 1e-4, "what it falls by, price included")


@pytest.mark.parametrize("library", [NUMPY, STRICT], ids=["numpy", "strict"])
def test_a_solution_is_a_start_for_itself(library):
    data, prices = soft_problem(rng(4), batch=(4,))
    given = library.data(data)._asdict() | {
        "soft": {side: library.asarray(w) for side, w in prices.items()}
    }
    solution = kktdiff.solve_qp(**given)
    again = kktdiff.solve_qp(**given, warm_start=solution)
    np.testing.assert_array_equal(library.to_numpy(again.iterations), 0)
    for name in FLOATS:
        values = (library.to_numpy(getattr(s, name)) for s in (again, solution))
        assert_near(*values, ANSWER, name)


def test_a_solution_is_a_start_for_a_nearby_problem():
    data, prices = soft_problem(rng(4), batch=(4,))
    solution = kktdiff.solve_qp(*data, soft=prices)
    near = data._replace(p=data.p + 1e-6)
    higher = {v: w * (1 + 1e-6) for v, w in prices.items()}
    warm = kktdiff.solve_qp(*near, soft=higher, warm_start=solution)
    cold = kktdiff.solve_qp(*near, soft=higher)
    np.testing.assert_array_equal(warm.iterations, 0)
    for name in FLOATS:
        assert_near(getattr(warm, name), getattr(cold, name), ANSWER, name)


def test_a_solution_of_the_hard_problem_is_a_start_too():
    data, _ = known(rng(5), FULL, batch=(3,))
    warm = kktdiff.solve_qp(*data, soft={"h": 9.0}, warm_start=kktdiff.solve_qp(*data))
    np.testing.assert_array_equal(warm.iterations, 0)
    with pytest.raises(ValueError, match=r"warm_start.x has shape \(3, 6\)"):
        kktdiff.solve_qp(*element(data, 0), soft={"h": 9.0}, warm_start=warm)


CROSSED = Data(
    np.diag([1.0, 2.0, 1.0]),
    np.array([1.0, -2.0, -4.0]),
    np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 1], [1, 0, 1]]),
    np.array([-1.0, -2.0, 0.5, 0.2]),
)
PRICES = np.array([np.inf, np.inf, 0.7, 1.1])  # the first two rows contradict each other by 3


def closest(h, w, **more):
    own = CROSSED._replace(h=h)
    return kktdiff.solve_qp(*own, soft={"h": w}, infeasible="closest", **more)


def test_only_hard_rows_are_shifted_to_the_closest_problem():
    solution = closest(CROSSED.h, PRICES)
    assert solution.solved
    assert_near(solution.shift_h[:2], np.array([1.5, 1.5]), ANSWER, "shift")
    np.testing.assert_array_equal(solution.shift_h[2:], 0.0)
    met = CROSSED._replace(h=CROSSED.h + solution.shift_h)
    reference = kktdiff.solve_qp(*met, soft={"h": PRICES})
    for name in ("x", "s", "objective", "violation_h"):
        assert_near(getattr(solution, name), getattr(reference, name), ANSWER, name)
    assert_near(solution.violation_h > 0, np.array([0, 0, 1, 1]) > 0, 0, "violated")


def test_the_closest_problem_has_derivatives_in_limits_and_prices():
    solution, step = closest(CROSSED.h, PRICES), 1e-5
    g = {"x": np.array([1.0, 2.0, 3.0]), "violation_h": np.array([0.0, 0, 1, -1])}
    grads = solution.vjp(**g)

    def loss(h, w):
        moved = closest(h, w)
        return sum(np.sum(v * getattr(moved, name)) for name, v in g.items())

    for i, e in enumerate(step * np.eye(4)):
        by_h = loss(CROSSED.h + e, PRICES) - loss(CROSSED.h - e, PRICES)
        by_w = loss(CROSSED.h, PRICES + e) - loss(CROSSED.h, PRICES - e)
        assert_near(grads.h[i], by_h / (2 * step), DIFFERENCE, f"h[{i}]")
        assert_near(grads.soft["h"][i], by_w / (2 * step), DIFFERENCE, f"soft_h[{i}]")


def test_feasible_elements_keep_their_answer_beside_closest_ones():
    h = np.stack([CROSSED.h, np.array([2.0, 2.0, 0.5, 0.2])])
    solution = closest(h, PRICES, shift_weights={"h": np.array([1.0, 2.0, 1.0, 1.0])})
    alone = kktdiff.solve_qp(*CROSSED._replace(h=h[1]), soft={"h": PRICES})
    assert_near(solution.x[1], alone.x, ANSWER, "x")
    assert_near(solution.shift_h, np.array([[2.0, 1, 0, 0], [0, 0, 0, 0]]), ANSWER, "shift")


def test_soft_bounds_are_not_shifted_and_absent_ones_have_no_shift():
    eye, one = np.eye(2), np.ones(2)
    G, h = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([-1.0, -1.0])
    how = {"infeasible": "closest", "soft": {"ub": 0.5}}
    solution = kktdiff.solve_qp(eye, 0 * one, G, h, ub=-one, **how)
    assert_near(solution.shift_h, one, ANSWER, "h")
    np.testing.assert_array_equal(solution.shift_ub, 0 * one)
    assert solution.shift_lb is None
    assert_near(solution.x, np.array([0.0, -0.5]), ANSWER, "x")
    assert_near(solution.violation_ub, np.array([1.0, 0.5]), ANSWER, "violation")


@pytest.mark.parametrize("hard", [[0], [1], [0, 1]])
def test_rows_whose_prices_are_all_infinite_are_shifted_without_bounds_too(hard):
    G, h = np.array([[1.0], [-1.0]]), np.full((2, 2), -1.0)
    prices = np.array([[0.5, np.inf], [0.5, np.inf]])  # x = 1 at the price of x <= -1
    prices[hard] = np.inf
    how = {"infeasible": "closest", "soft": {"h": prices}}
    solution = kktdiff.solve_qp(np.eye(1), np.zeros((2, 1)), G, h, **how)
    expected = np.zeros((2, 2))
    expected[hard] = 1.0
    assert_near(solution.shift_h, expected, ANSWER, "shift")
    assert_near(solution.x, 1.0 - expected[:, :1], ANSWER, "x")
    assert solution.shift_lb is None


def test_limits_that_meet_and_are_soft_are_solved():
    for lower, upper in ((1.0, 2.0), (np.inf, 2.0), (1.0, np.inf), (5.0, 5.0)):
        soft = {"lb": lower, "ub": upper}
        bounds = {"lb": np.ones(2), "ub": np.ones(2)}
        solution = kktdiff.solve_qp(np.eye(2), np.array([-4.0, 0.5]), soft=soft, **bounds)
        assert solution.status == Status.SOLVED
        expected = [4.0 - min(upper, 3.0), min(lower - 0.5, 1.0)]
        assert_near(solution.x, np.array(expected), ANSWER, f"{soft}")


def test_the_units_of_objective_and_prices_do_not_matter():
    data, prices = soft_problem(rng(6), batch=(4,))
    solution = kktdiff.solve_qp(*data, soft=prices)
    unit = 2.0**20
    large = data._replace(Q=unit * data.Q, p=unit * data.p)
    scaled = kktdiff.solve_qp(*large, soft={v: unit * w for v, w in prices.items()})
    assert_same_bits(scaled, solution, ("x", "s", *VIOLATIONS))
    assert_near(scaled.lam / unit, solution.lam, DENSE_REFERENCE, "lam")
