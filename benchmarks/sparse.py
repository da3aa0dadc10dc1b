"""W6: large sparse problems, and a batch that shares a pattern, beside other libraries.

    python -m benchmarks.sparse [--repeats 7] [--libraries "kktdiff;PIQP"] [--out DIR]

All in one process, in turns; medians of the processor time. An answer is right up to 1e-6,
relative, beside a point that meets the optimality conditions to 1e-9, and a gradient beside sparse
linear algebra at that point. Not all libraries have gradients of sparse matrices.
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

import kktdiff
from benchmarks.small_calls.__main__ import where
from benchmarks.sparse_libraries import LIBRARIES
from kktdiff import bench

NAME = "sparse"
PACKAGES = ("piqp", "libdqp", "moreau", "osqp", "cvxpylayers", "diffcp", "clarabel")
RIGHT = 1e-6  # relative
OPTIMAL = 1e-9  # residuals of the reference


class Workload(NamedTuple):
    """QPs with one pattern: Q and G are the same for all, values of A, p and b are not."""

    title: str
    Q: Any  # (n, n), diagonal
    p: Any  # (B, n)
    G: Any  # (m, n)
    h: Any  # (m,)
    A: Any  # (k, n): the pattern, and the values of the first
    values: Any  # (B, nnz) of A, by rows
    b: Any  # (B, k)
    cotangent: Any  # (B, n), of the loss in x

    def element(self, i: int) -> dict[str, Any]:
        """Return the arrays of one problem."""
        A = sp.csr_array((self.values[i], self.A.indices, self.A.indptr), shape=self.A.shape)
        return {"Q": self.Q, "p": self.p[i], "G": self.G, "h": self.h, "A": A, "b": self.b[i]}


def simplex(n: int) -> Workload:
    """Return the projection of a point on the simplex, `x >= 0` as rows."""
    rng = np.random.default_rng(0)
    eye, ones = sp.eye_array(n, format="csr"), sp.csr_array(np.ones((1, n)))
    parts = (
        eye,
        -rng.normal(size=(1, n)),
        -eye,
        np.zeros(n),
        ones,
        np.ones((1, n)),
        np.ones((1, 1)),
    )
    return Workload(f"simplex, n = {n:,}", *parts, rng.normal(size=(1, n)))


def control(batch: int, steps: int, states: int, controls: int, start: float) -> Workload:
    """Return plans of linear systems within limits, each with dynamics and a start of its own."""
    rng, width = np.random.default_rng(1), states + controls
    n, k = steps * width, steps * states
    eye, move = sp.eye_array(n, format="csr"), []
    for _ in range(batch):  # of x(t + 1) = D x(t) + B u(t), by [u(0), x(1), u(1), ...]
        D = np.eye(states) + 0.1 * rng.normal(size=(states, states))
        move.append(
            (D / max(1, abs(np.linalg.eigvals(D)).max()), rng.normal(size=(states, controls)))
        )
    shift = sp.diags_array([np.ones(steps - 1)], offsets=[-1], shape=(steps, steps))
    rows = []
    for D, B in move:
        now = sp.kron(sp.eye_array(steps), np.c_[B, -np.eye(states) + 0.0 * D])
        now = now + sp.kron(shift, np.c_[0 * B, D])
        rows.append(sp.csr_array(now))
    starts = start * rng.normal(size=(batch, states))
    b = np.zeros((batch, k))
    b[:, :states] = [-D @ x for (D, _), x in zip(move, starts, strict=True)]
    limits = np.tile(np.r_[np.full(controls, 0.5), np.full(states, 3.0)], steps)
    Q = sp.diags_array(np.tile(np.r_[np.full(controls, 0.1), np.ones(states)], steps)).tocsr()
    for own in rows:
        own.eliminate_zeros(), own.sort_indices()
    p, g = 0.1 * rng.normal(size=(batch, n)), rng.normal(size=(batch, n))
    G, h, values = (
        sp.vstack([eye, -eye]).tocsr(),
        np.r_[limits, limits],
        np.stack([r.data for r in rows]),
    )
    title = f"MPC, n = {n:,}, m = {2 * n:,}, k = {k:,}" + f", batch of {batch}" * (batch > 1)
    return Workload(title, Q, p, G, h, rows[0], values, b, g)


WORKLOADS = (
    lambda: simplex(10_000),
    lambda: control(1, 500, 6, 4, 2.0),
    lambda: control(256, 20, 6, 3, 0.5),
)


def reference(work: Workload) -> dict[str, Any]:
    """Return x and the gradients of all data by an active set, checked, and sparse LU.

    Raises
    ------
    RuntimeError
        If that is not the solution.
    """
    found: dict[str, list[Any]] = {name: [] for name in ("x", *"QpGhAb")}
    for i, g in enumerate(work.cotangent):
        Q, p, G, h, A, b = work.element(i).values()
        start = kktdiff.solve_qp(Q, p, G, h, A, b, tol=1e-11)
        active = start.lam > h - G @ start.x
        n, rows = p.size, sp.vstack([G[active], A]).tocsc()
        K = splu(sp.block_array([[Q, rows.T], [rows, None]], format="csc"))
        point = K.solve(np.r_[-p, h[active], b])
        x, multipliers = point[:n], point[n:]
        lam = multipliers[: active.sum()]
        if max(np.max(G @ x - h), -lam.min(initial=0.0), np.abs(A @ x - b).max()) > OPTIMAL:
            raise RuntimeError(f"{work.title}: the reference is not optimal")
        u = -K.solve(np.r_[g, np.zeros(rows.shape[0])])
        own = gradients(work, active, x, point[n:], u[:n], u[n:])
        for name, value in ({"x": x} | own).items():
            found[name].append(value)
    out = {name: np.array(values) for name, values in found.items()}
    return out | {name: out[name].sum(0) for name in "QGh"}  # which the batch shares


def gradients(
    work: Workload, active: Any, x: Any, multipliers: Any, u_x: Any, u: Any
) -> dict[str, Any]:
    """Return those of one problem, of matrices in their entries by rows."""
    count, m = active.sum(), work.h.size
    lam, u_lam = np.zeros(m), np.zeros(m)
    lam[active], u_lam[active] = multipliers[:count], u[:count]
    nu, u_nu = multipliers[count:], u[count:]
    row_G, row_A = (np.repeat(np.arange(M.shape[0]), np.diff(M.indptr)) for M in (work.G, work.A))
    return {
        "Q": u_x * x,
        "p": u_x,
        "G": lam[row_G] * u_x[work.G.indices] + u_lam[row_G] * x[work.G.indices],
        "h": -u_lam,
        "A": nu[row_A] * u_x[work.A.indices] + u_nu[row_A] * x[work.A.indices],
        "b": -u_nu,
    }


def measured(work: Workload, names: list[str], repeats: int) -> list[dict[str, Any]]:
    """Return a record for each library: times of forward and backward, and errors."""
    truth, records, calls = reference(work), [], {}
    for name in names:
        start = time.process_time()
        try:
            forward, backward, read = LIBRARIES[name](work)
            state = forward()
            grads = backward(state) if backward else None
            errors = {k: error(v, truth[k]) for k, v in read(state, grads).items()}
        except NotImplementedError:
            continue
        except Exception as failure:  # whatever another library raises is a result
            records.append(
                {"library": name, "failed": f"{type(failure).__name__}: {failure}"[:200]}
            )
            continue
        records.append({"library": name, "errors": errors, "first": time.process_time() - start})
        calls[name] = (forward, backward, records[-1])
        records[-1] |= {"forward": [], "backward": []}
    for _ in range(repeats):
        for forward, backward, record in calls.values():
            state, spent = timed(forward)
            record["forward"].append(spent)
            if backward:
                record["backward"].append(timed(lambda run=backward, s=state: run(s))[1])
    return [digest(record, len(work.p)) for record in records]


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call returns, and the processor time that it takes."""
    start = time.process_time()
    return call(), time.process_time() - start


