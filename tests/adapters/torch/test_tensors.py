"""What goes in and what comes out: the arrays' bits, dtypes, layouts, no copies."""

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
from tests.checks import assert_near
from tests.problems import COMBINATIONS, Answer, Data, feasible, known
from tests.tolerances import SINGLE_ANSWER

torch = pytest.importorskip("torch")
from kktdiff.adapters.torch import Solution, solve_qp

B = 3


def rng():
    return np.random.default_rng(660)


DATA = known(rng(), SMALL, batch=(B,)).data
BROADCAST = feasible(rng(), SMALL, {"Q": (2, 1), "p": (3,), "h": (2, 3), "b": (1,), "ub": (1, 3)})


def assert_as_on_arrays(data, inputs, dtype=np.float64):
    """Values and gradients are those that kktdiff gives on the same arrays, bit for bit."""
    arrays = Data(*(None if a is None else a.astype(dtype) for a in data))
    expected, solution = on_arrays(arrays), solve_qp(*inputs)
    assert isinstance(solution, Solution)
    assert_same_fields(solution, expected)
    weights = {n: w.astype(dtype) for n, w in cotangents(rng(), expected).items()}
    assert_same_gradients(gradients(solution, inputs, weights), expected.vjp(**weights))


@pytest.mark.parametrize("batch", [(), (B,), (1, 2)], ids=str)
@pytest.mark.parametrize("sizes", COMBINATIONS, ids=lambda s: s.label)
def test_values_and_gradients_have_the_bits_of_the_arrays(sizes, batch):
    data = known(rng(), sizes, batch=batch).data
    assert_as_on_arrays(data, tensors(data))


@pytest.mark.parametrize(
    "data", [BROADCAST, known(rng(), SMALL, (B,), shared=("Q", "G", "A")).data], ids=["", "shared"]
)
def test_what_is_shared_gets_the_sum_of_the_arrays(data):
    assert_as_on_arrays(data, tensors(data))


def test_float32_stays_float32():
    inputs = tensors(DATA, dtype=torch.float32)
    assert_as_on_arrays(DATA, inputs, np.float32)
    solution = solve_qp(*inputs)
    assert solution.x.dtype == solution.duality_gap.dtype == torch.float32
    assert_near(solution.x.detach(), on_arrays(DATA).x, SINGLE_ANSWER, "x")


# Layouts.


def expanded(t):
    return t[0].expand(t.shape)


def every_other(t):
    return t.repeat_interleave(2, dim=-1)[..., ::2]


def transposed(t):
    return t.movedim(0, -1).contiguous().movedim(-1, 0)


def negated(t):
    """Complex numbers' imaginary parts, conjugated: numbers with a sign to come."""
    return torch.complex(torch.zeros_like(t), -t).conj().imag


@pytest.mark.parametrize(
    "layout", [expanded, every_other, transposed, negated], ids=lambda f: f.__name__
)
def test_layout_changes_no_bit(layout):
    inputs = Data(*(layout(t).requires_grad_() for t in tensors(DATA, grad=False)))
    assert not all(t.is_contiguous() and not t.is_neg() for t in inputs)
    assert_as_on_arrays(Data(*(t.detach().resolve_neg().numpy() for t in inputs)), inputs)


@pytest.mark.parametrize(
    "layout", [expanded, every_other, transposed, negated], ids=lambda f: f.__name__
)
def test_layout_of_cotangents_changes_no_bit(layout):
    inputs = tensors(DATA)
    weights = layout(torch.tensor(rng().normal(size=(B, 3))))
    found = gradients(solve_qp(*inputs), inputs, {"x": weights})
    expected = on_arrays(DATA).vjp(weights.resolve_neg().numpy())
    assert_same_gradients(found, expected)


def test_inputs_are_never_written():
    inputs = tensors(DATA)
    solution = solve_qp(*inputs)
    (grad,) = torch.autograd.grad((solution.x**2).sum(), [inputs.Q], create_graph=True)
    torch.autograd.grad((grad**2).sum(), inputs)
    for name, t in inputs._asdict().items():
        assert_same(t, getattr(DATA, name), name)
        assert t._version == 0, name


