"""Compiled code that calls the kernels itself: the bits of the callback, and its way out."""

import numpy as np
import pytest

import kktdiff
from kktdiff import kernels

jax = pytest.importorskip("jax")
import jax.numpy as jnp

from kktdiff.adapters.jax import Solution, solve_qp
from kktdiff.kernels import xla
from tests.adapters.jax.inputs import B, arrays, data, difference, floats, loss, near, ways
from tests.problems import Sizes

FORMS = [
    Sizes(n=3, m=3, k=1, lower=True, upper=True),
    Sizes(n=4, m=9),
    Sizes(n=4, k=2),
    Sizes(n=4, k=1, upper=True),
    Sizes(n=5, m=2, lower=True, rank=4),
]


@pytest.fixture(autouse=True)
def direct():
    """Skip where the kernels are missing."""
    if kernels.available() is not None:
        pytest.skip("there are no kernels")


def given(sizes, batch=(), dtype=np.float64):
    found = {k: v for k, v in data(batch, sizes)._asdict().items() if v is not None}
    return {k: jnp.asarray(v, dtype) for k, v in found.items()}


OUTPUTS = ("x", "s", "lam", "nu", "lam_lb", "objective")


def weights(size, dtype):
    return np.linspace(-1, 2, size).astype(dtype)


def total(inputs):
    """The loss of all outputs, and what it is made of."""
    solution = solve_qp(**inputs)
    flat = jnp.concatenate([getattr(solution, name).ravel() for name in OUTPUTS])
    return jnp.sum(flat * weights(flat.size, flat.dtype)), solution


def same(found, expected):
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    for left, right in pairs:
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


def by_arrays(inputs):
    """The gradient of `total` and the solution, as the callback has them: NumPy's."""
    jax.eval_shape(total, inputs)  # checks each form once, by a solve: not to be counted
    solution = kktdiff.solve_qp(**{name: np.asarray(v) for name, v in inputs.items()})
    outputs = {name: np.asarray(getattr(solution, name)) for name in OUTPUTS}
    sizes = [v.size for v in outputs.values()]
    parts = np.split(weights(sum(sizes), outputs["x"].dtype), np.cumsum(sizes)[:-1])
    pairs = zip(outputs.items(), parts, strict=True)
    grads = solution.vjp(**{name: part.reshape(v.shape) for (name, v), part in pairs})
    fields = {name: getattr(solution, name) for name in Solution._fields}
    found = {name: getattr(grads, name) for name in inputs}, Solution(**fields)
    return jax.tree.map(jnp.asarray, found)


CALLS = [(sizes, (B,), dtype) for sizes in FORMS for dtype in (np.float64, np.float32)]
CALLS += [(FORMS[0], batch, np.float64) for batch in ((), (1,), (2, 5))]


@pytest.mark.parametrize(("sizes", "batch", "dtype"), CALLS)
def test_the_bits_are_those_of_the_callback(calls, sizes, batch, dtype):
    inputs = given(sizes, batch, dtype)
    expected = by_arrays(inputs)
    before = dict(calls)
    same(jax.jit(solve_qp)(**inputs), expected[1])
    same(jax.jit(jax.grad(total, has_aux=True))(inputs), expected)
    if dtype is np.float64 or sizes.rank is None:  # else Q has noise to be removed
        assert calls == before  # Python had no part in it


@pytest.mark.parametrize("shared", [("Q",), ("G", "A"), ("Q", "G", "h", "A", "b", "lb", "ub")])
def test_of_what_elements_share_the_gradient_is_their_sum(calls, shared):
    inputs = given(FORMS[0], (B,))
    inputs |= {name: inputs[name][1] for name in shared}
    expected = by_arrays(inputs)
    same(jax.jit(jax.grad(total, has_aux=True))(inputs), expected)
    own = {k: v for k, v in inputs.items() if k not in shared}
    before = dict(calls)
    rest = {k: inputs[k] for k in shared}
    found = jax.jit(jax.grad(lambda own: total(own | rest)[0]))(own)
    same(found, {k: expected[0][k] for k in own})
    assert calls == before


def test_x64_is_not_needed():
    jax.config.update("jax_enable_x64", False)
    inputs = given(FORMS[0], (B,), np.float32)
    same(jax.jit(jax.grad(total, has_aux=True))(inputs), by_arrays(inputs))


def test_an_asymmetric_q_and_one_with_noise_of_float32():
    r = np.random.default_rng(5)
    low = r.normal(size=(B, 6, 2)).astype(np.float32)
    inputs = given(Sizes(n=6, m=4, lower=True, upper=True), (B,), np.float32)
    for Q in (low @ low.mT, inputs["Q"] + jnp.triu(jnp.ones((6, 6)), 1).astype(np.float32)):
        one = inputs | {"Q": jnp.asarray(Q)}
        same(jax.jit(jax.grad(total, has_aux=True))(one), by_arrays(one))


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("batch", [(), (B,)], ids=str)
def test_a_diagonal_q_without_g(calls, batch, rows):
    inputs = given(Sizes(n=4, k=rows, lower=True, upper=True), batch)
    inputs["Q"] = inputs["Q"] * np.eye(4)
    expected = by_arrays(inputs)
    before = dict(calls)
    same(jax.jit(jax.grad(total, has_aux=True))(inputs), expected)
    assert calls == before


def test_a_batch_of_which_some_have_a_diagonal_q_is_left_to_python(calls):
    inputs = given(Sizes(n=4, lower=True, upper=True), (B,))
    inputs["Q"] = inputs["Q"].at[1].multiply(np.eye(4))
    expected = by_arrays(inputs)
    before = calls["solve_qp"]
    same(jax.jit(jax.grad(total, has_aux=True))(inputs), expected)
    assert calls["solve_qp"] == before + 1


