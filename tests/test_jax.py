"""The JAX adapter: NumPy's derivatives, differences, and each transformation against its loop."""

import os
import subprocess
import sys

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_near
from tests.problems import Answer, Data, Sizes, feasible, known, tangent
from tests.tolerances import DENSE_REFERENCE, DIFFERENCE, SHARED, SINGLE_ANSWER

jax = pytest.importorskip("jax")
import jax.numpy as jnp

from kktdiff.adapters.jax import _kept, diagnostics, solve_qp

SMALL = Sizes(n=3, m=3, k=1, lower=True, upper=True)
EVERY = tuple(range(8))
TINY = Sizes(n=2, m=2, k=1, lower=True, upper=True)
B = 3
MODES = {"forward": jax.jacfwd, "reverse": jax.jacrev}


@pytest.fixture(autouse=True)
def double():
    """float64, as in the other tests; JAX's own default is float32."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def calls(monkeypatch):
    """How often `kktdiff.solve_qp` and the derivatives of its solutions are called."""
    counts = dict.fromkeys(("solve_qp", "vjp", "jvp", "hvp", "second_jvp"), 0)

    def counted(owner, name):
        own = getattr(owner, name)

        def call(*arguments, **options):
            counts[name] += 1
            return own(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    solve_qp(np.eye(1), np.ones(1))  # checks its options once, by a solve
    counted(_kept.kktdiff, "solve_qp")
    for name in ("vjp", "jvp", "hvp", "second_jvp"):
        counted(kktdiff.Solution, name)
    return counts


def rng():
    return np.random.default_rng(701)


def data(batch=(), sizes=SMALL):
    return known(rng(), sizes, batch=batch).data


def arrays(given):
    return tuple(None if a is None else jnp.asarray(a) for a in given)


def floats(*inputs, **options):
    solution = solve_qp(*inputs, **options)
    return {name: getattr(solution, name) for name in Answer._fields}


def loss(*inputs, **options):
    """In which every entry of every output counts differently, and bends."""
    flat = jnp.concatenate([v.ravel() for v in floats(*inputs, **options).values()])
    return jnp.sum(jnp.sin(flat) * jnp.linspace(-1, 2, flat.size))


def weights(solution):
    r = rng()
    return {name: r.normal(size=getattr(solution, name).shape) for name in Answer._fields}


def near(found, expected, tol=DENSE_REFERENCE):
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    for i, (left, right) in enumerate(pairs):
        assert_near(left, right, tol, str(i))


def difference(function, inputs, ways, step=1e-3):
    """Fourth-order central difference of a function of arrays along ways."""

    def at(t):
        return function(*(a + t * step * d for a, d in zip(inputs, ways, strict=True)))

    def combined(a, b, c, d):
        return (8 * (c - b) - (d - a)) / (12 * step)

    return jax.tree.map(combined, at(-2), at(-1), at(1), at(2))


def ways(given, seed=702):
    return arrays(tangent(np.random.default_rng(seed), given).values())


# The same as on NumPy arrays.


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("batch", [(), (B,)], ids=["one", "batch"])
def test_fields_and_derivatives_are_those_of_the_arrays(batch, compiled):
    given = data(batch)
    wrap = jax.jit if compiled else lambda f: f
    expected = kktdiff.solve_qp(*given)
    solution = wrap(solve_qp)(*arrays(given))
    for name in solution._fields[:13]:
        left, right = np.asarray(getattr(solution, name)), getattr(expected, name)
        assert left.dtype == right.dtype, name
        np.testing.assert_array_equal(left, right, err_msg=name)
    g = weights(expected)
    _, pull = jax.vjp(wrap(floats), *arrays(given))
    found, grads = pull({k: jnp.asarray(v) for k, v in g.items()}), expected.vjp(**g)
    near(found, [getattr(grads, name) for name in Data._fields], SHARED)
    d = tangent(rng(), given)
    moved = jax.jvp(wrap(floats), arrays(given), arrays(d.values()))[1]
    near(moved, {k: getattr(expected.jvp(**d), k) for k in moved}, SHARED)


@pytest.mark.parametrize(
    "way", [{"gradient": "smoothed", "smoothing": 0.1}, {"gradient": "least_squares"}], ids=str
)
def test_the_way_to_differentiate_goes_through(way):
    given = data()
    expected = kktdiff.solve_qp(*given).vjp(np.ones(3), **way)
    grads = jax.grad(lambda *a: solve_qp(*a, **way).x.sum(), EVERY)(*arrays(given))
    near(grads, [getattr(expected, name) for name in Data._fields], SHARED)


def test_blocks_that_are_absent():
    Q, p = jnp.eye(2), jnp.array([1.0, -1.0])
    found = jax.jit(jax.jacrev(lambda p, ub: solve_qp(Q, p, ub=ub).x, (0, 1)))(p, jnp.zeros(2))
    near(found, (jnp.diag(jnp.array([-1.0, 0.0])), jnp.diag(jnp.array([0.0, 1.0]))))


def test_what_is_shared_gets_the_sum():
    given = feasible(rng(), SMALL, {"p": (B,), "G": (2, 1)})
    expected = kktdiff.solve_qp(*given)
    assert expected.x.shape == (2, B, 3)
    grads = jax.grad(lambda *a: solve_qp(*a).x.sum(), EVERY)(*arrays(given))
    expected = expected.vjp(np.ones((2, B, 3)))
    near(grads, [getattr(expected, name) for name in Data._fields], SHARED)


# Differences.


@pytest.mark.parametrize("name", Data._fields)
def test_first_derivatives_against_differences(name):
    given = data()
    inputs = arrays(given)
    at = Data._fields.index(name)
    d = ways(given)[at]

    def function(value):
        return floats(*inputs[:at], value, *inputs[at + 1 :])

    expected = difference(function, (inputs[at],), (d,))
    near(jax.jvp(function, (inputs[at],), (d,))[1], expected, DIFFERENCE)
    back = jax.jacrev(function)(inputs[at])
    product = {k: jnp.tensordot(v, d, d.ndim) for k, v in back.items()}
    near(product, expected, DIFFERENCE)


@pytest.fixture(scope="module")
def second():
    """The gradient's derivative along a direction, by differences."""
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        given = data(sizes=TINY)
        return difference(jax.grad(loss, EVERY), arrays(given), ways(given))


