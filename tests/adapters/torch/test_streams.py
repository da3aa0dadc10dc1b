"""CUDA tensors without a GPU: CuPy's device and stream are torch's, in every thread.

The tensors of this file say that they are on CUDA and are not, and the CuPy that they meet is a
stand-in that reads them as NumPy arrays, and refuses outside of torch's stream.
"""

import contextlib
import sys
import threading
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import kktdiff
from tests.adapters.torch.tensors import SMALL, assert_same_fields, tensors, there
from tests.backends.fake_cupy import install, uninstall
from tests.problems import Answer, Data, known

torch = pytest.importorskip("torch")
from kktdiff.adapters.torch import _compiled, _exchange, solve_qp
from kktdiff.adapters.torch._functions import Call, Second

DEVICE = torch.device("cuda", 1)
METHODS = ("vjp", "jvp", "hvp", "second_jvp", "diagnostics", "certificate")
NO_PRICES = [None] * 4  # the inputs of soft rows
DATA = known(np.random.default_rng(821), SMALL, batch=(2,)).data


class OnCuda(torch.Tensor):
    """A tensor of the CPU that says it is on the second GPU."""

    device = property(lambda _: DEVICE)

    @staticmethod
    def of(data, grad=True):
        plain = tensors(data, grad=False)
        return Data(
            *(None if t is None else t.as_subclass(OnCuda).requires_grad_(grad) for t in plain)
        )


class Machine(threading.local):
    """What is current, thread by thread, as CuPy has it."""

    def __init__(self, log):
        self.log, self.current = log, ()  # ("device", 1), ("stream", 77)

    @contextlib.contextmanager
    def at(self, kind, value):
        before, self.current = self.current, (*self.current, (kind, value))
        self.log.append((threading.current_thread().name, "enter", kind, value))
        try:
            yield
        finally:
            self.log.append((threading.current_thread().name, "leave", kind, value))
            self.current = before

    def expect_torchs(self):
        assert self.current == (("device", 1), ("stream", 77)), self.current


@pytest.fixture
def machine(monkeypatch):
    """CuPy is there, torch is at stream 77; nothing may touch arrays elsewhere."""
    machine = Machine([])

    def from_external(stream):
        version, address = stream.__cuda_stream__()
        assert version == 0
        return machine.at("stream", address)

    def from_dlpack(tensor):
        machine.expect_torchs()
        assert not tensor.requires_grad
        assert not tensor.is_neg()
        return tensor.as_subclass(torch.Tensor).numpy()

    def current_stream(device):
        assert device == DEVICE
        return SimpleNamespace(cuda_stream=77)

    cupy = install(monkeypatch)
    cupy.from_dlpack = from_dlpack
    cupy.cuda.Device = lambda index: machine.at("device", index)
    cupy.cuda.Stream = SimpleNamespace(from_external=from_external)
    monkeypatch.setattr(torch.cuda, "current_stream", current_stream)
    for owner, names in ((kktdiff, ("solve_qp",)), (kktdiff.Solution, METHODS)):
        for name in names:
            monkeypatch.setattr(owner, name, within(machine, getattr(owner, name)))
    return machine


def within(machine, call):
    def checked(*arguments, **options):
        machine.expect_torchs()
        return call(*arguments, **options)

    return checked


# ---------------------------------------------------------------------------- on_stream itself


def test_device_and_stream_are_entered_and_left_in_order(machine):
    with _exchange.on_stream([None, OnCuda.of(DATA).p]):
        machine.expect_torchs()
    name = threading.current_thread().name
    entered = [(name, "enter", "device", 1), (name, "enter", "stream", 77)]
    left = [(name, "leave", "stream", 77), (name, "leave", "device", 1)]
    assert machine.log == entered + left


def test_both_are_left_after_an_error(machine):
    with pytest.raises(ZeroDivisionError), _exchange.on_stream([OnCuda.of(DATA).p]):
        raise ZeroDivisionError
    assert machine.current == ()
    assert len(machine.log) == 4


def test_a_sign_to_come_is_there_in_the_array(machine):
    tensor = torch.complex(torch.zeros(2), -torch.ones(2)).conj().imag.as_subclass(OnCuda)
    assert tensor.is_neg()
    with _exchange.on_stream([tensor]):
        np.testing.assert_array_equal(_exchange.to_array(tensor), [1.0, 1.0])


