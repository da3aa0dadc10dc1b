"""kktdiff and qpth side by side: speed and accuracy, forward and backward, in one process.

    python -m benchmarks.against_qpth [--batch 128] [--repeats 9] [--threads N] [--json FILE]

W1 is the timing experiment of the OptNet paper (section 4.1): 100 variables, 100 inequalities,
nothing shared. Sudoku is the paper's 4x4 layer at its start: 64 variables, 40 equalities, x >= 0,
Q = 0.1 I; all but p is shared. Both in float64, in turns; times are medians, and only ratios
within one run mean anything. qpth 0.0.18 declares numpy < 2 and cvxpy, yet its own solver needs
neither: `pip install torch`, then `pip install --no-deps qpth`.
"""

import argparse
import contextlib
import gc
import json
import os
import sys
import time
import types
from collections.abc import Callable
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import kktdiff

SETTLE_SECONDS = 0.05  # idle BLAS threads spin for some 20 ms: let the other library's rest first
FULL_RANK = {"Q": 3, "p": 2, "G": 3, "h": 2, "A": 3, "b": 2, "lb": 2}  # dimensions when batched
Arrays = dict[str, np.ndarray]


class Problem(NamedTuple):
    """One batch of QPs: the arguments of `kktdiff.solve_qp`, and dl/dx."""

    name: str
    data: Arrays
    cotangent: np.ndarray

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """All inequalities as C x <= d, the form that qpth takes."""
        if "G" in self.data:
            return self.data["G"], self.data["h"]
        return -np.eye(self.cotangent.shape[1]), -self.data["lb"]

    def shared(self) -> set[str]:
        """Names of the parameters that the whole batch shares."""
        return {name for name, array in self.data.items() if array.ndim < FULL_RANK[name]}


class Contestant(NamedTuple):
    """A library, ready for one problem."""

    name: str
    forward: Callable[[], Any]
    backward: Callable[[Any], Any]  # takes what `forward` returned
    read: Callable[[Any, Any], Arrays]  # both results -> x, and each gradient by name


def dense(batch: int, rng: np.random.Generator) -> Problem:
    """W1: nothing shared, feasible by construction."""
    U, G = rng.random((batch, 100, 100)), rng.standard_normal((batch, 100, 100))
    p, z0, cotangent = rng.standard_normal((3, batch, 100))
    Q = U.transpose(0, 2, 1) @ U + 1e-3 * np.eye(100)
    h = np.einsum("bmn,bn->bm", G, z0) + rng.random((batch, 100))
    return Problem("W1", {"Q": Q, "p": p, "G": G, "h": h}, cotangent)


def sudoku(batch: int, rng: np.random.Generator) -> Problem:
    """The Sudoku layer before its first training step: A uniform, b = A z0 with z0 = 1."""
    A = rng.random((40, 64))
    p = -np.stack([sudoku_clues(rng) for _ in range(batch)])
    data = {"Q": 0.1 * np.eye(64), "p": p, "A": A, "b": A.sum(1), "lb": np.zeros(64)}
    return Problem("Sudoku", data, rng.standard_normal((batch, 64)))


