"""The shifts of infeasible="closest": the least ones, in the sense of the weights."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import lsq_linear

import kktdiff
from tests.checks import assert_near, assert_same_bits, element, residuals
from tests.core.test_errors import says
from tests.namespaces import STRICT
from tests.problems import FULL, Data, Sizes, known
from tests.tolerances import ANSWER
from tests.unsolvable import conflicting, contradictory, half_conflicting, stacked

SIDES = ("h", "b", "lb", "ub")
ALL = Sizes(n=4, m=6, k=2, lower=True, upper=True)
SIZES = [
    Sizes(n=3, m=9),
    Sizes(n=3, k=5),
    Sizes(n=4, lower=True, upper=True),
    Sizes(n=4, m=7, k=2),
    Sizes(n=4, m=7, lower=True),
    Sizes(n=4, k=3, upper=True),
    ALL,
]


def closest(data, **options):
    return kktdiff.solve_qp(*data, infeasible="closest", on_failure="ignore", **options)


def least_shifts(data, weights):
    """One element's shifts by SciPy: least |C x + s - d|, s >= 0 but for equalities."""
    n = data.p.size
    lower = None if data.lb is None else -data.lb
    sides = (data.G, data.h), (data.A, data.b), (-np.eye(n), lower), (np.eye(n), data.ub)
    blocks = {f: block for f, block in zip(SIDES, sides, strict=True) if block[1] is not None}
    names = np.concatenate([[name] * d.size for name, (_, d) in blocks.items()])
    C = np.concatenate([C for C, _ in blocks.values()])
    d = np.concatenate([d for _, d in blocks.values()])
    root = np.sqrt(
        np.concatenate([weights.get(f, np.ones(d.shape)) for f, (_, d) in blocks.items()])
    )
    M = np.hstack([C, np.eye(d.size)[:, names != "b"]])
    least = np.append(np.full(n, -np.inf), np.zeros(np.sum(names != "b")))
    found = lsq_linear(root[:, None] * M, root * d, (least, np.inf), method="bvls", tol=1e-14)
    t = np.where(names == "lb", -1.0, 1.0) * (M @ found.x - d)
    return {name: t[names == name] for name in blocks}


def assert_least(data, solution, index=(), weights=None):
    """One element's shifts are SciPy's, and its x meets the shifted constraints."""
    shifts = {name: getattr(solution, f"shift_{name}") for name in SIDES}
    moved = {}
    for name, expected in least_shifts(data, weights or {}).items():
        assert_near(shifts[name][index], expected, ANSWER, f"shift_{name}")
        moved[name] = getattr(data, name) + shifts[name][index]
    assert all(shifts[name] is None for name in SIDES if getattr(data, name) is None)
    own = SimpleNamespace(
        **{f: getattr(solution, f)[index] for f in ("x", "lam", "nu", "lam_lb", "lam_ub")}
    )
    primal, _, _ = residuals(data._replace(**moved), own)
    assert primal <= ANSWER


@pytest.mark.parametrize("draw", [conflicting, contradictory], ids=lambda f: f.__name__)
@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: s.label)
def test_shifts_are_the_least(sizes, draw):
    data = stacked(draw, np.random.default_rng(430), sizes, (2, 2))
    solution = closest(data)
    assert np.all(solution.solved)
    for index in np.ndindex(2, 2):
        assert_least(element(data, index), solution, index)


@pytest.mark.parametrize("seed", range(4))
def test_shifts_are_the_least_where_the_objective_has_a_say(seed):
    data = half_conflicting(np.random.default_rng(seed))
    assert_least(data, closest(data))


