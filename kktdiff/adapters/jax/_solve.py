"""`solve_qp` on JAX arrays."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import kktdiff
from kktdiff.adapters._fields import CORE, arguments, prices
from kktdiff.adapters.jax._kept import Call, Weights
from kktdiff.adapters.jax._primitives import fields_of, solve_p


class Solution(NamedTuple):
    """The solution of a batch of QPs, as JAX arrays; the fields are those of `kktdiff.Solution`.

    x, s, lam, nu, lam_lb, lam_ub, the objective and the violations are differentiable, twice, with
    respect to all inputs. A solution is a pytree: it may leave `jax.jit` and `jax.vmap` whole.
    """

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


def solve_qp(
    Q: Array,  # (..., n, n)
    p: Array,  # (..., n)
    G: Array | None = None,  # (..., m, n)
    h: Array | None = None,  # (..., m)
    A: Array | None = None,  # (..., k, n)
    b: Array | None = None,  # (..., k)
    lb: Array | None = None,  # (..., n)
    ub: Array | None = None,  # (..., n)
    *,
    gradient: str = "exact",
    smoothing: float | None = None,
    soft: Mapping[str, Array | float | None] | None = None,
    warm_start: Any = None,
    shift_weights: dict[str, Array] | None = None,
    **options: Any,
) -> Solution:
    """Solve a batch of convex quadratic programs, differentiably.

        minimise    1/2 x'Qx + p'x
        subject to  Gx <= h,   Ax = b,   lb <= x <= ub

    The work is done by NumPy, or on a CUDA device by CuPy, also in compiled code, which calls back.

    Parameters
    ----------
    Q, p, G, h, A, b, lb, ub, **options
        As in `kktdiff.solve_qp`, on JAX arrays of one dtype; NumPy arrays are taken as
        `jax.numpy.asarray` has them, float32 unless ``jax_enable_x64`` is set. float32 is solved
        in float64 and comes back as float32.
    gradient : {"exact", "smoothed", "least_squares"}
        What to differentiate, as in `kktdiff.Solution.vjp`.
    smoothing : float, optional
        The barrier parameter of "smoothed".
    soft : dict of str to array or number, optional
        The prices of violating rows, as in `kktdiff.solve_qp`; arrays are differentiable inputs.
    warm_start : Solution or kktdiff.Solution, optional
        The solution of a nearby problem of the same shapes; in compiled code a constant.
    shift_weights : dict of str to array, optional
        As in `kktdiff.solve_qp`; in compiled code constants.

    Returns
    -------
    Solution
        Its float fields work with all of JAX's transformations, to the second order: `jax.grad`,
        `jax.jvp`, `jax.hessian`, `jax.vmap`, `jax.jit`, `jax.checkpoint`, `jax.lax.scan`,
        `jax.shard_map`, and each of the other.

    Raises
    ------
    TypeError
        Not an array, mixed dtypes, a dtype that is not float32 or float64.
    ValueError
        As in `kktdiff.solve_qp`, in compiled code while it is traced.
    kktdiff.SolveError
        With ``on_failure="raise"``; in compiled code as the cause of a ``jax.errors`` exception.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from kktdiff.adapters.jax import solve_qp
    >>> eye, p, two = jnp.eye(2), jnp.array([-1.0, -3.0]), jnp.full(2, 2.0)
    >>> jax.grad(lambda p: solve_qp(eye, p, ub=two).x.sum())(p).round(5) + 0.0
    Array([-1.,  0.], dtype=float32)
    """
    given = {"Q": Q, "p": p, "G": G, "h": h, "A": A, "b": b, "lb": lb, "ub": ub}
    options |= {"soft": soft, "warm_start": warm_start, "shift_weights": shift_weights}
    arrays, call = checked(given, options, gradient, smoothing)
    names = tuple(arrays)
    out = solve_p.bind(*arrays.values(), names=names, call=call, keep=())
    return Solution(**dict(zip(fields_of(names, call), out, strict=False)))


def checked(
    given: dict[str, Any], options: dict[str, Any], gradient: str, smoothing: float | None
) -> tuple[dict[str, Any], Call]:
    """Return the given arrays and the options, if `kktdiff.solve_qp` accepts them."""
    given = given | prices(options.pop("soft", None), given, _full)
    arrays = {name: _array(name, v) for name, v in given.items() if v is not None}
    warm_start, shift_weights = options.pop("warm_start", None), options.pop("shift_weights", None)
    _check_gradient(gradient, smoothing)
    shapes = tuple((name, v.shape, np.dtype(v.dtype)) for name, v in arrays.items())
    _check(shapes, tuple((k, v) for k, v in options.items() if k != "verbose"))
    if warm_start is not None:
        options["warm_start"] = _on_host(warm_start)
    if shift_weights is not None:
        weights = {name: np.asarray(v) for name, v in shift_weights.items()}
        options["shift_weights"] = Weights(weights)
    return arrays, Call(tuple(options.items()), gradient, smoothing)


def _array(name: str, value: Any) -> Any:
    if isinstance(value, jax.Array):
        return value
    if isinstance(value, np.ndarray):
        return jnp.asarray(value)
    raise TypeError(f"{name} is a {type(value).__name__}: expected a jax.Array")


def _full(name: str, price: Any, side: Any) -> Any:
    """Return one price as an array, (size,); gradients flow through."""
    if not isinstance(side, jax.Array | np.ndarray):
        return price
    kind = jnp.asarray(side).dtype
    one = jnp.asarray(price, dtype=kind) if isinstance(price, int | float) else price
    return jnp.broadcast_to(_array(name, one), side.shape[-1:])


def _on_host(warm_start: Any) -> Any:
    if not isinstance(warm_start, Solution):
        return warm_start
    fields = {k: None if v is None else np.asarray(v) for k, v in warm_start._asdict().items()}
    no_factors: Any = None  # a start needs the point alone
    return kktdiff.Solution(**fields, _engine=no_factors)


@lru_cache(maxsize=1024)
def _check(shapes: tuple[tuple[str, tuple[int, ...], Any], ...], options: Any) -> None:
    """Raise the errors of `kktdiff.solve_qp` for arrays of these shapes, at tracing time.

    One element is enough, unless the batch shapes are what is wrong.
    """
    leads = [shape[: max(0, len(shape) - CORE[name])] for name, shape, _ in shapes]
    try:
        np.broadcast_shapes(*leads)
    except ValueError:
        leads = [()] * len(leads)
    data: dict[str, Any] = dict.fromkeys(("Q", "p"))
    for (name, shape, dtype), lead in zip(shapes, leads, strict=True):
        value = np.array(np.nan if dtype.kind == "f" else 0).astype(dtype)
        data[name] = np.broadcast_to(value, shape[len(lead) :])
    kktdiff.solve_qp(**arguments(data), **dict(options) | {"on_failure": _how(options)})


def _how(options: Any) -> Any:
    """Silence about data that is made up, but not about the option."""
    how = dict(options).get("on_failure", "warn")
    return "ignore" if how in ("warn", "raise") else how


@lru_cache(maxsize=128)
def _check_gradient(gradient: str, smoothing: float | None) -> None:
    """Raise the errors that the backward pass would raise, before the solve."""
    one = np.ones(1)
    kktdiff.solve_qp(np.eye(1), one).vjp(one, gradient=gradient, smoothing=smoothing)
