"""What a layer of cvxpy refuses, each with a sentence."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
cp = pytest.importorskip("cvxpy")
from kktdiff.adapters.cvxpy import CvxpyLayer
from tests.adapters.cvxpy.models import lasso


def refused():
    x, a, b = cp.Variable(2, name="x"), cp.Parameter(2, name="a"), cp.Parameter(2)
    k, z = cp.Variable(2, integer=True, name="k"), cp.Variable(2, complex=True, name="z")
    X, Z = cp.Variable((2, 2), name="X"), cp.Variable((2, 2), PSD=True, name="Z")
    s, square = cp.Parameter(pos=True, name="s"), cp.sum_squares(x - a)
    in_norm = r"norm1\(x\) <= c or cp.norm_inf\(x\) <= c, or put a weight times cp.sum_squares"
    return {
        r"not DPP: exp\(s\) \* x\[0\] is not.*a parameter of its own": (
            *([a, s], cp.Minimize(square + cp.exp(s) * x[0]), []),
        ),
        r"not DPP: .* / s is not affine.* by a parameter for 1 / s": (
            *([a, s], cp.Minimize(square + cp.sum_squares(x) / s), []),
        ),
        r"not DPP: quad_over_lin.* by a parameter for 1 / s": (
            *([a, s], cp.Minimize(square + cp.quad_over_lin(x, s)), []),
        ),
        "not DCP: cvxpy can't tell that maximize quad_over_lin": ([a], cp.Maximize(square), []),
        "not DCP: cvxpy can't tell that [^+]* is convex": (
            *([a], cp.Minimize(square + cp.sqrt(cp.square(x[0]))), []),
        ),
        r"not a QP: Pnorm.*\(x \+ -a, 2\) in the objective needs a cone; write cp.sum_squares": (
            *([a], cp.Minimize(cp.sum_squares(x) + cp.norm(x - a)), []),
        ),
        r"not a QP: Pnorm.*\(x, 2\) in the constraint .* <= 1.0 .*" + in_norm: (
            *([a], cp.Minimize(square), [x >= 0, cp.norm(x) <= 1]),
        ),
        r"quad_over_lin\(x.* in the constraint .* <= s .*" + in_norm: (
            *([a, s], cp.Minimize(square), [cp.sum_squares(x) <= s]),
        ),
        r"the constraint SOC\(.*" + in_norm: ([a], cp.Minimize(square), [cp.SOC(x[0], x[1:])]),
        r"max\(.* in the objective needs a cone; squares may be added up": (
            *([a], cp.Minimize(cp.max(cp.square(x - a))), []),
        ),
        r"\(x\[0\], 4.0\) in the objective needs a cone; squares of affine or piece": (
            *([a], cp.Minimize(square + x[0] ** 4), []),
        ),
        r"not a QP: exp\(x \+ -a\) in the objective needs an exponential cone": (
            *([a], cp.Minimize(cp.sum(cp.exp(x - a))), []),
        ),
        r"not a QP: entr\(x\) in the objective needs an exponential cone": (
            *([a], cp.Maximize(cp.sum(cp.entr(x)) - a @ x), []),
        ),
        "the constraint ExpCone.* needs an exponential cone": (
            *([a], cp.Minimize(square), [cp.ExpCone(x[0], x[1], x[0])]),
        ),
        "the constraint X .* needs a matrix inequality": (
            *([a], cp.Minimize(square + cp.sum_squares(X - 1)), [X >> 0]),
        ),
        "the variable Z needs a matrix inequality": (
            *([a], cp.Minimize(square + cp.sum_squares(Z - 1)), []),
        ),
        "sigma_max.* in the objective needs a matrix inequality": (
            *([a], cp.Minimize(square + cp.norm(X)), []),
        ),
        "k: integer or boolean, so": ([a], cp.Minimize(square + cp.sum(k)), [k >= x]),
        "z: complex; write": ([a], cp.Minimize(square + cp.sum(cp.abs(z))), []),
        "expected each of them once": ([a, b], cp.Minimize(square), []),
        "no variables": ([a], cp.Minimize(cp.sum(a)), []),
        "no parameters": ([], cp.Minimize(cp.sum_squares(x)), []),
    }


@pytest.mark.parametrize("reason", refused())
def test_what_is_no_qp_is_refused_in_a_sentence(reason):
    parameters, goal, rules = refused()[reason]
    with pytest.raises(ValueError, match=reason):
        CvxpyLayer(cp.Problem(goal, rules), parameters, goal.variables()[:1])


def test_what_is_not_dpp_is_named_as_it_was_written():
    """Also where a part of it could be rewritten."""
    x, a = cp.Variable(2, name="x"), cp.Parameter(2, name="a")
    c, d = cp.Parameter(nonneg=True, name="c"), cp.Parameter(nonneg=True, name="d")
    fine = c * cp.norm1(x - a) + cp.sum_squares(x)
    for goal, rules in ((fine + c * d * cp.norm1(x), []), (fine, [c * d * cp.norm1(x) <= 1])):
        with pytest.raises(ValueError, match=r"not DPP: c \* d \* norm1\(x\) is not affine"):
            CvxpyLayer(cp.Problem(cp.Minimize(goal), rules), [a, c, d], [x])
    z = cp.Variable(2, bounds=[c * c, None])
    with pytest.raises(ValueError, match="not DPP: a bound of a variable is not"):
        CvxpyLayer(cp.Problem(cp.Minimize(cp.sum_squares(z))), [c], [z])


def test_a_wrong_batch_is_told_by_the_parameters():
    model = lasso()
    layer = CvxpyLayer(*model[:3])
    b, weight = torch.ones(6, dtype=torch.float64), torch.tensor(0.2, dtype=torch.float64)
    b_name, weight_name = (p.name() for p in model.parameters)
    with pytest.raises(ValueError, match=rf"do not broadcast: {b_name} \(3,\), {weight_name} \(2,"):
        layer(b.expand(3, 6), weight.expand(2))
    with pytest.raises(ValueError, match=rf"{b_name} has shape \(6, 1\): expected \(\.\.\., 6\)"):
        layer(b[:, None], weight)


def test_a_wrong_call_is_named():
    model = lasso()
    layer = CvxpyLayer(*model[:3])
    b, weight = (torch.tensor(v) for v in model.values(np.random.default_rng(945)))
    name = model.parameters[0].name()
    expected = rf"1 parameters given: expected 2: {name} \(\.\.\., 6\), \S+ \(\.\.\.\)"
    with pytest.raises(ValueError, match=expected):
        layer(b)
    with pytest.raises(ValueError, match=rf"^{name} has shape \(5,\)"):
        layer(b[1:], weight)
    with pytest.raises(TypeError, match=rf"^{name} is a ndarray.*; torch\.as_tensor\({name}\)"):
        layer(b.numpy(), weight)
    with pytest.raises(TypeError, match=rf"^{name} is a list.*one by one, as in layer\("):
        layer([b, weight], weight)
    with pytest.raises(TypeError, match=r"has dtype torch\.int64"):
        layer(b.long(), weight)
    mixed = rf"has dtype torch\.float32, but {name} has torch\.float64: convert all parameters"
    with pytest.raises(TypeError, match=mixed):
        layer(b, weight.float())
    with pytest.raises(ValueError, match="is not one of the problem's"):
        CvxpyLayer(model.problem, model.parameters, [cp.Variable(name="other")])
    with pytest.raises(TypeError, match=r"variables: .* expected a cvxpy\.Variable"):
        CvxpyLayer(model.problem, model.parameters, [model.variables[0] + 1])
    with pytest.raises(TypeError, match=r"parameters: .* expected a cvxpy\.Parameter"):
        CvxpyLayer(model.problem, [np.ones(6), model.parameters[1]], model.variables)
    with pytest.raises(TypeError, match=r"^parameters is a cvxpy\.Parameter: expected a list"):
        CvxpyLayer(model.problem, model.parameters[0], model.variables)
    with pytest.raises(TypeError, match=r"^variables is a cvxpy\.Variable: expected a list"):
        CvxpyLayer(model.problem, model.parameters, model.variables[0])
    with pytest.raises(ValueError, match="geometric"):
        CvxpyLayer(*model[:3], gp=True)
    with pytest.raises(TypeError, match=r"expected a cvxpy\.Problem"):
        CvxpyLayer(model.problem.objective, [], [])
