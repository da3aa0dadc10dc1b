"""The host's side of solving with kept factors: one kernel for all right-hand sides."""

from typing import Any

from kktdiff._typing import Array
from kktdiff.backends.cuda._cuda import Cuda
from kktdiff.backends.cuda._kernels import threads_for
from kktdiff.backends.cuda._table import Given, Kkt, packed


def solve(cuda: Cuda, qp: Any, f: Any, rhs: Any) -> tuple[Array, Array, Array, Array]:
    """x, c and nu as in `rhs`, (B, size, r), and each problem's worst relative residual."""
    task = _task(cuda, qp, f, rhs)
    batch, columns = task.error.shape
    if not columns:
        return rhs.x, rhs.c, rhs.nu, cuda.xp.zeros(batch, dtype=cuda.xp.float64)
    threads = threads_for(task.n, rhs.c.shape[1], task.k, task.N)
    cuda.launch("solve_refined", batch * columns, threads, packed(task, cuda))
    return task.x.mT, task.c.mT, task.nu.mT, cuda.xp.max(task.error, axis=1)


def _task(cuda: Cuda, qp: Any, f: Any, rhs: Any) -> Kkt:
    """The system, the right-hand sides by columns, and memory for solutions."""
    xp, (n, m, k), M = cuda.xp, qp.sizes, qp.d.shape[1]
    batch, _, columns = rhs.x.shape
    K, pivots = f.lu.factor
    N = K.shape[-1]

    def empty(*shape: int) -> Array:
        return xp.empty((batch, columns, *shape), dtype=xp.float64)

    arrays = {name: getattr(qp, name) for name in ("Q", "G", "A")}
    arrays |= {"x_scale": f.scaling.x, "row_scale": f.scaling.rows, "nu_scale": f.scaling.nu}
    arrays |= {"cost": f.scaling.cost, "x_weight": f.x, "g_weight": f.g, "K": K, "pivots": pivots}
    kept = ("activity", "slack", "stiff", "held", "order", "place")
    arrays |= {name: getattr(f, name) for name in kept}
    sides = {"rhs_x": rhs.x, "rhs_c": rhs.c, "rhs_nu": rhs.nu}
    sizes = {"n": n, "m": m, "k": k, "lower": qp.bounds[0], "upper": qp.bounds[1], "N": N}
    found = {"x": empty(n), "c": empty(M), "nu": empty(k), "error": empty()}
    given: dict[str, Any] = {name: Given(xp.ascontiguousarray(v)) for name, v in arrays.items()}
    return Kkt(
        **sizes,
        r=f.order.shape[1],
        columns=columns,
        **given,
        **{name: xp.ascontiguousarray(side.mT) for name, side in sides.items()},
        **found,
        work=empty(4 * (n + M + k) + n + 2 * N),
    )
