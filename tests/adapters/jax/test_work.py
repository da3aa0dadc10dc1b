"""How much work there is, and what is kept for it."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp

from kktdiff.adapters.jax import _direct, _kept, solve_qp
from tests.adapters.jax.inputs import EVERY, B, arrays, data, difference, loss, near
from tests.checks import assert_near
from tests.tolerances import SHARED


@pytest.fixture(scope="module", autouse=True)
def through_python():
    """Compiled code calls back, as it does for what the kernels are not called for."""
    jax.clear_caches()  # abstract values are among what is kept there
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(_direct, "_is_registered", lambda: False)
        yield
    jax.clear_caches()


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
