"""`solve_qp` on tensors."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

import kktdiff
from kktdiff._typing import Gradient
from kktdiff.adapters._fields import PRICES, floats, prices
from kktdiff.adapters.torch import _compiled
from kktdiff.adapters.torch._exchange import checked, on_stream, to_array, to_tensor
from kktdiff.adapters.torch._functions import REPORTS, SHIFTS, Call, Solve, apply
from kktdiff.adapters.torch._sparse import are_dense

_GRADIENTS = ("exact", "smoothed", "least_squares")


class Solution(NamedTuple):
    """The solution of a batch of QPs, as tensors; the fields are those of `kktdiff.Solution`.

    x, s, lam, nu, lam_lb, lam_ub, the objective and the violations are differentiable, twice, with
    respect to all inputs.
    """

    x: Tensor  # (..., n)
    s: Tensor  # (..., m)
    lam: Tensor  # (..., m)
    nu: Tensor  # (..., k)
    lam_lb: Tensor  # (..., n)
    lam_ub: Tensor  # (..., n)
    objective: Tensor  # (...)
    status: Tensor  # (...): a kktdiff.Status as an integer
    solved: Tensor  # (...): bool
    iterations: Tensor  # (...)
    primal_residual: Tensor  # (...)
    dual_residual: Tensor  # (...)
    duality_gap: Tensor  # (...)
    shift_h: Tensor | None = None
    shift_b: Tensor | None = None
    shift_lb: Tensor | None = None
    shift_ub: Tensor | None = None
    violation_h: Tensor | None = None
    violation_b: Tensor | None = None
    violation_lb: Tensor | None = None
    violation_ub: Tensor | None = None
    core: kktdiff.Solution | None = None  # the same on arrays; None in compiled code

    def __repr__(self) -> str:
        return kktdiff.Solution.__repr__(self)  # type: ignore[call-arg]

    def _repr_html_(self) -> str:
        return kktdiff.Solution._repr_html_(self)

    @property
    def status_names(self) -> Any:
        """Return the name of each element's status, as `kktdiff.Solution.status_names`."""
        return kktdiff.Solution.status_names.fget(self)  # type: ignore[attr-defined]

    def diagnostics(self) -> kktdiff.Diagnostics:
        """`kktdiff.Solution.diagnostics`, in tensors."""
        with on_stream([self.x]):
            return _in_tensors(self._known().diagnostics())

    def certificate(self) -> kktdiff.Certificate:
        """`kktdiff.Solution.certificate`, in tensors."""
        with on_stream([self.x]):
            return _in_tensors(self._known().certificate())

    def _known(self) -> kktdiff.Solution:
        if self.core is None or tuple(self.core.x.shape) != tuple(self.x.shape):
            raise ValueError("inside vmap and torch.compile a solution has its tensors alone")
        return self.core


