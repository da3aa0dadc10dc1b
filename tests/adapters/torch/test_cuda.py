"""CUDA tensors on a GPU: values and gradients as on the CPU, no copies, any stream and thread."""

import warnings

import numpy as np
import pytest

import kktdiff
from tests.adapters.torch.tensors import REPORTS, SMALL, cotangents, gradients, there
from tests.checks import assert_near
from tests.problems import FULL, Answer, Data, Sizes, feasible, known
from tests.tolerances import DIFFERENCE, SINGLE_ANSWER, TIGHT_ANSWER

torch = pytest.importorskip("torch")
from kktdiff.adapters.torch import OptNetLayer, solve_qp

B = 5
DATA = known(np.random.default_rng(831), FULL, batch=(B,)).data
MIXED = feasible(
    np.random.default_rng(832), SMALL, {"Q": (2, 1), "p": (3,), "h": (2, 3), "b": (1,)}
)
EMPTY_BLOCKS = known(np.random.default_rng(833), Sizes(4), batch=(B,)).data


@pytest.fixture(autouse=True)
def torch_on_cuda(gpu):
    """Each test needs both."""
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    return gpu


def on(device, data, grad=True, dtype=torch.float64):
    return Data(
        *(
            None if a is None else torch.tensor(a, dtype=dtype, device=device).requires_grad_(grad)
            for a in data
        )
    )


def host(tensor):
    return tensor.detach().cpu().numpy()


def assert_as_on_the_cpu(data, tol=TIGHT_ANSWER, dtype=torch.float64, device="cuda"):
    """Fields, and the gradients by every output, within `tol`; everything is on the device."""
    here, there_ = on("cpu", data, dtype=dtype), on(device, data, dtype=dtype)
    expected, found = solve_qp(*here), solve_qp(*there_)
    for name in (*Answer._fields, *REPORTS):
        value = getattr(found, name)
        assert value.device == there_.Q.device, name
        assert value.dtype == getattr(expected, name).dtype, name
        assert value.shape == getattr(expected, name).shape, name
    for name in Answer._fields:
        assert_near(host(getattr(found, name)), host(getattr(expected, name)), tol, name)
    np.testing.assert_array_equal(host(found.status), host(expected.status))
    rng = np.random.default_rng(834)
    weights = {n: torch.tensor(w, dtype=dtype) for n, w in cotangents(rng, expected).items()}
    by_cpu = gradients(expected, here, weights)
    by_gpu = gradients(found, there_, {n: w.to(device) for n, w in weights.items()})
    for name in Data._fields:
        if getattr(by_cpu, name) is not None:
            assert getattr(by_gpu, name).device == there_.Q.device, name
            assert_near(host(getattr(by_gpu, name)), host(getattr(by_cpu, name)), tol, name)


@pytest.mark.parametrize("data", [DATA, MIXED, EMPTY_BLOCKS], ids=["full", "mixed", "bare"])
def test_values_and_gradients_are_those_of_the_cpu(data):
    assert_as_on_the_cpu(data)


def test_float32_stays_float32():
    assert_as_on_the_cpu(DATA, SINGLE_ANSWER, torch.float32)


def test_gradcheck():
    inputs = on("cuda", known(np.random.default_rng(835), SMALL).data)
    assert torch.autograd.gradcheck(
        lambda *given: solve_qp(*given)[:7],
        tuple(inputs),
        atol=DIFFERENCE,
        rtol=DIFFERENCE,
        check_forward_ad=True,
        fast_mode=True,
        nondet_tol=TIGHT_ANSWER,  # sums on a GPU may be in another order the next time
    )


def test_second_derivatives_are_those_of_the_cpu():
    def second(inputs):
        x = solve_qp(*inputs).x
        first = torch.autograd.grad(x.square().sum(), there(inputs), create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), there(inputs))

    for found, expected in zip(second(on("cuda", DATA)), second(on("cpu", DATA)), strict=True):
        assert_near(host(found), host(expected), TIGHT_ANSWER)


def test_nothing_is_copied_on_the_way_in_or_out(monkeypatch):
    seen = []

    def spy(*arrays, solve=kktdiff.solve_qp, **options):
        seen.extend(arrays)
        return solve(*arrays, **options)

    monkeypatch.setattr(kktdiff, "solve_qp", spy)
    inputs = on("cuda", DATA)._replace(p=torch.zeros(6, device="cuda").double().expand(B, 6))
    solution = solve_qp(*inputs)
    for array, tensor in zip(seen, inputs, strict=True):
        assert array.data.ptr == tensor.data_ptr()
        assert array.strides == tuple(8 * s for s in tensor.stride())
    for name in (*Answer._fields, *REPORTS):
        tensor, array = getattr(solution, name), getattr(solution.core, name)
        assert tensor.data_ptr() == array.data.ptr or not tensor.numel(), name


def test_inputs_are_never_written():
    inputs = on("cuda", DATA)
    solve_qp(*inputs).x.square().sum().backward()
    for name in Data._fields:
        np.testing.assert_array_equal(host(getattr(inputs, name)), getattr(DATA, name))


def busy(times=40):
    """Long work for the current stream."""
    a = torch.randn(4096, 4096, device="cuda")
    for _ in range(times):
        a = a @ a / 64
    return a


def late(data, work):
    """Inputs that are right only once the current stream has done its work."""
    inputs = Data(*(torch.zeros_like(t) for t in on("cuda", data, grad=False)))
    zero = work[0, 0] * 0
    for tensor, value in zip(inputs, on("cuda", data, grad=False), strict=True):
        tensor.copy_(value + torch.nan_to_num(zero).double())
    return Data(*(t.requires_grad_() for t in inputs))