def test_shared_and_broadcast_arrays_have_shifts_of_their_own():
    """Each array with a batch shape of its own; the shifts have the whole batch's."""
    rng = np.random.default_rng(431)
    one = conflicting(rng, ALL)
    data = one._replace(
        h=one.h + rng.normal(size=(2, 1, 6)), lb=one.lb - rng.uniform(size=(3, 4)), ub=one.ub[None]
    )
    solution = closest(data)
    whole = data._replace(**{f: np.broadcast_to(getattr(data, f), (2, 3, 4)) for f in ("lb", "ub")})
    whole = whole._replace(h=np.broadcast_to(data.h, (2, 3, 6)))
    assert solution.shift_b.shape == (2, 3, 2)
    for index in np.ndindex(2, 3):
        own = {f: getattr(whole, f)[index] for f in ("h", "lb", "ub")}
        assert_least(data._replace(**own), solution, index)


def test_feasible_elements_have_shifts_of_exactly_zero():
    data = known(np.random.default_rng(432), FULL, batch=(3,)).data
    data.lb[1] = data.ub[1] + 1.0
    solution = closest(data)
    for name in SIDES:
        shift = getattr(solution, f"shift_{name}")
        np.testing.assert_array_equal(shift[::2], np.zeros(shift[::2].shape))
    assert np.all(solution.shift_lb[1] < -0.1)


def test_without_the_option_there_are_no_shifts():
    solution = kktdiff.solve_qp(*known(np.random.default_rng(433), FULL).data)
    assert all(getattr(solution, f"shift_{name}") is None for name in SIDES)


# Two limits of one variable, and of their shifts, t1 + t2 = 3, the least w1 t1^2 + w2 t2^2:
# t1 = 3 w2 / (w1 + w2), t2 = 3 w1 / (w1 + w2).
ROWS = Data(np.eye(1), np.zeros(1), np.array([[1.0], [-1.0]]), np.array([-1.0, -2.0]))
EQUAL = Data(np.eye(1), np.zeros(1), A=np.ones((2, 1)), b=np.array([2.0, -1.0]))
BOUNDS = Data(np.eye(1), np.zeros(1), lb=np.array([2.0]), ub=np.array([-1.0]))


@pytest.mark.parametrize(("w1", "w2"), [(1.0, 1.0), (1.0, 2.0), (0.01, 3.0), (1e3, 1e-3)])
def test_what_is_dear_is_shifted_less(w1, w2):
    w, t1, t2 = np.array([w1, w2]), 3 * w2 / (w1 + w2), 3 * w1 / (w1 + w2)
    by_rows = closest(ROWS, shift_weights={"h": w})
    assert_near(by_rows.shift_h, [t1, t2], ANSWER, "h")
    assert_near(by_rows.x, [t1 - 1.0], ANSWER, "x")
    assert_near(closest(EQUAL, shift_weights={"b": w}).shift_b, [-t1, t2], ANSWER, "b")
    by_bounds = closest(BOUNDS, shift_weights={"lb": w[:1], "ub": w[1:]})
    assert_near(by_bounds.shift_lb, [-t1], ANSWER, "lb")
    assert_near(by_bounds.shift_ub, [t2], ANSWER, "ub")


def test_weights_that_are_not_given_are_one():
    solution = closest(BOUNDS, shift_weights={"ub": np.array([2.0])})
    assert_near(solution.shift_lb, [-2.0], ANSWER, "lb")
    assert_near(solution.shift_ub, [1.0], ANSWER, "ub")


@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: s.label)
def test_weighted_shifts_are_the_least_in_that_sense(sizes):
    rng, spread = np.random.default_rng(434), 3  # decades
    data = stacked(conflicting, rng, sizes, (4,))
    weights = {
        name: 10.0 ** rng.uniform(-spread, spread, size=getattr(data, name).shape)
        for name in SIDES
        if getattr(data, name) is not None
    }
    solution = closest(data, shift_weights=weights)
    assert np.all(solution.solved)
    for i in range(4):
        own = {name: w[i] for name, w in weights.items()}
        assert_least(element(data, i), solution, i, own)


