"""Second derivatives, against differences of the first ones, and each other."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given

import kktdiff
from tests.checks import answer_of, assert_answer, assert_near, assert_same_bits, element, grads_of
from tests.problems import COMBINATIONS, FULL, Answer, Data, Sizes, feasible, known, moved, tangent
from tests.reference import CENTRAL, FORWARD, STEP, weighted
from tests.strategies import broadcast_problems
from tests.tolerances import ADJOINT, DENSE_REFERENCE, DIFFERENCE, SHARED, SINGLE_ANSWER
from tests.unsolvable import conflicting

SIZES = [sizes._replace(n=8) for sizes in COMBINATIONS]  # room for an active row of every block
SIZES += [Sizes(6, 8, 1, True, True, rank=4), Sizes(5, 6, 1, True, True, rank=0)]


def cotangents(rng, solution):
    """A random cotangent of every output."""
    return {f: rng.normal(size=np.shape(a)) for f, a in answer_of(solution)._asdict().items()}


def spread(arrays, solution):
    """Arrays of any batch shape, each broadcast to that of the solution."""
    ranks = {"Q": 2, "G": 2, "A": 2, "objective": 0}  # the others are vectors
    cores = {f: a.shape[a.ndim - ranks.get(f, 1) :] for f, a in arrays.items()}
    return {f: np.broadcast_to(a, solution.status.shape + cores[f]) for f, a in arrays.items()}


def separately(arrays):
    """Each array by itself, and all of them together."""
    return {name: {name: a} for name, a in arrays.items()} | {"all": arrays}


def general(sizes, rng):
    """Every block has rows that are active, rows that are not, and an infinite limit."""
    ends = {"h": ("lam", np.inf), "lb": ("lam_lb", -np.inf), "ub": ("lam_ub", np.inf)}
    blocks = [None]
    while not all(b is not None and np.any(b > 0) and np.sum(b == 0) > 1 for b in blocks):
        data, answer = known(rng, sizes)
        here = {f: v for f, v in ends.items() if getattr(data, f) is not None}
        blocks = [getattr(answer, lam) for lam, _ in here.values()]
    for (name, (_, end)), lam in zip(here.items(), blocks, strict=True):
        getattr(data, name)[np.argmin(lam)] = end
    moves = tangent(rng, data)
    if sizes.rank is not None:
        moves["Q"] = moves["Q"] @ moves["Q"].T / sizes.n  # to where the problem stays convex
    return data, separately(moves), CENTRAL if sizes.rank is None else FORWARD


def fixed(rng):
    """lb == ub for two variables, whose multipliers have both signs; the bounds move as one."""
    data, at = feasible(rng, FULL), [4, 5]
    data.lb[at] = data.ub[at] = 0.1, -0.1
    solution = kktdiff.solve_qp(*data)
    assert min(max(solution.lam_lb[at]), max(solution.lam_ub[at])) > 0.1
    moves = tangent(rng, data)
    moves["ub"][at] = moves["lb"][at]
    apart = separately(moves)
    apart["lb"] |= apart.pop("ub")
    return data, apart, CENTRAL


CASES = {s.label: partial(general, s) for s in SIZES} | {"fixed variables": fixed}


class Case(NamedTuple):
    """A solution, and a batch of those near by: a row per direction, along its stencil."""

    solution: kktdiff.Solution
    moves: dict
    near: kktdiff.Solution
    stencil: dict

    def assert_moves(self, first, second, what):
        """`first`: arrays of the batch; `second`: how they move, a record per direction."""
        for i, (way, record) in enumerate(zip(self.moves, second, strict=True)):
            for name, values in first._asdict().items():
                if values is not None:
                    found, label = getattr(record, name), f"{name} along {way}, of {what}"
                    assert_near(found, weighted(self.stencil, values[i], STEP), DIFFERENCE, label)


@pytest.fixture(scope="module", params=CASES)
def case(request):
    data, moves, stencil = CASES[request.param](np.random.default_rng(500))
    near = [[moved(data, d, c * STEP) for c in stencil] for d in moves.values()]
    columns = zip(*(zip(*row, strict=True) for row in near), strict=True)
    near = Data(*(None if c[0][0] is None else np.array(c) for c in columns))
    return Case(kktdiff.solve_qp(*data), moves, kktdiff.solve_qp(*near, tol=1e-12), stencil)


def test_hvp_agrees_with_differences_of_vjp(case):
    weights = cotangents(np.random.default_rng(501), case.solution)
    for output, g in separately(weights).items():
        found = [case.solution.hvp(g, d) for d in case.moves.values()]
        case.assert_moves(grads_of(case.near.vjp(**spread(g, case.near))), found, output)


def test_second_jvp_agrees_with_differences_of_jvp(case):
    for name, d in case.moves.items():
        found = [case.solution.second_jvp(d, e) for e in case.moves.values()]
        case.assert_moves(answer_of(case.near.jvp(**spread(d, case.near))), found, name)


def assert_one_form(solution, d, e, g, **options):
    """second_jvp is symmetric, and <g, second_jvp(d, e)> = <d, hvp(g, e)> = <e, hvp(g, d)>."""
    found = answer_of(solution.second_jvp(d, e, **options))
    assert_answer(found, answer_of(solution.second_jvp(e, d, **options)), ADJOINT)
    size = np.sqrt(inner(g, Answer(**g)) * inner(found._asdict(), found))
    for one, other in ((d, e), (e, d)):
        difference = inner(g, found) - inner(one, solution.hvp(g, other, **options))
        assert abs(difference) <= ADJOINT * size


def inner(arrays, record):
    return sum(np.sum(a * getattr(record, name)) for name, a in arrays.items())


@pytest.mark.parametrize("gradient", ["exact", "least_squares"])
def test_the_second_derivatives_are_one_symmetric_form(case, gradient):
    rng, d = np.random.default_rng(502), case.moves["all"]
    e = {name: rng.normal(size=v.shape) for name, v in d.items()}
    assert_one_form(case.solution, d, e, cotangents(rng, case.solution), gradient=gradient)


@given(data=broadcast_problems())
def test_they_are_one_symmetric_form_whatever_is_shared(data):
    rng, solution = np.random.default_rng(503), kktdiff.solve_qp(*data)
    assert_one_form(solution, tangent(rng, data), tangent(rng, data), cotangents(rng, solution))


SEPARATE = dict.fromkeys(Data._fields, (3,))
TOGETHER = [(name,) for name in Data._fields] + [("Q", "G", "A"), ("p", "h", "b")]
BATCHES = {"+".join(names): SEPARATE | dict.fromkeys(names, ()) for names in TOGETHER}
BATCHES["mixed"] = {"Q": (2, 1), "p": (3,), "h": (2, 3), "A": (1, 3), "b": (1,), "lb": (2, 1)}


@pytest.mark.parametrize("batches", BATCHES.values(), ids=BATCHES)
def test_what_is_shared_gives_what_its_copies_give(batches):
    """And a gradient is the sum over them, in the input's own shape."""
    data = feasible(np.random.default_rng(504), FULL, batches)
    rng, solution = np.random.default_rng(516), kktdiff.solve_qp(*data)
    d, e, g = tangent(rng, data), tangent(rng, data), cotangents(rng, solution)
    copies, *ways = (spread(v, solution) for v in (data._asdict(), d, e))
    apart = kktdiff.solve_qp(**copies)
    assert_answer(solution.second_jvp(d, e), answer_of(apart.second_jvp(*ways)), SHARED)
    parts = grads_of(apart.hvp(g, ways[0]))
    expected = Data(*(folded(v, a.shape) for v, a in zip(parts, data, strict=True)))
    assert_answer(solution.hvp(g, d), expected, SHARED, Data._fields)


