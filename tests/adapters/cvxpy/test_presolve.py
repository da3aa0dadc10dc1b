"""Variables that are left out of the QP: which they are, and that nothing else changes."""

import numpy as np
import pytest

from tests.checks import assert_near
from tests.tolerances import CONSTRUCTION, OTHER_SOLVER, SHARED, TIGHT_ANSWER

torch = pytest.importorskip("torch")
cp = pytest.importorskip("cvxpy")
from benchmarks.cvxpy_layers.models import KINDS
from kktdiff.adapters.cvxpy import CvxpyLayer
from tests.adapters.cvxpy.elements import assert_harms_no_other
from tests.adapters.cvxpy.models import (
    MODELS,
    REWRITTEN,
    control,
    lasso,
    least_squares,
    lifted,
    portfolio,
    robust_fit,
    tracking,
)

# Variables, inequalities and equalities of the QP, with all and without those that can go.
SIZES = {
    least_squares: ((10, 0, 6), (4, 0, 0)),
    lasso: ((14, 8, 6), (8, 4, 0)),
    portfolio: ((14, 0, 9), (6, 0, 1)),
    control: ((18, 8, 10), (11, 0, 7)),
    lifted: ((25, 10, 18), (8, 4, 1)),
    tracking: ((8, 1, 5), (3, 1, 0)),
    robust_fit: ((20, 12, 6), (14, 6, 0)),
}


def run(model, variables, eliminate, seed):
    """What comes out, the gradients, and the QP's sizes."""
    layer = CvxpyLayer(model.problem, model.parameters, variables, eliminate=eliminate)
    leaves = [
        torch.tensor(v, dtype=torch.float64, requires_grad=True)
        for v in model.values(np.random.default_rng(seed))
    ]
    out = layer(*leaves)
    loss = sum((torch.sin(v) * torch.arange(1, v.numel() + 1).reshape(v.shape)).sum() for v in out)
    grads = torch.autograd.grad(loss, leaves)
    last = layer.last
    return [v.detach() for v in out], grads, tuple(v.shape[-1] for v in (last.x, last.s, last.nu))


@pytest.mark.parametrize("eliminate", [True, False])
@pytest.mark.parametrize("bounded", [True, False])
def test_a_problem_may_have_no_row_at_all(bounded, eliminate):
    x, price = cp.Variable(2, nonneg=bounded), cp.Parameter(2)
    problem = cp.Problem(cp.Maximize(price @ x - cp.sum_squares(x)))
    layer = CvxpyLayer(problem, [price], [x], eliminate=eliminate)
    prices = torch.tensor([1.0, -3.0], dtype=torch.float64, requires_grad=True)
    (out,) = layer(prices)
    free = [True, not bounded]
    assert_near(out.detach(), np.where(free, [0.5, -1.5], 0), TIGHT_ANSWER)
    out.sum().backward()
    assert_near(prices.grad, np.where(free, 0.5, 0), TIGHT_ANSWER)


@pytest.mark.parametrize("make", MODELS + REWRITTEN, ids=lambda make: make.__name__)
def test_nothing_else_changes(make):
    model = make()
    whole, smaller = (run(model, model.variables, eliminate, 970) for eliminate in (False, True))
    for name, place in (("result", 0), ("gradient", 1)):
        for left, right in zip(smaller[place], whole[place], strict=True):
            assert_near(left, right, SHARED, name)
    if make in SIZES:
        assert (whole[2], smaller[2]) == SIZES[make]


def test_what_multipliers_are_asked_of_stays():
    model = control()
    start, limit = model.problem.constraints[:2]
    for constraint, sizes in ((start, (14, 0, 10)), (limit, (15, 8, 7))):
        whole, smaller = (
            run(model, [model.variables[0], constraint.dual_variables[0]], eliminate, 971)
            for eliminate in (False, True)
        )
        assert smaller[2] == sizes
        assert_near(smaller[0][1], whole[0][1], SHARED, "multipliers")


