"""Soft rows, whose slacks the kernels make and eliminate, beside the same problems in (x, t)."""

import numpy as np
import pytest

import kktdiff
from kktdiff._records import Data, Point
from kktdiff.kernels import method
from tests import soft
from tests.checks import assert_near, element
from tests.kernels.calls import LANES, using
from tests.problems import Sizes
from tests.soft import SIDES, soft_problem, written
from tests.tolerances import ADJOINT, ANSWER, DIFFERENCE

pytestmark = pytest.mark.usefixtures("native")

SHAPES = {
    "one row": Sizes(2, 1, 0),
    "rows": Sizes(3, 9, 0),
    "equalities": Sizes(5, 0, 2),
    "box": Sizes(6, 0, 0, lower=True, upper=True),
    "everything": Sizes(10, 20, 3, lower=True, upper=True),
    "too large for lanes": Sizes(120, 30, 5, upper=True),
}


def problem(seed, sizes, batch=5, unit=1.0, hard=0.3):
    """Return flat data with prices, some of them infinite, and the same by its parts."""
    rng = np.random.default_rng(seed)
    have = {"h": sizes.m, "b": sizes.k, "lb": sizes.lower, "ub": sizes.upper}
    data, prices = soft_problem(rng, [v for v in SIDES if have[v]], (batch,), sizes)
    for v, w in prices.items():
        prices[v] = np.where(rng.uniform(size=w.shape) < hard, np.inf, unit * w)
    own = {f"soft_{v}": w for v, w in prices.items()}
    return Data(*(None if v is None else np.array(v) for v in data), **own), data, prices


def fields(data, out):
    """Return the outputs of an element by name, zero where the kernel has none."""
    (n, m, k), own = data.sizes, method.fields(out)
    none = {"violation_h": m, "violation_b": k, "violation_lb": n, "violation_ub": n}
    return {v: np.zeros((len(out.x), size)) for v, size in none.items()} | own


@pytest.mark.parametrize("variant", LANES)
@pytest.mark.parametrize("sizes", SHAPES.values(), ids=list(SHAPES))
def test_solutions_and_gradients(native, variant, sizes):
    if variant not in native.variants():
        pytest.skip(f"{variant} does not run here")
    qp, data, prices = problem(1, sizes)
    rng, count = np.random.default_rng(2), 0
    with using(variant):
        out = method.solve(qp, None, 100)
        own = fields(qp, out)
        g = {v: rng.normal(size=own[v].shape) for v in soft.FLOATS if v != "objective"}
        g["objective"] = rng.normal(size=(len(out.x), 1))
        absent = [v for v in method.VIOLATIONS if v[10:] not in prices]
        order = ("x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective", *method.VIOLATIONS)
        given = tuple(None if v in absent else g[v] for v in order)
        names = [name for name, v in qp._asdict().items() if v is not None]
        found = method.vjp(qp, (out.kept, out.active, out.weights), given, names, (1e-15, 1e-7))
    for i in np.flatnonzero(out.status == 0):
        one = type(data)(*(None if v is None else v[i] for v in data))
        whole, costs = _whole(one, sizes), {v: w[i] for v, w in prices.items()}
        by_hand = written(whole, costs)
        reference = kktdiff.solve_qp(*by_hand.data, tol=1e-12)
        for name, value in soft.outputs(by_hand, reference, whole).items():
            assert_near(own[name][i], value, 10 * ADJOINT * (1 + abs(value).max(initial=0)), name)
        cot = {v: a[i] if v != "objective" else a[i, 0] for v, a in g.items()}
        expected = soft.gradients(by_hand, cot, whole, costs)
        for name in names:
            value = expected[name]
            size = 100 * ADJOINT * (1 + abs(value).max(initial=0))
            assert_near(found.gradients[name][i], value, size, name)
        count += 1
    assert count >= 3


def _whole(one, sizes):
    """Return an element with rows of no effect where it has none."""
    n, m, k = sizes.n, sizes.m, sizes.k
    none = {"G": np.zeros((m, n)), "h": np.zeros(m), "A": np.zeros((k, n)), "b": np.zeros(k)}
    none |= {"lb": np.full(n, -np.inf), "ub": np.full(n, np.inf)}
    return one._replace(**{v: a for v, a in none.items() if getattr(one, v) is None})


def test_kept_factors_and_factors_anew_give_the_same_bits():
    qp, _, _ = problem(2, SHAPES["too large for lanes"])
    out = method.solve(qp, None, 100)
    g = (np.ones(out.x.shape), *(None,) * 10)
    system = qp, (out.kept, out.active, out.weights), g, ["p", "soft_h", "G"], (1e-15, 1e-7)
    kept, again = method.vjp(*system, factors=out.factors), method.vjp(*system)
    assert out.factors is not None
    for name, value in kept.gradients.items():
        assert np.array_equal(value, again.gradients[name])


@pytest.mark.parametrize("unit", [1e-3, 1e3, 1e6])
def test_prices_over_decades(unit):
    qp, _, _ = problem(3, SHAPES["everything"], batch=20, unit=unit, hard=0.0)
    assert not method.solve(qp, None, 100).status.any()


