"""qpth's interface: its users move by changing one import.

>>> import torch
>>> from kktdiff.adapters.qpth import QPFunction
>>> eye, none = torch.eye(2, dtype=torch.float64), torch.Tensor()
>>> p = torch.tensor([-1.0, -3.0], dtype=torch.float64, requires_grad=True)
>>> x = QPFunction(verbose=-1)(eye, p, eye, torch.full_like(p, 2.0), none, none)
>>> x.sum().backward()
>>> x.detach().round(decimals=6), p.grad.round(decimals=6) + 0.0
(tensor([[1., 2.]], dtype=torch.float64), tensor([-1.,  0.], dtype=torch.float64))
"""

import warnings
from enum import Enum
from typing import Any

from kktdiff import SolveWarning, Status
from kktdiff.adapters._extras import extra

with extra("torch"):
    import torch
    from torch import Tensor

    from kktdiff.adapters.torch import Solution, solve_qp

__all__ = ["QPFunction", "QPSolvers"]

_ENOUGH_ITERATIONS = 100  # the default of kktdiff.solve_qp


class QPSolvers(Enum):
    """The solvers that qpth has. Both names are accepted, and kktdiff's own solver does the work.

    Examples
    --------
    >>> from kktdiff.adapters.qpth import QPSolvers
    >>> [solver.name for solver in QPSolvers]
    ['PDIPM_BATCHED', 'CVXPY']
    """

    PDIPM_BATCHED = 1
    CVXPY = 2