def folded(value, shape):
    """The sum over what an array of this shape was broadcast over."""
    value = value.sum(axis=tuple(range(value.ndim - len(shape))))
    axes = [i for i, size in enumerate(shape) if size != value.shape[i]]
    return value.sum(axis=tuple(axes), keepdims=True)


def test_a_batch_has_what_its_elements_have_alone_over_array_types(namespace):
    rng, (data, answer) = np.random.default_rng(506), known(np.random.default_rng(505), FULL, (2,))
    ways = tangent(rng, data), tangent(rng, data), cotangents(rng, answer)
    solution = kktdiff.solve_qp(*namespace.data(data))
    d, e, g = ({f: namespace.asarray(a) for f, a in way.items()} for way in ways)
    found = answer_of(solution.second_jvp(d, e), namespace)
    grads = grads_of(solution.hvp(g, d), namespace)
    for i in range(2):
        alone = kktdiff.solve_qp(*element(data, i))
        d, e, g = ({f: a[i] for f, a in way.items()} for way in ways)
        assert_answer(element(found, i), answer_of(alone.second_jvp(d, e)), SHARED)
        assert_answer(element(grads, i), grads_of(alone.hvp(g, d)), SHARED, Data._fields)


@pytest.mark.parametrize(("name", "value"), [("lb", 1e3), ("p", np.nan)])
def test_an_unsolved_element_has_zeros_and_the_others_keep_their_bits(name, value):
    rng, (data, answer) = np.random.default_rng(508), known(np.random.default_rng(507), FULL, (3,))
    d, e, g = tangent(rng, data), tangent(rng, data), cotangents(rng, answer)
    bad = np.where(np.arange(3)[:, None] == 1, value, getattr(data, name))
    solution = kktdiff.solve_qp(*data)
    broken = kktdiff.solve_qp(*data._replace(**{name: bad}), on_failure="ignore")
    np.testing.assert_array_equal(broken.solved, [True, False, True])
    pairs = ((answer_of(s.second_jvp(d, e)), grads_of(s.hvp(g, d))) for s in (broken, solution))
    for found, expected in zip(*pairs, strict=True):
        assert not any(np.any(v[1]) for v in found)
        assert_same_bits(element(found, [0, 2]), element(expected, [0, 2]), found._fields)