def test_expanded_tensors_stay_expanded(machine):
    tensor = torch.ones(3).expand(4, 3).as_subclass(OnCuda)
    with _exchange.on_stream([tensor]):
        assert _exchange.to_array(tensor).strides == (0, 4)


# ----------------------------------------------------------------------- everything is inside


def use(inputs, **options):
    """Forward, backward and double backward; the gradients of both."""
    solution = solve_qp(*inputs, **options)
    loss = solution.x.square().sum() + solution.lam.sum()
    grads = torch.autograd.grad(loss, there(inputs), create_graph=True)
    again = torch.autograd.grad(sum(g.square().sum() for g in grads), there(inputs))
    return [*grads, *again]


@pytest.fixture(scope="module")
def on_the_cpu():
    """What the same tensors give without all this."""
    return use(tensors(DATA))


def test_two_derivatives_are_those_of_the_cpu(on_the_cpu, machine):
    for found, expected in zip(use(OnCuda.of(DATA)), on_the_cpu, strict=True):
        assert torch.equal(found, expected)
    assert len(machine.log) == 5 * 4  # solve, vjp; hvp, jvp, vjp: each enters two and leaves them
    assert machine.current == ()


def test_backward_in_another_thread_enters_the_stream_there(machine):
    inputs = OnCuda.of(DATA)
    loss = solve_qp(*inputs).x.square().sum()
    before, failed = len(machine.log), []

    def backward():
        try:
            loss.backward()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=backward, name="autograd")
    thread.start()
    thread.join()
    assert failed == []
    assert [entry[0] for entry in machine.log[before:]] == ["autograd"] * 4
    assert inputs.p.grad is not None


def test_forward_mode_is_inside(machine):
    inputs = OnCuda.of(DATA, grad=False)

    def x(p):
        return solve_qp(*inputs._replace(p=p)).x

    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(inputs.p, torch.ones_like(inputs.p))
        moved = torch.autograd.forward_ad.unpack_dual(x(dual)).tangent
    assert moved.shape == DATA.p.shape
    assert len(machine.log) == 8


def test_second_tangents_are_inside(machine):
    inputs = OnCuda.of(DATA, grad=False)
    solution = solve_qp(*inputs).core
    before = len(machine.log)
    every = (*inputs, *NO_PRICES)
    moved = Second.apply(Call({}, Answer._fields), solution, (), *every, *every, *every)
    assert moved[0].shape == DATA.p.shape
    assert len(machine.log) - before == 4


def test_what_is_compiled_is_inside(machine):
    inputs = OnCuda.of(DATA)
    options = {"gradient": "exact", "smoothing": None}
    fields = _compiled.solve([*inputs, *NO_PRICES], options)
    grads = torch.autograd.grad(fields[0].sum(), there(inputs))
    assert len(machine.log) == 8
    assert all(torch.isfinite(g).all() for g in grads)


def test_diagnostics_and_certificates_are_inside(machine):
    solution = solve_qp(*OnCuda.of(DATA))._replace(x=OnCuda.of(DATA).p)  # the result's own device
    before = len(machine.log)
    assert solution.diagnostics().trustworthy.shape == (2,)
    assert solution.certificate().x.shape == (2, SMALL.n)
    assert len(machine.log) - before == 8


def test_weights_of_shifts_are_inside(machine):
    inputs = OnCuda.of(DATA, grad=False)
    weights = {"h": torch.ones(SMALL.m, dtype=torch.float64).as_subclass(OnCuda)}
    solution = solve_qp(*inputs, infeasible="closest", shift_weights=weights)
    assert solution.solved.all()


# ----------------------------------------------------------------------- where there is no CuPy


def test_without_cupy_the_sentence_says_why(monkeypatch):
    uninstall(monkeypatch)
    with pytest.raises(TypeError, match=r"on cuda:1, but CuPy is not installed: pip install"):
        solve_qp(*OnCuda.of(DATA))


def test_tensors_of_the_cpu_have_nothing_to_do_with_cupy(monkeypatch):
    cupy = ModuleType("cupy")  # without anything but a type, which arrays are compared with
    cupy.ndarray = type("ndarray", (), {})
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(torch.cuda, "current_stream", None)
    inputs = tensors(DATA)
    solution = solve_qp(*inputs)
    assert_same_fields(solution, kktdiff.solve_qp(*DATA))
    assert solution.diagnostics().trustworthy.shape == (2,)
    assert len(use(inputs)) == 2 * len(there(inputs))
