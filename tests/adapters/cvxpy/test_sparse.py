"""Layers of large problems with few entries: sparse QPs, with the dense ones' answers."""

import copy
import tracemalloc

import numpy as np
import pytest

from kktdiff import kernels
from tests.adapters.cvxpy.large_models import control, factors, simplex, smooth
from tests.adapters.cvxpy.models import MODELS, REWRITTEN, Model
from tests.checks import assert_near
from tests.tolerances import CONSTRUCTION, DIFFERENCE, LAW, SHARED

torch = pytest.importorskip("torch")
cp = pytest.importorskip("cvxpy")
from kktdiff.adapters.cvxpy import CvxpyLayer, _model, _presolve, _sparsity
from kktdiff.adapters.cvxpy._program import constants
from tests.adapters.cvxpy.test_programs import PARAMETER, N, drawn_program, entries

LARGER = [
    pytest.param(control(12), id="control"),
    pytest.param(smooth(80), id="smooth"),
    pytest.param(simplex(150), id="simplex"),
    pytest.param(factors(150), id="factors"),
]


@pytest.fixture
def form(monkeypatch):
    """Return a function that makes all layers from now on "sparse" or "dense"."""

    def use(which):
        small, faster = (-1, 0) if which == "sparse" else (np.inf, 1)
        monkeypatch.setattr(_sparsity, "SMALL", small)
        monkeypatch.setattr(_sparsity, "FASTER", faster)

    return use


def called(model, batch, eliminate=True):
    """The layer, what comes out for a batch of the first parameter, and the gradients."""
    layer = CvxpyLayer(model.problem, model.parameters, model.variables, eliminate=eliminate)
    rng = np.random.default_rng(980)
    first, *others = zip(*(model.values(rng) for _ in range(batch)), strict=True)
    arrays = [np.stack(first), *(own[0] for own in others)]
    leaves = [torch.tensor(np.asarray(a, float), requires_grad=True) for a in arrays]
    out = layer(*leaves)
    loss = sum(
        (torch.sin(v) * torch.arange(1, v[0].numel() + 1).reshape(v[0].shape)).sum() for v in out
    )
    return layer, [v.detach() for v in out], torch.autograd.grad(loss, leaves)


def is_sparse(layer):
    return bool(layer._model.patterns)


def assert_same(form, model, eliminate, tolerance):
    found = {}
    for which in ("dense", "sparse"):
        form(which)
        found[which] = called(model, 3, eliminate)
        assert is_sparse(found[which][0]) == (which == "sparse")
        assert torch.all(found[which][0].last.solved)
    for place, what in ((1, "result"), (2, "gradient")):
        for dense, own in zip(found["dense"][place], found["sparse"][place], strict=True):
            assert_near(own, dense, tolerance, what)


@pytest.mark.parametrize("eliminate", [True, False])
@pytest.mark.parametrize("make", MODELS + REWRITTEN, ids=lambda make: make.__name__)
def test_every_model_may_be_sparse(form, make, eliminate):
    assert_same(form, make(), eliminate, SHARED)


@pytest.mark.parametrize("eliminate", [True, False])
@pytest.mark.parametrize("model", LARGER)
def test_the_answers_are_those_of_dense_matrices(form, model, eliminate):
    assert_same(form, model, eliminate, LAW)


@pytest.mark.parametrize("model", LARGER)
def test_large_problems_with_few_entries_are_sparse(model):
    assert is_sparse(called(model, 1)[0])


@pytest.mark.parametrize("make", MODELS + REWRITTEN, ids=lambda make: make.__name__)
def test_small_ones_are_dense(make):
    assert not is_sparse(called(make(), 1)[0])


def test_full_ones_are_dense():
    x, A, b = cp.Variable(60), cp.Parameter((90, 60)), cp.Parameter(90)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(A @ x - b)), [x >= 0])
    full = Model(problem, [A, b], [x], lambda g: [g.normal(size=(90, 60)), g.normal(size=90)])
    assert not is_sparse(called(full, 1)[0])


def test_what_would_fill_the_objective_stays():
    """And what is a result, and what has a parameter on both sides of a product."""
    n = 150
    sizes = {"simplex": n, "smooth": n + (n - 1), "factors": n + 5}
    for make in (simplex, smooth, factors):
        layer = called(make(n), 1)[0]
        assert layer.last.x.shape[-1] == sizes[make.__name__]
    x, y, target, weight = (
        cp.Variable(n),
        cp.Variable(n),
        cp.Parameter(n),
        cp.Parameter(nonneg=True),
    )
    weighted = cp.Problem(cp.Minimize(weight * cp.sum_squares(x - target)), [x >= 0])
    named = cp.Problem(cp.Minimize(cp.sum_squares(y)), [y == x - target, x >= 0])
    drawn = np.random.default_rng(980).normal(size=n)
    clipped = np.maximum(drawn, 0)
    for model, expected in (
        (Model(weighted, [target, weight], [x], lambda g: [drawn, 0.5]), [clipped]),
        (Model(named, [target], [x, y], lambda g: [drawn]), [clipped, clipped - drawn]),
    ):
        layer, out, _ = called(model, 1)
        assert layer.last.x.shape[-1] == 2 * n
        for value, answer in zip(out, expected, strict=True):
            assert_near(value[0], answer, LAW)


