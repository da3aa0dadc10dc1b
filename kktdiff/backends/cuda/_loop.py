"""The host's side of the interior-point loop: kernels and batched library calls, in their order.

Each iteration is queued without a look at what it finds. How many problems still run is read one
iteration late, when the next one is queued already, so that the device never waits. Problems that
are done are frozen; when half of them are, the others move together.
"""

from typing import Any, NamedTuple

from kktdiff._typing import Array
from kktdiff.backends.cuda import _libraries as libraries
from kktdiff.backends.cuda._cuda import Cuda
from kktdiff.backends.cuda._kernels import threads_for
from kktdiff.backends.cuda._table import Batch, Given, packed

RUNNING = -2  # state of a problem; else as `kktdiff.backends.Solved` has it
FEWEST = 64  # slots: with fewer the device is not full anyway
GATHERING = 256  # threads of the one block that moves problems together


class Slots(NamedTuple):
    """The loop's memory and how much of it is in use."""

    cuda: Cuda
    batch: Batch
    table: Array  # `batch`, packed
    threads: int
    pointers: dict[str, Array]  # to H, V and S
    used: int

    def launch(self, kernel: str, *arguments: Array | int) -> None:
        """A kernel with a block for each slot."""
        self.cuda.launch(kernel, self.used, self.threads, self.table, *arguments)

    def gathered(self, states: Array, wanted: int, most: int) -> "Slots":
        """The problems in some state moved together; there are `most` of them, or fewer."""
        filled = self.cuda.xp.empty(1, dtype=self.cuda.xp.int32)
        self.cuda.launch("gather", 1, GATHERING, self.table, states, wanted, filled)
        return self._replace(used=most)


def run(cuda: Cuda, qp: Any, scaling: Any, settings: Any) -> Slots:
    """Solve all problems; their points and states are in the batch's memory."""
    batch = _memory(cuda, qp, scaling, settings)
    where = {name: libraries.pointers(cuda, getattr(batch, name)) for name in ("H", "V", "S")}
    threads = threads_for(batch.n, batch.d.array.shape[1], batch.k)
    slots = Slots(cuda, batch, packed(batch, cuda), threads, where, batch.length)
    slots.launch("begin")
    _factor(slots)
    slots.launch("start")
    _iterate(slots)
    return slots


def _iterate(slots: Slots) -> None:
    """Until no problem runs, as far as is known: one iteration more than it takes."""
    live = slots.batch.live
    earlier = None
    for iteration in range(slots.batch.max_iter + 1):
        slots.launch("judge", iteration)
        later = slots.cuda.later(live[iteration : iteration + 1])
        running = slots.used if earlier is None else earlier()
        if not running or iteration == slots.batch.max_iter:
            later()  # the copy must not outlive the memory that it goes to
            return
        _factor(slots)
        slots.launch("advance")
        earlier = later
        if running <= slots.used // 2 and slots.used > FEWEST:
            slots = slots.gathered(slots.batch.state, RUNNING, max(running, FEWEST))


def _factor(slots: Slots) -> None:
    """Finish the systems that a kernel wrote, and factor them."""
    cuda, q, count, where = slots.cuda, slots.batch, slots.used, slots.pointers
    if not q.separable:
        if q.m:
            libraries.add_product(cuda, q.W, q.H, count, by_rows=False)
        libraries.cholesky(cuda, q.H, where["H"], q.H_info, count)
    if q.k:
        if not q.separable:
            half = {"transposed": False}
            libraries.half_solve(cuda, where["H"], q.n, q.V, where["V"], count, **half)
        libraries.add_product(cuda, q.V, q.S, count, by_rows=True)
        libraries.cholesky(cuda, q.S, where["S"], q.S_info, count)


def _memory(cuda: Cuda, qp: Any, scaling: Any, settings: Any) -> Batch:
    """The data as they are, and memory for points and systems."""
    xp, (n, m, k), M, length = cuda.xp, qp.sizes, qp.d.shape[1], qp.length
    separable = not m and _is_diagonal(cuda, qp.Q)

    def empty(*shape: int, dtype: Any = xp.float64) -> Array:
        return xp.empty((length, *shape), dtype=dtype)

    sizes = {"n": n, "m": m, "k": k, "lower": qp.bounds[0], "upper": qp.bounds[1]}
    points = {"x": n, "s": M, "lam": M, "nu": k, "least": 7, "allowed": 2}
    whole = {"progress": xp.int64, "linear": xp.int64, "H_info": xp.int32, "S_info": xp.int32}
    return Batch(
        **sizes,
        separable=int(separable),
        length=length,
        max_iter=settings.max_iter,
        tol=float(settings.tol),
        barrier=float(settings.barrier),
        **_data(cuda, qp, scaling),
        **{name: empty(size) for name, size in points.items()},
        **{name: empty(dtype=dtype) for name, dtype in whole.items()},
        state=xp.full((length,), RUNNING, dtype=xp.int64),
        H=empty(0, 0) if separable else empty(n, n),
        W=empty(m, n),
        V=empty(k, n),
        S=empty(k, k),
        vectors=empty(5 * n + 7 * M + 3 * k + 4),
        slots=xp.arange(length, dtype=xp.int32),
        live=xp.zeros(settings.max_iter + 1, dtype=xp.int32),
    )


def _data(cuda: Cuda, qp: Any, scaling: Any) -> dict[str, Any]:
    """Problems and the weights of their scaling, each array its own or for all."""
    xp, n = cuda.xp, qp.sizes[0]
    none = xp.zeros((1, n), dtype=xp.bool), xp.zeros((1, n), dtype=xp.float64)
    fixed, value = none if qp.fixed is None else (qp.fixed, qp.value)
    arrays = {name: getattr(qp, name) for name in ("Q", "p", "G", "A", "b", "d", "present")}
    arrays |= {"fixed": fixed, "value": value, "cost": scaling.cost}
    arrays |= {"x_weight": scaling.x, "row_weight": scaling.rows, "nu_weight": scaling.nu}
    return {name: Given(xp.ascontiguousarray(array)) for name, array in arrays.items()}


def _is_diagonal(cuda: Cuda, Q: Array) -> bool:
    """Whether all are; the one look at the data, before the loop."""
    xp = cuda.xp
    return bool(xp.all((Q == 0) | xp.eye(Q.shape[-1], dtype=xp.bool)))