@pytest.mark.parametrize("outer", MODES)
@pytest.mark.parametrize("inner", MODES)
def test_the_hessian_in_four_pairs_of_modes(outer, inner, second):
    given = data(sizes=TINY)
    inputs = arrays(given)
    hessian = jax.jit(MODES[outer](MODES[inner](loss, EVERY), EVERY))(*inputs)
    found = [
        sum(jnp.tensordot(block, d, d.ndim) for block, d in zip(row, ways(given), strict=True))
        for row in hessian
    ]
    near(found, second, DIFFERENCE)


def test_third_derivatives_are_refused():
    Q, one = jnp.eye(2), jnp.ones(2)
    f = jax.grad(lambda t: jax.grad(lambda t: solve_qp(Q * t, t**2 * one).objective)(t))
    with pytest.raises(NotImplementedError, match="third derivatives"):
        jax.grad(f)(1.0)


def test_second_derivatives_of_smoothed_gradients_are_refused():
    f = lambda p: jnp.sum(solve_qp(jnp.eye(2), p, gradient="smoothed").x ** 2)  # noqa: E731
    with pytest.raises(NotImplementedError, match='second derivatives with gradient="smoothed"'):
        jax.hessian(f)(jnp.ones(2))


# How much work.


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_a_gradient_is_one_solve_and_one_vjp(calls, compiled):
    f = jax.value_and_grad(loss, EVERY)
    f = jax.jit(f) if compiled else f
    given = arrays(data((B,)))
    jax.block_until_ready(f(*given))
    before = dict(calls)
    jax.block_until_ready(f(*given))
    made = {name: calls[name] - before[name] for name in calls}
    assert made == {"solve_qp": 1, "vjp": 1, "jvp": 0, "hvp": 0, "second_jvp": 0}


@pytest.mark.parametrize(
    ("make", "solves"),
    [
        (lambda f: jax.vmap(jax.grad(f, EVERY), in_axes=(None, 0, *[None] * 6)), 1),
        (lambda f: jax.grad(lambda *a: jax.vmap(f, (None, 0, *[None] * 6))(*a).sum(), EVERY), 1),
        (lambda f: jax.vmap(jax.hessian(f, 1), in_axes=(None, 0, *[None] * 6)), 1),
        (lambda f: jax.vmap(jax.jacfwd(jax.grad(f, 1)), in_axes=(None, 0, *[None] * 6)), 1),
    ],
    ids=["vmap of grad", "grad of vmap", "vmap of hessian", "mixed"],
)
def test_vmap_is_one_solve(calls, make, solves):
    Q, p, *rest = arrays(data())
    p = p + 0.1 * jnp.arange(B)[:, None]
    f = jax.jit(make(loss))
    jax.block_until_ready(f(Q, p, *rest))
    before = calls["solve_qp"]
    jax.block_until_ready(f(Q, p, *rest))
    assert calls["solve_qp"] - before == solves


