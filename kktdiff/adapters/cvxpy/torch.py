"""`CvxpyLayer`: a problem of cvxpy as a module of torch."""

from collections.abc import Mapping
from typing import Any

from kktdiff.adapters._extras import extra

with extra("cvxpy", "torch"):
    import torch
    from torch import Tensor

    from kktdiff.adapters.cvxpy._evaluate import Framework, filled, pool
    from kktdiff.adapters.cvxpy._maps import Read
    from kktdiff.adapters.cvxpy._model import Layer
    from kktdiff.adapters.torch import Solution, solve_qp


class _Product(torch.autograd.Function):
    """A constant sparse matrix times vectors, by SciPy: torch's own product was far slower."""

    @staticmethod
    def forward(vectors: Tensor, matrix: Any, transposed: Any) -> Tensor:  # (..., c) -> (..., r)
        columns = vectors.detach().cpu().numpy().reshape(-1, matrix.shape[1]).T
        product = torch.from_numpy((matrix @ columns).T).to(vectors.device)
        return product.reshape((*vectors.shape[:-1], matrix.shape[0]))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        _, ctx.matrix, ctx.transposed = inputs

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return _Product.apply(g, ctx.transposed, ctx.matrix), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Any:
        return _Product.apply(tangent, ctx.matrix, ctx.transposed)

    @staticmethod
    def vmap(info: Any, in_dims: Any, vectors: Tensor, *matrices: Any) -> Any:
        return _Product.apply(vectors.movedim(in_dims[0], 0), *matrices), 0


class CvxpyLayer(Layer, torch.nn.Module):
    """A parametrized QP, written in cvxpy, that maps its parameters to its solution.

    Parameters
    ----------
    problem : cvxpy.Problem
        DPP, and one that cvxpy reduces to a QP, once squares of norms and products of parameters
        are rewritten.
    parameters : sequence of cvxpy.Parameter
        All parameters of the problem, in the order of the call. They need no value.
    variables : sequence of cvxpy.Variable
        What to return. ``constraint.dual_variables[0]`` stands for a constraint's multipliers.
    solver, canon_backend
        Accepted, and without effect.
    gp : bool
        False: geometric programs are not QPs.
    verbose : bool
        As in `kktdiff.solve_qp`.
    solver_args : dict, optional
        For every call; see `forward`.
    eliminate : bool
        Eliminate variables that cvxpy adds, where the problem stays the same, and those that
        equalities define or fix. False is slower, and more accurate where ``A`` in
        ``cp.sum_squares(A @ x - b)`` has a condition number above 1e4: the QP has ``A.T @ A``.

    Attributes
    ----------
    last : kktdiff.adapters.torch.Solution or None
        The last call's solution of the QP that was solved, detached: `status`, `solved`,
        residuals.

    Raises
    ------
    ValueError
        Not DCP, not DPP, not a QP; integers, complex numbers; parameters that are not those of
        the problem; variables that it does not have.
    TypeError
        Not a `cvxpy.Problem`.

    Examples
    --------
    >>> import cvxpy as cp, torch
    >>> from kktdiff.adapters.cvxpy import CvxpyLayer
    >>> x, price = cp.Variable(2, nonneg=True), cp.Parameter(2)
    >>> budget = price @ x <= 1
    >>> problem = cp.Problem(cp.Minimize(cp.sum_squares(x - 2)), [budget])
    >>> layer = CvxpyLayer(problem, [price], [x, budget.dual_variables[0]])
    >>> batch = torch.tensor([[1.0, 1.0], [1.0, 4.0]], dtype=torch.float64)
    >>> [out.round(decimals=4) + 0.0 for out in layer(batch)]  # doctest: +NORMALIZE_WHITESPACE
    [tensor([[0.5000, 0.5000], [1.0000, 0.0000]], dtype=torch.float64),
     tensor([3., 2.], dtype=torch.float64)]
    """

    last: Solution | None = None

    def forward(
        self,
        *parameters: Tensor,  # (..., *shape of the parameter)
        solver_args: Mapping[str, Any] | None = None,
    ) -> tuple[Tensor, ...]:  # (..., *shape of the variable) each
        """Return the solution for values of the parameters.

        Parameters
        ----------
        *parameters : Tensor
            In the order of the layer's `parameters`, each with any batch dimensions in front;
            they broadcast against each other. float32 is solved in float64 and comes back.
        solver_args : dict, optional
            Options of `kktdiff.adapters.torch.solve_qp`, such as ``tol``, ``on_failure``,
            ``infeasible``, ``gradient``. Those of cvxpylayers' solvers, such as ``solve_method``,
            ``eps``, ``max_iters``, are accepted without effect.

        Returns
        -------
        tuple of Tensor
            In the order of the layer's `variables`. NaN, with a gradient of 0, where a problem
            was not solved; `last` tells which.

        Raises
        ------
        TypeError
            Not a tensor, mixed dtypes, an option that does not exist.
        ValueError
            A wrong number of parameters, or a wrong shape; the message names the parameter.

        Examples
        --------
        >>> import cvxpy as cp, torch
        >>> from kktdiff.adapters.cvxpy import CvxpyLayer
        >>> x, t = cp.Variable(), cp.Parameter()
        >>> layer = CvxpyLayer(cp.Problem(cp.Minimize((x - t) ** 2), [x <= 1]), [t], [x])
        >>> layer(torch.tensor([0.5, 3.0]), solver_args={"tol": 1e-9})
        (tensor([0.5000, 1.0000]),)
        """
        tensors = self._model.flat(parameters, Tensor, "torch.Tensor", "torch.as_tensor")
        dtype, tensors = tensors[0].dtype, [value.double() for value in tensors]
        data, results = filled(_framework(tensors[0].device), self._plan, tensors)
        solution = solve_qp(**self._model.with_patterns(data), **self._solver_options(solver_args))
        self.last = Solution(*(v.detach() if isinstance(v, Tensor) else v for v in solution))
        reads = self._model.reads
        pools = {fields: pool(torch, solution, results, fields) for fields, *_ in reads}
        return tuple(_found(read, pools[read.fields]).to(dtype) for read in reads)

    @staticmethod
    def _matrix(matrix: Any) -> tuple[Any, Any]:
        return matrix, matrix.T.tocsr()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "last": None}  # its factors are large


def _framework(device: torch.device) -> Framework:
    return Framework(
        torch,
        lambda constant: torch.from_numpy(constant).to(device),
        lambda matrix, vectors: _Product.apply(vectors, *matrix),
    )


def _found(read: Read, pool: Tensor) -> Tensor:
    """Pick a result out of a pool of fields."""
    index = torch.from_numpy(read.index.reshape(-1)).to(pool.device)
    scale = torch.from_numpy(read.scale.reshape(-1)).to(pool.device)
    return (pool[..., index] * scale).reshape((*pool.shape[:-1], *read.index.shape))
