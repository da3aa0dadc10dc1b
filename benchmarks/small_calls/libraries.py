"""The libraries: each makes, of problems of one shape, a function from arrays to x."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.small_calls.problems import Rows
from kktdiff._typing import Array

Call = Callable[[Rows], Array]


def kktdiff_(rows: Rows) -> Call:
    """NumPy's call."""
    import kktdiff

    return lambda rows: kktdiff.solve_qp(*rows).x


def kktdiff_warm(rows: Rows) -> Call:
    """The same from the last solution."""
    import kktdiff

    last: list[Any] = [None]

    def call(rows: Rows) -> Array:
        last[0] = kktdiff.solve_qp(*rows, warm_start=last[0])
        return last[0].x

    return call


def kktdiff_jax(rows: Rows) -> Call:
    """Under jit."""
    from kktdiff.adapters.jax import solve_qp

    return _compiled(lambda *rows: solve_qp(*rows).x)


def kktdiff_torch(rows: Rows) -> Call:
    """On tensors."""
    import torch

    from kktdiff.adapters.torch import solve_qp

    return lambda rows: solve_qp(*map(torch.from_numpy, rows)).x.numpy()


def qpax(rows: Rows) -> Call:
    """Under jit, with the tolerance at which it is right."""
    from qpax import solve_qp

    none = np.zeros((0, rows.p.size)), np.zeros(0)
    return _compiled(lambda Q, p, G, h: solve_qp(Q, p, *none, G, h, solver_tol=1e-9)[0])


def plain_jax(rows: Rows) -> Call:
    """The interior point of this folder, under jit."""
    from benchmarks.small_calls.interior_point import solve_qp

    return _compiled(solve_qp)


def _compiled(function: Callable[..., Any]) -> Call:
    import jax

    compiled = jax.jit(function)
    return lambda rows: np.asarray(compiled(*rows))


def daqp(rows: Rows) -> Call:
    """An active-set method in C, from Python."""
    import daqp as library

    lower = np.full(rows.h.shape, -1e30)
    return lambda rows: library.solve(rows.Q, rows.p, rows.G, rows.h, lower)[0]


def piqp(rows: Rows) -> Call:
    """Set up once; then its update."""
    import piqp as library

    solver, lower = library.DenseSolver(), np.full(rows.h.shape, -np.inf)
    solver.settings.eps_abs = solver.settings.eps_duality_gap_abs = 1e-12
    solver.settings.eps_rel = solver.settings.eps_duality_gap_rel = 0.0
    columns = np.asfortranarray
    solver.setup(columns(rows.Q), rows.p, None, None, columns(rows.G), lower, rows.h)

    def call(rows: Rows) -> Array:
        solver.update(P=columns(rows.Q), c=rows.p, G=columns(rows.G), h_l=lower, h_u=rows.h)
        solver.solve()
        return np.array(solver.result.x)

    return call


def moreau(rows: Rows) -> Call:
    """Its torch solver."""
    import moreau as library
    import torch
    from moreau.torch import Solver

    from benchmarks.peers.moreau import _dense_pattern

    m, n = rows.G.shape
    cones = library.Cones(num_zero_cones=0, num_nonneg_cones=m)
    settings = library.Settings(device="cpu", batch_size=1)
    patterns = *_dense_pattern(torch, n, n), *_dense_pattern(torch, m, n)
    solver = Solver(n, m, *patterns, cones=cones, settings=settings)

    def call(rows: Rows) -> Array:
        Q, p, G, h = (torch.from_numpy(v).reshape(1, -1) for v in rows)
        return solver.solve(Q, G, p, h).x[0].numpy()

    return call


LIBRARIES: dict[str, Callable[[Rows], Call]] = {
    "kktdiff": kktdiff_,
    "kktdiff, warm start": kktdiff_warm,
    "kktdiff in JAX, jit": kktdiff_jax,
    "kktdiff in torch": kktdiff_torch,
    "DAQP": daqp,
    "PIQP": piqp,
    "moreau": moreau,
    "qpax, jit": qpax,
    "plain JAX, jit": plain_jax,
}
