"""Where compiled code has the work done: in XLA's own memory, on copies, on a CUDA device.

There is none here. XLA's buffers are the host's, and CuPy is a stand-in that reads them as arrays
of a device, whose contents NumPy refuses; what CuPy is asked for is checked with the real one.
"""

import contextlib
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import kktdiff
from tests.backends.cuda.guard import Device
from tests.commands import command
from tests.tolerances import SHARED

jax = pytest.importorskip("jax")
import jax.numpy as jnp
from jax.interpreters import mlir

from kktdiff.adapters import _streams
from kktdiff.adapters.jax import _calls, _kept, _primitives, diagnostics, solve_qp
from tests.adapters.jax.inputs import EVERY, arrays, data, floats, loss, near, ways

pytestmark = pytest.mark.slow

WORK = (
    (_primitives.solve_p, _primitives._solve, _primitives._solve_shapes),
    (_primitives.form_p, _primitives._form, _primitives._form_shapes),
    (_primitives.report_p, _primitives._report, _primitives._report_shapes),
)


@pytest.fixture(autouse=True)
def fresh():
    """Nothing that was compiled for another place is used."""
    jax.clear_caches()
    yield
    jax.clear_caches()


@pytest.fixture
def lower(monkeypatch):
    """Compiled code on the CPU gets its work done as this function says."""
    rules = mlir._platform_specific_lowerings["cpu"]

    def install(how):
        for primitive, work, shapes in WORK:
            monkeypatch.setitem(rules, primitive, rules[primitive])  # to be put back
            rule = mlir.lower_fun(partial(how, work, shapes), multiple_results=True)
            mlir.register_lowering(primitive, rule, "cpu")

    return install


@pytest.fixture
def copies(lower):
    lower(_calls._with_copies)


@pytest.fixture
def streams(emulated, lower, monkeypatch):
    """The place is CUDA; a list of the (device, stream) that CuPy was put on."""
    entered, inside = [], []

    @contextlib.contextmanager
    def on(device, stream):
        entered.append((device, stream))
        inside.append(True)
        try:
            yield SimpleNamespace(
                asarray=lambda buffer: Device(np.asarray(buffer)),
                empty=lambda shape, dtype: Device(np.empty(shape, dtype)),
            )
        finally:
            inside.pop()

    own = kktdiff.solve_qp

    def solve(**arguments):
        if inside:  # and not the check of the call while it's traced
            assert isinstance(arguments["Q"], Device)
        return own(**arguments)

    monkeypatch.setattr(_streams, "on", on)
    monkeypatch.setattr(kktdiff, "solve_qp", solve)
    stream = SimpleNamespace(stream=77)  # XLA has none on the CPU, and says so
    lower(partial(_calls._in_place, lambda _, buffer: _calls._cuda(stream, buffer)))
    return entered


@pytest.fixture(params=["copies", "streams"])
def place(request):
    return request.getfixturevalue(request.param)


def batch():
    return arrays(data((4,)))


def test_every_derivative_is_the_same_in_each_place(place):
    inputs = batch()
    d = ways(data((4,)))
    near(jax.jit(solve_qp)(*inputs), solve_qp(*inputs))
    gradient = jax.grad(loss, EVERY)
    near(jax.jit(gradient)(*inputs), gradient(*inputs))
    along = lambda *a: jax.jvp(floats, a, d)[1]  # noqa: E731
    near(jax.jit(along)(*inputs), along(*inputs))
    twice = lambda *a: jax.jvp(gradient, a, d)[1]  # noqa: E731
    near(jax.jit(twice)(*inputs), twice(*inputs))
    rows = jax.jacrev(lambda p: solve_qp(inputs[0], p, *inputs[2:]).x[0])
    near(jax.jit(rows)(inputs[1]), rows(inputs[1]))
    near(jax.jit(diagnostics)(*inputs), diagnostics(*inputs))


def test_float32_and_integers_of_32_bits_in_each_place(place):
    jax.config.update("jax_enable_x64", False)
    inputs = batch()
    found = jax.jit(solve_qp)(*inputs)
    assert {str(found.x.dtype), str(found.status.dtype)} == {"float32", "int32"}
    near(found, solve_qp(*inputs), 1e-6)


def test_a_failure_and_an_empty_batch_in_each_place(place):
    Q, p, *rest = batch()
    bad = p.at[1].set(jnp.nan)
    gradient = jax.jit(jax.grad(lambda p: jnp.nansum(solve_qp(Q, p, *rest, on_failure="ignore").x)))
    assert not jnp.any(gradient(bad)[1])
    near(gradient(bad)[::2], gradient(p)[::2], SHARED)
    none = [v[:0] for v in batch()]
    found = jax.jit(jax.grad(loss, EVERY))(*none)
    assert [v.shape for v in found] == [v.shape for v in none]


