"""The qpth adapter: qpth's interface, called as the code of its users calls it."""

import copy
import inspect
import pickle
from itertools import combinations

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_near
from tests.problems import Sizes, feasible
from tests.tolerances import ANSWER, DIFFERENCE, HAND_DERIVATIVE, SHARED, SINGLE_ANSWER

torch = pytest.importorskip("torch")
from kktdiff.adapters.qpth import QPFunction, QPSolvers

NAMES = ("Q", "p", "G", "h", "A", "b")
FULL = dict.fromkeys(NAMES, (3,))  # every array with a batch dimension
SIZES = Sizes(n=5, m=7, k=2)


def drawn(seed, batches=FULL, sizes=SIZES):
    """The six tensors of a feasible problem; empty ones where a block is absent."""
    arrays = feasible(np.random.default_rng(seed), sizes, batches)[:6]
    return [torch.Tensor() if a is None else torch.tensor(a) for a in arrays]


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def gradients(tensors, function=None, wanted=NAMES):
    """x, and the gradients of a weighted sum of it in what is wanted, by name."""
    named = zip(NAMES, tensors, strict=True)
    leaves = [t.detach().clone().requires_grad_(name in wanted) for name, t in named]
    x = (function or QPFunction())(*leaves)
    (x * torch.arange(1.0, x.numel() + 1, dtype=x.dtype).reshape(x.shape)).sum().backward()
    return x.detach(), {name: t.grad for name, t in zip(NAMES, leaves, strict=True)}


def assert_same(left, right):
    torch.testing.assert_close(left, right, rtol=0, atol=0, equal_nan=True)


def assert_all_near(left, right, tol):
    for name, grad in right.items():
        assert_near(left[name], grad, tol, name)


def test_values_and_gradients_are_the_cores():
    tensors = drawn(401)
    x, grads = gradients(tensors)
    solution = kktdiff.solve_qp(*(t.numpy() for t in tensors))
    expected = solution.vjp(np.arange(1.0, x.numel() + 1).reshape(x.shape))
    assert_same(x, torch.tensor(solution.x))
    assert_same(grads, {name: torch.tensor(getattr(expected, name)) for name in NAMES})


def test_the_options_are_qpths_in_qpths_order():
    given = [(n, p.default) for n, p in inspect.signature(QPFunction).parameters.items()]
    assert given[:4] == [("eps", 1e-12), ("verbose", 0), ("notImprovedLim", 3), ("maxIter", 20)]
    assert given[4:] == [("solver", QPSolvers.PDIPM_BATCHED), ("check_Q_spd", True)]
    assert not QPFunction(1e-12, -1, 3, 20, QPSolvers.CVXPY, False).check_Q_spd
    assert QPFunction(maxIter=500).max_iter == 500
    with pytest.raises(ValueError, match="5 is not a valid QPSolvers"):
        QPFunction(solver=5)


@pytest.mark.parametrize("options", [(1.0,), (0.0, 5, 1, 3), (1e-12, -1, 3, 0), (1, 1, 1, 10**5)])
def test_no_option_makes_a_worse_solution(options):
    function = QPFunction(*options, QPSolvers.CVXPY)
    for sizes in (SIZES, Sizes(n=2, m=3), SIZES):  # one function, several calls
        tensors = drawn(402, FULL, sizes)
        for given, usual in zip(gradients(tensors, function), gradients(tensors), strict=True):
            assert_same(given, usual)


@pytest.mark.parametrize("verbose", [-1, 0, 1, 5, True])
def test_nothing_is_printed(verbose, capfd):
    QPFunction(verbose=verbose)(*drawn(404))
    assert capfd.readouterr() == ("", "")


def test_without_a_batch_x_is_one_row():
    tensors, function = drawn(405, {}), QPFunction()
    x, grads = gradients(tensors, function)
    assert (x.shape, function.last.lam.shape, function.last.status.shape) == ((1, 5), (1, 7), (1,))
    assert [grads[name].shape for name in NAMES] == [t.shape for t in tensors]


@pytest.mark.parametrize("shared", [s for r in (1, 2, 5) for s in combinations(NAMES, r)])
def test_what_is_shared_gets_the_sum(shared):
    tensors = drawn(406, {name: (3,) for name in NAMES if name not in shared})
    pairs = zip(NAMES, tensors, strict=True)
    x, grads = gradients(tensors)
    y, apart = gradients([t.expand(3, *t.shape) if name in shared else t for name, t in pairs])
    assert_near(x, y, SHARED, "x")
    assert_all_near(grads, {n: g.sum(0) if n in shared else g for n, g in apart.items()}, SHARED)


def test_expanded_and_strided_tensors_are_taken_as_they_are():
    Q, *rest = drawn(407)
    strided = [torch.stack([t, -t], -1)[..., 0] for t in rest]
    assert not any(t.is_contiguous() for t in strided)
    leaf = Q[0].clone().requires_grad_()
    x = QPFunction()(leaf.expand(3, 5, 5), *strided)
    x.sum().backward()
    assert_same(x.detach(), QPFunction()(Q[:1].repeat(3, 1, 1), *rest))
    assert leaf.grad.shape == (5, 5)


def test_a_batch_may_be_empty():
    for names in (NAMES, "ph", "pGA"):
        assert QPFunction()(*drawn(408, dict.fromkeys(names, (0,)))).shape == (0, 5)