def test_solutions_that_are_kept_are_bounded_and_solved_again_when_gone(monkeypatch, calls):
    monkeypatch.setattr(_kept, "KEPT", 2)
    Q, p, *rest = arrays(data())

    def chain(p):
        for _ in range(4):
            p = p + 0.1 * solve_qp(Q, p, *rest).x
        return p.sum()

    found = jax.grad(chain)(p)
    assert len(_kept._solutions) <= 2
    assert calls["solve_qp"] > 4
    near(found, difference(jax.jacfwd(chain), (p,), (0 * p,)) + jax.jacfwd(chain)(p))


def test_solutions_that_are_kept_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(_kept, "KEPT_BYTES", 1)
    given = arrays(data())
    for _ in range(3):
        jax.grad(loss)(*given)
    assert len(_kept._solutions) == 1


def test_solutions_that_had_their_derivative_go_first(monkeypatch, calls):
    monkeypatch.setattr(_kept, "USED_BYTES", 1)
    Q, p, *rest = arrays(data())
    _kept._solutions.clear()
    for _ in range(3):
        jax.grad(loss)(Q, p, *rest)
    assert len(_kept._solutions) == 1
    pulls = [jax.vjp(lambda p: solve_qp(Q, p, *rest).x, t * p)[1] for t in (1.0, 2.0, 3.0)]
    assert [kept.used for kept in _kept._solutions.values()] == [False] * 3
    before = calls["solve_qp"]
    for pull in pulls:
        pull(jnp.ones(3))
    assert calls["solve_qp"] == before
    assert [kept.used for kept in _kept._solutions.values()] == [True] * 3
    jax.vjp(lambda p: solve_qp(Q, p, *rest).x, p)
    assert [kept.used for kept in _kept._solutions.values()] == [False]


def test_without_derivatives_nothing_is_kept():
    before = list(_kept._solutions)
    jax.block_until_ready(jax.jit(solve_qp)(*arrays(data())))
    assert list(_kept._solutions) == before


def test_a_number_that_belongs_to_other_data_is_not_believed():
    Q, p = np.eye(2), np.ones(2)
    call = _kept.Call(())
    _, number = _kept.solve(call, {"Q": Q, "p": p}, keep=True)
    (found,) = _kept.derivative(
        call, number, {"Q": 2 * Q, "p": p}, [("in", {"p": np.ones(2)})], ("x",), ()
    )
    assert_near(found, np.full(2, -0.5), SHARED)


def test_memory_that_is_used_again_changes_nothing_that_is_kept(calls):
    Q, p = np.eye(2), np.ones(2)
    own = {"Q": Q.copy(), "p": p.copy()}
    call = _kept.Call(())
    _, number = _kept.solve(call, own, keep=True)
    own["Q"][:] = own["p"][:] = 7.0  # as XLA may
    (found,) = _kept.derivative(
        call, number, {"Q": Q, "p": p}, [("in", {"p": np.ones(2)})], ("x",), ()
    )
    assert_near(found, np.full(2, -1.0), SHARED)
    assert calls["solve_qp"] == 1


# When to trust a gradient.


@pytest.fixture
def kinked():
    """A batch in which the second element's bound is weakly active and the third has a NaN."""
    given = data((B,))._replace(lb=None, ub=np.full(3, 10.0))
    x = kktdiff.solve_qp(*given).x
    ub = np.stack([given.ub, x[1], np.array([10.0, np.nan, 10.0])])
    return given._replace(ub=ub)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_diagnostics_are_those_of_the_arrays(kinked, compiled):
    expected = kktdiff.solve_qp(*kinked, on_failure="ignore").diagnostics()
    assert expected.trustworthy.tolist() == [True, False, False]
    call = lambda *a: diagnostics(*a[:6], ub=a[6], on_failure="ignore")  # noqa: E731
    inputs = arrays(v for v in kinked if v is not None)
    for function in (call, jax.vmap(call, (0, 0, 0, 0, 0, 0, 0))):
        found = (jax.jit if compiled else lambda f: f)(function)(*inputs)
        for name, value in found._asdict().items():
            right = getattr(expected, name)
            assert (value.shape, value.dtype) == (right.shape, right.dtype)
            np.testing.assert_array_equal(value, right, err_msg=name)
    single = [v.astype(jnp.float32) for v in inputs]
    assert call(*single).margin.dtype == jnp.float32