def error(found: Any, truth: Any) -> float:
    """Return the largest difference, relative to the largest entry."""
    found = np.asarray(found, dtype=float).reshape(truth.shape)
    return float(np.max(np.abs(found - truth)) / (np.max(np.abs(truth)) or 1.0))


def digest(record: dict[str, Any], batch: int) -> dict[str, Any]:
    """Return a record with medians, in milliseconds per problem."""
    if "failed" in record:
        return record
    times = {
        name: float(f"{1e3 * median(record[name]) / batch:.3g}") if record[name] else None
        for name in ("forward", "backward")
    }
    errors = {name: float(f"{value:.1g}") for name, value in record["errors"].items()}
    return {
        "library": record["library"],
        **times,
        "first": round(record["first"], 2),
        "errors": errors,
    }


def table(found: list[dict[str, Any]]) -> str:
    """Return the Markdown table of all workloads."""
    lines = [
        "| | library | forward | backward | both, kktdiff = 1 | gradients | worst error |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for own in found:
        ours = next((sum_of(r) for r in own["records"] if r["library"] == "kktdiff"), None)
        for i, record in enumerate(own["records"]):
            title = own["title"] if i == 0 else ""
            lines.append(f"| {title} | {record['library']} | {cells(record, ours)} |")
    return "\n".join(lines)


def cells(record: dict[str, Any], ours: float | None) -> str:
    """Return the cells of a record, but the first two."""
    if "failed" in record:
        return f"fails: {record['failed'].splitlines()[0]} | | | |"
    worst = max(record["errors"].values())
    names = ", ".join(name for name in record["errors"] if name != "x") or "none"
    ratio = f"{sum_of(record) / ours:.2g}" if ours and record["backward"] else ""
    wrong = "" if worst <= RIGHT else " (not right)"
    times = [f"{record[name]:.3g}" if record[name] else "" for name in ("forward", "backward")]
    return " | ".join([*times, ratio, names, f"{worst:.0e}{wrong}"])


def sum_of(record: dict[str, Any]) -> float:
    """Return the time of forward and backward."""
    return float(record["forward"] + (record["backward"] or 0.0))


def write(folder: Path | None, name: str, text: str) -> None:
    """Write a file into a folder, which is made if it is not there, if one is wanted."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Measure, print, and write where `--out` says."""
    parser = argparse.ArgumentParser(
        description="Large sparse problems, and a batch of small ones."
    )
    add = parser.add_argument
    add("--repeats", type=int, default=7, help="of each call (default: 7)")
    add("--libraries", help="by semicolons (default: all that are installed)")
    add("--out", type=Path, help="folder for the numbers and the table")
    args = parser.parse_args(argv)
    names = args.libraries.split(";") if args.libraries else list(LIBRARIES)
    unknown = [name for name in names if name not in LIBRARIES]
    if unknown:
        parser.error(f"--libraries {';'.join(unknown)}: known are {'; '.join(LIBRARIES)}")
    warnings.filterwarnings("ignore", "Sparse|solver='auto'", UserWarning)  # of torch, and moreau
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    found = []
    for make in WORKLOADS:
        work = make()
        found.append({"title": work.title, "records": measured(work, names, args.repeats)})
    machine = bench.machine(PACKAGES) | {"load": load}
    print(f"{table(found)}\n\n{where(machine)}")
    text = json.dumps({"machine": machine, "workloads": found}, indent=1) + "\n"
    write(args.out, f"{NAME}.json", text)
    write(args.out, f"{NAME}.md", f"{table(found)}\n\n{where(machine)}\n")
    return found


if __name__ == "__main__":
    main()