def drawn(seed):
    """A program whose P may have the parameter, and the variables that equalities define."""
    rng = np.random.default_rng(seed)
    program = drawn_program(rng)
    P = constants(program.P.map)[0]
    program = program._replace(P=program.P._replace(map=entries(P, rng.random() < 0.5)))
    nothing = np.zeros(N, dtype=bool), np.zeros(sum(program.sizes[1:]), dtype=bool)
    return program, _presolve._defined(program, *nothing)


def objective(program, x):
    curved, linear = (part.map @ [PARAMETER, 1.0] for part in (program.P, program.q))
    return x[program.P.row] @ (curved * x[program.P.column]) / 2 + x[program.q.row] @ linear


def test_the_objective_without_a_variable_differs_by_a_constant(monkeypatch):
    monkeypatch.setattr(_sparsity, "FILL", 1e9)
    count = 0
    for seed in range(1000):
        program, defined = drawn(seed)
        smaller, columns, rows = _sparsity.without_defined(program, *defined)
        gone = np.isin(np.arange(N), columns)
        assert not np.isin(smaller.P.row, columns).any()
        assert not np.isin(smaller.rows.row, rows).any()
        own = program.rows
        matrix = np.zeros((sum(program.sizes[1:]), N + 1))
        matrix[own.row, own.column] = own.map @ [PARAMETER, 1.0]
        change = []
        for x in np.random.default_rng(seed).normal(size=(2, N)):
            rest = matrix[rows] @ np.r_[x * ~gone, 1.0]
            x[columns] = -rest / matrix[rows, columns]
            change.append(objective(program, x) - objective(smaller, x * ~gone))
        assert_near(change[0], change[1], CONSTRUCTION, f"seed {seed}")
        count += gone.any()
    assert count > 40


@pytest.mark.skipif(kernels.available() is not None, reason="dense copies would not fit")
@pytest.mark.parametrize("make", [simplex, smooth], ids=lambda make: make.__name__)
def test_ten_thousand_variables(monkeypatch, make):
    """In a small part of the memory of one dense matrix; gradients beside differences."""
    n = 10_000
    model, rng = make(n), np.random.default_rng(981)
    program = _model.reduced(model.problem, model.parameters)  # cvxpy's part, in its own memory
    monkeypatch.setattr(_model, "reduced", lambda *_: program)
    values = [torch.tensor(v, requires_grad=True) for v in model.values(rng)]
    weights = torch.tensor(rng.normal(size=n))
    tracemalloc.start()
    layer = CvxpyLayer(model.problem, model.parameters, model.variables)

    def loss(*values):
        return (layer(*values, solver_args={"tol": 1e-11})[0] * weights).sum()

    grads = torch.autograd.grad(loss(*values), values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n
    largest = int(torch.argmax(layer.last.x[:n]))  # not at a bound
    for i, grad in enumerate(grads):
        move = torch.zeros(values[i].numel(), dtype=torch.float64)
        move[largest if len(move) > 1 else 0] = 1e-4
        move = move.reshape(values[i].shape)
        up, down = (
            loss(
                *(v.detach() + sign * move if j == i else v.detach() for j, v in enumerate(values))
            )
            for sign in (1, -1)
        )
        own = float((grad * move).sum())
        assert abs(own) > 1e-6
        assert_near(own, float(up - down) / 2, DIFFERENCE * abs(own) + 1e-9)


@pytest.mark.parametrize("bad", ["nan", "infeasible"])
def test_a_bad_element_harms_no_other(bad):
    """What is shared gets the gradient that it gets without it."""
    model = control(12)
    layer = CvxpyLayer(model.problem, model.parameters, model.variables)
    draws = [model.values(np.random.default_rng(seed)) for seed in range(3)]
    starts, A = np.stack([draw[0] for draw in draws]), draws[0][1]
    starts[1] = np.nan if bad == "nan" else 100.0
    found = {}
    for rows in ((0, 2), (0, 1, 2)):
        leaves = [torch.tensor(v, requires_grad=True) for v in (starts[list(rows)], A)]
        out = layer(*leaves, solver_args={"on_failure": "ignore"})
        kept = [v[layer.last.solved] for v in out]
        found[rows] = kept, torch.autograd.grad(sum(v.sin().sum() for v in kept), leaves)
    (left, some), (right, all_) = found.values()
    assert is_sparse(layer)
    assert layer.last.solved.tolist() == [True, False, True]
    assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))
    assert torch.equal(some[0], all_[0][[0, 2]])
    assert torch.all(all_[0][1] == 0)
    assert_near(all_[1], some[1], SHARED)


def test_a_layer_can_be_copied():
    layer, out, _ = called(simplex(150), 1)
    values = torch.tensor(np.random.default_rng(980).normal(size=(1, 150)))
    assert torch.equal(copy.deepcopy(layer)(values)[0], out[0])
