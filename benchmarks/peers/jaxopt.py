"""jaxopt, in JAX: its OSQP, the one of its solvers that takes these problems."""

from typing import Any

from kktdiff.bench import Contestant, Problem

PACKAGES = ("jaxopt", "jax", "jaxlib")
CONFIGURATIONS: dict[str, dict[str, Any]] = {"default": {}, "tol=1e-9": {"tol": 1e-9}}


def build(problem: Problem, **options: Any) -> Contestant:
    """Implicit differentiation, as it comes."""
    from jaxopt import OSQP

    from benchmarks.peers.jax_layers import contestant

    solver = OSQP(**options)
    equalities = problem.sizes["k"] > 0

    def solve(Q: Any, p: Any, G: Any, h: Any, A: Any, b: Any) -> Any:
        eq = (A, b) if equalities else None
        return solver.run(params_obj=(Q, p), params_eq=eq, params_ineq=(G, h)).params.primal

    return contestant(problem, solve)
