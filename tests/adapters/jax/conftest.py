"""Fixtures for the tests of the JAX adapter."""

import numpy as np
import pytest

import kktdiff


@pytest.fixture(autouse=True)
def double():
    """float64, as in the other tests; JAX's own default is float32."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def calls(monkeypatch):
    """How often `kktdiff.solve_qp` and the derivatives of its solutions are called."""
    from kktdiff.adapters.jax import _kept, solve_qp

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
