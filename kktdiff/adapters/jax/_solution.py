"""What the JAX adapter returns: records of JAX arrays, which are pytrees."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

import kktdiff
from kktdiff.adapters.jax import _kept as kept
from kktdiff.adapters.jax._kept import Call
from kktdiff.adapters.jax._primitives import report_p


class Diagnostics(NamedTuple):
    """Reliability of the gradient of each element, as `kktdiff.Diagnostics`; a pytree."""

    margin: Array  # (...)
    weakly_active: Array  # (...)
    condition: Array  # (...)
    trustworthy: Array  # (...): bool

    def __repr__(self) -> str:
        return kktdiff.Diagnostics.__repr__(self)  # type: ignore[call-arg]


class _Fields(NamedTuple):
    x: Array  # (..., n)
    s: Array  # (..., m)
    lam: Array  # (..., m)
    nu: Array  # (..., k)
    lam_lb: Array  # (..., n)
    lam_ub: Array  # (..., n)
    objective: Array  # (...)
    status: Array  # (...): a kktdiff.Status as an integer
    solved: Array  # (...): bool
    iterations: Array  # (...)
    primal_residual: Array  # (...)
    dual_residual: Array  # (...)
    duality_gap: Array  # (...)
    shift_h: Array | None = None
    shift_b: Array | None = None
    shift_lb: Array | None = None
    shift_ub: Array | None = None
    violation_h: Array | None = None
    violation_b: Array | None = None
    violation_lb: Array | None = None
    violation_ub: Array | None = None


class Solution(_Fields):
    """The solution of a batch of QPs, as JAX arrays; the fields are those of `kktdiff.Solution`.

    x, s, lam, nu, lam_lb, lam_ub, the objective and the violations are differentiable, twice, with
    respect to all inputs. A solution is a pytree: `jax.jit` and `jax.vmap` may return it, without
    `diagnostics` and `certificate`.
    """

    _problem: tuple[dict[str, Any], Call] | None = None  # what was solved; no part of the pytree

    __repr__ = kktdiff.Solution.__repr__
    _repr_html_ = kktdiff.Solution._repr_html_
    status_names = kktdiff.Solution.status_names

    def diagnostics(self) -> Diagnostics:
        """Return the diagnostics of the gradients, as `kktdiff.Solution.diagnostics`.

        Raises
        ------
        ValueError
            For a solution returned from `jax.jit` or another transformation.
        """
        arrays, call = self._known()
        return Diagnostics(*report_p.bind(*arrays.values(), names=tuple(arrays), call=call))

    def certificate(self) -> kktdiff.Certificate:
        """Return the proofs of infeasibility, as `kktdiff.Solution.certificate`.

        Raises
        ------
        ValueError
            Within or after `jax.jit` or another transformation.
        """
        arrays, call = self._known()
        if any(isinstance(v, Tracer) for v in arrays.values()):
            raise ValueError("certificate: within a transformation of JAX the data have no values")
        found = kept.certificate(call, {name: np.asarray(v) for name, v in arrays.items()})
        return kktdiff.Certificate(**{name: jnp.asarray(v) for name, v in vars(found).items()})

    def _known(self) -> tuple[dict[str, Any], Call]:
        if self._problem is None:
            raise ValueError(
                "this solution has left a transformation of JAX, with its fields alone: call "
                "kktdiff.adapters.jax.diagnostics with the arguments of solve_qp, or within it"
            )
        return self._problem


def solved(fields: dict[str, Any], arrays: dict[str, Any], call: Call) -> Solution:
    """Return the solution of a problem, which it remembers."""
    solution = Solution(**fields)
    solution._problem = arrays, call
    return solution
