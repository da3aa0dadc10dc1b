"""The modules: parameters that are always feasible, saved and loaded, and trained."""

import copy
import io
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import kktdiff
from kktdiff.adapters.torch import OptNetLayer, QPLayer
from tests.checks import assert_near
from tests.problems import FULL, known
from tests.tolerances import ANSWER, CONSTRUCTION

DOUBLE = {"dtype": torch.float64}


def inputs(n, batch=(4,), seed=500):
    return torch.tensor(np.random.default_rng(seed).normal(size=(*batch, n)))


def test_a_stateless_layer_gives_the_minimiser_with_its_options():
    data, answer = known(np.random.default_rng(501), FULL, batch=(3,))
    layer = QPLayer(tol=1e-9, on_failure="raise")
    assert list(layer.parameters()) == []
    assert repr(layer) == "QPLayer(tol=1e-09, on_failure='raise')"
    assert_near(layer(*map(torch.tensor, data)), answer.x, ANSWER, "x")
    broken = torch.tensor(data.p)
    broken[0, 0] = torch.nan
    with pytest.raises(kktdiff.SolveError):
        layer(torch.tensor(data.Q), broken)


@pytest.mark.parametrize(("m", "k"), [(0, 0), (3, 0), (0, 2), (3, 2)])
@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("curvature", [None, 0.1])
def test_whatever_its_parameters_are_the_layer_can_be_solved(m, k, nonnegative, curvature):
    torch.manual_seed(502)
    layer = OptNetLayer(5, m, k, nonnegative=nonnegative, curvature=curvature, **DOUBLE)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(3 * torch.randn_like(parameter))
    solution = layer.solve(inputs(5))
    assert solution.solved.all()
    assert not nonnegative or solution.x.min() >= -ANSWER
    if solution.x.requires_grad:  # Q = 0.1 I without rows has nothing to learn
        solution.x.square().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in layer.parameters())


def test_its_problem_is_that_of_the_paper():
    torch.manual_seed(503)
    layer = OptNetLayer(4, 3, 2, eps=1e-2, **DOUBLE)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter))
    L, problem = layer.L.tril(), layer.problem()
    expected = {
        "Q": L @ L.mT + 1e-2 * torch.eye(4, **DOUBLE),
        "G": layer.G,
        "h": layer.G @ layer.z0 + layer.log_s0.exp(),
        "A": layer.A,
        "b": layer.A @ layer.z0,
    }
    assert problem.keys() == expected.keys()
    for name, value in expected.items():
        assert_near(problem[name].detach(), value.detach(), CONSTRUCTION, name)


def test_it_begins_at_the_size_of_its_input_whatever_n_is():
    torch.manual_seed(504)
    for n in (5, 50):
        p = inputs(n, (20,))
        for rows in (OptNetLayer(n, m=400, **DOUBLE).G, OptNetLayer(n, k=400, **DOUBLE).A):
            assert abs(rows.norm(dim=1).mean() - 1) < 0.1, n
        out = OptNetLayer(n, n // 2, n // 5, **DOUBLE)(p)
        ratio = out.square().mean() / p.square().mean()
        assert 0.2 < ratio < 5, (n, ratio)


@pytest.mark.parametrize("options", [{}, {"nonnegative": True, "curvature": 0.1}])
def test_it_survives_saving_copying_and_pickling(options):
    layer = OptNetLayer(4, 2, 1, tol=1e-9, **options, **DOUBLE)
    file, other = io.BytesIO(), OptNetLayer(4, 2, 1, tol=1e-9, **options, **DOUBLE)
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    p = inputs(4)
    assert set(layer.state_dict()) == {name for name, _ in layer.named_parameters()}
    for twin in (other, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(p), layer(p))


def test_it_moves_to_another_dtype():
    layer = OptNetLayer(4, 2, 1, nonnegative=True, curvature=0.1, **DOUBLE).float()
    assert layer(inputs(4).float()).dtype == torch.float32


def test_an_input_that_does_not_fit_is_told_of_the_layer():
    layer = OptNetLayer(4, 2, 1, **DOUBLE)
    with pytest.raises(
        TypeError, match=r"^p has dtype torch\.float32, but the layer has .*64: conv"
    ):
        layer(inputs(4).float())
    with pytest.raises(ValueError, match=r"^p has shape \(\d+, 5\): expected .* made with n=4$"):
        layer(inputs(5))
    with pytest.raises(TypeError, match=r"expected a torch\.Tensor"):
        layer(inputs(4).numpy())


def test_it_says_what_it_is():
    text = repr(OptNetLayer(4, 2, 1, nonnegative=True, tol=1e-6))
    for part in ("n=4", "m=2", "k=1", "nonnegative=True", "curvature=None", "tol=1e-06"):
        assert part in text


def test_training_brings_the_loss_down():
    torch.manual_seed(505)
    teacher, student = (OptNetLayer(4, 3, 1, **DOUBLE) for _ in range(2))
    p = inputs(4, (16,))
    target = teacher(p).detach()
    optimiser = torch.optim.Adam(student.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = (student(p) - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2, losses
