"""Options: warm starts, closest problems, ways to differentiate; what is not solved."""

import numpy as np
import pytest

import kktdiff
from tests.adapters.torch.tensors import (
    SMALL,
    assert_same,
    assert_same_fields,
    assert_same_gradients,
    cotangents,
    gradients,
    on_arrays,
    tensors,
)
from tests.core.test_errors import says
from tests.problems import Data, Sizes, known
from tests.unsolvable import conflicting, stacked

torch = pytest.importorskip("torch")
from torch.func import grad, jvp

from kktdiff.adapters.torch import solve_qp

B = 3
ALL = Sizes(n=4, m=6, k=2, lower=True, upper=True)
SIDES = ("h", "b", "lb", "ub")


def rng():
    return np.random.default_rng(680)


DATA = known(rng(), SMALL, batch=(B,)).data
KINK = Data(np.eye(2), np.zeros(2), lb=np.array([0.0, -1.0]))  # x and its multiplier both 0
CONFLICT = stacked(conflicting, rng(), ALL, (2,))


# Ways to differentiate.

WAYS = [
    {"gradient": "exact"},
    {"gradient": "least_squares"},
    {"gradient": "smoothed"},
    {"gradient": "smoothed", "smoothing": 0.1},
]
by_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way.values())))


@by_way
@pytest.mark.parametrize("data", [DATA, KINK], ids=["batch", "kink"])
def test_gradients_and_tangents_are_those_of_the_arrays(data, way):
    inputs, expected = tensors(data), on_arrays(data)
    solution = solve_qp(*inputs, **way)
    assert_same_fields(solution, expected)
    weights = cotangents(rng(), expected)
    assert_same_gradients(gradients(solution, inputs, weights), expected.vjp(**weights, **way))
    d = rng().normal(size=data.p.shape)
    p, rest = inputs.p.detach(), tensors(data, grad=False)
    moved = jvp(lambda p: solve_qp(*rest._replace(p=p), **way).x, (p,), (torch.tensor(d),))[1]
    assert_same(moved, expected.jvp(p=d, **way).x, "x")


def along(function):
    """Forward mode's derivative of a function of one tensor, along ones."""
    return lambda t: jvp(function, (t,), (torch.ones_like(t),))[1]


@pytest.mark.parametrize("outer", [grad, along], ids=["reverse", "forward"])
def test_there_is_no_second_derivative_of_smoothed_gradients(outer):
    rest, p = tensors(DATA, grad=False), torch.tensor(DATA.p)
    first = grad(lambda p: (solve_qp(*rest._replace(p=p), gradient="smoothed").x ** 2).sum())
    with pytest.raises(NotImplementedError, match=says("smoothed", "exact", "least_squares")):
        outer(lambda p: first(p).sum())(p)