def test_single_precision_is_double_precision_rounded():
    data = known(np.random.default_rng(509), FULL, batch=(2,)).data
    rng, exact = np.random.default_rng(510), kktdiff.solve_qp(*data)
    d, g = tangent(rng, data), cotangents(rng, exact)
    solution = kktdiff.solve_qp(*(a.astype(np.float32) for a in data))
    way, weights = ({name: a.astype(np.float32) for name, a in v.items()} for v in (d, g))
    found, grads = answer_of(solution.second_jvp(way, way)), grads_of(solution.hvp(weights, way))
    assert {a.dtype for a in (*found, *grads)} == {np.dtype(np.float32)}
    assert_answer(found, answer_of(exact.second_jvp(d, d)), SINGLE_ANSWER)
    assert_answer(grads, grads_of(exact.hvp(g, d)), SINGLE_ANSWER, Data._fields)


@pytest.fixture(scope="module")
def full():
    """(data, solution, direction, cotangents)"""
    rng, data = np.random.default_rng(512), known(np.random.default_rng(511), FULL).data
    solution = kktdiff.solve_qp(*data)
    return data, solution, tangent(rng, data), cotangents(rng, solution)


@pytest.mark.parametrize("wrt", [(), ("p",), ("p", "h"), ("Q", "G", "A"), ("ub", "lb", "b")])
def test_wrt_gives_the_same_bits_and_none_for_the_rest(full, wrt):
    _, solution, d, g = full
    for call in (partial(solution.vjp, **g), partial(solution.hvp, g, d)):
        found = call(wrt=wrt)
        assert_same_bits(found, call(), wrt)
        assert {f for f in Data._fields if getattr(found, f) is not None} == set(wrt)


REFUSED = [  # what the message says, and the call
    ("wrt='c'", lambda s, d, g: s.vjp(**g, wrt=("p", "c"))),
    ("wrt='c'", lambda s, d, g: s.hvp(g, d, wrt=("p", "c"))),
    ("'ub', and one alone", lambda s, d, g: s.jacobian(of="x", wrt=("p", "h"))),
    ("gradient='smoothed'", lambda s, d, g: s.hvp(g, d, gradient="smoothed")),
    ("gradient='smoothed'", lambda s, d, g: s.second_jvp(d, d, gradient="smoothed")),
    ("'y'", lambda s, d, g: s.hvp({"y": np.ones(6)}, d)),
    ("'y'", lambda s, d, g: s.hvp(g, {"y": np.ones(6)})),
    ("'y'", lambda s, d, g: s.second_jvp({"y": np.ones(6)}, d)),
]


@pytest.mark.parametrize(("words", "call"), REFUSED)
def test_what_is_refused(full, words, call):
    with pytest.raises(ValueError, match=words):
        call(*full[1:])


def test_closest_has_none_where_an_element_was_repaired_and_all_where_none_was(full):
    data, exact, d, g = full
    closest = partial(kktdiff.solve_qp, infeasible="closest", on_failure="ignore")
    assert_same_bits(closest(*data).hvp(g, d), exact.hvp(g, d), Data._fields)
    assert_same_bits(closest(*data).second_jvp(d, d), exact.second_jvp(d, d), Answer._fields)
    solution = closest(*conflicting(np.random.default_rng(1), FULL))
    assert np.any(solution.shift_h)
    for call in (partial(solution.hvp, g), partial(solution.second_jvp, d)):
        with pytest.raises(NotImplementedError, match="closest"):
            call(d)


def test_by_hand_in_one_variable():
    """x = -p/Q at Q = 2, p = -3: x_pp = 0, x_pQ = 1/Q^2, x_QQ = -2p/Q^3."""
    solution, one = kktdiff.solve_qp(np.array([[2.0]]), np.array([-3.0])), np.ones(1)
    p, Q = {"p": one}, {"Q": np.ones((1, 1))}
    for d, e, x in ((p, p, 0.0), (p, Q, 0.25), (Q, p, 0.25), (Q, Q, 0.75)):
        assert_near(solution.second_jvp(d, e).x, x * one, DENSE_REFERENCE, "x")
        ((name, unit),) = e.items()
        assert_near(getattr(solution.hvp({"x": one}, d), name), x * unit, DENSE_REFERENCE, name)
