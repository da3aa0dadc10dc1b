"""`CvxpyLayer`: a problem of cvxpy as a function of JAX arrays.

>>> import cvxpy as cp, jax, jax.numpy as jnp
>>> from kktdiff.adapters.cvxpy.jax import CvxpyLayer
>>> x, target = cp.Variable(2), cp.Parameter(2)
>>> problem = cp.Problem(cp.Minimize(cp.sum_squares(x - target)), [cp.sum(x) == 1, x >= 0])
>>> layer = CvxpyLayer(problem, parameters=[target], variables=[x])
>>> jax.jacobian(lambda t: layer(t)[0])(jnp.array([0.75, 0.5])).round(4)
Array([[ 0.5, -0.5],
       [-0.5,  0.5]], dtype=float32)
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from kktdiff.adapters._extras import extra

with extra("cvxpy", "jax"):
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax import Array
    from jax.experimental.sparse import BCOO

    from kktdiff.adapters.cvxpy._model import Model
    from kktdiff.adapters.cvxpy._substitute import defined, substituted
    from kktdiff.adapters.jax import Solution, solve_qp

__all__ = ["CvxpyLayer"]


class CvxpyLayer:
    """A parametrized QP, written in cvxpy, that maps its parameters to its solution.

    It has no state: `jax.jit`, `jax.vmap`, `jax.grad`, `jax.hessian` and the other transformations
    of `kktdiff.adapters.jax.solve_qp` apply to it.

    Parameters
    ----------
    problem, parameters, variables, solver, gp, verbose, canon_backend, solver_args, eliminate
        As in `kktdiff.adapters.cvxpy.torch.CvxpyLayer`.

    Raises
    ------
    ValueError, TypeError
        As there.

    Examples
    --------
    >>> import cvxpy as cp, jax, jax.numpy as jnp
    >>> from kktdiff.adapters.cvxpy.jax import CvxpyLayer
    >>> x, price = cp.Variable(2, nonneg=True), cp.Parameter(2)
    >>> budget = price @ x <= 1
    >>> problem = cp.Problem(cp.Minimize(cp.sum_squares(x - 2)), [budget])
    >>> layer = CvxpyLayer(problem, [price], [x, budget.dual_variables[0]])
    >>> batch = jnp.array([[1.0, 1.0], [1.0, 4.0]])
    >>> [out.round(4) + 0.0 for out in jax.jit(layer)(batch)]  # doctest: +NORMALIZE_WHITESPACE
    [Array([[0.5, 0.5], [1. , 0. ]], dtype=float32), Array([3., 2.], dtype=float32)]
    """

    def __init__(
        self,
        problem: Any,
        parameters: Sequence[Any],
        variables: Sequence[Any],
        solver: Any = None,
        gp: bool = False,
        verbose: bool = False,
        canon_backend: str | None = None,
        solver_args: Mapping[str, Any] | None = None,
        *,
        eliminate: bool = True,
    ) -> None:
        options = {"verbose": verbose, **(solver_args or {})}
        self._model = Model(
            problem, parameters, variables, gp=gp, eliminate=eliminate, options=options
        )
        self._blocks = {
            name: (block.constant, {which: _entries(m) for which, m in block.maps.items()})
            for name, block in self._model.blocks.items()
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._model!r})"

    def __call__(
        self,
        *parameters: Array,  # (..., *shape of the parameter)
        solver_args: Mapping[str, Any] | None = None,
    ) -> tuple[Array, ...]:  # (..., *shape of the variable) each
        """The solution for values of the parameters.

        Parameters
        ----------
        *parameters : Array
            In the order of the layer's `parameters`, each with any batch dimensions in front;
            they broadcast against each other.
        solver_args : dict, optional
            Options of `kktdiff.adapters.jax.solve_qp`, such as ``tol``, ``on_failure``,
            ``infeasible``, ``gradient``. Those that the solvers behind cvxpylayers have, such
            as ``solve_method``, ``eps``, ``max_iters``, are accepted, and without effect.

        Returns
        -------
        tuple of Array
            In the order of the layer's `variables`, in the parameters' dtype. NaN, with a
            gradient of 0, where a problem was not solved; `solve` tells which.

        Raises
        ------
        TypeError
            Not an array, mixed dtypes, an option that does not exist.
        ValueError
            A wrong number of parameters, or a wrong shape; the message names the parameter.
        """
        return self.solve(*parameters, solver_args=solver_args)[0]

    def solve(
        self, *parameters: Array, solver_args: Mapping[str, Any] | None = None
    ) -> tuple[tuple[Array, ...], Solution]:
        """As a call, with the QP's solution beside what the call returns.

        Returns
        -------
        tuple of Array
            In the order of the layer's `variables`.
        Solution
            Of the QP that was solved: `status`, `solved`, residuals, for each element of the batch.

        Examples
        --------
        >>> import cvxpy as cp, jax.numpy as jnp
        >>> from kktdiff.adapters.cvxpy.jax import CvxpyLayer
        >>> x, low = cp.Variable(), cp.Parameter()
        >>> layer = CvxpyLayer(cp.Problem(cp.Minimize(x**2), [x >= low, x <= 1]), [low], [x])
        >>> lows, quiet = jnp.array([0.5, 2.0]), {"on_failure": "ignore"}
        >>> (x,), solution = layer.solve(lows, solver_args=quiet)
        >>> x, solution.solved
        (Array([0.5, nan], dtype=float32), Array([ True, False], dtype=bool))
        """
        arrays = [jnp.asarray(v) if isinstance(v, np.ndarray) else v for v in parameters]
        flat = self._model.flat(arrays, Array, "jax.Array")
        data, M, t = _filled(jax.tree.map(_as_is_enabled, self._blocks), flat)
        solution = solve_qp(**data, **self._model.options(solver_args))
        found = solution._asdict()
        if M is not None:
            found["y"] = _defined(M, t, solution)
        out = []
        for names, index, scale in self._model.reads:
            fields = [found[name] for name in names]
            value = _found(fields, _as_is_enabled(index), _as_is_enabled(scale))
            out.append(value.astype(flat[0].dtype))
        return tuple(out), solution


def _entries(matrix: Any) -> tuple[Any, Any]:
    """Return a sparse matrix's entries: values (e,) and indices (e, 2), sorted by row."""
    matrix = matrix.sorted_indices().tocoo()
    return matrix.data, np.stack(matrix.coords, -1).astype(np.int32)