def solve_qp(
    Q: Tensor | kktdiff.Sparse | None = None,  # (..., n, n)
    p: Tensor | None = None,  # (..., n)
    G: Tensor | kktdiff.Sparse | None = None,  # (..., m, n)
    h: Tensor | None = None,  # (..., m)
    A: Tensor | kktdiff.Sparse | None = None,  # (..., k, n)
    b: Tensor | None = None,  # (..., k)
    lb: Tensor | None = None,  # (..., n)
    ub: Tensor | None = None,  # (..., n)
    *,
    gradient: Gradient = "exact",
    smoothing: float | None = None,
    soft: Mapping[str, Tensor | float | None] | None = None,
    warm_start: Any = None,
    shift_weights: dict[str, Tensor] | None = None,
    **options: Any,
) -> Solution:
    """Solve a batch of convex quadratic programs, differentiably.

        minimise    1/2 x'Qx + p'x
        subject to  Gx <= h,   Ax = b,   lb <= x <= ub

    Parameters
    ----------
    Q, p, G, h, A, b, lb, ub
        As in `kktdiff.solve_qp`, on tensors of one dtype and one device, at least one of them a
        tensor; lists and numbers become tensors. They are read without a copy, as NumPy arrays on
        the CPU and as CuPy arrays on CUDA; float32 is solved in float64 and returned as float32.
        Under autocast, half precision is converted to float32. Q, G and A may be sparse tensors
        (COO, CSR, CSC; a batch with one pattern), whose gradients are sparse, or `kktdiff.Sparse`
        with a tensor of values.
    gradient : {"exact", "smoothed", "least_squares"}
        What to differentiate, as in `kktdiff.Solution.vjp`.
    smoothing : float, optional
        The barrier parameter of "smoothed".
    soft : dict of str to Tensor or number, optional
        The prices of violating rows, as in `kktdiff.solve_qp`; tensors may require gradients.
    warm_start : Solution or kktdiff.Solution, optional
        The solution of a nearby problem of the same shapes.
    **options
        The other options of `kktdiff.solve_qp`: `tol`, `max_iter` and so on.

    Returns
    -------
    Solution
        Its float fields work with ``backward``, `torch.autograd.grad`, forward mode, and the
        transforms of `torch.func`, to the second order.

    Raises
    ------
    TypeError
        Not a tensor, or a nested one; a sparse p, h, b, lb or ub, or a sparse tensor of another
        layout; mixed devices or dtypes, a dtype that is not float32 or float64; an
        option that does not exist.
    ValueError, kktdiff.SolveError
        As in `kktdiff.solve_qp`; a batch of sparse tensors with entries in different places.

    Examples
    --------
    >>> import torch
    >>> from kktdiff.adapters.torch import solve_qp
    >>> eye, p = torch.eye(2, dtype=torch.float64), -torch.ones(2, dtype=torch.float64)
    >>> solve_qp(eye, p, lb=torch.tensor([2.0, 0.0], dtype=torch.float64)).x
    tensor([2., 1.], dtype=torch.float64)
    """
    given = {"Q": Q, "p": p, "G": G, "h": h, "A": A, "b": b, "lb": lb, "ub": ub}
    if all(value is None for value in given.values()):
        kktdiff.solve_qp(**options)  # an argument of another name, or none at all
    how = {"gradient": gradient, "smoothing": smoothing, "soft": soft, "warm_start": warm_start}
    call = _solved if are_dense(given) else _outside_compiled_code
    return call(given, options, shift_weights=shift_weights, **how)


def _solved(
    given: dict[str, Any],
    options: dict[str, Any],
    *,
    gradient: Gradient,
    smoothing: float | None,
    soft: Any,
    warm_start: Any,
    shift_weights: Any,
) -> Solution:
    given |= dict.fromkeys(PRICES) | prices(soft, given)
    inputs, patterns = checked(given)
    outputs = floats(name for name, tensor in given.items() if tensor is not None)
    _check_gradient(gradient, smoothing)
    if torch.compiler.is_compiling():
        if warm_start is not None or shift_weights is not None:
            raise ValueError("warm_start and shift_weights: not in code that is being compiled")
        how = {"gradient": gradient, "smoothing": smoothing}
        fields = _compiled.solve(inputs, options | how)
        return Solution(**dict(zip((*outputs, *REPORTS), fields, strict=True)))
    if isinstance(warm_start, Solution):
        warm_start = warm_start.core
    if shift_weights is not None:
        with on_stream(inputs):
            options["shift_weights"] = _weights(shift_weights)
    options["warm_start"] = warm_start
    call = Call(options, outputs, gradient, smoothing, patterns)
    fields = apply(Solve, call, *inputs)
    names = (*outputs, *REPORTS, *(name for name in SHIFTS if given.get(name[6:]) is not None))
    return Solution(**dict(zip(names, fields, strict=False)), core=call.solution)


_outside_compiled_code = torch.compiler.disable(
    _solved, reason="solve_qp with sparse matrices is no part of compiled graphs"
)


def _check_gradient(gradient: str, smoothing: float | None) -> None:
    """Raise the errors that the backward pass would raise, before the solve."""
    if gradient not in _GRADIENTS:
        known = ", ".join(map(repr, _GRADIENTS))
        raise ValueError(f"gradient={gradient!r}: expected one of {known}")
    if smoothing is not None and not (gradient == "smoothed" and smoothing > 0):
        raise ValueError(
            f'smoothing={smoothing!r}: expected a positive number, with gradient="smoothed"'
        )


def _weights(weights: Any) -> Any:
    """Return weights as arrays; what is no dict of tensors is left to be refused by name."""
    if not isinstance(weights, Mapping):
        return weights
    for name, value in weights.items():
        if not isinstance(value, Tensor | list | tuple | float | int):
            raise TypeError(
                f"shift_weights[{name!r}] is a {type(value).__name__}: expected a torch.Tensor"
            )
    return {k: to_array(v) if isinstance(v, Tensor) else v for k, v in weights.items()}


def _in_tensors(record: Any) -> Any:
    return type(record)(**{name: to_tensor(value) for name, value in vars(record).items()})