def sudoku_clues(rng: np.random.Generator) -> np.ndarray:
    """A random valid 4x4 board, one-hot, with 4 to 10 of its 16 cells visible."""
    row, column = np.indices((4, 4))
    board = rng.permutation(4)[(2 * (row % 2) + row // 2 + column) % 4]
    clues = np.eye(4)[board[rng.permutation([[0, 1], [2, 3]]).ravel()]].reshape(16, 4)
    clues[rng.permutation(16)[rng.integers(4, 11) :]] = 0.0
    return clues.ravel()


def kktdiff_contestant(problem: Problem, **options: Any) -> Contestant:
    """kktdiff on NumPy arrays, default settings unless told otherwise."""

    def backward(sol: Any) -> Arrays:
        grads = sol.vjp(x=problem.cotangent)
        return {name: getattr(grads, name) for name in problem.data}

    forward = partial(kktdiff.solve_qp, **problem.data, **options)
    return Contestant("kktdiff", forward, backward, lambda sol, grads: {"x": sol.x, **grads})


def import_qpth() -> tuple[Any, Any] | str:
    """(torch, QPFunction), or the sentence that says why there is no qpth."""
    stand_in = types.ModuleType("cvxpy")  # imported by qpth, for a solver that is not used here
    try:
        import torch

        sys.modules.setdefault("cvxpy", stand_in)
        from qpth.qp import QPFunction
    except ImportError as error:
        return f"qpth is not importable here ({error}): kktdiff is measured alone."
    finally:
        if sys.modules.get("cvxpy") is stand_in:
            del sys.modules["cvxpy"]
    return torch, QPFunction


def qpth_contestant(problem: Problem, torch: Any, qp_function: Any) -> Contestant:
    """qpth on CPU tensors, default settings (verbose=-1: it prints otherwise)."""
    data, none = problem.data, np.empty(0)
    arrays = (data["Q"], data["p"], *problem.rows(), data.get("A", none), data.get("b", none))
    inputs = [torch.tensor(array, requires_grad=array.size > 0) for array in arrays]
    leaves = [tensor for tensor in inputs if tensor.requires_grad]
    cotangent = torch.tensor(problem.cotangent)

    def read(x: Any, grads: Any) -> Arrays:
        named = dict(zip("QpGhAb", (grad.numpy() for grad in grads), strict=False))
        named["lb"] = -named["h"]  # bounds went in as -x <= -lb
        return {"x": x.detach().numpy()} | {name: named[name] for name in data}

    backward = partial(torch.autograd.grad, inputs=leaves, grad_outputs=cotangent)
    return Contestant("qpth", partial(qp_function(verbose=-1), *inputs), backward, read)


def timed(call: Callable[..., Any], *args: Any) -> tuple[float, Any]:
    """Milliseconds and result of one call, begun when everything else is at rest."""
    gc.collect()
    time.sleep(SETTLE_SECONDS)
    start = time.perf_counter()
    result = call(*args)
    return 1e3 * (time.perf_counter() - start), result


def measure(contestants: list[Contestant], repeats: int, batch: int) -> dict[str, Any]:
    """Milliseconds per problem of every repeat; who goes first alternates."""
    for contestant in contestants * 2:  # warm up
        contestant.backward(contestant.forward())
    times: dict[str, Any] = {c.name: {"forward": [], "backward": []} for c in contestants}
    for repeat in range(repeats):
        for name, forward, backward, _ in contestants[:: 1 if repeat % 2 == 0 else -1]:
            milliseconds, state = timed(forward)
            times[name]["forward"].append(milliseconds / batch)
            times[name]["backward"].append(timed(backward, state)[0] / batch)
    return times


def reference(problem: Problem, sol: Any) -> tuple[Arrays, float]:
    """x and gradients from the active set that `sol` shows; worst violated optimality condition."""
    batch, n = problem.cotangent.shape
    C, d = problem.rows()
    full = {"A": np.zeros((0, n)), "b": np.zeros(0), **problem.data, "G": C, "h": d}
    lam, slack = (sol.lam, sol.s) if "G" in problem.data else (sol.lam_lb, sol.x + d)
    solved = []
    for i in range(batch):
        element = {k: v[i] if v.ndim == FULL_RANK[k] else v for k, v in full.items()}
        solved.append(dense_kkt(element, lam[i] > slack[i], problem.cotangent[i]))
    exact = {name: np.stack([one[name] for one, _ in solved]) for name in ("x", *problem.data)}
    exact |= {name: exact[name].sum(0) for name in problem.shared()}
    return exact, max(violation for _, violation in solved)


def dense_kkt(element: Arrays, active: np.ndarray, cotangent: np.ndarray) -> tuple[Arrays, float]:
    """x, gradients and worst violation of one element; a tiny violation proves `active` right."""
    Q, G, h, A = (element[name] for name in "QGhA")
    n, k = len(Q), len(A)
    E = np.vstack([G[active], A])
    K = np.block([[Q, E.T], [E, np.zeros((len(E), len(E)))]])
    rhs = np.zeros((len(K), 2))
    rhs[:, 0] = np.concatenate([-element["p"], h[active], element["b"]])
    rhs[:n, 1] = -cotangent
    both = np.linalg.solve(K, rhs)
    both += np.linalg.solve(K, rhs - K @ both)
    (x, ux), (nu, unu) = both[:n].T, both[len(K) - k :].T
    lam, ulam = np.zeros((2, len(h)))
    lam[active], ulam[active] = both[n : len(K) - k].T
    found = {"x": x, "p": ux, "h": -ulam, "b": -unu, "lb": ulam}  # lb: h = -lb
    found["Q"] = (np.outer(ux, x) + np.outer(x, ux)) / 2
    found["G"] = np.outer(lam, ux) + np.outer(ulam, x)
    found["A"] = np.outer(nu, ux) + np.outer(unu, x)
    worst = max(np.abs(K @ both - rhs)[:, 0].max(), (G @ x - h).max(), -lam.min())
    return found, float(worst)


def errors(problem: Problem, exact: Arrays, found: Arrays) -> dict[str, float]:
    """Relative error of x and of each gradient: infinity norms, worst element of the batch."""
    worst = {}
    for name, truth in exact.items():
        shape = (1 if name in problem.shared() else len(truth), -1)
        gap = np.abs(found[name] - truth).reshape(shape).max(1)
        worst[name] = float((gap / np.abs(truth).reshape(shape).max(1)).max())
    return worst


def run_workload(problem: Problem, repeats: int, qpth: Any) -> dict[str, Any]:
    """Everything about one workload, as plain data."""
    contestants = [kktdiff_contestant(problem)]
    if not isinstance(qpth, str):
        contestants.append(qpth_contestant(problem, *qpth))
    batch = len(problem.cotangent)
    result = {"workload": problem.name, "batch": batch}
    result["ms_per_problem"] = measure(contestants, repeats, batch)
    tight = kktdiff_contestant(problem, tol=1e-12, on_failure="ignore")
    exact, result["reference_violation"] = reference(problem, tight.forward())
    result["relative_errors"] = found = {}
    for contestant in [*contestants, tight._replace(name="kktdiff, tol=1e-12")]:
        state = contestant.forward()
        arrays = contestant.read(state, contestant.backward(state))
        found[contestant.name] = errors(problem, exact, arrays)
        if contestant.name == "qpth" and problem.shared():
            arrays |= {name: batch * arrays[name] for name in problem.shared()}
            found["qpth, shared x batch"] = errors(problem, exact, arrays)
    return result


def table(heads: list[str], rows: dict[str, list[str]]) -> str:
    """A Markdown table; the first column names the row."""
    lines = {"": heads, "---": ["---"] * len(heads), **rows}
    return "\n".join(f"| {name} | {' | '.join(cells)} |" for name, cells in lines.items())


def report(result: dict[str, Any]) -> str:
    """One workload as Markdown."""
    medians, rows = {}, {}
    for name, times in result["ms_per_problem"].items():
        forward, backward = np.median(times["forward"]), np.median(times["backward"])
        medians[name] = np.array([forward, backward, forward + backward])
        rows[name] = [*(f"{value:.4f}" for value in medians[name]), f"{backward / forward:.1%}"]
    if "qpth" in medians:
        rows["qpth/kktdiff"] = [f"{r:.2f}x" for r in medians["qpth"] / medians["kktdiff"]] + [""]
    found = result["relative_errors"]
    accuracy = {name: [f"{error:.1e}" for error in row.values()] for name, row in found.items()}
    return f"""
{result["workload"]}, batch {result["batch"]}, ms per problem

{table(["forward", "backward", "both", "backward/forward"], rows)}

Relative error of x and of each gradient; the reference is dense KKT solves, which violate no
optimality condition by more than {result["reference_violation"]:.1e}.

{table(list(found["kktdiff"]), accuracy)}"""


def environment() -> dict[str, Any]:
    """Versions, processors and thread settings."""
    facts: dict[str, Any] = {"kktdiff": kktdiff.__version__}
    for package in ("numpy", "scipy", "torch", "qpth", "numba"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            facts[package] = metadata.version(package)
    facts["CPUs"] = os.cpu_count()
    facts |= {k: v for k, v in os.environ.items() if k.endswith("_THREADS") or "OPENBLAS" in k}
    if "torch" in sys.modules:
        facts["torch threads"] = sys.modules["torch"].get_num_threads()
    with contextlib.suppress(ImportError):
        for pool in import_module("threadpoolctl").threadpool_info():
            facts[f"{Path(pool['filepath']).name} threads"] = pool["num_threads"]
    return facts


def limit_threads(threads: int) -> None:
    """Hold every library to so many threads, and new threads to so many processors."""
    import_module("threadpoolctl").threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def main() -> None:
    """Parse the command line, run both workloads, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, help="needs threadpoolctl; default: do not limit")
    parser.add_argument("--json", type=Path, help="save every single time and error here")
    args = parser.parse_args()
    qpth = import_qpth()
    if args.threads:
        limit_threads(args.threads)
    problems = [make(args.batch, np.random.default_rng(0)) for make in (dense, sudoku)]
    results = [run_workload(problem, args.repeats, qpth) for problem in problems]
    facts = environment()
    print(*(f"{name} {value}" for name, value in facts.items()), sep=", ")
    print(f"Threads: {args.threads or 'the default of each library'}; medians of {args.repeats}.")
    if isinstance(qpth, str):
        print(qpth)
    print(*map(report, results), sep="\n")
    if args.json:
        args.json.write_text(json.dumps({"environment": facts, "results": results}, indent=1))


if __name__ == "__main__":
    main()
