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
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from kktdiff.adapters._extras import extra

with extra("cvxpy", "jax"):
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax import Array
    from jax.experimental.sparse import BCOO

    from kktdiff.adapters.cvxpy._evaluate import Framework, filled, pool
    from kktdiff.adapters.cvxpy._model import Layer
    from kktdiff.adapters.jax import Solution, solve_qp

__all__ = ["CvxpyLayer"]


class CvxpyLayer(Layer):
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

    def __call__(
        self,
        *parameters: Array,  # (..., *shape of the parameter)
        solver_args: Mapping[str, Any] | None = None,
    ) -> tuple[Array, ...]:  # (..., *shape of the variable) each
        """Return the solution for values of the parameters.

        Parameters
        ----------
        *parameters : Array
            In the order of the layer's `parameters`, each with any batch dimensions in front;
            they broadcast against each other.
        solver_args : dict, optional
            Options of `kktdiff.adapters.jax.solve_qp`, such as ``tol``, ``on_failure``,
            ``infeasible``, ``gradient``. Those of cvxpylayers' solvers, such as ``solve_method``,
            ``eps``, ``max_iters``, are accepted without effect.

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
        """Return the result of a call, and the QP's solution.

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
        flat = self._model.flat(arrays, Array, "jax.Array", "jax.numpy.asarray")
        data, results = _filled(_as_enabled(self._plan), flat)
        solution = solve_qp(**self._model.with_patterns(data), **self._solver_options(solver_args))
        out = []
        for fields, *places in self._model.reads:
            found = _found(_as_enabled(places), solution, results, fields)
            out.append(found.astype(flat[0].dtype))
        return tuple(out), solution

    @staticmethod
    def _matrix(matrix: Any) -> "_Matrix":
        matrix = matrix.sorted_indices().tocoo()
        indices = np.stack(matrix.coords, -1).astype(np.int32)
        return _Matrix(matrix.data, indices, np.zeros((matrix.shape[0], 0)))


class _Matrix(NamedTuple):
    """A sparse matrix's entries, sorted by row; an array of no entries knows the rows."""

    values: Any  # (e,)
    indices: Any  # (e, 2)
    rows: Any  # (rows, 0)


def _multiply(matrix: _Matrix, vectors: Array) -> Array:
    values, indices, rows = matrix
    lead, size = vectors.shape[:-1], vectors.shape[-1]
    sparse = BCOO((values, indices), shape=(rows.shape[0], size), indices_sorted=True)
    flat = vectors.astype(values.dtype).reshape(math.prod(lead), size)
    return (sparse @ flat.T).T.reshape((*lead, rows.shape[0]))


def _as_enabled(tree: Any) -> Any:
    """Return arrays in 32 bits unless `jax_enable_x64` is set, which may change later.

    JAX does this too, but not if it has compiled the same call with the other setting (0.10.2).
    """

    def enabled(array: Any) -> Any:
        return array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)

    return jax.tree.map(enabled, tree)


_filled = jax.jit(partial(filled, Framework(jnp, jnp.asarray, _multiply)))


@partial(jax.jit, static_argnames="fields")
def _found(places: Any, solution: Any, results: dict[str, Any], fields: tuple[str, ...]) -> Array:
    """Pick a result out of a solution's fields."""
    index, scale = places
    return pool(jnp, solution, results, fields)[..., index] * scale
