"""Libraries for `benchmarks.sparse`: each makes forward, backward or None, and reading of both.

Reading gives x, (B, n), and gradients by the names of the data, those of A in its entries by rows.
"""

import contextlib
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

import kktdiff

Calls = tuple[Callable[[], Any], Callable[[Any], Any] | None, Callable[[Any, Any], dict[str, Any]]]


def ours(work: Any) -> Calls:
    """All gradients, in every entry of the patterns."""
    A = kktdiff.Sparse(kktdiff.Pattern.of(work.A), work.values)
    arrays = (work.Q, work.p, work.G, work.h, A, work.b)
    return (
        lambda: kktdiff.solve_qp(*arrays),
        lambda sol: sol.vjp(x=work.cotangent),
        lambda sol, grads: {
            "x": sol.x,
            "Q": grads.Q.data,
            "p": grads.p,
            "G": grads.G.data,
            "h": grads.h,
            "A": grads.A.values,
            "b": grads.b,
        },
    )


def dqp(work: Any, **settings: Any) -> Calls:
    """A loop; its backward pass to sparse matrices fails, and the gradients are of p and b."""
    import torch

    with contextlib.redirect_stdout(io.StringIO()):  # it says which solvers it lacks
        from dqp import build_settings, dQP_layer

        layer = dQP_layer(
            settings=build_settings(qp_solver="piqp", solve_type="sparse", **settings)
        )
    torch.set_num_threads(1)

    def tensor(matrix: Any) -> Any:
        own = sp.csc_array(matrix)
        parts = (own.indptr, own.indices, own.data)
        return torch.sparse_csc_tensor(*map(torch.tensor, parts), size=own.shape)

    cases, cotangents = [], torch.tensor(work.cotangent)
    for i in range(len(work.p)):
        Q, p, G, h, A, b = work.element(i).values()
        vectors = [torch.tensor(v, requires_grad=True) for v in (p, h, b)]
        cases.append((tensor(Q), vectors[0], tensor(G), vectors[1], tensor(A), vectors[2]))

    def backward(found: Any) -> Any:
        pairs = zip(found, cases, cotangents, strict=True)
        return [torch.autograd.grad(x, (c[1], c[5]), g.reshape(x.shape)) for x, c, g in pairs]

    def read(found: Any, grads: Any) -> dict[str, Any]:
        by = {name: np.stack([own[i].numpy() for own in grads]) for i, name in enumerate("pb")}
        return {"x": np.stack([x.detach().numpy().ravel() for x in found]), **by}

    return lambda: [layer(*case)[0] for case in cases], backward, read


def moreau(work: Any) -> Calls:
    """Equality rows first, in a zero cone."""
    import moreau as library
    import torch
    from moreau.torch import Solver

    (k, n), (m, _), batch = work.A.shape, work.G.shape, len(work.p)
    rows = sp.vstack([work.A, work.G]).tocsr()
    solver = Solver(
        n,
        m + k,
        *(torch.tensor(v.astype(np.int64)) for v in (work.Q.indptr, work.Q.indices)),
        *(torch.tensor(v.astype(np.int64)) for v in (rows.indptr, rows.indices)),
        cones=library.Cones(num_zero_cones=k, num_nonneg_cones=m),
        settings=library.Settings(device="cpu", batch_size=batch),
    )

    def repeated(vector: Any) -> Any:
        return np.broadcast_to(vector, (batch, vector.size))

    data = (
        repeated(work.Q.data),
        np.c_[work.values, repeated(work.G.data)],
        work.p,
        np.c_[work.b, repeated(work.h)],
    )
    leaves = [torch.tensor(np.ascontiguousarray(v), requires_grad=True) for v in data]
    g = torch.tensor(work.cotangent)

    def read(x: Any, grads: Any) -> dict[str, Any]:
        by_Q, by_rows, p, sides = (own.numpy() for own in grads)
        count = work.values.shape[1]
        by = {"Q": by_Q.sum(0), "p": p, "G": by_rows[:, count:].sum(0), "h": sides[:, k:].sum(0)}
        return {"x": x.detach().numpy(), **by, "A": by_rows[:, :count], "b": sides[:, :k]}

    return lambda: solver.solve(*leaves).x, lambda x: torch.autograd.grad(x, leaves, g), read


def cvxpylayers(work: Any) -> Calls:
    """The gradient of p alone, matrices being constants, which it solves fastest; one problem."""
    import cvxpy as cp
    import torch
    from cvxpylayers.torch import CvxpyLayer

    if len(work.p) > 1:
        raise NotImplementedError("a parameter of cvxpy for each entry of A")
    Q, p, G, h, A, b = work.element(0).values()
    x, linear = cp.Variable(p.size), cp.Parameter(p.size)
    goal = cp.sum_squares(cp.multiply(np.sqrt(Q.diagonal()), x)) / 2 + linear @ x
    problem = cp.Problem(cp.Minimize(goal), [G @ x <= h, A @ x == b])
    layer = CvxpyLayer(problem, parameters=[linear], variables=[x])
    leaf, g = torch.tensor(p, requires_grad=True), torch.tensor(work.cotangent[0])
    tight = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
    options = {"solve_method": "Clarabel", **tight}
    return (
        lambda: layer(leaf, solver_args=options)[0],
        lambda x: torch.autograd.grad(x, leaf, g)[0],
        lambda x, grad: {"x": x.detach().numpy(), "p": grad.numpy()},
    )


def piqp(work: Any) -> Calls:
    """Forward alone, at 1e-9, and with a duality gap of 1e-12."""
    import piqp as library

    cases = [work.element(i) for i in range(len(work.p))]
    cases = [{k: sp.csc_matrix(v) if sp.issparse(v) else v for k, v in c.items()} for c in cases]

    def solve(Q: Any, p: Any, G: Any, h: Any, A: Any, b: Any) -> Any:
        solver = library.SparseSolver()
        own = solver.settings
        own.eps_abs = own.eps_rel = 1e-9
        own.eps_duality_gap_abs = own.eps_duality_gap_rel = 1e-12
        solver.setup(Q, p, A, b, G, None, h)
        solver.solve()
        return solver.result.x

    return lambda: [solve(**case) for case in cases], None, lambda xs, _: {"x": np.stack(xs)}


def osqp(work: Any) -> Calls:
    """Forward alone, at 1e-9 and polished."""
    import osqp as library

    cases = []
    for i in range(len(work.p)):
        Q, p, G, h, A, b = work.element(i).values()
        low = np.r_[b, np.full(h.size, -np.inf)]
        upper, rows = sp.triu(Q, format="csc"), sp.vstack([A, G]).tocsc()
        cases.append((sp.csc_matrix(upper), p, sp.csc_matrix(rows), low, np.r_[b, h]))

    def solve(*case: Any) -> Any:
        solver = library.OSQP()
        options = {"eps_abs": 1e-9, "eps_rel": 1e-9, "polishing": True, "max_iter": 20_000}
        solver.setup(*case, verbose=False, **options)
        return solver.solve(raise_error=False).x

    return lambda: [solve(*case) for case in cases], None, lambda xs, _: {"x": np.stack(xs)}


LIBRARIES: dict[str, Callable[[Any], Calls]] = {
    "kktdiff": ours,
    "dQP on PIQP": dqp,
    "dQP on PIQP, 1e-10": partial(dqp, eps_abs=1e-10, eps_rel=1e-10),
    "moreau": moreau,
    "cvxpylayers, Clarabel": cvxpylayers,
    "PIQP": piqp,
    "OSQP": osqp,
}