@pytest.mark.parametrize("side", [False, True], ids=["default-stream", "side-stream"])
def test_the_work_waits_for_the_stream_that_makes_the_inputs(side):
    expected = solve_qp(*on("cpu", DATA)).x
    stream = torch.cuda.Stream() if side else torch.cuda.default_stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        inputs = late(DATA, busy())
        x = solve_qp(*inputs).x
        x.square().sum().backward()
        found, grad = host(x), host(inputs.p.grad)
    assert_near(found, host(expected), TIGHT_ANSWER)
    here = on("cpu", DATA)
    solve_qp(*here).x.square().sum().backward()
    assert_near(grad, host(here.p.grad), TIGHT_ANSWER)


def test_a_busy_default_stream_does_not_hold_up_a_side_stream():
    inputs = on("cuda", DATA, grad=False)
    solve_qp(*inputs)  # kernels are compiled here
    torch.cuda.synchronize()
    done = torch.cuda.Event()
    busy(400)
    done.record()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        x = host(solve_qp(*inputs).x)
    over = done.query()
    torch.cuda.synchronize()
    assert_near(x, host(solve_qp(*on("cpu", DATA)).x), TIGHT_ANSWER)
    assert not over, "the solve came back only once the other stream was done"


def test_cupys_own_device_and_stream_are_left_as_they_were(gpu):
    before = gpu.cuda.Device().id, gpu.cuda.get_current_stream().ptr
    with torch.cuda.stream(torch.cuda.Stream()):
        solve_qp(*on("cuda", DATA)).x.sum().backward()
    assert (gpu.cuda.Device().id, gpu.cuda.get_current_stream().ptr) == before


def test_a_layer_learns_on_the_gpu():
    torch.manual_seed(0)
    layer = OptNetLayer(n=5, m=3, k=1, device="cuda", dtype=torch.float64)
    p = torch.randn(B, 5, device="cuda", dtype=torch.float64)
    layer(p).square().sum().backward()
    assert all(torch.isfinite(v.grad).all() and v.grad.is_cuda for v in layer.parameters())


def test_compiled_code_gives_the_same():
    torch._dynamo.reset()
    inputs = on("cuda", DATA)
    compiled = torch.compile(lambda *t: solve_qp(*t).x, fullgraph=True, backend="aot_eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler, about itself
        x = compiled(*inputs)
        (grad,) = torch.autograd.grad(x.square().sum(), [inputs.p])
    eager = solve_qp(*inputs).x
    assert_near(host(x), host(eager), TIGHT_ANSWER)
    (expected,) = torch.autograd.grad(eager.square().sum(), [inputs.p])
    assert_near(host(grad), host(expected), TIGHT_ANSWER)


def test_failures_are_told_and_leave_the_others_alone():
    data = DATA._replace(p=DATA.p.copy())
    data.p[2] = np.nan
    with pytest.warns(kktdiff.SolveWarning, match=rf"1 of {B}"):
        solution = solve_qp(*on("cuda", data))
    assert host(solution.solved).tolist() == [i != 2 for i in range(B)]
    with pytest.raises(kktdiff.SolveError):
        solve_qp(*on("cuda", data), on_failure="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve_qp(*on("cuda", data), on_failure="ignore")


def test_diagnostics_certificates_and_weights_are_tensors_on_the_gpu():
    inputs = on("cuda", DATA)
    solution = solve_qp(*inputs)
    assert solution.diagnostics().trustworthy.is_cuda
    assert solution.certificate().x.is_cuda
    weights = {"h": torch.full((FULL.m,), 2.0, device="cuda", dtype=torch.float64)}
    lower = inputs.ub.detach() + 1.0  # above the upper bounds
    closest = solve_qp(*inputs._replace(lb=lower), infeasible="closest", shift_weights=weights)
    assert closest.shift_lb.is_cuda
    assert closest.solved.all()


def test_tensors_of_two_devices_are_refused():
    inputs = on("cuda", DATA)
    with pytest.raises(TypeError, match="h is on cpu, but Q is on cuda:0"):
        solve_qp(*inputs._replace(h=inputs.h.cpu()))


def test_the_work_is_done_on_the_tensors_own_device():
    """Each that there is, while the first one is current."""
    for index in range(torch.cuda.device_count()):
        assert_as_on_the_cpu(DATA, device=f"cuda:{index}")
        assert torch.cuda.current_device() == 0


@pytest.mark.filterwarnings("ignore:Sparse (CSR|CSC) tensor")
@pytest.mark.parametrize("form", ["coo", "csr", "csc", "Sparse"])
def test_sparse_tensors(form):
    data = known(np.random.default_rng(840), SMALL).data
    pattern = kktdiff.Pattern(data.G.shape, *np.indices(data.G.shape).reshape(2, -1))
    found = []
    for device in ("cuda", "cpu"):
        inputs = on(device, data)
        values = inputs.G.detach().clone()
        if form == "Sparse":
            leaf = values.reshape(-1).requires_grad_()
            G = kktdiff.Sparse(pattern, leaf)
        else:
            leaf = G = getattr(values, f"to_sparse_{form}")().requires_grad_()
        x = solve_qp(**inputs._replace(G=G)._asdict()).x
        (grad,) = torch.autograd.grad(x.square().sum(), leaf)
        assert grad.device.type == device
        assert form == "Sparse" or grad.layout == leaf.layout
        found.append((x, grad if form == "Sparse" else grad.to_dense()))
    for own, right in zip(*found, strict=True):
        torch.testing.assert_close(own.cpu(), right, rtol=0, atol=TIGHT_ANSWER)