def _as_is_enabled(array: Any) -> Any:
    """In 32 bits unless `jax_enable_x64` is set, which may change after the layer was made.

    JAX does this too, but not if it has compiled the same call with the other setting (0.10.2).
    """
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)


@jax.jit
def _filled(blocks: dict[str, Any], flat: list[Array]) -> tuple[dict[str, Array], Any, Any]:
    """Evaluate the QP's blocks: constant parts plus the parts linear in each parameter."""
    out = {}
    for name, (constant, maps) in blocks.items():
        value = constant
        for which, entries in maps.items():
            size, lead = flat[which].shape[-1], flat[which].shape[:-1]
            matrix = BCOO(entries, shape=(constant.size, size), indices_sorted=True)
            rows = flat[which].astype(constant.dtype).reshape(math.prod(lead), size)
            value = value + (matrix @ rows.T).T.reshape((*lead, *constant.shape))
        out[name] = value
    return substituted(jnp, out)


_defined = jax.jit(partial(defined, jnp))


@jax.jit
def _found(fields: list[Array], index: Any, scale: Any) -> Array:
    """Pick a result out of a solution's fields."""
    zero = jnp.zeros_like(fields[0], shape=(*fields[0].shape[:-1], 1))
    return jnp.concatenate([zero, *fields], -1)[..., index] * scale