def test_limits_of_every_form():
    """Scaled, from above, of several, by a parameter, twice: as cvxpy solves them."""
    x, c = cp.Variable(4), cp.Parameter(nonneg=True)
    goal = cp.sum_squares(x - np.array([3.0, -2.0, 1.0, -4.0])) + cp.sum(x)
    rules = [
        *(3 * cp.abs(x[:2]) - 1 <= 2 * c, cp.max(x) <= c + 0.5, cp.norm_inf(x[1:]) <= 2 * c),
        *(cp.abs(x[3] + x[0]) <= c, cp.norm1(x) <= 5 * c, cp.maximum(x[0], x[1], -x[2]) <= 3),
        cp.abs(x[2]) + x[1] <= 1,
    ]
    problem = cp.Problem(cp.Minimize(goal), rules)
    layer = CvxpyLayer(problem, [c], [x])
    for value in (0.4, 1.0, 2.0):
        c.value = value
        problem.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
        (found,) = layer(torch.tensor(value, dtype=torch.float64))
        assert_near(found, x.value, OTHER_SOLVER, f"x at {value}")


def test_limits_within_limits():
    x, c = cp.Variable(4), cp.Parameter(nonneg=True)
    goal = cp.Minimize(cp.sum_squares(x - np.array([3.0, -2.0, 0.5, -4.0])))
    layer = CvxpyLayer(cp.Problem(goal, [cp.max(cp.abs(x)) <= c]), [c], [x])
    (found,) = layer(torch.tensor(1.0, dtype=torch.float64))
    assert_near(found, [1.0, -1.0, 0.5, -1.0], TIGHT_ANSWER, "x")
    assert (layer.last.x.shape, layer.last.s.shape) == ((4,), (0,))


def test_equalities_that_others_imply():
    """Of a matrix with all sums 1 a row goes: where no multiplier is asked for, and they agree."""
    P, scores, total = cp.Variable((3, 3)), cp.Parameter((3, 3)), cp.Parameter()
    rows, columns = cp.sum(P, axis=1) == 1, cp.sum(P, axis=0) == 1
    goal = cp.Minimize(cp.sum_squares(P - scores))
    value = torch.tensor(np.random.default_rng(976).normal(size=(3, 3)))
    found = {}
    for name, extra, k in (
        ("goes", [], 5),
        ("multipliers", [], 6),
        ("by a parameter", [2 * P[0, 0] + P[0, 1] == total], 6),
        ("contradicts", [cp.sum(P) == 4], 7),
    ):
        given = [scores, total] if name == "by a parameter" else [scores]
        variables = [P, rows.dual_variables[0]] if name == "multipliers" else [P]
        problem = cp.Problem(goal, [rows, columns, P >= 0, *extra])
        layer = CvxpyLayer(problem, given, variables)
        tensors = [value.clone().requires_grad_(), torch.tensor(0.5, dtype=torch.float64)]
        found[name] = layer(*tensors[: len(given)], solver_args={"on_failure": "ignore"})[0]
        assert layer.last.nu.shape == (k,)
        assert bool(layer.last.solved) == (name != "contradicts")
        if name in ("goes", "multipliers"):
            found[name].square().sum().backward()
            found[name] = torch.cat([found[name].detach(), tensors[0].grad])
    assert_near(found["goes"], found["multipliers"], SHARED, "P and its gradient")


@pytest.mark.parametrize("asked", [False, True])
def test_absolute_values_and_maxima_of_two_take_a_row_each(asked):
    x, a, c = cp.Variable(3), cp.Parameter(3), cp.Parameter(nonneg=True)
    B = np.random.default_rng(977).normal(size=(3, 3))
    goal = cp.sum_squares(x) + c * cp.norm1(B @ x - a) + cp.sum(cp.maximum(x, 2 * x - a))
    goal += cp.max(cp.abs(x[:2] - 1)) + cp.pos(x[0]) + cp.maximum(cp.abs(x[1]), x[2])
    limit = cp.norm1(x) + cp.abs(c * x[0]) <= 2 + c
    problem = cp.Problem(cp.Minimize(goal), [limit])
    variables = [x, limit.dual_variables[0]] if asked else [x]
    values = [np.random.default_rng(978).normal(size=3), np.array(0.3)]
    results = []
    for eliminate in (False, True):
        layer = CvxpyLayer(problem, [a, c], variables, eliminate=eliminate)
        leaves = [torch.tensor(v, requires_grad=True) for v in values]
        out = layer(*leaves)
        grads = torch.autograd.grad(sum(v.sin().sum() for v in out), leaves)
        results.append([*out, *grads, layer.last.s.shape[-1]])
    *whole, rows = results[0]
    *smaller, fewer = results[1]
    for left, right in zip(smaller, whole, strict=True):
        assert_near(left.detach(), right.detach(), SHARED, "result")
    assert (rows, fewer) == (32, 20)


