"""The cvxpy adapter, judged by cvxpy: its data, its solutions, its multipliers."""

import copy
import inspect
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import kktdiff
from tests.checks import assert_near
from tests.reference import CENTRAL, STEP, weighted
from tests.tolerances import (
    CONSTRUCTION,
    DIFFERENCE,
    OTHER_SOLVER,
    SHARED,
    SINGLE_ANSWER,
    SQUARED_NORM,
)

torch = pytest.importorskip("torch")
cp = pytest.importorskip("cvxpy")
from kktdiff.adapters.cvxpy import CvxpyLayer
from kktdiff.adapters.cvxpy import torch as adapter
from tests.adapters.cvxpy.models import (
    MODELS,
    REWRITTEN,
    isotonic,
    lasso,
    least_squares,
    portfolio,
    quadratic_form,
)

CLARABEL = {"solver": "CLARABEL", "tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
SPARSE = (
    "ignore:Reading from a sparse CVXPY expression:RuntimeWarning"  # cvxpy's, at its own reading
)
INACCURATE = "ignore:Solution may be inaccurate"  # at 1e-12, with cones for squared norms
NOT_DPP = "ignore:You are solving a parameterized problem that is not DPP"
BLOCKS = ("Q", "p", "G", "h", "A", "b", "lb", "ub")


@pytest.fixture(params=MODELS + REWRITTEN, ids=lambda model: model.__name__)
def model(request):
    return request.param()


def layer_of(model, variables=None, **options):
    return CvxpyLayer(model.problem, model.parameters, variables or model.variables, **options)


def drawn(model, seed):
    """Values of the parameters as tensors; the problem's own are set to them."""
    values = model.values(np.random.default_rng(seed))
    for parameter, value in zip(model.parameters, values, strict=True):
        parameter.value = value
    return [torch.tensor(value, dtype=torch.float64) for value in values]


def dense(value):
    return np.asarray(value.todense() if hasattr(value, "todense") else value, dtype=float)


def as_rows(G, h, lb, ub):
    """All inequalities with a finite limit as rows of [G | h], in units of their largest entry."""
    eye = np.eye(G.shape[1])
    rows = [np.c_[G, h]]
    rows += [np.c_[s * eye, s * b] for s, b in ((-1.0, lb), (1.0, ub)) if b is not None]
    rows = np.concatenate(rows)
    rows = rows[np.isfinite(rows[:, -1])] + 0.0
    rows = rows / np.max(np.abs(rows[:, :-1]), axis=1, keepdims=True)
    return rows[np.lexsort(rows.round(6).T)]


@pytest.mark.filterwarnings(SPARSE)
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("seed", [910, 911])
def test_the_data_are_cvxpys_own(make, seed, monkeypatch):
    pytest.importorskip("piqp")  # the solver whose data have bounds
    model = make()
    seen = []
    monkeypatch.setattr(adapter, "solve_qp", lambda **data: seen.append(data) or 1 / 0)
    for other in (seed + 1, seed):
        with pytest.raises(ZeroDivisionError):
            layer_of(model, eliminate=False)(*drawn(model, other))
    elsewhere, found = ({n: d[n].numpy() if n in d else None for n in BLOCKS} for d in seen)
    data, _, _ = model.problem.get_problem_data("PIQP")
    n = data["n_var"]
    assert_near(found["Q"], dense(data["P"]), CONSTRUCTION, "Q")
    assert_near(found["p"], data["q"], CONSTRUCTION, "p")
    if data["n_eq"]:
        assert_near(found["A"], dense(data["A"]), CONSTRUCTION, "A")
        assert_near(found["b"], data["b"], CONSTRUCTION, "b")
    assert (found["A"] is not None) == (data["n_eq"] > 0)
    G, h = (np.zeros((0, n)), np.zeros(0)) if found["G"] is None else (found["G"], found["h"])
    rows = as_rows(G, h, found["lb"], found["ub"])
    expected = as_rows(dense(data["F"]), data["G"], data["lower_bounds"], data["upper_bounds"])
    assert_near(rows, expected, CONSTRUCTION, "inequalities")
    for i in np.flatnonzero(np.count_nonzero(G, axis=1) == 1):  # a bound where there is room
        j = np.flatnonzero(G[i])[0]
        varies = G[i, j] != elsewhere["G"][i, j]
        assert varies or np.isfinite(found["ub" if G[i, j] > 0 else "lb"][j])


@pytest.mark.filterwarnings(SPARSE, NOT_DPP, INACCURATE)
@pytest.mark.parametrize("asked", [True, False], ids=["multipliers", "no multipliers"])
@pytest.mark.parametrize("seed", [920, 921])
def test_solutions_and_multipliers_are_cvxpys(model, seed, asked):
    constraints = [c for c in model.problem.constraints if c.size and asked]
    layer = layer_of(model, [*model.variables, *(c.dual_variables[0] for c in constraints)])
    out = layer(*drawn(model, seed))
    model.problem.solve(**CLARABEL)
    tolerance = OTHER_SOLVER if model.problem.is_qp() else SQUARED_NORM
    for variable, found in zip(model.variables, out, strict=False):
        assert_near(found, dense(variable.value), tolerance, variable.name())
    for constraint, found in zip(constraints, out[len(model.variables) :], strict=True):
        assert_near(found, dense(constraint.dual_value), tolerance, str(constraint))


@pytest.mark.parametrize("asked", [True, False], ids=["multipliers", "no multipliers"])
def test_gradients_are_those_of_differences(model, asked):
    constraints = [c for c in model.problem.constraints if c.size and asked]
    layer = layer_of(model, [*model.variables, *(c.dual_variables[0] for c in constraints)])
    values, rng = drawn(model, 930), np.random.default_rng(931)
    weights = [torch.tensor(rng.normal(size=out.shape)) for out in layer(*values)]

    def loss(*tensors):
        pairs = zip(weights, layer(*tensors, solver_args={"tol": 1e-12}), strict=True)
        return sum((weight * out).sum() for weight, out in pairs)

    leaves = [value.clone().requires_grad_() for value in values]
    loss(*leaves).backward()
    for place, leaf in enumerate(leaves):
        name = model.parameters[place].name()
        direction = torch.tensor(rng.normal(size=leaf.shape))
        steps = [values[place] + c * STEP * direction for c in CENTRAL]
        at = [loss(*values[:place], step, *values[place + 1 :]).detach() for step in steps]
        slope = weighted(CENTRAL, at, STEP)
        assert_near((leaf.grad * direction).sum(), slope, DIFFERENCE, name)


def test_a_batch_is_its_elements_whatever_is_shared():
    model = portfolio()
    layer = layer_of(model)
    mean, F, risk = (torch.stack(p) for p in zip(*(drawn(model, s) for s in range(3)), strict=True))
    for shared in ((), (0,), (1, 2), (0, 1)):
        given = [p[0] if i in shared else p for i, p in enumerate((mean, F, risk))]
        leaves = [p.clone().requires_grad_() for p in given]
        out = layer(*leaves)
        assert [tuple(o.shape) for o in out] == [(3, 6), (3, 2)]
        (out[0] * torch.arange(6)).sum().backward()
        total = [torch.zeros_like(p) for p in given]
        for e in range(3):
            apart = [
                p.detach().clone() if i in shared else p[e].detach() for i, p in enumerate(given)
            ]
            apart = [p.requires_grad_() for p in apart]
            w, f = layer(*apart)
            assert_near(out[0][e].detach(), w.detach(), SHARED, "w")
            assert_near(out[1][e].detach(), f.detach(), SHARED, "f")
            (w * torch.arange(6)).sum().backward()
            for i, p in enumerate(apart):
                (total[i] if i in shared else total[i][e]).add_(p.grad)
        for leaf, expected in zip(leaves, total, strict=True):
            assert_near(leaf.grad, expected, SHARED, "gradient")


def test_batch_dimensions_broadcast_and_may_be_empty():
    model = lasso()
    layer = layer_of(model)
    b, weight = drawn(model, 940)
    (x,) = layer(b.expand(4, 1, 6), weight.expand(3))
    assert x.shape == (4, 3, 4)
    assert_near(x[2, 1], layer(b, weight)[0], SHARED, "x")
    assert layer(b.expand(0, 6), weight)[0].shape == (0, 4)


def test_float32_comes_back_as_float32():
    model = least_squares()
    values = drawn(model, 941)
    leaves = [v.float().requires_grad_() for v in values]
    (x,) = layer_of(model)(*leaves)
    x.sum().backward()
    assert {x.dtype, *(leaf.grad.dtype for leaf in leaves)} == {torch.float32}
    assert_near(x.detach(), layer_of(model)(*values)[0], SINGLE_ANSWER, "x")


def test_second_derivatives_and_transforms():
    model = isotonic()
    layer = layer_of(model)
    y = drawn(model, 942)[0]
    tols = {"atol": DIFFERENCE, "rtol": DIFFERENCE}
    assert torch.autograd.gradgradcheck(
        lambda y: layer(y)[0].square(), y.clone().requires_grad_(), **tols
    )
    jacobian = torch.func.jacrev(lambda y: layer(y)[0])(y)
    assert_near(torch.func.jacfwd(lambda y: layer(y)[0])(y), jacobian, SHARED, "jacobian")
    batch = torch.stack([y, -y])
    one_by_one = torch.func.vmap(lambda y: layer(y)[0])(batch)
    assert_near(one_by_one, layer(batch)[0], SHARED, "vmap")


def test_the_product_works_along_any_dimension():
    matrix = sp.csr_array(np.random.default_rng(948).normal(size=(3, 4)))
    vectors = torch.randn(4, 5, dtype=torch.float64)
    product = torch.func.vmap(lambda v: adapter._Product.apply(v, matrix, matrix.T), 1)(vectors)
    assert_near(product.mT, matrix.toarray() @ vectors.numpy(), CONSTRUCTION, "product")


def test_the_symmetric_part_of_a_symmetric_parameter_counts():
    model = quadratic_form()
    layer, (S, q) = layer_of(model), drawn(model, 946)
    skew = torch.tensor([[0.0, 1.0, 2.0], [-1.0, 0.0, 3.0], [-2.0, -3.0, 0.0]], dtype=S.dtype)
    leaf = (S + skew).requires_grad_()
    (x,) = layer(leaf, q)
    assert_near(x.detach(), layer(S, q)[0], SHARED, "x")
    (grad,) = torch.autograd.grad(x.sum(), leaf)
    assert grad.any()
    assert_near(grad, grad.mT, CONSTRUCTION, "gradient")


def test_options_go_to_the_solver_and_those_of_others_have_no_effect():
    model = lasso()
    values, layer = drawn(model, 943), layer_of(model)
    old = {"solve_method": "ECOS", "eps": 1e-1, "max_iters": 1, "acceleration_lookback": 0}
    old |= {"tol_gap_abs": 1e-1, "ipm_settings": None}  # of Clarabel, of moreau
    assert torch.equal(layer(*values, solver_args=old)[0], layer(*values)[0])
    with pytest.warns(kktdiff.SolveWarning, match="MAX_ITER"):
        CvxpyLayer(*model[:3], solver_args={"max_iter": 1})(*values)
    layer(*values, solver_args={"max_iter": 1, "on_failure": "ignore"})
    assert layer.last.status == kktdiff.Status.MAX_ITER
    with pytest.raises(TypeError, match="ftol"):
        layer(*values, solver_args={"ftol": 1})


def test_the_call_is_that_of_cvxpylayers(capfd):
    names = "problem parameters variables solver gp verbose canon_backend solver_args"
    assert " ".join(inspect.signature(CvxpyLayer).parameters) == f"{names} eliminate"
    model = lasso()
    for verbose in (False, True):
        CvxpyLayer(*model[:3], "SCS", False, verbose, None, {"eps": 1})(*drawn(model, 947))
        assert bool(capfd.readouterr().out) == verbose


def test_layers_can_be_copied_and_kept():
    model = portfolio()
    layer, values = layer_of(model), drawn(model, 944)
    expected = layer(*values)
    assert layer.last.solved
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other.last is None
        for out, same in zip(other(*values), expected, strict=True):
            assert torch.equal(out, same)