def test_infinite_prices_are_hard_rows_to_the_bit():
    qp, _, _ = problem(4, SHAPES["everything"], hard=1.0)
    qp = qp._replace(soft_b=None, h=qp.h + 2, lb=qp.lb - 2, ub=qp.ub + 2)
    hard = qp._replace(soft_h=None, soft_lb=None, soft_ub=None)
    found, expected = (method.solve(one, None, 100) for one in (qp, hard))
    assert not expected.status.any()
    for name in ("x", "s", "lam", "nu", "lam_lb", "lam_ub", "numbers", "iterations"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    assert not found.violation_h.any()


def test_where_hard_rows_contradict_each_other_there_is_a_proof():
    qp, _, _ = problem(5, SHAPES["rows"], hard=0.0)
    qp.soft_h[3, :2] = np.inf
    qp.G[3, 1], qp.h[3, :2] = -qp.G[3, 0], -1.0
    assert method.solve(qp, None, 100).status.tolist() == [0, 0, 0, 2, 0]


def test_without_a_price_on_what_falls_there_is_no_bound():
    qp, _, _ = problem(6, SHAPES["rows"], hard=0.0)
    qp.Q[3], qp.p[3], qp.G[3, :, 0] = 0.0, [-100.0, 0, 0], 1.0
    assert method.solve(qp, None, 100).status[3] == kktdiff.Status.DUAL_INFEASIBLE


def test_a_warm_start_from_the_solution_takes_no_iteration():
    qp, _, _ = problem(7, SHAPES["everything"], hard=0.0)
    out = method.solve(qp, None, 100)
    lam = np.hstack([out.lam, out.lam_lb, out.lam_ub])
    again = method.solve(qp, Point(out.x, 0 * lam, lam, out.nu), 100)
    assert not again.status.any()
    assert not again.iterations.any()
    assert_near(again.violation_h, out.violation_h, ADJOINT, "h")
    assert_near(again.violation_b, out.violation_b, ADJOINT, "b")


@pytest.mark.parametrize("shape", ["everything", "too large for lanes"])
def test_an_element_has_the_same_bits_in_any_batch(shape):
    qp, _, _ = problem(8, SHAPES[shape], batch=11)
    qp = qp.take(np.flatnonzero(method.solve(qp, None, 100).status == 0))
    whole = method.solve(qp, None, 100)
    for index in (np.array([4]), np.arange(3), np.arange(6, 2, -1)):
        found, expected = method.solve(qp.take(index), None, 100), whole.take(index)
        for name in ("x", "s", "lam", "nu", "violation_ub", "kept", "iterations"):
            assert np.array_equal(getattr(found, name), getattr(expected, name)), name


def test_slacks_do_not_count_as_size():
    rows, limits = np.ones((2300, 2)), np.linspace(-1.0, 1.0, 2300)
    solution = kktdiff.solve_qp(np.eye(2), np.zeros(2), rows, limits, soft={"h": 0.01})
    assert not solution._engine.others
    assert_near(solution.lam.sum(), -solution.x[0], ADJOINT, "x")


@pytest.mark.parametrize("sides", [("lb",), ("lb", "ub"), SIDES], ids="+".join)
@pytest.mark.parametrize("decades", [15, 40])
def test_the_units_of_variables_do_not_matter(sides, decades):
    """A bound that may be violated tells its variable's unit as a hard one does."""
    data, prices = soft_problem(np.random.default_rng(8), sides, batch=(50,))
    solution = kktdiff.solve_qp(*data, soft=prices)
    unit = 2.0 ** np.round(
        np.random.default_rng(9).uniform(-decades / 2, decades / 2, data.p.shape)
    )
    own = in_units(data, unit)
    costs = {v: w / unit if v in ("lb", "ub") else w for v, w in prices.items()}
    found = kktdiff.solve_qp(*own, soft=costs)
    np.testing.assert_array_equal(found.status, kktdiff.Status.SOLVED)
    assert_near(found.x / unit, solution.x, ANSWER, "x")
    g, h = (s.vjp(x=v) for s, v in ((solution, solution.x), (found, solution.x / unit)))
    for side in sides:
        size = unit if side in ("lb", "ub") else 1.0
        assert_near(h.soft[side] / size, g.soft[side], ANSWER, side)


def in_units(data, unit):
    """Return the data with x in other units."""
    Q, G, A = (v / unit[..., None, :] for v in (data.Q, data.G, data.A))
    Q, p = Q / unit[..., :, None], data.p / unit
    return data._replace(Q=Q, p=p, G=G, A=A, lb=data.lb * unit, ub=data.ub * unit)


def test_a_row_that_is_there_twice_leaves_the_gradients_of_the_others():
    """Where the KKT matrix is singular the gradient is one of least squares, with slacks."""
    data, _ = soft_problem(np.random.default_rng(10), ("h",), batch=(4,))
    solution = kktdiff.solve_qp(*data, soft={"h": 50.0})
    twice = int(np.argmax(solution.lam[2]))
    data.G[2, 0], data.h[2, 0] = data.G[2, twice], data.h[2, twice]
    solution = kktdiff.solve_qp(*data, soft={"h": 50.0})
    assert solution.lam[2, 0] + solution.lam[2, twice] > 0
    grads = solution.vjp(x=np.ones((4, 6)), wrt=("p", "h"))
    least = solution.vjp(x=np.ones((4, 6)), gradient="least_squares", wrt=("p", "h"))
    for i in (0, 1, 3):
        alone = kktdiff.solve_qp(*element(data, i), soft={"h": 50.0}).vjp(x=np.ones(6))
        for name in ("p", "h"):
            np.testing.assert_array_equal(getattr(grads, name)[i], getattr(alone, name))
    for name in ("p", "h"):
        assert_near(getattr(grads, name)[2], getattr(least, name)[2], DIFFERENCE, name)