def test_variables_of_the_problem_that_equalities_define():
    x, y, z = cp.Variable(3), cp.Variable(3), cp.Variable()
    B, t = cp.Parameter((3, 3)), cp.Parameter(3)
    S = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 0.5, 1.0]])
    goal = cp.quad_form(y, S) + cp.sum_squares(x) + y[0] * 2 + z  # S couples the entries of y
    rules = [2 * y == B @ x - t, cp.sum(x) == 1, z == cp.sum(x[:2]) + 1]
    problem = cp.Problem(cp.Minimize(goal), rules)
    rng = np.random.default_rng(972)
    values = [rng.normal(size=(3, 3)), rng.normal(size=3)]
    results = []
    for eliminate in (False, True):
        layer = CvxpyLayer(problem, [B, t], [y, x, z], eliminate=eliminate)
        results.append(layer(*map(torch.tensor, values)))
    assert layer.last.x.shape == (3,)
    for left, right in zip(*results, strict=True):
        assert_near(left, right, SHARED, "result")


def test_a_problem_of_nothing_but_equalities_keeps_its_variables():
    x, t = cp.Variable(2), cp.Parameter(2)
    layer = CvxpyLayer(cp.Problem(cp.Minimize(cp.sum_squares(x)), [2 * x == t]), [t], [x])
    (found,) = layer(torch.tensor([2.0, 4.0], dtype=torch.float64))
    assert_near(found, [1.0, 2.0], CONSTRUCTION, "x")


def test_how_right_an_ill_conditioned_sum_of_squares_is():
    """As the documentation has it: the QP of the smaller problem has A'A."""
    rng = np.random.default_rng(974)
    U, V = (np.linalg.qr(rng.normal(size=(rows, 10)))[0] for rows in (30, 10))
    A, x, b = U * np.logspace(0, -5, 10) @ V.T, cp.Variable(10), cp.Parameter(30)
    value = A @ rng.normal(size=10) + 1e-3 * rng.normal(size=30)
    expected = np.linalg.lstsq(A, value)[0]
    problem = cp.Problem(cp.Minimize(cp.sum_squares(A @ x - b)), [x >= -1e6])
    for eliminate, most in ((True, 1e-6), (False, 1e-10)):
        layer = CvxpyLayer(problem, [b], [x], eliminate=eliminate)
        (found,) = layer(torch.tensor(value))
        assert_near(found, expected, most, f"eliminate={eliminate}")


def test_the_mpc_of_the_documentation_has_so_many_variables():
    model = KINDS["mpc"].make()
    values = [torch.tensor(v) for v in model.values(np.random.default_rng(975), 1)]
    for eliminate, size in ((False, 326), (True, 236)):  # sparse: what fills stays
        layer = CvxpyLayer(*model[:3], eliminate=eliminate)
        layer(*values)
        assert layer.last.x.shape == (1, size)


@pytest.mark.parametrize("bad", ["NaN in A", "NaN in b", "NaN in c", "infeasible"])
def test_a_bad_element_harms_no_other(bad):
    """A, b, c and what is shared get the gradients that they get without it."""
    x, y = cp.Variable(2), cp.Variable(3)
    A, b, c = cp.Parameter((3, 2)), cp.Parameter(3), cp.Parameter(3)
    low = cp.Parameter()
    rules = [y == A @ x - b, cp.sum(x) >= low, x <= 1]
    layer = CvxpyLayer(
        cp.Problem(cp.Minimize(cp.sum_squares(y) + c @ y), rules), [A, b, c, low], [x, y]
    )
    rng = np.random.default_rng(973)
    values = [rng.normal(size=shape) for shape in ((3, 2), (3, 3), (3,))] + [np.zeros(3)]
    if bad == "infeasible":
        values[3][1] = 3.0
    else:
        place = "Abc".index(bad[-1])
        core = values[place] if place != 1 else values[place][0]
        values[place] = np.stack([core + e for e in range(3)])
        values[place][1].flat[-1] = np.nan
    assert_harms_no_other(layer, values, (2, 1, 1, 0))
