"""Modules: the solve as a layer, and OptNet's layer with parameters of its own."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kktdiff import Sparse
from kktdiff.adapters.torch._solve import Solution, solve_qp


class QPLayer(torch.nn.Module):
    """`solve_qp` as a module: no parameters, and the minimiser as its output.

    Parameters
    ----------
    **options
        As in `solve_qp`; they hold for every call.

    Examples
    --------
    >>> import torch
    >>> from kktdiff.adapters.torch import QPLayer
    >>> project = QPLayer(tol=1e-9)  # onto the simplex
    >>> one = torch.ones(1, 2, dtype=torch.float64)
    >>> point = torch.tensor([2.0, 0.0], dtype=torch.float64)
    >>> project(torch.eye(2, dtype=torch.float64), -point, A=one, b=one[0, :1], lb=0 * point)
    tensor([1., 0.], dtype=torch.float64)
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(
        self,
        Q: Tensor | Sparse,  # (..., n, n)
        p: Tensor,  # (..., n)
        G: Tensor | Sparse | None = None,  # (..., m, n)
        h: Tensor | None = None,  # (..., m)
        A: Tensor | Sparse | None = None,  # (..., k, n)
        b: Tensor | None = None,  # (..., k)
        lb: Tensor | None = None,  # (..., n)
        ub: Tensor | None = None,  # (..., n)
        *,
        soft: Mapping[str, Tensor | float | None] | None = None,
    ) -> Tensor:  # (..., n)
        """Return the minimiser x, (..., n); `soft` replaces the prices among the options."""
        options = self.options if soft is None else self.options | {"soft": soft}
        return solve_qp(Q, p, G, h, A, b, lb, ub, **options).x

    def extra_repr(self) -> str:
        """The options."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())


class OptNetLayer(torch.nn.Module):
    """A QP with parameters that are learnt, and ``p`` as its input (Amos & Kolter 2017).

        minimise    1/2 x'Qx + p'x    with  Q = L L' + eps I, or a multiple of I
        subject to  G x <= G z0 + exp(log_s0),    A x = A z0

    z0 meets the constraints whatever the parameters are, so no step of training can make the
    problem infeasible. With ``nonnegative=True`` also ``x >= 0``, and ``z0 = exp(log_z0)``.

    Parameters
    ----------
    n, m, k : int
        Variables, inequalities, equalities.
    nonnegative : bool
        Whether ``x >= 0`` is a constraint.
    curvature : float, optional
        Q is this times the identity, and not learnt; learnt if not given.
    eps : float
        Least curvature of a learnt Q.
    device, dtype
        Of the parameters; float64 is advisable.
    **options
        As in `solve_qp`.

    Notes
    -----
    L begins as the identity, so that Q is of size one; the rows of G and A are normal with a norm
    of about one, so that the layer's output is of the size of its input whatever n is.

    Examples
    --------
    >>> import torch
    >>> from kktdiff.adapters.torch import OptNetLayer
    >>> layer = OptNetLayer(n=4, m=3, k=1, dtype=torch.float64)
    >>> layer(torch.randn(5, 4, dtype=torch.float64)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        n: int,
        m: int = 0,
        k: int = 0,
        *,
        nonnegative: bool = False,
        curvature: float | None = None,
        eps: float = 1e-4,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        kind = {"device": device, "dtype": dtype}
        self.n, self.m, self.k = n, m, k
        self.nonnegative, self.curvature, self.eps = nonnegative, curvature, eps
        self.options = options

        def parameter(wanted: bool, *shape: int) -> Any:
            return torch.nn.Parameter(torch.empty(shape, **kind)) if wanted else None

        free, positive = m + k > 0 and not nonnegative, m + k > 0 and nonnegative
        self.L = parameter(curvature is None, n, n)
        self.G, self.A = parameter(m > 0, m, n), parameter(k > 0, k, n)
        self.z0, self.log_z0 = parameter(free, n), parameter(positive, n)
        self.log_s0 = parameter(m > 0, m)
        self.register_buffer("eye", torch.eye(n, **kind), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw G and A anew; L, z0 and s0 go back to where they begin."""
        with torch.no_grad():
            if self.L is not None:
                torch.nn.init.eye_(self.L)
            for rows in (self.G, self.A):
                if rows is not None:
                    rows.normal_(std=1 / math.sqrt(self.n))
            for start in (self.z0, self.log_z0, self.log_s0):
                if start is not None:
                    start.zero_()

    def problem(self) -> dict[str, Tensor]:
        """Q and the constraints, by the names of `solve_qp`'s arguments; differentiable."""
        z0 = self.z0 if self.log_z0 is None else self.log_z0.exp()
        if self.L is None:
            out = {"Q": self.curvature * self.eye}
        else:
            lower = self.L.tril()
            out = {"Q": lower @ lower.mT + self.eps * self.eye}
        if self.G is not None:
            out |= {"G": self.G, "h": self.G @ z0 + self.log_s0.exp()}
        if self.A is not None:
            out |= {"A": self.A, "b": self.A @ z0}
        if self.nonnegative:
            out["lb"] = torch.zeros_like(self.eye[0])
        return out

    def solve(self, p: Tensor) -> Solution:
        """Everything that `solve_qp` gives, for linear terms p, (..., n).

        Raises
        ------
        TypeError, ValueError
            p is not of the layer's dtype or size, or as `solve_qp`.
        """
        self._check(p)
        return solve_qp(p=p, **self.problem(), **self.options)

    def forward(self, p: Tensor) -> Tensor:  # (..., n) -> (..., n)
        """The minimiser x for linear terms p."""
        return self.solve(p).x

    def _check(self, p: Tensor) -> None:
        """Raise an error that names the layer, where `solve_qp` would name its Q."""
        if not isinstance(p, Tensor):
            return
        if p.ndim and p.shape[-1] != self.n:
            told = f"expected (..., {self.n}), as the layer was made with n={self.n}"
            raise ValueError(f"p has shape {tuple(p.shape)}: {told}")
        own, known = self.eye.dtype, (torch.float32, torch.float64)
        if p.dtype in known and p.dtype != own:  # autocast's half precision is let in
            raise TypeError(
                f"p has dtype {p.dtype}, but the layer has {own}: convert p by p.to({own}), or the "
                f"layer by layer.to({p.dtype})"
            )

    def extra_repr(self) -> str:
        """Sizes and options."""
        own = {"nonnegative": self.nonnegative, "curvature": self.curvature, "eps": self.eps}
        sizes = {"n": self.n, "m": self.m, "k": self.k}
        return ", ".join(f"{k}={v!r}" for k, v in (sizes | own | self.options).items())