def test_diagnostics_use_what_a_gradient_has_left(calls):
    given = arrays(data((B,)))
    solve_qp(*given, tol=1e-9)  # checks these options too
    jax.grad(loss)(*given)
    before = calls["solve_qp"]
    diagnostics(*given)
    assert calls["solve_qp"] == before
    diagnostics(*given, tol=1e-9)
    diagnostics(given[0], 2 * given[1], *given[2:])
    assert calls["solve_qp"] == before + 2


def test_diagnostics_are_constants_to_derivatives():
    given = arrays(data())

    def condition(p):
        return diagnostics(given[0], p, *given[2:]).condition + p[0]

    near(jax.jit(jax.grad(condition))(given[1]), jnp.array([1.0, 0.0, 0.0]))
    with pytest.raises(ValueError, match="G was given without h"):
        diagnostics(*given[:3])


# Transformations against loops.

DIMS = Data(Q=2, p=1, G=2, h=2, A=None, b=0, lb=None, ub=2)
BATCHES = {"Q": (B,), "p": (B, 2, 3), "G": (B, 3), "h": (B, 2, 1), "b": (B,), "ub": (B, 1)}


@pytest.fixture
def mapped():
    """The inputs with the mapped dimension at DIMS, and each element's inputs."""
    given = feasible(rng(), TINY, BATCHES)
    elements = [
        tuple(a if d is None else a[i] for a, d in zip(given, DIMS, strict=True)) for i in range(B)
    ]
    moved = (a if d is None else np.moveaxis(a, 0, d) for a, d in zip(given, DIMS, strict=True))
    return arrays(moved), [arrays(e) for e in elements]


def hvp(*inputs):
    return jax.jvp(jax.grad(loss, EVERY), inputs, tuple(map(jnp.cos, inputs)))[1]


def jhj(*inputs):
    return jax.vjp(lambda *a: jax.jvp(floats, a, tuple(map(jnp.cos, a)))[1]["x"], *inputs)[1](
        jnp.ones((2, 3, 2))
    )


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("function", [floats, jax.grad(loss, EVERY), hvp, jhj], ids=range(4))
def test_vmap_is_the_loop(mapped, function, compiled):
    inputs, elements = mapped
    wrap = jax.jit if compiled else lambda f: f
    found = wrap(jax.vmap(function, tuple(DIMS)))(*inputs)
    loop = [function(*own) for own in elements]
    near(found, jax.tree.map(lambda *v: jnp.stack(v), *loop))


def test_vmap_of_vmap_and_of_jacobians():
    Q, p, *rest = arrays(data(sizes=TINY))
    many = p + 0.1 * jnp.arange(6).reshape(2, 3, 1)
    function = jax.jit(jax.hessian(lambda p: loss(Q, p, *rest)))
    found = jax.vmap(jax.vmap(function))(many)
    near(found, jnp.stack([jnp.stack([function(v) for v in row]) for row in many]))


def test_scan_is_the_loop():
    Q, p, *rest = arrays(data(sizes=TINY))

    def step(p, w):
        x = solve_qp(Q, p, *rest).x
        return p + 0.1 * w * x, x

    def by_scan(p, w):
        last, xs = jax.lax.scan(step, p, w)
        return jnp.sum(last**2) + jnp.sum(xs)

    def by_loop(p, w):
        xs = []
        for one in w:
            p, x = step(p, one)
            xs.append(x)
        return jnp.sum(p**2) + jnp.sum(jnp.stack(xs))

    w = jnp.array([1.0, 2.0, 3.0])
    for way in (jax.grad, jax.jacfwd, jax.hessian):
        near(jax.jit(way(by_scan))(p, w), jax.jit(way(by_loop))(p, w))
    many = jnp.stack([p, 1.1 * p])
    found = jax.vmap(jax.grad(by_scan), (0, None))(many, w)
    near(found, jnp.stack([jax.grad(by_loop)(v, w) for v in many]))


def test_a_branch_of_cond_under_vmap():
    Q, p, *rest = arrays(data(sizes=TINY))

    def function(p):
        return jax.lax.cond(p[0] > 0, lambda p: loss(Q, p, *rest), jnp.sum, p)

    many = jnp.stack([jnp.abs(p), -jnp.abs(p)])
    near(jax.vmap(jax.grad(function))(many), jnp.stack([jax.grad(function)(v) for v in many]))


