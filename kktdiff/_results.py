"""Records that `Solution`'s methods return, and the protocol of the engines they call."""

from dataclasses import dataclass
from typing import Any, Protocol

from kktdiff import _display
from kktdiff._typing import Array

__all__ = ["Certificate", "Derivatives", "Diagnostics", "Grads", "Tangents"]


class Derivatives(Protocol):
    """Protocol of the engines behind `Solution`; arrays by name, None for inputs not given."""

    def vjp(
        self,
        cotangents: dict[str, Array | None],
        mode: str,
        smoothing: float | None,
        wrt: tuple[str, ...] | None,
    ) -> dict[str, Any]:
        """Return the gradients, by input name."""

    def jvp(
        self, tangents: dict[str, Array | None], mode: str, smoothing: float | None
    ) -> dict[str, Array]:
        """Return the tangents, by output name."""

    def jacobian(self, of: str, wrt: str, mode: str, smoothing: float | None) -> Array:
        """Return the derivative of one output with respect to one input."""

    def hvp(
        self,
        cotangents: dict[str, Array | None],
        tangents: dict[str, Array | None],
        mode: str,
        wrt: tuple[str, ...] | None,
    ) -> dict[str, Any]:
        """Return the derivatives of the gradients along the tangents, by input name."""

    def second_jvp(
        self, first: dict[str, Array | None], second: dict[str, Array | None], mode: str
    ) -> dict[str, Array]:
        """Return the derivatives along `second` of the tangents along `first`, by output name."""

    def diagnostics(self) -> dict[str, Array]:
        """Return the fields of `Diagnostics`."""

    def certificate(self) -> dict[str, Array]:
        """Return the fields of `Certificate`."""


@dataclass(frozen=True, eq=False, repr=False)
class Grads:
    """A gradient with respect to each input, in that input's own shape; None if it was None.

    The gradient of an input that elements share is the sum over them, by the chain rule. For Q
    it is symmetric, since the solution depends on ``(Q + Q')/2`` only. `soft_h` is the gradient of
    the price ``soft["h"]``, and so on. That of a sparse input has its type and its pattern.
    """

    Q: Array
    p: Array
    G: Array | None = None
    h: Array | None = None
    A: Array | None = None
    b: Array | None = None
    lb: Array | None = None
    ub: Array | None = None
    soft_h: Array | None = None
    soft_b: Array | None = None
    soft_lb: Array | None = None
    soft_ub: Array | None = None

    @property
    def soft(self) -> dict[str, Array]:
        """Return the gradients of the given prices, by right-hand side."""
        prices = {side: getattr(self, f"soft_{side}") for side in ("h", "b", "lb", "ub")}
        return {side: grad for side, grad in prices.items() if grad is not None}

    __repr__ = _display.shapes


@dataclass(frozen=True, eq=False, repr=False)
class Tangents:
    """The directional derivative of each output, in that output's shape; None if it was None."""

    x: Array
    s: Array
    lam: Array
    nu: Array
    lam_lb: Array
    lam_ub: Array
    objective: Array
    violation_h: Array | None = None
    violation_b: Array | None = None
    violation_lb: Array | None = None
    violation_ub: Array | None = None

    __repr__ = _display.shapes


@dataclass(frozen=True, eq=False, repr=False)
class Diagnostics:
    """Reliability of the gradient of each element; every field is (...).

    Attributes
    ----------
    margin
        Strict complementarity: the smallest ``max(s, lam)`` over the inequalities and bounds,
        in the scaled metric. Near 0 the solution has a kink here.
    weakly_active
        Number of inequalities and bounds that have both s and lam below 1e-6, scaled.
    condition
        Condition number of the KKT matrix in the scaled metric (inf above 1e11: singular).
    trustworthy
        True where the element is SOLVED with a definite active set, no constraint is weakly
        active and the KKT matrix is not singular: the gradient is the derivative.
    """

    margin: Array
    weakly_active: Array
    condition: Array
    trustworthy: Array

    __repr__ = _display.trust


@dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """Proofs that elements have no solution, each checked numerically; NaN where there is none.

    For PRIMAL_INFEASIBLE (Farkas): multipliers, none below 0 but nu's, with ``G'lam + A'nu -
    lam_lb + lam_ub = 0`` and ``h'lam + b'nu - lb'lam_lb + ub'lam_ub = -1``; x is 0. For
    DUAL_INFEASIBLE: a direction x with ``p'x = -1``, ``Qx = 0``, ``Ax = 0``, ``Gx <= 0`` and no
    way to a finite bound, along which the objective is unbounded below; the multipliers are 0.

    Attributes
    ----------
    x : (..., n)
    lam : (..., m)
    nu : (..., k)
    lam_lb, lam_ub : (..., n)
    """

    x: Array
    lam: Array
    nu: Array
    lam_lb: Array
    lam_ub: Array

    __repr__ = _display.proven
