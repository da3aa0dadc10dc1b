"""`CvxpyLayer`: a problem of cvxpy as a module of torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from kktdiff.adapters._extras import extra

with extra("cvxpy", "torch"):
    import torch
    from torch import Tensor

    from kktdiff.adapters.cvxpy._maps import Block, Read
    from kktdiff.adapters.cvxpy._model import Model
    from kktdiff.adapters.cvxpy._substitute import defined, substituted
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


class CvxpyLayer(torch.nn.Module):
    """A parametrized QP, written in cvxpy, that maps its parameters to its solution.

    Parameters
    ----------
    problem : cvxpy.Problem
        DPP, and one that cvxpy reduces to a QP.
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
        Leave out variables that cvxpy adds, where that is the same problem; and those of the
        problem that equalities define. False is slower, and more accurate where ``A`` in
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
        super().__init__()
        options = {"verbose": verbose, **(solver_args or {})}
        self._model = Model(
            problem, parameters, variables, gp=gp, eliminate=eliminate, options=options
        )
        self._transposed = {
            (name, which): matrix.T.tocsr()
            for name, block in self._model.blocks.items()
            for which, matrix in block.maps.items()
        }
        self.last: Solution | None = None

    def extra_repr(self) -> str:
        """Return the sizes of the QP."""
        return repr(self._model)

    def forward(
        self,
        *parameters: Tensor,  # (..., *shape of the parameter)
        solver_args: Mapping[str, Any] | None = None,
    ) -> tuple[Tensor, ...]:  # (..., *shape of the variable) each
        """The solution for values of the parameters.

        Parameters
        ----------
        *parameters : Tensor
            In the order of the layer's `parameters`, each with any batch dimensions in front;
            they broadcast against each other. float32 is solved in float64 and comes back.
        solver_args : dict, optional
            Options of `kktdiff.adapters.torch.solve_qp`, such as ``tol``, ``on_failure``,
            ``infeasible``, ``gradient``. Those that the solvers behind cvxpylayers have, such
            as ``solve_method``, ``eps``, ``max_iters``, are accepted, and without effect.

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
        options, blocks = self._model.options(solver_args), self._model.blocks
        tensors = self._model.flat(parameters, Tensor, "torch.Tensor")
        dtype, tensors = tensors[0].dtype, [value.double() for value in tensors]
        data = {name: self._filled(name, block, tensors) for name, block in blocks.items()}
        data, M, t = substituted(torch, data)
        solution = solve_qp(**data, **options)
        found = solution._asdict()
        if M is not None:
            found["y"] = defined(torch, M, t, solution)
        self.last = Solution(*(v.detach() if isinstance(v, Tensor) else v for v in solution))
        return tuple(_found(read, found).to(dtype) for read in self._model.reads)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "last": None}  # its factors are large

    def _filled(self, name: str, block: Block, tensors: list[Tensor]) -> Tensor:
        """Evaluate a block: its constant part plus the part linear in each parameter."""
        out = torch.from_numpy(block.constant).to(tensors[0].device)
        for which, matrix in block.maps.items():
            added = _Product.apply(tensors[which], matrix, self._transposed[name, which])
            out = out + added.reshape((*tensors[which].shape[:-1], *block.constant.shape))
        return out


def _found(read: Read, found: Mapping[str, Tensor]) -> Tensor:
    """Pick a result out of the solution's fields, by name."""
    fields = [found[name] for name in read.fields]
    pool = torch.cat([torch.zeros_like(found["x"][..., :1]), *fields], -1)
    index = torch.from_numpy(read.index.reshape(-1)).to(pool.device)
    scale = torch.from_numpy(read.scale.reshape(-1)).to(pool.device)
    return (pool[..., index] * scale).reshape((*pool.shape[:-1], *read.index.shape))