EMPTY = {
    "Tensor()": (torch.Tensor(), torch.Tensor()),
    "DoubleTensor()": (torch.DoubleTensor(), torch.DoubleTensor()),
    "zeros(0), with gradient": (torch.zeros(0, requires_grad=True),) * 2,
    "empty(B, 0, n)": (torch.empty(3, 0, 5), torch.empty(3, 0)),
    "empty(0, n), elsewhere": (torch.empty(0, 5, device="meta", dtype=torch.int64),) * 2,
    "None": (None, torch.Tensor()),
}


@pytest.mark.parametrize("none", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("pairs", [("Ab",), ("Gh",), ("Ab", "Gh")])
def test_empty_tensors_are_no_constraints(none, pairs):
    tensors = dict(zip(NAMES, drawn(409), strict=True))
    arrays = {name: t.numpy() for name, t in tensors.items() if name not in "".join(pairs)}
    for pair in pairs:
        tensors |= dict(zip(pair, none, strict=True))
    x = QPFunction()(**tensors | {"p": tensors["p"].requires_grad_()})
    assert_same(x.detach(), torch.tensor(kktdiff.solve_qp(**arrays).x))
    x.sum().backward()
    assert none[0] is None or none[0].grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_answer_has_the_dtype_of_the_data(dtype):
    tensors = [t.to(dtype) for t in drawn(411)[:4]]
    x, grads = gradients([*tensors, torch.DoubleTensor(), torch.Tensor()])
    assert {t.dtype for t in (x, *grads.values()) if t is not None} == {dtype}
    expected = kktdiff.solve_qp(*(t.double().numpy() for t in tensors)).x
    assert_near(x, expected, SINGLE_ANSWER if dtype == torch.float32 else ANSWER, "x")


@pytest.mark.parametrize("wanted", [w for r in (1, 2, 5) for w in combinations(NAMES, r)])
def test_a_gradient_for_any_subset(wanted):
    tensors = drawn(412, {"p": (3,), "h": (3,)})
    (_, everything), (_, some) = gradients(tensors), gradients(tensors, wanted=wanted)
    assert [name for name in NAMES if some[name] is not None] == list(wanted)
    assert_all_near(some, {name: everything[name] for name in wanted}, SHARED)


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_named(name):
    tensors = dict(zip(NAMES, drawn(413), strict=True))
    known_by = "Q" if name == "p" else name  # p says what n is
    with pytest.raises(ValueError, match=rf"^{known_by} has shape"):
        QPFunction()(**tensors | {name: tensors[name][..., 1:]})
    with pytest.raises(TypeError, match=rf"^{name} is a ndarray"):
        QPFunction()(**tensors | {name: tensors[name].numpy()})
    with pytest.raises(TypeError, match=rf"^{'p' if name == 'Q' else name} has dtype"):
        QPFunction()(**tensors | {name: tensors[name].float()})
    if name not in "Qp":
        found = rf"{name} (was given without|has shape)|without {name}"
        with pytest.raises(ValueError, match=found):
            QPFunction()(**tensors | {name: torch.DoubleTensor()})
        with pytest.raises(ValueError, match=found):  # whatever the dtype of what is empty
            QPFunction()(**tensors | {name: torch.Tensor()})


def test_only_the_symmetric_part_of_Q_counts():
    Q, *rest = drawn(415)
    skew = torch.full((5, 5), 9.0, dtype=torch.float64).tril(-1)
    x, grads = gradients([Q + skew - skew.mT, *rest])
    expected, same = gradients([Q, *rest])
    assert_near(x, expected, SHARED, "x")
    assert_all_near(grads, same, SHARED)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("diagonal", [(1.0, 0.0), (0.0, 0.0), (1.0, -1e-14), (1e-6, 1e-6)])
def test_a_singular_Q_is_solved(diagonal, check):
    function = QPFunction(check_Q_spd=check)
    Q, G, none = double(*diagonal).diag(), double(1, 1).diag(), torch.Tensor()
    x, grads = gradients([Q, double(-2, -2), G, double(1, 2), none, none], function)
    assert_near(x, [[1.0, 2.0]], ANSWER, "x")
    assert_near(grads["h"], [1.0, 2.0], HAND_DERIVATIVE, "h")
    assert function.last.solved.all()


def test_the_last_solution_is_at_hand():
    tensors, function = [t.requires_grad_() for t in drawn(418)], QPFunction()
    assert function.last is None
    x = function(*tensors)
    assert_same(function.last.x, x.detach())
    assert not function.last.lam.requires_grad
    for other in (copy.deepcopy(function), pickle.loads(pickle.dumps(function))):
        assert other.last is None
        assert_same(other(*tensors), x)
    function(*(t[:1] for t in tensors))
    assert function.last.status.tolist() == [0]


def test_second_derivatives_and_vmap_of_grad():
    Q, p, *rest = [t.requires_grad_() for t in drawn(419, {"p": (2,)}, Sizes(n=3, m=4, k=1))]
    tols = {"atol": DIFFERENCE, "rtol": DIFFERENCE}
    assert torch.autograd.gradgradcheck(QPFunction(), (Q, p, *rest), **tols, fast_mode=True)
    grad = torch.func.grad(lambda p: QPFunction()(Q, p, *rest).square().sum())
    expected = torch.stack([grad(one) for one in p])
    assert_near(torch.func.vmap(grad)(p).detach(), expected.detach(), SHARED, "p")