@pytest.mark.parametrize("fault", [np.nan, "infeasible", "nonconvex"])
def test_a_batch_with_an_unsolved_element_is_solved_by_python(calls, fault):
    inputs = given(FORMS[1], (B,))
    if fault == "infeasible":
        inputs["G"] = inputs["G"].at[1, 1].set(-inputs["G"][1, 0])
        inputs["h"] = inputs["h"].at[1, :2].set(-1.0)
    elif fault == "nonconvex":
        inputs["Q"] = inputs["Q"].at[1].multiply(-1.0)
    else:
        inputs["p"] = inputs["p"].at[1].set(fault)
    with pytest.warns(kktdiff.SolveWarning, match="1 of 3"):
        expected = by_arrays(inputs)
    before = calls["solve_qp"]
    compiled = jax.jit(jax.grad(total, has_aux=True))
    with pytest.warns(kktdiff.SolveWarning, match="1 of 3"):
        found = jax.block_until_ready(compiled(inputs))
    assert calls["solve_qp"] == before + 1
    same(found, expected)
    assert not found[0]["p"][1].any()


def test_a_singular_system_of_the_pullback_is_left_to_python(calls):
    G = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # one active row twice
    inputs = {"Q": jnp.eye(2), "p": -jnp.ones(2), "G": G, "h": jnp.array([0.5, 0.5, 5.0])}
    expected = by_arrays(inputs)
    before = dict(calls)
    same(jax.jit(jax.grad(total, has_aux=True))(inputs), expected)
    assert (calls["solve_qp"], calls["vjp"]) == (before["solve_qp"] + 1, before["vjp"] + 1)


@pytest.mark.parametrize(
    "options",
    [
        {"infeasible": "closest"},
        {"backend": "cupy"},
        {"verbose": True},
        {"warm_start": 1},
        {"soft": 1},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_of_the_array_code_are_left_to_it(options):
    shapes = {"Q": (3, 3), "p": (3,), "G": (9, 3), "h": (9,)}
    plain = {"tol": 1e-6, "max_iter": 9, "backend": "numpy", "on_failure": "raise"}
    assert xla.problem(shapes, "float64", **plain) is not None
    assert xla.problem(shapes, "float64", **options) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"p": (0, 3)},
        {"p": (2, 3), "h": (5, 2, 9)},
        {"Q": (200, 200), "p": (200,), "G": (9, 200)},
        {"soft_h": (9,)},
    ],
    ids=["no elements", "partly shared", "large", "soft"],
)
def test_shapes_that_python_is_for(changed):
    shapes = {"Q": (3, 3), "p": (3,), "G": (9, 3), "h": (9,)} | changed
    assert xla.problem(shapes, "float64") is None


def test_tolerance_and_iterations_count():
    inputs = given(FORMS[0])
    for options in ({"tol": 1e-3}, {"max_iter": 0, "on_failure": "ignore"}):
        found = jax.jit(lambda inputs, options=options: solve_qp(**inputs, **options))(inputs)
        with jax.disable_jit():
            same(found, solve_qp(**inputs, **options))


def test_other_derivatives_solve_once_again(calls):
    inputs = arrays(data((B,)))
    d = ways(data((B,)))
    f = jax.jit(lambda *d: jax.jvp(floats, inputs, d))
    jax.block_until_ready(f(*d))
    before = calls["solve_qp"]
    _, found = f(*d)
    assert calls["solve_qp"] == before + 1
    near(found, difference(floats, inputs, d))


@pytest.mark.parametrize("kind", ["vmap of cond", "scan", "checkpoint", "vmap of shared"])
def test_what_is_kept_goes_through_other_transformations(kind):
    Q, p, *rest = arrays(data())
    p = p + 0.1 * jnp.arange(B)[:, None]

    def one(p):
        return loss(Q, p, *rest)

    makes = {
        "vmap of cond": jax.vmap(
            jax.grad(lambda q: jax.lax.cond(q[0] > p[0, 0], lambda q: q.sum(), one, q))
        ),
        "scan": jax.grad(lambda p: jax.lax.scan(lambda s, q: (s + one(q), None), 0.0, p)[0]),
        "checkpoint": jax.grad(lambda p: jax.vmap(jax.checkpoint(one))(p).sum()),
        "vmap of shared": jax.grad(lambda p: jax.vmap(lambda t: one(t * p[0]))(p[:, 1]).sum()),
    }
    if kind == "vmap of shared":
        expected = jax.grad(lambda p: sum(one(t * p[0]) for t in p[:, 1]))(p)
    else:
        expected = jnp.stack([jax.grad(one)(v) for v in p])
    if kind == "vmap of cond":  # the first alone is solved
        expected = expected.at[1:].set(1.0)
    near(jax.jit(makes[kind])(p), expected)


@pytest.mark.parametrize("moved", [False, True], ids=["one problem", "one for each"])
def test_a_state_that_another_branch_left_empty_is_not_used(moved):
    """Where cond becomes a select, what is kept has zeros for those that did not solve."""
    Q, p, *rest = arrays(data())

    def f(t, p):
        q = t * p if moved else p
        return jax.lax.cond(t > 0, lambda t: t * loss(Q, q, *rest), lambda t: t + p.sum(), t)

    def expected(t):
        q = t * p if moved else p
        slope = t * jax.grad(lambda q: loss(Q, q, *rest))(q)
        return (t * slope if moved else slope) if t > 0 else jnp.ones_like(p)

    t = jnp.array([-1.0, 1.0, 0.5])
    found = jax.jit(jax.vmap(jax.grad(f, 1), (0, None)))(t, p)
    near(found, jnp.stack([expected(v) for v in t]))