class QPFunction:
    """A differentiable QP layer with the arguments of qpth's.

    Nothing is printed. One `kktdiff.SolveWarning` for each call says how many of its elements were
    not solved, if any were not.

    Parameters
    ----------
    eps : float
        Accepted, and without effect: solutions are as accurate as with `kktdiff.solve_qp`'s own
        tolerance, in most cases to rounding.
    verbose : int
        Accepted, and without effect; Python's `warnings` has filters for what warns.
    notImprovedLim : int
        Accepted, and without effect: an element that makes no progress gets a status.
    maxIter : int
        At most so many iterations, or 100 if it is less. The method needs about ten, so that
        a smaller cap would only make bad solutions of good ones.
    solver : QPSolvers
        Accepted, and without effect.
    check_Q_spd : bool
        Whether a Q with a negative eigenvalue beyond rounding raises. If not, its element gets
        NaN and a gradient of 0, as all do that are not solved. qpth raises for a singular Q as
        well; here it is solved.

    Attributes
    ----------
    last : kktdiff.adapters.torch.Solution or None
        The last call's solution, detached, all its fields with the batch dimension: `status` and
        `solved` tell which elements were solved. Calls from several threads do not disturb each
        other, but `last` is that of the call that ended last: to read it, give each thread its
        own function. Copies and pickles begin without it.

    Raises
    ------
    ValueError
        A solver that is none of `QPSolvers`.

    Examples
    --------
    >>> import torch, warnings
    >>> from kktdiff.adapters.qpth import QPFunction
    >>> function, none = QPFunction(), torch.Tensor()
    >>> h = torch.tensor([[1.0, 1.0], [-2.0, 1.0]])  # the second: x <= -2 and x >= -1
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     x = function(torch.eye(1), torch.zeros(1), torch.tensor([[1.0], [-1.0]]), h, none, none)
    >>> print(caught[0].message)
    1 of 2 problems not solved: 1 PRIMAL_INFEASIBLE. Their gradients are zero; see `last.status`.
    >>> x  # the second violates either limit by as much
    tensor([[ 0.0000],
            [-1.5000]])
    """

    def __init__(
        self,
        eps: float = 1e-12,
        verbose: int = 0,
        notImprovedLim: int = 3,
        maxIter: int = 20,
        solver: QPSolvers = QPSolvers.PDIPM_BATCHED,
        check_Q_spd: bool = True,
    ) -> None:
        QPSolvers(solver)
        self.max_iter = max(int(maxIter), _ENOUGH_ITERATIONS)
        self.check_Q_spd = check_Q_spd
        self.last: Solution | None = None

    def __call__(
        self,
        Q: Tensor,  # (B, n, n) or (n, n)
        p: Tensor,  # (B, n) or (n,)
        G: Tensor | None,  # (B, m, n) or (m, n)
        h: Tensor | None,  # (B, m) or (m,)
        A: Tensor | None,  # (B, k, n) or (k, n)
        b: Tensor | None,  # (B, k) or (k,)
    ) -> Tensor:  # (B, n)
        """Minimise 1/2 x'Qx + p'x subject to Gx <= h and Ax = b.

        Parameters
        ----------
        Q, p, G, h, A, b : Tensor
            Each with or without the batch dimension. G and h, or A and b, are absent if they
            are empty, as in ``torch.Tensor()`` or ``torch.empty(B, 0, n)``, whatever their dtype
            and device, or None.

        Returns
        -------
        Tensor
            x, (B, n); B is 1 if nothing has a batch dimension. What elements share gets the sum of
            their gradients. An element that was not solved has a gradient of 0, and for x the best
            iterate, or the point that violates the constraints least if they contradict each
            other, or NaN where there is neither: if Q is indefinite, the objective is unbounded, or
            the data hold NaN.

        Warns
        -----
        kktdiff.SolveWarning
            Once, if elements were not solved.

        Raises
        ------
        RuntimeError
            "Q is not SPD.", unless ``check_Q_spd=False``; `last` tells which elements.
        TypeError
            Not a tensor, mixed devices or dtypes, a dtype that is not float32 or float64.
        ValueError
            Shapes that do not fit; the message names the argument.

        Examples
        --------
        >>> import torch
        >>> from kktdiff.adapters.qpth import QPFunction
        >>> none, A, b = torch.Tensor(), torch.ones(1, 2), torch.tensor([[1.0], [3.0]])
        >>> QPFunction()(torch.eye(2), torch.zeros(2), none, none, A, b)
        tensor([[0.5000, 0.5000],
                [1.5000, 1.5000]])
        """
        if isinstance(p, Tensor) and p.ndim == 1:
            p = p.unsqueeze(0)  # so that there is a batch dimension in any case
        G, h = _unless_empty(G, h)
        A, b = _unless_empty(A, b)
        arrays = Q, p, G, h, A, b
        options: dict[str, Any] = {"max_iter": self.max_iter, "on_failure": "ignore"}
        solution = solve_qp(*arrays, **options)
        self.last = Solution(*map(_detached, solution))
        # In a vmap the fields stand for one element each, and have no value to branch on.
        status = solution.status if solution.core is None else solution.core.status
        if self.check_Q_spd and (status == int(Status.NONCONVEX)).any():
            raise RuntimeError("Q is not SPD.")
        if not (status > int(Status.ALMOST_SOLVED)).any():
            return solution.x
        warnings.warn(_describe(status), SolveWarning, stacklevel=2)
        if not (status == int(Status.PRIMAL_INFEASIBLE)).any():
            return solution.x
        closest = solve_qp(*map(_detached, arrays), infeasible="closest", **options).x
        infeasible = solution.status == int(Status.PRIMAL_INFEASIBLE)
        return torch.where(infeasible[..., None], closest, solution.x)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "last": None}  # so that a module that holds one can be copied


def _describe(status: Any) -> str:
    """Return the sentence that counts the elements that were not solved, by status."""
    kinds = [kind for kind in Status if kind > Status.ALMOST_SOLVED]
    counts = {kind.name: int((status == int(kind)).sum()) for kind in kinds}
    listed = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    total = status.numel() if isinstance(status, Tensor) else status.size
    return (
        f"{sum(counts.values())} of {total} problems not solved: {listed}. Their gradients are "
        "zero; see `last.status`."
    )


def _unless_empty(matrix: Any, side: Any) -> tuple[Any, Any]:
    """None for both if there are no rows; whatever else is wrong is left for `solve_qp` to say."""
    if isinstance(matrix, Tensor) and 0 in matrix.shape[-2:]:
        matrix = None  # (0, m, n) stays: it is the batch that is empty
    absent = isinstance(side, Tensor) and side.ndim == 1 and not side.numel()
    if absent or (matrix is None and isinstance(side, Tensor) and not side.numel()):
        side = None
    return matrix, side


def _detached(field: Any) -> Any:
    return field.detach() if isinstance(field, Tensor) else field
