"""What a layer of cvxpy refuses, each with a sentence."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
cp = pytest.importorskip("cvxpy")
from kktdiff.adapters.cvxpy import CvxpyLayer
from tests.cvxpy_models import lasso


def refused():
    x, a, b = cp.Variable(2), cp.Parameter(2), cp.Parameter(2)
    k, z = cp.Variable(2, integer=True), cp.Variable(2, complex=True)
    square = cp.sum_squares(x - a)
    return {
        "not DPP": ([a, b], cp.Minimize(square + a @ cp.multiply(b, x)), []),
        "not DCP": ([a], cp.Maximize(square), []),
        "not a QP": ([a], cp.Minimize(square), [cp.norm(x) <= 1]),
        "expected a convex quadratic": ([a], cp.Minimize(cp.sum(cp.exp(x - a))), []),
        "integer or boolean": ([a], cp.Minimize(square + cp.sum(k)), [k >= x]),
        "complex": ([a], cp.Minimize(square + cp.sum(cp.abs(z))), []),
        "expected each of them once": ([a, b], cp.Minimize(square), []),
        "no variables": ([a], cp.Minimize(cp.sum(a)), []),
        "no parameters": ([], cp.Minimize(cp.sum_squares(x)), []),
    }


@pytest.mark.parametrize("reason", refused())
def test_what_is_no_qp_is_refused_in_a_sentence(reason):
    parameters, goal, rules = refused()[reason]
    with pytest.raises(ValueError, match=reason):
        CvxpyLayer(cp.Problem(goal, rules), parameters, goal.variables()[:1])


def test_what_is_not_dpp_is_named():
    x, held, cost = (
        cp.Variable(2, name="x"),
        cp.Parameter(2, name="held"),
        cp.Parameter(nonneg=True),
    )
    S = cp.Parameter((2, 2), PSD=True)
    fine = cp.quad_form(x, S) + held @ x
    traded = cost * cp.norm1(x - held)
    for goal, rules in ((fine + traded, []), (fine, [x >= 0, cp.sum(x) + traded <= 1])):
        with pytest.raises(ValueError, match=r"not DPP: \S+ \* norm1\(x \+ -held\) is not affine"):
            CvxpyLayer(cp.Problem(cp.Minimize(goal), rules), [held, cost, S], [x])
    z = cp.Variable(2, bounds=[cost * cost, None])
    with pytest.raises(ValueError, match="not DPP: a bound of a variable is not"):
        CvxpyLayer(cp.Problem(cp.Minimize(cp.sum_squares(z))), [cost], [z])


def test_a_wrong_call_is_named():
    model = lasso()
    layer = CvxpyLayer(*model[:3])
    b, weight = (torch.tensor(v) for v in model.values(np.random.default_rng(945)))
    name = model.parameters[0].name()
    with pytest.raises(ValueError, match="1 parameters given: expected 2"):
        layer(b)
    with pytest.raises(ValueError, match=rf"^{name} has shape \(5,\)"):
        layer(b[1:], weight)
    with pytest.raises(TypeError, match=rf"^{name} is a ndarray"):
        layer(b.numpy(), weight)
    with pytest.raises(TypeError, match=r"has dtype torch\.int64"):
        layer(b.long(), weight)
    with pytest.raises(TypeError, match=r"has dtype torch\.float32: expected torch\.float64"):
        layer(b, weight.float())
    with pytest.raises(ValueError, match="is not one of the problem's"):
        CvxpyLayer(model.problem, model.parameters, [cp.Variable(name="other")])
    with pytest.raises(TypeError, match=r"variables: .* expected a cvxpy\.Variable"):
        CvxpyLayer(model.problem, model.parameters, [model.variables[0] + 1])
    with pytest.raises(TypeError, match=r"parameters: .* expected a cvxpy\.Parameter"):
        CvxpyLayer(model.problem, [np.ones(6), model.parameters[1]], model.variables)
    with pytest.raises(ValueError, match="geometric"):
        CvxpyLayer(*model[:3], gp=True)
    with pytest.raises(TypeError, match=r"expected a cvxpy\.Problem"):
        CvxpyLayer(model.problem.objective, [], [])