@pytest.mark.parametrize(
    "ways",
    [
        (grad, grad, grad),
        (along, grad, grad),
        (grad, along, along),
        (along, grad, along),
        (along, along, grad),
        (along, along, along),
    ],
    ids=lambda ways: "-".join(way.__name__ for way in ways),
)
def test_there_is_no_third_derivative(ways):
    Q, p = torch.eye(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    third, second, first = ways
    twice = second(first(lambda t: solve_qp(Q + t * Q, p).x.sum()))
    t = torch.tensor(0.5, dtype=torch.float64)
    twice(t)
    with pytest.raises(NotImplementedError, match="third"):
        third(twice)(t)


# Warm starts.


@pytest.mark.parametrize("kind", ["tensors", "arrays"])
def test_a_warm_start(kind):
    near = DATA._replace(p=DATA.p + 1e-3)
    start = on_arrays(DATA)
    expected = on_arrays(near, warm_start=start)
    assert np.all(expected.iterations < on_arrays(near).iterations)
    given = solve_qp(*tensors(DATA)) if kind == "tensors" else start
    inputs = tensors(near)
    solution = solve_qp(*inputs, warm_start=given)
    assert_same_fields(solution, expected)
    weights = cotangents(rng(), expected)
    assert_same_gradients(gradients(solution, inputs, weights), expected.vjp(**weights))


def test_what_is_no_warm_start_is_refused():
    with pytest.raises(TypeError, match=says("warm_start")):
        solve_qp(*tensors(DATA), warm_start=torch.ones(B, 3))
    with pytest.raises(ValueError, match=says("warm_start", (B, 3), (3,))):
        solve_qp(*tensors([a[0] for a in DATA]), warm_start=solve_qp(*tensors(DATA)))


# Closest problems.


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_closest_problems_with_their_shifts_and_gradients(weighted):
    weights = {name: rng().uniform(0.5, 2.0, size=getattr(CONFLICT, name).shape) for name in SIDES}
    on_tensors = {name: torch.tensor(w) for name, w in weights.items()}
    options = {"infeasible": "closest"}
    expected = on_arrays(CONFLICT, **options, **{"shift_weights": weights} if weighted else {})
    inputs = tensors(CONFLICT)
    solution = solve_qp(*inputs, **options, **{"shift_weights": on_tensors} if weighted else {})
    assert torch.all(solution.solved)
    assert all(torch.any(getattr(solution, f"shift_{name}") != 0.0) for name in SIDES)
    assert_same_fields(solution, expected)
    g = {name: w for name, w in cotangents(rng(), expected).items() if name in ("x", "objective")}
    assert_same_gradients(gradients(solution, inputs, g), expected.vjp(**g))


@pytest.mark.parametrize("side", SIDES)
def test_shifts_are_there_for_the_sides_that_are(side):
    one, two = torch.eye(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    block = {"h": {"G": one, "h": two}, "b": {"A": one, "b": two}}.get(side, {side: two})
    solution = solve_qp(one, two, **block, infeasible="closest")
    for name in SIDES:
        shift = getattr(solution, f"shift_{name}")
        assert (shift is None) == (name != side)
        assert shift is None or shift.shape == (1,)


def test_shifts_under_vmap():
    inputs = tensors(CONFLICT, grad=False)

    def shifts(*given):
        solution = solve_qp(*given, infeasible="closest")
        return tuple(getattr(solution, f"shift_{name}") for name in SIDES)

    expected = on_arrays(CONFLICT, infeasible="closest")
    for name, found in zip(SIDES, torch.func.vmap(shifts)(*inputs), strict=True):
        assert_same(found, getattr(expected, f"shift_{name}"), name)


def test_there_is_no_second_derivative_of_closest_problems():
    inputs = tensors(CONFLICT)
    x = solve_qp(*inputs, infeasible="closest").x
    (first,) = torch.autograd.grad((x**2).sum(), [inputs.p], create_graph=True)
    with pytest.raises(NotImplementedError, match=says("second derivatives", "closest")):
        first.sum().backward()


# What is not solved.


def one_bad():
    p = DATA.p.copy()
    p[1, 0] = np.nan
    return DATA._replace(p=p)


def test_an_element_that_is_not_solved_has_a_status_and_gradients_of_exactly_zero():
    inputs = tensors(one_bad())
    with pytest.warns(kktdiff.SolveWarning, match=says("1", "3", "INVALID_DATA")) as caught:
        solution = solve_qp(*inputs)
    assert len(caught) == 1
    assert solution.status.tolist() == [0, kktdiff.Status.INVALID_DATA, 0]
    assert solution.solved.tolist() == [True, False, True]
    assert torch.all(torch.isnan(solution.x[1]))
    (solution.x.sum() + solution.objective.sum()).backward()
    whole = tensors(DATA)
    found = solve_qp(*whole)
    (found.x.sum() + found.objective.sum()).backward()
    for name, t in inputs._asdict().items():
        own = getattr(whole, name).grad
        assert torch.equal(t.grad[1], torch.zeros_like(own[1])), name
        assert torch.equal(t.grad[::2], own[::2]), name


def test_second_derivatives_of_what_is_not_solved_are_zero():
    inputs = tensors(one_bad())
    x = solve_qp(*inputs, on_failure="ignore").x
    (first,) = torch.autograd.grad(x.sum(), [inputs.Q], create_graph=True)
    (second,) = torch.autograd.grad((first**2).sum(), [inputs.Q])
    assert torch.equal(second[1], torch.zeros(3, 3, dtype=torch.float64))
    assert torch.all(torch.isfinite(second))
    assert torch.all(torch.any(second[::2].flatten(1) != 0.0, dim=1))


def test_raise():
    with pytest.raises(kktdiff.SolveError, match=says("1", "3", "INVALID_DATA")) as caught:
        solve_qp(*tensors(one_bad()), on_failure="raise")
    assert caught.value.solution.status.tolist() == [0, 7, 0]


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="tolerance"):
        solve_qp(*tensors(DATA), tolerance=1e-6)
    with pytest.raises(ValueError, match="infeasible"):
        solve_qp(*tensors(DATA), infeasible="closer")


def test_diagnostics_and_certificates_are_tensors():
    expected, solution = on_arrays(KINK).diagnostics(), solve_qp(*tensors(KINK)).diagnostics()
    for name, value in vars(expected).items():
        assert_same(getattr(solution, name), value, name)
    assert not solution.trustworthy
    expected = on_arrays(CONFLICT, on_failure="ignore").certificate()
    found = solve_qp(*tensors(CONFLICT), on_failure="ignore").certificate()
    for name, value in vars(expected).items():
        assert_same(getattr(found, name), value, name)
