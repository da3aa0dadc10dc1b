"""The layer of JAX, judged by the one of torch, which cvxpy judges; and what is JAX's own."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_near
from tests.commands import command
from tests.tolerances import DIFFERENCE, SHARED, SINGLE_ANSWER, TIGHT_ANSWER

jax = pytest.importorskip("jax")
torch = pytest.importorskip("torch")
cp = pytest.importorskip("cvxpy")
import jax.numpy as jnp

from kktdiff.adapters.cvxpy import CvxpyLayer as TorchLayer
from kktdiff.adapters.cvxpy.jax import CvxpyLayer
from tests.adapters.cvxpy.large_models import control, smooth
from tests.adapters.cvxpy.models import MODELS, REWRITTEN, isotonic, lasso, portfolio

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def double():
    """float64, as in the other tests; JAX's own default is float32."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture(params=MODELS + REWRITTEN, ids=lambda model: model.__name__)
def model(request):
    return request.param()


def values_of(model, seed):
    return [np.asarray(v, dtype=float) for v in model.values(np.random.default_rng(seed))]


def wrapped(compiled):
    return jax.jit if compiled else lambda f: f


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_results_and_gradients_are_those_of_torch(model, compiled):
    constraints = [c for c in model.problem.constraints if c.size]
    variables = [*model.variables, *(c.dual_variables[0] for c in constraints)]
    layer = CvxpyLayer(model.problem, model.parameters, variables)
    values, r = values_of(model, 960), np.random.default_rng(961)
    leaves = [torch.tensor(v, requires_grad=True) for v in values]
    expected = TorchLayer(model.problem, model.parameters, variables)(*leaves)
    cotangents = [r.normal(size=out.shape) for out in expected]
    torch.autograd.backward(expected, [torch.tensor(g) for g in cotangents])
    found, pull = jax.vjp(wrapped(compiled)(layer), *map(jnp.asarray, values))
    for left, right in zip(found, expected, strict=True):
        assert_near(left, right.detach(), SHARED, "result")
    for left, leaf in zip(pull(tuple(map(jnp.asarray, cotangents))), leaves, strict=True):
        assert_near(left, leaf.grad, SHARED, "gradient")


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("make", [control, smooth], ids=lambda make: make.__name__)
def test_sparse_problems(make, compiled):
    model = make(80)
    layer, own = CvxpyLayer(*model[:3]), TorchLayer(*model[:3])
    assert layer._model.patterns
    first, *others = values_of(model, 969)
    values = [np.stack([first, first / 2]), *others]
    leaves = [torch.tensor(v, requires_grad=True) for v in values]
    expected = own(*leaves)
    torch.autograd.backward(expected, [out.detach().cos() for out in expected])
    found, pull = jax.vjp(wrapped(compiled)(layer), *map(jnp.asarray, values))
    for left, right in zip(found, expected, strict=True):
        assert_near(left, right.detach(), SHARED, "result")
    for left, leaf in zip(pull(tuple(map(jnp.cos, found))), leaves, strict=True):
        assert_near(left, leaf.grad, SHARED, "gradient")
    one = jax.vmap(layer, in_axes=(0, *(None for _ in others)))(*map(jnp.asarray, values))
    for left, right in zip(one, found, strict=True):
        assert_near(left, right, SHARED, "vmap")


def test_batched_and_shared_parameters():
    model = portfolio()
    mean, F, risk = values_of(model, 962)
    means = mean + 0.1 * np.arange(12).reshape(4, 1, 3, 1)
    layer = CvxpyLayer(*model[:3])
    w, f = layer(*map(jnp.asarray, (means, F, risk)))
    assert (w.shape, f.shape) == ((4, 1, 3, 6), (4, 1, 3, 2))
    expected = TorchLayer(*model[:3])(*map(torch.tensor, (means, F, risk)))
    assert_near(w, expected[0], SHARED, "w")
    assert layer(*map(jnp.asarray, (means[:0], F, risk)))[0].shape == (0, 1, 3, 6)


def test_transformations():
    model = isotonic()
    layer, y = CvxpyLayer(*model[:3]), jnp.asarray(values_of(model, 963)[0])
    batch = jnp.stack([y, -y, 2 * y])
    loss = lambda y: jnp.sum(jnp.sin(layer(y)[0]))  # noqa: E731
    loop = jnp.stack([jax.grad(loss)(v) for v in batch])
    assert_near(jax.jit(jax.vmap(jax.grad(loss)))(batch), loop, SHARED, "vmap")
    back = jax.jacrev(lambda y: layer(y)[0])(y)
    assert_near(jax.jacfwd(lambda y: layer(y)[0])(y), back, SHARED, "jacobian")
    h, d = 1e-4, jnp.cos(jnp.arange(7.0))
    slope = (jax.grad(loss)(y + h * d) - jax.grad(loss)(y - h * d)) / (2 * h)
    assert_near(jax.jit(jax.hessian(loss))(y) @ d, slope, DIFFERENCE, "hessian")


