"""One call on a batch, forward and with the gradients of all data, in microseconds."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.small_calls.problems import SIZES, Rows, drawn, errors

BATCHES = (1, 32, 256)
SECONDS, MOST = 1.5, 300  # of each size: repeats end with the first of these
RIGHT = 1e-6

Pair = tuple[
    Callable[[], Any], Callable[[], Any]
]  # x; x and, with all other gradients of its sum, p's


def ours(rows: Rows) -> Pair:
    """NumPy's call."""
    import kktdiff

    ones = np.ones_like(rows.p)

    def both() -> Any:
        sol = kktdiff.solve_qp(*rows)
        return sol.x, sol.vjp(x=ones).p

    return lambda: kktdiff.solve_qp(*rows).x, both


def in_jax(rows: Rows) -> Pair:
    """The whole batch in one call of the adapter."""
    from kktdiff.adapters.jax import solve_qp

    return _jitted(rows, lambda *rows: solve_qp(*rows).x)


def of_qpax(rows: Rows) -> Pair:
    """`solve_qp_primal`, by vmap."""
    import jax
    from qpax import solve_qp_primal

    none = np.zeros((0, rows.p.shape[-1])), np.zeros(0)
    how = {"backend": "i", "solver_tol": 1e-11, "target_kappa": 1e-11}
    return _jitted(rows, jax.vmap(lambda Q, p, G, h: solve_qp_primal(Q, p, *none, G, h, **how)))


def plain(rows: Rows) -> Pair:
    """The interior point of this folder, by vmap."""
    import jax

    from benchmarks.small_calls.interior_point import solve_qp

    return _jitted(rows, jax.vmap(solve_qp))


def _jitted(rows: Rows, solve: Callable[..., Any]) -> Pair:
    import jax

    arrays = tuple(map(jax.numpy.asarray, rows))
    forward = jax.jit(solve)

    def loss(*arrays: Any) -> Any:
        x = solve(*arrays)
        return x.sum(), x

    both = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3), has_aux=True))

    def x_and_gradients() -> Any:
        gradients, x = jax.block_until_ready(both(*arrays))
        return x, gradients[1]

    return lambda: jax.block_until_ready(forward(*arrays)), x_and_gradients


CALLS = {
    "kktdiff, NumPy": ours,
    "kktdiff in JAX": in_jax,
    "qpax": of_qpax,
    "plain JAX": plain,
}


def measure() -> list[dict[str, Any]]:
    """Return a record for each size and library: medians in microseconds, and the error."""
    return [one for n in SIZES for batch in BATCHES for one in _of_size(n, batch)]


def _of_size(n: int, batch: int) -> list[dict[str, Any]]:
    rows, pairs = drawn(n, batch), {}
    for name, make in CALLS.items():
        try:
            pairs[name] = make(rows)
        except ImportError:
            continue
    wrong = {}
    for name, (_, both) in pairs.items():
        x, by_p = both()
        wrong[name] = max(errors(rows, np.asarray(x), np.asarray(by_p)))
    times: dict[tuple[str, int], list[float]] = {
        (name, i): [] for name in pairs for i in (0, 1) if pairs[name][i]() is not None
    }
    end = time.perf_counter() + SECONDS * len(pairs)
    for _ in range(MOST):
        for (name, i), found in times.items():
            pairs[name][i]()  # after which the threads of the one before are at rest
            begun = time.perf_counter()
            pairs[name][i]()
            found.append(time.perf_counter() - begun)
        if time.perf_counter() > end:
            break
    return [
        {
            "n": n,
            "batch": batch,
            "library": name,
            "forward": 1e6 * median(times[name, 0]),
            "both": 1e6 * median(times[name, 1]),
            "error": wrong[name],
        }
        for name in pairs
    ]


def table(records: list[dict[str, Any]]) -> str:
    """Return a row for each size: forward, then forward and backward."""
    names = list(dict.fromkeys(r["library"] for r in records))
    lines = ["| n | batch | " + " | ".join(names) + " |", "| --- " * (2 + len(names)) + "|"]
    for n, batch in dict.fromkeys((r["n"], r["batch"]) for r in records):
        own = {r["library"]: r for r in records if (r["n"], r["batch"]) == (n, batch)}
        cells = [_cell(own[name]) if name in own else "" for name in names]
        lines.append(f"| {n} | {batch} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(record: dict[str, Any]) -> str:
    text = f"{record['forward']:.0f}, {record['both']:.0f}"
    return text if record["error"] <= RIGHT else f"{text} (wrong by {record['error']:.0e})"
