"""qpax, in JAX."""

from typing import Any

from kktdiff.bench import Contestant, Problem

PACKAGES = ("qpax", "jax", "jaxlib")
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "implicit, solver_tol=1e-9, target_kappa=1e-9": {
        "backend": "i",
        "solver_tol": 1e-9,
        "target_kappa": 1e-9,
    },
}


def build(problem: Problem, **options: Any) -> Contestant:
    """`solve_qp_primal`."""
    from qpax import solve_qp_primal

    from benchmarks.peers.jax_layers import contestant

    return contestant(
        problem, lambda Q, p, G, h, A, b: solve_qp_primal(Q, p, A, b, G, h, **options)
    )
