"""Under torch.compile, whole graphs, the answers and gradients are those of eager code."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import kktdiff
from kktdiff.adapters.torch import OptNetLayer, _compiled, solve_qp
from tests.problems import FULL, Sizes, known

# torch's compiler warns about its own internals; what it makes is what is tested here
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

BACKEND = {"fullgraph": True, "backend": "aot_eager"}


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    assert len(_compiled._solutions) <= _compiled._KEPT
    _compiled._solutions.clear()


def leaves(sizes, shared=()):
    data = known(np.random.default_rng(510), sizes, batch=(2,), shared=shared).data
    return [None if a is None else torch.tensor(a, requires_grad=True) for a in data]


def weighted(tensors, **options):
    solution = solve_qp(*tensors, **options)
    return sum((i + 1) * field.sin().sum() for i, field in enumerate(solution[:7]))


def assert_alike(sizes, shared=(), **options):
    eager, compiled = leaves(sizes, shared), leaves(sizes, shared)
    expected = weighted(eager, **options)
    found = torch.compile(lambda *t: weighted(t, **options), **BACKEND)(*compiled)
    expected.backward()
    found.backward()
    assert torch.equal(found, expected)
    for a, b in zip(compiled, eager, strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.equal(a.grad, b.grad)


@pytest.mark.parametrize(
    "sizes",
    [FULL, Sizes(4), Sizes(4, m=3), Sizes(4, k=2), Sizes(4, lower=True), Sizes(4, upper=True)],
    ids=lambda sizes: sizes.label,
)
def test_compiled_equals_eager(sizes):
    assert_alike(sizes)


def test_shared_arrays_get_the_sum():
    assert_alike(FULL, shared=("Q", "G", "A"))


@pytest.mark.parametrize("gradient", ["smoothed", "least_squares"])
def test_options_reach_the_solve(gradient):
    assert_alike(FULL, gradient=gradient, tol=1e-6, on_failure="ignore")


def test_only_what_requires_a_gradient_gets_one(monkeypatch):
    tensors = leaves(FULL)
    for i in (0, 2, 4):
        tensors[i].requires_grad_(False)
    asked, vjp = [], kktdiff.Solution.vjp
    monkeypatch.setattr(
        kktdiff.Solution, "vjp", lambda self, **how: asked.append(how["wrt"]) or vjp(self, **how)
    )
    torch.compile(lambda *t: weighted(t), **BACKEND)(*tensors).backward()
    assert asked == [("p", "h", "b", "lb", "ub")]
    assert [t.grad is not None for t in tensors] == [i not in (0, 2, 4) for i in range(8)]


def test_a_solution_that_is_gone_is_solved_for_again():
    tensors, twins = leaves(FULL), leaves(FULL)
    loss = torch.compile(lambda *t: weighted(t), **BACKEND)(*tensors)
    _compiled._solutions.clear()
    loss.backward()
    weighted(twins).backward()
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(tensors, twins, strict=True))


def test_solutions_without_a_backward_are_not_kept_for_ever():
    with torch.no_grad():
        run = torch.compile(lambda *t: solve_qp(*t).x, **BACKEND)
        for _ in range(_compiled._KEPT + 3):
            run(*leaves(Sizes(2)))
    assert len(_compiled._solutions) == _compiled._KEPT


def test_a_layer_compiles():
    layer = OptNetLayer(5, 2, 1, nonnegative=True, dtype=torch.float64)
    p = torch.tensor(np.random.default_rng(511).normal(size=(3, 5)))
    assert torch.equal(torch.compile(layer, **BACKEND)(p), layer(p))


def test_what_a_compiled_solve_cannot_take_is_said():
    solution = solve_qp(torch.eye(2), torch.zeros(2))
    with pytest.raises(Exception, match="warm_start"):
        torch.compile(lambda p: solve_qp(torch.eye(2), p, warm_start=solution).x, **BACKEND)(
            torch.ones(2)
        )


def test_the_operators_are_registered_as_torch_wants_them():
    tensors = [t.detach().requires_grad_() for t in leaves(FULL)]
    text = "'gradient': 'exact', 'smoothing': None"
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    arguments = (tensors, "Q p G h A b lb ub", text)
    torch.library.opcheck(torch.ops.kktdiff.solve_qp.default, arguments, test_utils=checks)
