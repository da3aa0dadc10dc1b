"""Soft rows on tensors: prices are inputs like the others."""

import numpy as np
import pytest

import kktdiff
from tests.adapters.torch.tensors import assert_same, there
from tests.problems import Sizes
from tests.soft import FLOATS, SIDES, soft_problem
from tests.tolerances import DIFFERENCE, SHARED

torch = pytest.importorskip("torch")
from kktdiff.adapters.torch import OptNetLayer, QPLayer, _compiled, solve_qp

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning"),
]

TINY = Sizes(n=2, m=2, k=1, lower=True, upper=True)
TIGHT = 1e-12


def problem(sides=SIDES, batch=(2,), sizes=TINY):
    """Arrays, prices, and both as leaf tensors."""
    data, prices = soft_problem(np.random.default_rng(760), sides, batch, sizes)
    leaves = [torch.tensor(a, requires_grad=True) for a in data]
    own = {v: torch.tensor(w, requires_grad=True) for v, w in prices.items()}
    return data, prices, leaves, own


def floats(leaves, prices, **options):
    solution = solve_qp(*leaves, soft=prices, **options)
    return [v for v in (getattr(solution, name) for name in FLOATS) if v is not None]


def weighted(leaves, prices, **options):
    found = floats(leaves, prices, **options)
    return sum(((i + 1) * v).sin().sum() for i, v in enumerate(found))


def assert_alike(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=SHARED, atol=SHARED)


def test_values_and_gradients_are_those_of_arrays():
    data, prices, leaves, own = problem()
    solution, arrays = solve_qp(*leaves, soft=own), kktdiff.solve_qp(*data, soft=prices)
    rng = np.random.default_rng(761)
    g = {name: rng.normal(size=getattr(arrays, name).shape) for name in FLOATS}
    for name in FLOATS:
        assert_same(getattr(solution, name), getattr(arrays, name), name)
    outputs = [getattr(solution, name) for name in FLOATS]
    torch.autograd.backward(outputs, [torch.as_tensor(v) for v in g.values()])
    grads = arrays.vjp(**g)
    for side, tensor in own.items():
        assert_same(tensor.grad, grads.soft[side], side)
    assert_same(leaves[3].grad, grads.h, "h")


@pytest.mark.parametrize("sides", [("h",), ("b", "ub"), SIDES], ids="+".join)
def test_derivatives_of_first_and_second_order_against_differences(sides):
    _, _, leaves, own = problem(sides)
    assert solve_qp(*leaves, soft=own).diagnostics().trustworthy.all(), "a kink is near"

    def function(*given):
        return floats(given[:8], dict(zip(sides, given[8:], strict=True)), tol=TIGHT)

    inputs, how = (*leaves, *own.values()), {"atol": DIFFERENCE, "rtol": DIFFERENCE}
    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True, **how)
    assert torch.autograd.gradgradcheck(function, inputs, check_fwd_over_rev=True, **how)


def test_one_number_and_a_tensor_without_dimensions():
    data, _, leaves, _ = problem(("h",))
    one = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    solution = solve_qp(*leaves, soft={"h": one, "ub": 5.0, "lb": None})
    arrays = kktdiff.solve_qp(*data, soft={"h": 0.8, "ub": 5.0})
    assert_same(solution.violation_h, arrays.violation_h)
    assert solution.violation_lb is None
    solution.objective.sum().backward()
    torch.testing.assert_close(one.grad, solution.violation_h.sum().detach())


def test_vmap_of_gradients_is_the_loop():
    _, _, leaves, own = problem()
    leaves, own = [t.detach() for t in leaves], {v: w.detach() for v, w in own.items()}
    how = torch.func.grad(weighted, argnums=(0, 1))
    found = torch.func.vmap(how)(leaves, own)
    loop = [how([t[i] for t in leaves], {v: w[i] for v, w in own.items()}) for i in range(2)]
    for j in range(8):
        assert_alike(found[0][j], [one[0][j] for one in loop])
    for side in SIDES:
        assert_alike(found[1][side], [one[1][side] for one in loop])
    prices = {v: w[0] for v, w in own.items()}  # which all elements share
    found = torch.func.vmap(how, in_dims=(0, None))(leaves, prices)
    loop = [how([t[i] for t in leaves], prices) for i in range(2)]
    assert_alike(found[1]["h"], [one[1]["h"] for one in loop])


def test_jacobians_and_hessians():
    _, _, leaves, own = problem()
    leaves, prices = [t[0].detach() for t in leaves], {v: w[0].detach() for v, w in own.items()}

    def at(w):
        return weighted(leaves, prices | {"h": w})

    w = prices["h"]
    forward, back = (f(at)(w) for f in (torch.func.jacfwd, torch.func.jacrev))
    assert_alike([forward], [back])
    assert_alike([torch.func.hessian(at)(w)], [torch.func.jacrev(torch.func.jacrev(at))(w)])


def test_compiled_code_has_the_answers_and_gradients_of_eager_code():
    torch._dynamo.reset()
    _, _, leaves, own = problem()
    _, _, others, prices = problem()
    compiled = torch.compile(weighted, fullgraph=True, backend="aot_eager")
    expected, found = weighted(leaves, own), compiled(others, prices)
    expected.backward()
    found.backward()
    assert torch.equal(found, expected)
    pairs = [*zip(there(leaves), others, strict=True), *((own[v], prices[v]) for v in SIDES)]
    for a, b in pairs:
        assert torch.equal(a.grad, b.grad)
        assert b.grad.is_contiguous()
    _compiled._solutions.clear()


def test_layers_take_prices_as_an_option_or_at_a_call():
    _, _, leaves, own = problem()
    fixed, free = QPLayer(soft=own), QPLayer()
    assert torch.equal(fixed(*leaves), solve_qp(*leaves, soft=own).x)
    assert torch.equal(free(*leaves, soft=own), fixed(*leaves))
    assert torch.equal(
        fixed(*leaves, soft={"h": 9.0, "b": 9.0, "lb": 9.0, "ub": 9.0}),
        solve_qp(*leaves, soft={"h": 9.0, "b": 9.0, "lb": 9.0, "ub": 9.0}).x,
    )
    torch.manual_seed(0)
    layer = OptNetLayer(n=3, m=2, dtype=torch.float64, soft={"h": 0.1})
    found = layer.solve(5 * torch.randn(20, 3, dtype=torch.float64))
    assert (found.violation_h > 0).any()
    assert (found.lam <= 0.1 + SHARED).all()


def test_a_start_from_a_nearby_solution():
    _, _, leaves, own = problem()
    solution = solve_qp(*leaves, soft=own)
    again = solve_qp(*leaves, soft=own, warm_start=solution)
    assert not again.iterations.any()


@pytest.mark.parametrize(
    ("soft", "error", "words"),
    [
        ({"G": 1.0}, ValueError, "soft has 'G'"),
        ({"h": np.ones(2)}, TypeError, "soft_h is a ndarray"),
        ({"h": torch.ones(3, dtype=torch.float64)}, ValueError, "soft_h has shape"),
        ({"h": -1.0}, ValueError, "a price that is not positive"),
        (1.0, TypeError, "soft=1.0"),
    ],
    ids=str,
)
def test_wrong_prices_are_refused(soft, error, words):
    _, _, leaves, _ = problem()
    with pytest.raises(error, match=words):
        solve_qp(*leaves, soft=soft)
    with pytest.raises(ValueError, match="soft has 'lb', but lb is None"):
        solve_qp(leaves[0], leaves[1], soft={"lb": 1.0})