def test_results_share_no_memory_with_inputs_or_each_other():
    data = known(rng(), SMALL).data
    inputs = tensors(data)
    solution = solve_qp(*inputs)
    grads = torch.autograd.grad(solution.x.sum(), inputs)
    results = [t for t in solution if isinstance(t, torch.Tensor)]
    places = [t.data_ptr() for t in (*inputs, *results, *grads) if t.numel()]
    assert len(places) == len(set(places))


def test_writing_on_results_changes_no_gradient():
    inputs = tensors(DATA)
    solution = solve_qp(*inputs)
    before = torch.autograd.grad(solution.x.sum(), inputs, retain_graph=True)
    for value in solution[:13]:
        value.detach().zero_()
    for grad, again in zip(before, torch.autograd.grad(solution.x.sum(), inputs), strict=True):
        assert torch.equal(grad, again)


# What reaches kktdiff.


def test_tensors_are_read_without_a_copy(monkeypatch):
    seen = []

    def spy(solve=kktdiff.solve_qp, **arguments):
        seen.extend(v for name, v in arguments.items() if name in Data._fields)
        return solve(**arguments)

    monkeypatch.setattr(kktdiff, "solve_qp", spy)
    inputs = tensors(DATA)._replace(p=expanded(tensors(DATA).p))
    solve_qp(*inputs)
    assert len(seen) == 8
    for array, t in zip(seen, inputs, strict=True):
        assert np.shares_memory(array, t.detach().numpy())
        assert array.strides == t.detach().numpy().strides


@pytest.fixture
def asked(monkeypatch):
    """The names of the gradients that each call of vjp and hvp was asked for."""
    seen = []

    def observe(method, call):
        def spy(self, *arguments, wrt=None, **options):
            seen.append((method, wrt))
            return call(self, *arguments, wrt=wrt, **options)

        monkeypatch.setattr(kktdiff.Solution, method, spy)

    for method in ("vjp", "hvp"):
        observe(method, getattr(kktdiff.Solution, method))
    return seen


@pytest.mark.parametrize("names", [["p"], ["Q", "G", "A"], ["h", "ub"]], ids="+".join)
def test_gradients_that_nobody_asks_for_are_not_computed(asked, names):
    inputs = tensors(DATA, grad=False)
    wanted = [getattr(inputs, name).requires_grad_() for name in names]
    x = solve_qp(*inputs).x
    found = torch.autograd.grad((x**2).sum(), wanted, create_graph=True)
    assert asked == [("vjp", tuple(names))]
    torch.autograd.grad(sum((g**2).sum() for g in found), wanted)
    assert set(asked) == {("vjp", tuple(names)), ("hvp", tuple(names))}


def test_only_the_outputs_in_the_loss_are_differentiated(monkeypatch):
    seen, call = [], kktdiff.Solution.vjp

    def spy(self, **given):
        seen.append({name for name in Answer._fields if given.get(name) is not None})
        return call(self, **given)

    monkeypatch.setattr(kktdiff.Solution, "vjp", spy)
    solution = solve_qp(*tensors(DATA))
    (solution.x.sum() + solution.lam.sum()).backward()
    assert seen == [{"x", "lam"}]


def test_an_output_that_nobody_uses_costs_nothing(asked):
    inputs = tensors(DATA)
    solution = solve_qp(*inputs)
    loss = solution.primal_residual.sum() + inputs.p.sum()
    loss.backward()
    assert asked == []
    assert inputs.Q.grad is None


def test_what_has_no_derivative_says_so():
    solution = solve_qp(*tensors(DATA))
    assert all(t.requires_grad for t in solution[:7])
    assert not any(t.requires_grad for t in solution[7:13])
    assert not any(t.requires_grad for t in solve_qp(*tensors(DATA, grad=False))[:13])


def test_an_empty_batch_has_empty_answers_and_gradients():
    data = Data(*(a[:0] for a in DATA))._replace(Q=DATA.Q[0])
    inputs = tensors(data)
    assert_as_on_arrays(data, inputs)
    x = solve_qp(*inputs).x
    assert x.shape == (0, 3)
    grad_Q, grad_p = torch.autograd.grad(x.sum(), [inputs.Q, inputs.p], create_graph=True)
    assert torch.equal(grad_Q, torch.zeros(3, 3, dtype=torch.float64))
    (again,) = torch.autograd.grad((grad_Q**2).sum() + (grad_p**2).sum(), [inputs.h])
    assert again.shape == (0, 3)
