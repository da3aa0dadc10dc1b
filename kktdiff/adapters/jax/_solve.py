"""`solve_qp` on JAX arrays."""

from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

import kktdiff
from kktdiff import backends
from kktdiff._typing import Gradient
from kktdiff.adapters._fields import CORE, arguments, core, prices, to_fill
from kktdiff.adapters.jax._kept import Call, Weights
from kktdiff.adapters.jax._primitives import fields_of, solve_p
from kktdiff.adapters.jax._solution import Solution, solved
from kktdiff.adapters.jax._sparse import Patterns, in_values


def solve_qp(
    Q: Array | kktdiff.Sparse | None = None,  # (..., n, n)
    p: Array | None = None,  # (..., n)
    G: Array | kktdiff.Sparse | None = None,  # (..., m, n)
    h: Array | None = None,  # (..., m)
    A: Array | kktdiff.Sparse | None = None,  # (..., k, n)
    b: Array | None = None,  # (..., k)
    lb: Array | None = None,  # (..., n)
    ub: Array | None = None,  # (..., n)
    *,
    gradient: Gradient = "exact",
    smoothing: float | None = None,
    soft: Mapping[str, Array | float | None] | None = None,
    warm_start: Any = None,
    shift_weights: dict[str, Array] | None = None,
    **options: Any,
) -> Solution:
    """Solve a batch of convex quadratic programs, differentiably.

        minimise    1/2 x'Qx + p'x
        subject to  Gx <= h,   Ax = b,   lb <= x <= ub

    The work is done by NumPy, or on a CUDA device by CuPy, also in compiled code, which calls back;
    for small problems on the CPU compiled code calls the kernels itself.

    Parameters
    ----------
    Q, p, G, h, A, b, lb, ub
        As in `kktdiff.solve_qp`, on JAX arrays of one dtype; NumPy arrays are taken as
        `jax.numpy.asarray` has them, float32 unless ``jax_enable_x64`` is set; integers, lists and
        numbers take the dtype of the others. float32 is solved in float64 and comes back as
        float32. The options are constants in compiled code. Q, G and A may be `kktdiff.Sparse` with
        an array of values, which is a pytree, or `BCOO` and `BCSR` with constant indices.
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
    **options
        The other options of `kktdiff.solve_qp`: `tol`, `max_iter` and so on.

    Returns
    -------
    Solution
        Its float fields work with all of JAX's transformations, to the second order: `jax.grad`,
        `jax.jvp`, `jax.hessian`, `jax.vmap`, `jax.jit`, `jax.checkpoint`, `jax.lax.scan`,
        `jax.shard_map`, and combinations of them.

    Raises
    ------
    TypeError
        Not an array, mixed dtypes, a dtype that is not float32 or float64; a sparse matrix whose
        indices are traced; an option that is traced, or does not exist.
    ValueError
        As in `kktdiff.solve_qp`, in compiled code while it is traced; a batch of sparse matrices
        with entries in different places.
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
    return solved(dict(zip(fields_of(names, call), out, strict=False)), arrays, call)


def checked(
    given: dict[str, Any], options: dict[str, Any], gradient: Gradient, smoothing: float | None
) -> tuple[dict[str, Any], Call]:
    """Return the arrays, Q, p and sides of one number filled in, and the options.

    Raises
    ------
    TypeError, ValueError
        What `kktdiff.solve_qp` does not accept.
    """
    given = given | prices(options.pop("soft", None), given)
    options = {k: _constant(k, v) for k, v in options.items()}
    _check_gradient(_constant("gradient", gradient), _constant("smoothing", smoothing))
    warm_start, weights = options.pop("warm_start", None), options.pop("shift_weights", None)
    given, patterns = in_values(given)
    arrays = _arrays({name: value for name, value in given.items() if value is not None})
    if not arrays:
        kktdiff.solve_qp(**options)  # an argument of another name, or none at all
    arrays, patterns = _filled(arrays, patterns)
    shapes = tuple((name, v.shape, np.dtype(v.dtype)) for name, v in arrays.items())
    static = tuple((k, v) for k, v in options.items() if k != "verbose")
    if weights is not None:
        static += (("shift_weights", {} if isinstance(weights, Mapping) else weights),)
    has_hash = all(isinstance(v, Hashable) for _, v in static)
    check = _check_sparse if patterns else _check
    (check if has_hash else check.__wrapped__)(shapes, patterns, static)
    if warm_start is not None:
        options["warm_start"] = _on_host(warm_start)
    if weights is not None:
        options["shift_weights"] = Weights({name: np.asarray(v) for name, v in weights.items()})
    return arrays, Call(tuple(options.items()), gradient, smoothing, patterns)


def _constant(name: str, value: Any) -> Any:
    """Return the value of an option; of an array without dimensions its number.

    Raises
    ------
    TypeError
        If it is traced, as the arguments of a function under `jax.jit` are.
    """
    if isinstance(value, str | int | float | None):
        return value
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value)):
        raise TypeError(
            f"{name} is traced: expected a constant; name it in static_argnames of jax.jit, or "
            "take it from outside of the function that is transformed"
        )
    return value.item() if isinstance(value, jax.Array) and value.ndim == 0 else value


def _arrays(given: dict[str, Any]) -> dict[str, Any]:
    """Return JAX arrays by name; integers, lists and numbers in the dtype of the others.

    So are what were numbers of Python's before they were traced, which JAX calls weak.
    """
    arrays, loose = {}, {}
    for name, value in given.items():
        if isinstance(value, jax.Array):
            arrays[name] = value
        elif isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
            arrays[name] = jnp.asarray(value)
        else:
            loose[name] = _numbers(name, value)
    weak = {k: v for k, v in arrays.items() if v.weak_type or v.dtype.kind in "iu"}
    if not (weak or loose):
        return arrays
    dtype = next((v.dtype for k, v in arrays.items() if k not in weak), jnp.zeros(()).dtype)
    arrays |= {name: v.astype(dtype) for name, v in weak.items()}
    return arrays | {name: jnp.asarray(v, dtype=dtype) for name, v in loose.items()}


def _numbers(name: str, value: Any) -> Any:
    """Return a list or a number as a NumPy array."""
    array, loose = backends.from_numbers(value, name)
    if not loose:
        raise TypeError(
            f"{name} is a {type(value).__name__}: expected a jax.Array; jnp.asarray({name}) makes "
            "one"
        )
    return array


def _filled(arrays: dict[str, Any], patterns: Patterns) -> tuple[dict[str, Any], Patterns]:
    """Return the arrays in their order, with Q and p, and full sides where one number was given."""
    shapes, own = to_fill({name: v.shape for name, v in arrays.items()}, dict(patterns))
    zero = jnp.zeros((), next(iter(arrays.values())).dtype) if shapes else None
    made = {k: jnp.broadcast_to(arrays.get(k, zero), shape) for k, shape in shapes.items()}
    there = {k: made.get(k, arrays.get(k)) for k in CORE if k in {*made, *arrays}}
    return there, tuple(own.items())


def _on_host(warm_start: Any) -> Any:
    if not isinstance(warm_start, Solution):
        return warm_start
    fields = {k: None if v is None else np.asarray(v) for k, v in warm_start._asdict().items()}
    no_factors: Any = None  # a start needs the point alone
    return kktdiff.Solution(**fields, _engine=no_factors)


@lru_cache(maxsize=1024)
def _check(
    shapes: tuple[tuple[str, tuple[int, ...], Any], ...], patterns: Patterns, options: Any
) -> None:
    """Raise the errors of `kktdiff.solve_qp` for arrays of these shapes, at tracing time.

    One element is enough, unless the batch shapes are what is wrong.
    """
    sparse = dict(patterns)
    own = core(sparse)
    leads = [shape[: max(0, len(shape) - own[name])] for name, shape, _ in shapes]
    try:
        np.broadcast_shapes(*leads)
    except ValueError:
        leads = [()] * len(leads)
    data: dict[str, Any] = dict.fromkeys(("Q", "p"))
    for (name, shape, dtype), lead in zip(shapes, leads, strict=True):
        value = np.array(np.nan if dtype.kind == "f" else 0).astype(dtype)
        data[name] = np.broadcast_to(value, shape[len(lead) :])
    how = dict(options) | {"on_failure": _how(options)}
    kktdiff.solve_qp(**arguments(data, sparse), **how)


_check_sparse = lru_cache(maxsize=32)(_check.__wrapped__)  # patterns may be large


def _how(options: Any) -> Any:
    """Silence about data that is made up, but not about the option."""
    how = dict(options).get("on_failure", "warn")
    return "ignore" if how in ("warn", "raise") else how


@lru_cache(maxsize=128)
def _check_gradient(gradient: Gradient, smoothing: float | None) -> None:
    """Raise the errors that the backward pass would raise, before the solve."""
    one = np.ones(1)
    kktdiff.solve_qp(np.eye(1), one).vjp(one, gradient=gradient, smoothing=smoothing)
