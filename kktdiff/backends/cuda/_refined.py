"""The host's side of solving with kept factors: one kernel for all right-hand sides."""

from typing import Any

from kktdiff._typing import Array
from kktdiff.backends.cuda._cuda import Cuda
from kktdiff.backends.cuda._kernels import threads_for
from kktdiff.backends.cuda._table import Given, Kkt, packed


def solve(cuda: Cuda, qp: Any, f: Any, rhs: Any) -> tuple[Array, Array, Array, Array]:
    """x, c and nu as in `rhs`, (B, size, r), and each problem's worst relative residual."""
    xp, (n, m, k), M = cuda.xp, qp.sizes, qp.d.shape[1]
    batch, _, columns = rhs.x.shape
    K, pivots = f.lu.factor
    N, length = K.shape[-1], n + M + k

    def given(array: Array) -> Given:
        return Given(xp.ascontiguousarray(array))

    def by_column(array: Array) -> Array:  # (B, size, r) -> (B, r, size)
        return xp.ascontiguousarray(array.mT)

    def empty(*shape: int) -> Array:
        return xp.empty((batch, columns, *shape), dtype=xp.float64)

    scaling = {"x_scale": "x", "row_scale": "rows", "nu_scale": "nu", "cost": "cost"}
    weights = {name: name for name in ("activity", "slack", "stiff", "held", "order", "place")}
    weights |= {"x_weight": "x", "g_weight": "g"}
    task = Kkt(
        n=n,
        m=m,
        k=k,
        lower=qp.bounds[0],
        upper=qp.bounds[1],
        N=N,
        r=f.order.shape[1],
        columns=columns,
        **{name: given(getattr(qp, name)) for name in ("Q", "G", "A")},
        **{name: given(getattr(f.scaling, own)) for name, own in scaling.items()},
        **{name: given(getattr(f, own)) for name, own in weights.items()},
        K=given(K),
        pivots=given(pivots),
        rhs_x=by_column(rhs.x),
        rhs_c=by_column(rhs.c),
        rhs_nu=by_column(rhs.nu),
        x=empty(n),
        c=empty(M),
        nu=empty(k),
        error=empty(),
        work=empty(4 * length + n + 2 * N),
    )
    if columns:
        threads = threads_for(n, M, k, N // 2)
        cuda.launch("solve_refined", batch * columns, threads, packed(task, cuda))
    worst = xp.max(task.error, axis=1) if columns else xp.zeros(batch, dtype=xp.float64)
    return task.x.mT, task.c.mT, task.nu.mT, worst
