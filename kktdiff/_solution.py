"""The result of a solve: the solution, its residuals and its derivatives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kktdiff import _display
from kktdiff._layout import VIOLATIONS
from kktdiff._prices import flat_names
from kktdiff._results import Certificate, Derivatives, Diagnostics, Grads, Tangents
from kktdiff._typing import Array, Gradient, Input, Output, SecondGradient

__all__ = ["Solution"]


@dataclass(frozen=True, eq=False, repr=False)
class Solution:
    """The solution of a batch of QPs, element by element.

    Attributes
    ----------
    x : (..., n)
        Minimiser; the best iterate for ALMOST_SOLVED, MAX_ITER and NUMERICAL_ERROR; NaN for
        elements that have none, are not convex or hold invalid data.
    s, lam : (..., m)
        Slacks ``h - Gx`` (not below 0) and multipliers of the inequalities.
    nu : (..., k)
        Multipliers of the equalities.
    lam_lb, lam_ub : (..., n)
        Multipliers of the bounds, 0 where there is no bound.
    objective : (...)
        ``1/2 x'Qx + p'x``, plus the prices of soft rows times their violations.
    status, solved, iterations : (...)
        A `kktdiff.Status` as an integer; True for SOLVED and ALMOST_SOLVED; interior-point
        iterations.
    primal_residual, dual_residual, duality_gap : (...)
        Largest constraint violation, largest entry of ``Qx + p + G'lam + A'nu - lam_lb +
        lam_ub``, and ``|x'Qx + p'x + h'lam + b'nu - lb'lam_lb + ub'lam_ub|``; absolute, unscaled.
    shift_h, shift_b, shift_lb, shift_ub
        With ``infeasible="closest"``: what was added to h, b, lb and ub; otherwise None.
    violation_h, violation_b, violation_lb, violation_ub
        For the right-hand sides that have prices in `soft`: ``max(Gx - h, 0)``, ``Ax - b`` with
        its sign, ``max(lb - x, 0)`` and ``max(x - ub, 0)``, 0 in hard rows; otherwise None.
    """

    x: Array
    s: Array
    lam: Array
    nu: Array
    lam_lb: Array
    lam_ub: Array
    objective: Array
    status: Array
    solved: Array
    iterations: Array
    primal_residual: Array
    dual_residual: Array
    duality_gap: Array
    _engine: Derivatives = field(repr=False)
    shift_h: Array | None = None
    shift_b: Array | None = None
    shift_lb: Array | None = None
    shift_ub: Array | None = None
    violation_h: Array | None = None
    violation_b: Array | None = None
    violation_lb: Array | None = None
    violation_ub: Array | None = None

    __repr__ = _display.in_lines
    _repr_html_ = _display.as_card

    @property
    def status_names(self) -> Any:
        """Return the name of each element's status, in lists nested as the batch is.

        Examples
        --------
        >>> import numpy as np, kktdiff
        >>> kktdiff.solve_qp(np.eye(2), np.zeros((3, 2))).status_names
        ['SOLVED', 'SOLVED', 'SOLVED']
        """
        return _display.status_names(self.status)

    def vjp(
        self,
        x: Array | None = None,
        *,
        s: Array | None = None,
        lam: Array | None = None,
        nu: Array | None = None,
        lam_lb: Array | None = None,
        lam_ub: Array | None = None,
        objective: Array | None = None,
        violation_h: Array | None = None,
        violation_b: Array | None = None,
        violation_lb: Array | None = None,
        violation_ub: Array | None = None,
        gradient: Gradient = "exact",
        smoothing: float | None = None,
        wrt: tuple[str, ...] | None = None,
    ) -> Grads:
        """Return the gradient of a loss in every input, from its gradient in the outputs.

        One solve of the KKT system of the active constraints; the derivation is in
        `kktdiff._sensitivity.first_order`. Exactly zero for elements that were not solved.

        Parameters
        ----------
        x, s, lam, nu, lam_lb, lam_ub, objective, violation_h, ...
            Cotangents, each of its output's shape; None for zero.
        gradient : {"exact", "smoothed", "least_squares"}
            "exact" differentiates the solution; where the KKT matrix is singular it gives a
            solution of least squares, and `diagnostics` marks it. "smoothed" differentiates the
            point of the central path at barrier parameter `smoothing`. "least_squares" is the
            minimum-norm solution of the KKT system.
        smoothing : float, optional
            The barrier parameter, ``lam_i s_i`` on the central path; 1e-4 if not given.
        wrt : tuple of str, optional
            Names of the inputs whose gradients are wanted, for example ``("p", "h", "soft_h")``;
            the others are None. All if not given.

        Raises
        ------
        ValueError
            Wrong shape of a cotangent, unknown `gradient`, `smoothing` not positive.
        TypeError
            A cotangent of another array library.

        Examples
        --------
        >>> import numpy as np, kktdiff
        >>> sol = kktdiff.solve_qp(np.eye(2), np.array([-1.0, -3.0]), ub=np.array([2.0, 2.0]))
        >>> sol.vjp(x=np.ones(2)).p.round(6) + 0.0
        array([-1.,  0.])
        """
        given = {"x": x, "s": s, "lam": lam, "nu": nu, "lam_lb": lam_lb, "lam_ub": lam_ub}
        soft = (violation_h, violation_b, violation_lb, violation_ub)
        given |= {"objective": objective} | dict(zip(VIOLATIONS, soft, strict=True))
        return Grads(**self._engine.vjp(given, gradient, smoothing, wrt))

    def jvp(
        self,
        Q: Array | None = None,
        p: Array | None = None,
        G: Array | None = None,
        h: Array | None = None,
        A: Array | None = None,
        b: Array | None = None,
        lb: Array | None = None,
        ub: Array | None = None,
        *,
        soft: Mapping[str, Array] | None = None,
        gradient: Gradient = "exact",
        smoothing: float | None = None,
    ) -> Tangents:
        """Return the directional derivative of every output along a direction of the inputs.

        Parameters
        ----------
        Q, p, G, h, A, b, lb, ub, soft
            Tangents, each of its input's own shape; None for zero.
        gradient, smoothing
            As in `vjp`.

        Raises
        ------
        ValueError
            Wrong shape of a tangent, or a tangent of an input that was None.

        Examples
        --------
        >>> import numpy as np, kktdiff
        >>> sol = kktdiff.solve_qp(np.eye(2), np.array([-1.0, -3.0]), ub=np.array([2.0, 2.0]))
        >>> sol.jvp(ub=np.array([0.0, 1.0])).x.round(6) + 0.0
        array([0., 1.])
        """
        given = {"Q": Q, "p": p, "G": G, "h": h, "A": A, "b": b, "lb": lb, "ub": ub}
        return Tangents(**self._engine.jvp(flat_names(given | {"soft": soft}), gradient, smoothing))

    def jacobian(
        self,
        of: Output = "x",
        wrt: Input = "p",
        *,
        gradient: Gradient = "exact",
        smoothing: float | None = None,
    ) -> Array:
        """Return the derivative of one output with respect to one input, element by element.

        Several right-hand sides, one factorization. There is no sum over shared inputs.

        Returns
        -------
        array of shape (..., *of, *wrt)
            For example (..., n, n) for x and p, (..., n, m, n) for x and G, (..., n) for the
            objective and p, (..., n, m) for x and soft_h.

        Examples
        --------
        >>> import numpy as np, kktdiff
        >>> sol = kktdiff.solve_qp(2 * np.eye(2), np.ones(2))
        >>> sol.jacobian(of="x", wrt="p").round(6) + 0.0
        array([[-0.5,  0. ],
               [ 0. , -0.5]])
        """
        return self._engine.jacobian(of, wrt, gradient, smoothing)

    def hvp(
        self,
        cotangents: Mapping[str, Array | None],
        tangents: Mapping[str, Array | None],
        *,
        gradient: SecondGradient = "exact",
        wrt: tuple[str, ...] | None = None,
    ) -> Grads:
        """Return the derivative of ``vjp(**cotangents)`` along `tangents`: second order, reverse.

        The product of `tangents` with the Hessian, in the inputs, of the sum of the outputs times
        their cotangents. Three solves of the same KKT system; the derivation is in
        `kktdiff._sensitivity.second_order`.

        Parameters
        ----------
        cotangents, tangents
            By name, as the arguments of `vjp` and of `jvp`; also ``soft_h`` for ``soft["h"]``.
        gradient : {"exact", "least_squares"}
        wrt
            As in `vjp`.

        Raises
        ------
        ValueError, TypeError
            As in `vjp` and `jvp`.
        NotImplementedError
            With ``infeasible="closest"``, if an element was repaired.

        Examples
        --------
        >>> import numpy as np, kktdiff
        >>> sol = kktdiff.solve_qp(np.array([[2.0]]), np.array([-3.0]))  # x = -p/Q
        >>> sol.hvp({"x": np.ones(1)}, {"Q": np.ones((1, 1))}).p  # the mixed derivative, 1/Q^2
        array([0.25])
        """
        return Grads(**self._engine.hvp(dict(cotangents), flat_names(tangents), gradient, wrt))

    def second_jvp(
        self,
        first: Mapping[str, Array | None],
        second: Mapping[str, Array | None],
        *,
        gradient: SecondGradient = "exact",
    ) -> Tangents:
        """Return the derivative of ``jvp(**first)`` along `second`: second order, forward.

        Parameters
        ----------
        first, second
            Tangents by name, as the arguments of `jvp`.
        gradient : {"exact", "least_squares"}

        Raises
        ------
        ValueError, TypeError, NotImplementedError
            As in `hvp`.

        Examples
        --------
        >>> import numpy as np, kktdiff
        >>> sol = kktdiff.solve_qp(np.array([[2.0]]), np.array([-3.0]))  # x = -p/Q
        >>> sol.second_jvp({"Q": np.ones((1, 1))}, {"Q": np.ones((1, 1))}).x  # -2p/Q^3
        array([0.75])
        """
        return Tangents(**self._engine.second_jvp(flat_names(first), flat_names(second), gradient))

    def diagnostics(self) -> Diagnostics:
        """Return the reliability of each element's gradient.

        Examples
        --------
        >>> import numpy as np, kktdiff
        >>> sol = kktdiff.solve_qp(np.eye(1), np.array([0.0]), lb=np.array([0.0]))  # a kink
        >>> bool(sol.diagnostics().trustworthy), int(sol.diagnostics().weakly_active)
        (False, 1)
        """
        return Diagnostics(**self._engine.diagnostics())

    def certificate(self) -> Certificate:
        """Return the proofs that elements of the given problem are infeasible or unbounded.

        Examples
        --------
        >>> import numpy as np, kktdiff
        >>> one, limits = np.array([[1.0], [-1.0]]), np.array([-1.0, -1.0])  # x <= -1, x >= 1
        >>> sol = kktdiff.solve_qp(np.eye(1), np.zeros(1), one, limits, on_failure="ignore")
        >>> sol.certificate().lam.round(6)
        array([0.5, 0.5])
        """
        return Certificate(**self._engine.certificate())