def test_linearize_checkpoint_and_jit_inside():
    given = data()
    inputs, d = arrays(given), ways(given)
    expected = jax.jvp(floats, inputs, d)[1]
    near(jax.linearize(floats, *inputs)[1](*d), expected, SHARED)
    near(jax.jvp(jax.jit(floats), inputs, d)[1], expected, SHARED)
    grads = jax.grad(loss, EVERY)(*inputs)
    near(jax.grad(jax.checkpoint(loss), EVERY)(*inputs), grads, SHARED)
    transposed = jax.linear_transpose(lambda *t: jax.jvp(floats, inputs, t)[1]["x"], *inputs)
    near(transposed(jnp.ones(3)), jax.grad(lambda *a: solve_qp(*a).x.sum(), EVERY)(*inputs), SHARED)


SHARD_MAP = """
import numpy as np, jax, jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec as P
from kktdiff.adapters.jax import solve_qp
jax.config.update("jax_enable_x64", True)
shard_map = getattr(jax, "shard_map", None)
if shard_map is None:
    from jax.experimental.shard_map import shard_map
assert len(jax.devices()) == 2
Q, p = 2 * jnp.eye(3), jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))
alone = lambda Q, p: solve_qp(Q, p, lb=jnp.full(3, -0.1)).x
how = dict(mesh=Mesh(np.array(jax.devices()), "i"), in_specs=(P(), P("i")), out_specs=P("i"))
both = jax.jit(shard_map(alone, **how, **OPTION))
loss = lambda f: lambda Q, p: jnp.sum(jnp.sin(f(Q, p)))
compiled = jax.jit(both).lower(Q, p).compile().as_text()
assert not any(word in compiled for word in ("all-gather", "all-reduce", "collective"))
np.testing.assert_array_equal(both(Q, p), alone(Q, p))
for way in (jax.grad, jax.hessian):
    for left, right in zip(way(loss(both), 1)(Q, p), way(loss(alone), 1)(Q, p)):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-11)
left, right = jax.grad(loss(both))(Q, p), jax.grad(loss(alone))(Q, p)
np.testing.assert_allclose(left, right, rtol=0, atol=1e-11)
"""