def test_the_dtype_is_that_of_the_parameters():
    model = lasso()
    layer, values = CvxpyLayer(*model[:3]), values_of(model, 964)
    (expected,) = layer(*map(jnp.asarray, values))
    for double in (True, False):  # the layer was made with float64 enabled
        jax.config.update("jax_enable_x64", double)
        single = [jnp.asarray(v, dtype=jnp.float32) for v in values]
        (x,), pull = jax.vjp(layer, *single)
        assert {str(v.dtype) for v in (x, *pull((x,)))} == {"float32"}
        assert_near(x, expected, SINGLE_ANSWER, "x")


def test_an_infeasible_element_harms_no_other():
    x, low = cp.Variable(2), cp.Parameter()
    layer = CvxpyLayer(cp.Problem(cp.Minimize(cp.sum_squares(x)), [x >= low, x <= 1]), [low], [x])
    lows = jnp.array([0.5, 2.0, -1.0])

    def total(lows):
        (x,), solution = layer.solve(lows, solver_args={"on_failure": "ignore"})
        return jnp.sum(jnp.where(solution.solved[:, None], x, 0.0)), (x, solution)

    for compiled in (False, True):
        grad, (x, solution) = wrapped(compiled)(jax.grad(total, has_aux=True))(lows)
        assert solution.solved.tolist() == [True, False, True]
        assert jnp.isnan(x[1]).all()
        assert_near(grad, [2.0, 0.0, 0.0], TIGHT_ANSWER, "low")


def test_options_go_to_the_solver_and_those_of_others_have_no_effect():
    assert inspect.signature(CvxpyLayer) == inspect.signature(TorchLayer)
    model = lasso()
    layer, values = CvxpyLayer(*model[:3]), [jnp.asarray(v) for v in values_of(model, 965)]
    old = {"solve_method": "ECOS", "eps": 1e-1, "max_iters": 1}
    assert jnp.array_equal(layer(*values, solver_args=old)[0], layer(*values)[0])
    with pytest.warns(kktdiff.SolveWarning, match="MAX_ITER"):
        CvxpyLayer(*model[:3], solver_args={"max_iter": 1})(*values)
    with pytest.raises(TypeError, match="ftol"):
        layer(*values, solver_args={"ftol": 1})


def test_layers_can_be_copied_and_kept():
    model = portfolio()
    layer, values = CvxpyLayer(*model[:3]), [jnp.asarray(v) for v in values_of(model, 966)]
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        for out, same in zip(other(*values), layer(*values), strict=True):
            assert jnp.array_equal(out, same)


def test_a_wrong_call_is_named_also_while_it_is_traced():
    model = lasso()
    layer, (b, weight) = CvxpyLayer(*model[:3]), map(jnp.asarray, values_of(model, 967))
    name = model.parameters[0].name()
    for call in (layer, jax.jit(layer)):
        with pytest.raises(ValueError, match="1 parameters given: expected 2"):
            call(b)
        with pytest.raises(ValueError, match=rf"^{name} has shape \(5,\)"):
            call(b[1:], weight)
        with pytest.raises(TypeError, match=r"has dtype float32, but .* has float64: convert all"):
            call(b, weight.astype(jnp.float32))
    with pytest.raises(TypeError, match=rf"^{name} is a list: expected a jax\.Array"):
        layer([1.0] * 6, weight)
    assert jnp.array_equal(layer(np.asarray(b), weight)[0], layer(b, weight)[0])


ALONE = """
import sys
from kktdiff.adapters.cvxpy.jax import CvxpyLayer
assert "torch" not in sys.modules
import kktdiff.adapters.cvxpy
assert kktdiff.adapters.cvxpy.CvxpyLayer is not CvxpyLayer and "torch" in sys.modules
try:
    kktdiff.adapters.cvxpy.Layer
except AttributeError as error:
    assert "no attribute 'Layer'" in str(error)
"""


def test_torch_is_not_needed(repository):
    done = command(repository, "-c", ALONE)
    assert done.returncode == 0, done.stderr