def test_options_that_hold_arrays_in_each_place(place):
    inputs = batch()
    start = solve_qp(*inputs)
    found = jax.jit(lambda *a: solve_qp(*a, warm_start=start))(*inputs)
    assert jnp.all(found.iterations < start.iterations)
    G, h = jnp.array([[1.0], [-1.0]]), -jnp.ones(2)
    how = {"infeasible": "closest", "shift_weights": {"h": jnp.array([3.0, 1.0])}}
    apart = lambda h: solve_qp(jnp.eye(1), jnp.zeros(1), G, h, **how).x  # noqa: E731
    near(jax.jit(apart)(h), apart(h))


def test_kept_solutions_are_used_on_the_device(streams, monkeypatch):
    solved = []
    own = _kept._solved
    monkeypatch.setattr(_kept, "_solved", lambda *a: solved.append(a) or own(*a))
    jax.block_until_ready(jax.jit(jax.grad(loss, EVERY))(*batch()))
    assert len(solved) == 1
    (kept,) = [k for k in _kept._solutions.values() if k.solution.x.shape == (4, 3)][-1:]
    assert isinstance(kept.solution.x, Device)
    assert all(isinstance(v, Device) for v in kept.inputs.values())


def test_each_call_is_on_the_buffers_device_in_xlas_stream(streams):
    buffer = SimpleNamespace(__dlpack_device__=lambda: (2, 3), shape=(0, 2), dtype=np.dtype("f8"))
    with _calls._cuda(SimpleNamespace(stream=5), buffer) as array:
        assert array(buffer).shape == (0, 2)
    assert streams == [(3, 5)]
    jax.block_until_ready(jax.jit(jax.grad(loss, EVERY))(*batch()))
    assert streams[1:] == [(0, 77), (0, 77)]  # the solve and its derivative


def test_cuda_without_cupy_takes_copies(monkeypatch):
    class CopiedError(Exception):
        pass

    def copied(*_, **__):
        raise CopiedError

    monkeypatch.setattr(jax, "pure_callback", copied)
    for usable in (True, False):
        monkeypatch.setattr(_calls, "_cupy_is_usable", lambda usable=usable: usable)
        jax.clear_caches()
        traced = jax.jit(jax.grad(loss)).trace(*batch())
        if usable:
            text = traced.lower(lowering_platforms=("cuda",)).as_text()
            assert text.count("custom_call @xla_buffer_python_gpu_callback") == 2
        else:
            with pytest.raises(CopiedError):
                traced.lower(lowering_platforms=("cuda",))


def test_outside_of_jit_what_is_on_a_device_stays_there(streams, monkeypatch):
    monkeypatch.setattr(_calls, "_GPU", "cpu")
    monkeypatch.setattr(_calls, "_cupy_is_usable", lambda: True)
    inputs = batch()
    found, gradient = solve_qp(*inputs), jax.grad(loss, EVERY)(*inputs)
    assert len(streams) == 3
    solve_qp(*inputs)
    assert _calls._compiled.cache_info().hits
    monkeypatch.undo()
    near(found, solve_qp(*inputs))
    near(gradient, jax.grad(loss, EVERY)(*inputs))


def test_real_cupy_takes_the_stream():
    cupy = pytest.importorskip("cupy")
    assert cupy.cuda.Stream.from_external(_streams._Stream(77)).ptr == 77


ON_THE_CPU = """
import sys, jax, jax.numpy as jnp
from kktdiff.adapters.jax import solve_qp
for call in (solve_qp, jax.jit(solve_qp)):
    assert call(jnp.eye(2), jnp.ones(2)).solved
assert "cupy" not in sys.modules
"""


def test_on_the_cpu_no_cupy_is_loaded(repository):
    done = command(repository, "-c", ON_THE_CPU)
    assert done.returncode == 0, done.stderr


SHARDED = """
import numpy as np, jax, jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from kktdiff.adapters.jax import solve_qp
jax.config.update("jax_enable_x64", True)
assert len(jax.devices()) == 2
p = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))
spread = jax.device_put(p, NamedSharding(Mesh(np.array(jax.devices()), "i"), P("i")))
x = jax.jit(lambda p: solve_qp(jnp.eye(3), p, lb=jnp.full(3, -0.1)).x)
gradient = jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(x(p)))))
for f in (x, gradient):
    np.testing.assert_array_equal(f(spread), f(p))
"""


def test_arrays_that_are_sharded_are_solved_whole(repository, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    done = command(repository, "-c", SHARDED)
    assert done.returncode == 0, done.stderr