def test_shard_map_on_two_devices_needs_no_collectives(repository):
    flags = "--xla_force_host_platform_device_count=2"
    name = "check_vma" if hasattr(jax, "shard_map") else "check_rep"
    done = subprocess.run(
        [sys.executable, "-c", SHARD_MAP.replace("OPTION", f"{{{name!r}: False}}")],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# float32, failures, wrong calls.


def test_float32_comes_back_as_float32():
    given = data((B,))
    jax.config.update("jax_enable_x64", False)
    inputs = arrays(given)
    solution = solve_qp(*inputs)
    expected = kktdiff.solve_qp(*given)
    assert {str(v.dtype) for v in solution[:7]} == {"float32"}
    assert str(solution.status.dtype) == "int32"
    near(solution.x, expected.x, SINGLE_ANSWER)
    grads = jax.jit(jax.grad(lambda *a: solve_qp(*a).x.sum(), EVERY))(*inputs)
    assert {str(v.dtype) for v in grads} == {"float32"}
    near(grads, arrays(vars(expected.vjp(np.ones((B, 3)))).values()), SINGLE_ANSWER)


def test_one_bad_element_changes_nothing_of_the_others():
    Q, p, *rest = arrays(data((B,)))
    bad = p.at[1].set(jnp.nan)

    def total(p):
        solution = solve_qp(Q, p, *rest, on_failure="ignore")
        return jnp.sum(jnp.where(solution.solved[:, None], solution.x, 0.0) ** 2), solution

    for wrap in (jax.jit, lambda f: f):
        grad = wrap(jax.grad(total, has_aux=True))
        (found, solution), (expected, whole) = grad(bad), grad(p)
        assert solution.status.tolist() == [0, int(kktdiff.Status.INVALID_DATA), 0]
        np.testing.assert_array_equal(found[1], np.zeros(3))
        np.testing.assert_array_equal(found[::2], expected[::2])
        np.testing.assert_array_equal(solution.x[::2], whole.x[::2])
        assert np.isnan(solution.x[1]).all()


def test_what_is_not_solved_is_said_once_also_in_compiled_code():
    p = jnp.array([[1.0], [jnp.nan]])
    gradient = jax.grad(lambda p: jnp.nansum(solve_qp(jnp.eye(1), p).x))
    for function in (gradient, jax.jit(gradient)):
        with pytest.warns(kktdiff.SolveWarning, match="1 of 2") as caught:
            jax.block_until_ready(function(p))
        assert len(caught) == 1


def test_what_is_solved_again_is_not_said_again(monkeypatch):
    monkeypatch.setattr(_kept, "KEPT", 1)
    p = jnp.array([[1.0], [jnp.nan]])
    with pytest.warns(kktdiff.SolveWarning) as caught:
        jax.grad(lambda p: sum(jnp.nansum(solve_qp(c * jnp.eye(1), p).x) for c in (1.0, 2.0)))(p)
    assert len(caught) == 2


def test_a_warning_points_at_the_caller():
    with pytest.warns(kktdiff.SolveWarning) as caught:
        solve_qp(jnp.eye(1), jnp.array([jnp.nan]))
    assert caught[0].filename == __file__


def test_on_failure_raise():
    p = jnp.array([jnp.nan])
    with pytest.raises(kktdiff.SolveError):
        solve_qp(jnp.eye(1), p, on_failure="raise")
    with pytest.raises(Exception, match="SolveError"):
        jax.block_until_ready(jax.jit(lambda p: solve_qp(jnp.eye(1), p, on_failure="raise").x)(p))


def test_infeasible_closest():
    given = Data(np.eye(1), np.zeros(1), np.array([[1.0], [-1.0]]), np.array([-1.0, -1.0]))
    option = {"infeasible": "closest"}
    expected = kktdiff.solve_qp(*given, **option)
    inputs = arrays(given)[:4]
    found = jax.jit(lambda *a: solve_qp(*a, **option))(*inputs)
    np.testing.assert_array_equal(found.shift_h, expected.shift_h)
    assert found.shift_b is None
    grads = jax.grad(lambda *a: solve_qp(*a, **option).x.sum(), tuple(range(4)))(*inputs)
    near(grads, [getattr(expected.vjp(np.ones(1)), k) for k in "QpGh"], SHARED)
    heavy = {"h": np.array([3.0, 1.0])}
    expected = kktdiff.solve_qp(*given, **option, shift_weights=heavy)
    found = solve_qp(*inputs, **option, shift_weights=heavy)
    np.testing.assert_array_equal(found.x, expected.x)


def test_warm_start_of_either_kind():
    given = data((B,))
    for start in (kktdiff.solve_qp(*given), solve_qp(*arrays(given))):
        found = solve_qp(*arrays(given), warm_start=start)
        cold = solve_qp(*arrays(given))
        assert jnp.all(found.iterations < cold.iterations)
        near(found.x, cold.x)


Q2, P2 = np.eye(2), np.ones(2)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((None, P2), {}, TypeError, "Q is None"),
        (([[1.0]], P2), {}, TypeError, "Q is a list"),
        ((Q2, np.ones(3)), {}, ValueError, r"Q has shape \(2, 2\)"),
        ((Q2, P2, np.ones((1, 2))), {}, ValueError, "G was given without h"),
        ((np.ones((3, 2, 2)), np.ones((4, 2))), {}, ValueError, "do not broadcast"),
        ((Q2, P2.astype(np.float32)), {}, TypeError, "p has dtype float32, but Q has float64"),
        ((Q2.astype(int), P2), {}, TypeError, "Q has dtype int64"),
        ((Q2, P2), {"infeasible": "near"}, ValueError, "infeasible='near'"),
        ((Q2, P2), {"on_failure": "shout"}, ValueError, "on_failure='shout'"),
        ((Q2, P2), {"tol": -1.0}, ValueError, "tol"),
        ((Q2, P2), {"gradient": "smoth"}, ValueError, "gradient='smoth'"),
        ((Q2, P2), {"smoothing": 1.0}, ValueError, "smoothing=1.0"),
        ((Q2, P2), {"colour": 1}, TypeError, "colour"),
    ],
)
def test_a_wrong_call_is_refused_while_it_is_traced(arguments, options, error, words):
    with pytest.raises(error, match=words):
        solve_qp(*arguments, **options)
    is_array = [isinstance(a, np.ndarray) for a in arguments]
    traced = [a for a, there in zip(arguments, is_array, strict=True) if there]

    def function(*some):
        left = iter(some)
        both = zip(arguments, is_array, strict=True)
        return solve_qp(*(next(left) if there else a for a, there in both), **options).x

    with pytest.raises(error, match=words):
        jax.eval_shape(function, *map(jnp.asarray, traced))