@pytest.mark.parametrize("shape", [(2,), (1, 2), (3, 2), (4, 1, 2), (4, 3, 2)], ids=str)
def test_weights_broadcast_to_their_right_hand_sides(shape):
    w = np.random.default_rng(435).uniform(0.5, 2.0, size=shape)
    h = np.broadcast_to(ROWS.h, (4, 3, 2))
    whole = np.broadcast_to(w, h.shape)
    expected = 3 * whole[..., ::-1] / whole.sum(axis=-1, keepdims=True)
    found = closest(ROWS._replace(h=h), shift_weights={"h": w}).shift_h
    assert_near(found, expected, ANSWER, "h")


def test_weights_of_feasible_elements_do_nothing():
    data, answer = known(np.random.default_rng(436), FULL)
    solution = closest(data, shift_weights={"h": np.full(7, 100.0)})
    assert_near(solution.x, answer.x, ANSWER, "x")
    np.testing.assert_array_equal(solution.shift_h, np.zeros(7))


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_all_weights_times_a_number_are_the_same_weights(scale):
    data = conflicting(np.random.default_rng(437), ALL)
    weights = {name: np.full(getattr(data, name).shape, scale) for name in SIDES}
    assert_least(data, closest(data, shift_weights=weights))


@pytest.mark.parametrize(
    ("weights", "facts"),
    [
        ({"q": np.ones(2)}, ["shift_weights", "q", "h"]),
        ({"b": np.ones(2)}, ["shift_weights", "b"]),  # which was not given
        ({"h": np.ones(3)}, ["shift_weights", "h", "3", "2"]),
        ({"h": np.ones(1)}, ["shift_weights", "h", "1", "2"]),
        ({"h": 0.0}, ["shift_weights", "h", "positive"]),
        ({"h": np.ones((5, 2))}, ["shift_weights", "h", "5"]),
        ({"h": np.array([1.0, 0.0])}, ["shift_weights", "h", "positive"]),
        ({"h": np.array([-1.0, 1.0])}, ["shift_weights", "h", "positive"]),
        ({"h": np.array([np.nan, 1.0])}, ["shift_weights", "h", "positive"]),
        ({"h": np.array([np.inf, 1.0])}, ["shift_weights", "h", "finite"]),
        ({"h": [1.0, 1.0, 1.0]}, ["shift_weights", "h", "3", "2"]),
        ({"h": "heavy"}, ["shift_weights", "h", "str"]),
        (3, ["shift_weights", "3", "dict"]),
        ({"h": STRICT.asarray(np.ones(2))}, ["shift_weights", "h", "Array"]),
    ],
    ids=str,
)
def test_wrong_weights_are_named(weights, facts):
    with pytest.raises((TypeError, ValueError), match=says(*facts)):
        closest(ROWS._replace(p=np.zeros((3, 1))), shift_weights=weights)


def test_lists_and_numbers_are_weights():
    data = ROWS._replace(p=np.zeros((3, 1)))
    expected = closest(data, shift_weights={"h": np.array([2.0, 2.0])})
    for weights in (2, 2.0, np.ones(()) * 2, [2, 2], (2.0, 2.0)):
        assert_same_bits(closest(data, shift_weights={"h": weights}), expected, ("x", "shift_h"))


def test_weights_without_the_option_are_refused():
    with pytest.raises(ValueError, match=says("shift_weights", "closest")):
        kktdiff.solve_qp(*ROWS, shift_weights={"h": np.ones(2)})


def test_shifts_over_array_types(namespace):
    w = namespace.asarray(np.array([1.0, 2.0]))
    shift = closest(namespace.data(ROWS), shift_weights={"h": w}).shift_h
    assert_near(namespace.to_numpy(shift), [2.0, 1.0], ANSWER, "h")


def test_single_precision_shifts_are_single_precision():
    data = Data(*(None if a is None else a.astype(np.float32) for a in ROWS))
    shift = closest(data, shift_weights={"h": np.array([1.0, 2.0], np.float32)}).shift_h
    assert shift.dtype == np.float32
    assert_near(shift, [2.0, 1.0], ANSWER, "h")
