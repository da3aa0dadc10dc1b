"""What programs do with graphs, threads and processes."""

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.adapters.torch.tensors import (
    SMALL,
    assert_same,
    assert_same_fields,
    gradients,
    on_arrays,
    tensors,
)
from tests.checks import assert_near
from tests.problems import Sizes, known
from tests.tolerances import SINGLE_ANSWER

torch = pytest.importorskip("torch")
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset

from kktdiff.adapters.torch import solve_qp

B = 3
DATA = known(np.random.default_rng(670), SMALL, batch=(B,)).data
LARGE = known(np.random.default_rng(671), Sizes(n=40, m=40, k=10), batch=(2,)).data


# Graphs.


def test_a_graph_that_is_kept_gives_its_gradients_again_and_they_add_up():
    inputs = tensors(DATA)
    loss = (solve_qp(*inputs).x ** 3).sum()
    loss.backward(retain_graph=True)
    first = [t.grad.clone() for t in inputs]
    loss.backward()
    for t, grad in zip(inputs, first, strict=True):
        assert torch.equal(t.grad, 2 * grad)
        assert torch.any(grad != 0.0)


def test_a_graph_that_is_not_kept_is_gone():
    loss = solve_qp(*tensors(DATA)).x.sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_an_input_that_was_written_before_backward_is_refused():
    inputs = tensors(DATA)
    p = inputs.p * 1.0
    loss = solve_qp(*inputs._replace(p=p)).x.sum()
    p.add_(1.0)
    with pytest.raises(RuntimeError, match="inplace operation"):
        loss.backward()


def test_hooks_see_the_gradients():
    inputs, seen = tensors(DATA), []
    inputs.p.register_hook(lambda g: seen.append(g) or 2 * g)
    solve_qp(*inputs).x.sum().backward()
    assert torch.equal(inputs.p.grad, 2 * seen[0])


def test_no_grad():
    inputs = tensors(DATA)
    with torch.no_grad():
        solution = solve_qp(*inputs)
    assert not any(t.requires_grad for t in solution[:13])
    assert_same_fields(solution, on_arrays(DATA))


def test_inference_mode():
    with torch.inference_mode():
        inputs = tensors(DATA, grad=False)
        solution = solve_qp(*inputs)
        assert solution.x.is_inference()
        assert_same_fields(solution, on_arrays(DATA))
    again = solve_qp(*(t.clone() for t in inputs))
    assert torch.equal(again.x, solution.x)


def test_checkpoints_and_saved_tensors_elsewhere():
    inputs = tensors(DATA)
    expected = torch.autograd.grad(solve_qp(*inputs).x.sum(), inputs)
    x = checkpoint(lambda *given: solve_qp(*given).x, *inputs, use_reentrant=False)
    recomputed = torch.autograd.grad(x.sum(), inputs)
    with torch.autograd.graph.save_on_cpu():
        x = solve_qp(*inputs).x
    unpacked = torch.autograd.grad(x.sum(), inputs)
    for g, again, once_more in zip(expected, recomputed, unpacked, strict=True):
        assert torch.equal(g, again)
        assert torch.equal(g, once_more)


# Autocast.


def layer_and_inputs():
    torch.manual_seed(672)
    layer = torch.nn.Linear(3, 3, dtype=torch.float32)
    return layer, tensors(DATA, dtype=torch.float32), torch.ones(B, 3)


def test_autocast_takes_half_precision_back_to_float32():
    layer, inputs, ones = layer_and_inputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        p = layer(ones)
        assert p.dtype == torch.bfloat16
        solution = solve_qp(*inputs._replace(p=p))
    assert solution.x.dtype == torch.float32
    arrays = [t.detach().float().numpy() for t in inputs._replace(p=p)]
    assert_same_fields(solution, on_arrays(arrays))
    solution.x.sum().backward()
    assert inputs.Q.grad.dtype == layer.weight.grad.dtype == torch.float32
    expected = on_arrays(arrays).vjp(np.ones((B, 3), np.float32))
    assert_same(inputs.Q.grad, expected.Q, "Q")
    wanted = torch.tensor(expected.p).bfloat16().float().sum(dim=0)  # of the layer's p, rounded
    assert_near(layer.bias.grad, wanted, SINGLE_ANSWER + 2**-8, "bias: bfloat16 has 8 bits")


def test_autocast_leaves_alone_what_needs_no_change():
    inputs = tensors(DATA)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same_fields(solve_qp(*inputs), on_arrays(DATA))


def test_autocast_takes_half_precision_to_float64_beside_float64():
    inputs = tensors(DATA)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = solve_qp(*inputs._replace(p=inputs.p.bfloat16())).x
    assert x.dtype == torch.float64
    assert_same(x, on_arrays(DATA._replace(p=inputs.p.detach().bfloat16().double().numpy())).x)


# Copies, threads and processes.


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))], ids=["deepcopy", "pickle"]
)
def test_copies_of_a_solution(copied):
    with torch.no_grad():
        solution = solve_qp(*tensors(DATA))
    again = copied(solution)
    assert_same_fields(again, on_arrays(DATA))
    assert torch.equal(again.diagnostics().margin, solution.diagnostics().margin)
    warm = solve_qp(*tensors(DATA), warm_start=again)
    assert_same_fields(warm, on_arrays(DATA, warm_start=on_arrays(DATA)))


def backward(data):
    inputs = tensors(data)
    solution = solve_qp(*inputs)
    loss = (solution.x**2).sum() + solution.nu.sum()
    loss.backward()
    return [solution.x.detach(), *(t.grad for t in inputs if t is not None)]


def equal(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert torch.equal(a, b)


@pytest.mark.usefixtures("blas_in_threads")
def test_eight_threads_at_once_get_the_bits_of_one():
    alone = backward(LARGE)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(backward, [LARGE] * 24):
            equal(found, alone)


@pytest.mark.usefixtures("blas_in_threads")
def test_eight_threads_may_go_backward_from_one_solution():
    """With threads that change places as often as they can."""
    inputs = tensors(LARGE)
    solution = solve_qp(*inputs)
    weights = {"x": np.random.default_rng(673).normal(size=(2, 40))}

    def find(_):
        found = gradients(solution, inputs, weights, retain_graph=True)
        return [g for g in found if g is not None]

    alone, before = find(0), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for found in pool.map(find, range(80)):
                equal(found, alone)
    finally:
        sys.setswitchinterval(before)


class Solved(Dataset):
    """Each item is the solution and the gradient of one element."""

    def __len__(self):
        return B

    def __getitem__(self, i):
        inputs = tensors([a[i] for a in DATA])
        x = solve_qp(*inputs).x
        return x.detach(), torch.autograd.grad(x.sum(), inputs.p)[0]


@pytest.mark.usefixtures("blas_in_threads")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # what a DataLoader does
def test_data_loaders_may_solve_in_their_workers():
    x, grad = next(iter(DataLoader(Solved(), batch_size=B, num_workers=2, timeout=60)))
    expected = on_arrays(DATA)
    assert_same(x, expected.x, "x")
    assert_same(grad, expected.vjp(np.ones((B, 3))).p, "p")


def test_nothing_is_printed(capfd):
    inputs = tensors(DATA)
    solution = solve_qp(*inputs)
    (grad,) = torch.autograd.grad(solution.x.sum(), [inputs.Q], create_graph=True)
    (grad**2).sum().backward()
    solution.diagnostics()
    torch.func.vmap(lambda p: solve_qp(inputs.Q[0], p).x)(inputs.p)
    assert capfd.readouterr() == ("", "")
