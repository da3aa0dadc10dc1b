"""How robust: each problem of the public sets, solved by kktdiff and by its peers.

    python -m benchmarks.robustness [--data DIR] [--most N] [--json FILE] [--markdown FILE]
    python -m benchmarks.robustness --sparse --sets maros_meszaros netlib_lp netlib_infeas

Every answer is judged from the problem's data alone, in its own units. All solvers are asked for
1e-9, absolute, within 200 iterations; PIQP and Clarabel run where they are installed. PIQP gets
each problem as its set has it, with a lower and an upper limit for each row and each variable;
kktdiff and Clarabel get each limit of a row as a row of its own. With `--sparse` all problems of
Maros and Meszaros are solved, not the small ones alone, on sparse matrices, by kktdiff and PIQP.
"""

import argparse
import csv
import json
import os
import platform
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

import kktdiff
from benchmarks import robustness_report as report
from benchmarks.problem_sets import SETS, Problem, farkas_error, problems, quality
from tests.problems import Data
from tests.robustness.datasets import matrix

TOL, MAX_ITER = 1e-9, 200
Answer = tuple[str, int, Any]  # status, iterations, point


class Rows(NamedTuple):
    """The rows ``l <= Ax <= u`` of a problem as its set has them, equalities included."""

    A: Any
    l: np.ndarray
    u: np.ndarray


def files(folder: Path, name: str) -> dict[str, Path]:
    """The file of each problem of a set."""
    with (folder / "index.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == name]
    return {row["name"]: folder / row["file"] for row in rows}


def rows_in(path: Path) -> Rows:
    """Read the rows of a problem from its file, a sparse matrix and its limits."""
    with np.load(path, allow_pickle=False) as file:
        return Rows(matrix(file, "A", file["shape"]), file["l"], file["u"])


def ours(data: Data) -> Answer:
    """kktdiff, every element a problem of its own."""
    solution = kktdiff.solve_qp(*data, tol=TOL, max_iter=MAX_ITER, on_failure="ignore")
    return kktdiff.Status(int(solution.status)).name, int(solution.iterations), solution


def piqp(data: Data, rows: Rows) -> Answer:
    """PIQP with the solver for the data's form; rows have both limits, fixed ones are bounds."""
    import piqp

    is_sparse = sparse.issparse(data.Q)
    solver = piqp.SparseSolver() if is_sparse else piqp.DenseSolver()
    s = solver.settings
    s.eps_abs, s.eps_rel, s.max_iter = TOL, 0.0, MAX_ITER
    s.check_duality_gap, s.eps_duality_gap_abs, s.eps_duality_gap_rel = True, TOL, 0.0
    equal = rows.l == rows.u
    A, b = (rows.A[equal], rows.u[equal]) if equal.any() else (None, None)
    G, l, u = [None] * 3 if equal.all() else [v[~equal] for v in rows]
    A, G = (None if M is None else M if is_sparse else M.toarray() for M in (A, G))
    form = sparse.csc_matrix if is_sparse else np.asfortranarray
    Q, A, G = (None if M is None else form(M) for M in (data.Q, A, G))
    solver.setup(Q, data.p, A, b, G, l, u, data.lb, data.ub)
    status, r = solver.solve(), solver.result
    lower = [] if l is None else r.z_l[np.isfinite(l)]  # data.G: upper limits, then lower ones
    lam = np.concatenate([r.z_u, lower])
    point = SimpleNamespace(x=r.x, lam=lam, nu=r.y, lam_lb=r.z_bl, lam_ub=r.z_bu)
    return str(status).split(".")[-1], int(r.info.iter), point


def clarabel(data: Data, _: Rows) -> Answer:
    """Clarabel; bounds are rows."""
    import clarabel

    s = clarabel.DefaultSettings()
    s.verbose, s.max_iter = False, MAX_ITER
    s.tol_gap_abs, s.tol_gap_rel, s.tol_feas = TOL, 0.0, TOL
    n, eye = len(data.p), np.eye(len(data.p))
    lower = None if data.lb is None else -data.lb
    blocks = [(data.A, data.b), (data.G, data.h), (-eye, lower), (eye, data.ub)]
    kept = [np.zeros(0, bool) if d is None else np.abs(d) < 1e20 for _, d in blocks]
    used = [(C[k], d[k]) for (C, d), k in zip(blocks, kept, strict=True) if k.any()]
    C = np.vstack([np.zeros((0, n)), *(C for C, _ in used)])
    d = np.concatenate([np.zeros(0), *(d for _, d in used)])
    equal = int(kept[0].sum())
    cones = [clarabel.ZeroConeT(equal), clarabel.NonnegativeConeT(len(d) - equal)]
    P = sparse.triu(sparse.csc_matrix(data.Q), format="csc")
    found = clarabel.DefaultSolver(P, data.p, sparse.csc_matrix(C), d, cones, s).solve()
    z, full = np.array(found.z), []
    for (_, limits), k in zip(blocks, kept, strict=True):
        own = np.zeros(n if limits is None else len(limits))
        if k.any():
            own[k], z = z[: k.sum()], z[k.sum() :]
        full.append(own)
    nu, lam, lam_lb, lam_ub = full
    point = SimpleNamespace(x=np.array(found.x), nu=nu, lam=lam, lam_lb=lam_lb, lam_ub=lam_ub)
    return str(found.status), found.iterations, point


PEERS: dict[str, Callable[[Data, Rows], Answer]] = {"piqp": piqp, "clarabel": clarabel}


def rows(options: argparse.Namespace, name: str, peers: list[str]) -> Iterator[dict[str, Any]]:
    """One record per problem of a set: what each solver said, and what its answer is worth."""
    places = files(options.data, name)
    for problem in problems(options.data, name, options.most, whole=options.sparse):
        if problem.name in options.without:
            continue
        print(f"{name}/{problem.name}", file=sys.stderr)
        status, iterations, solution = ours(problem.data)
        row = {"name": problem.name, "n": len(problem.data.p), "rows": count(problem.data)}
        row["kktdiff"] = judged(problem, status, iterations, solution)
        if status == "PRIMAL_INFEASIBLE":
            row["kktdiff"]["proof"] = farkas_error(problem.data, solution.certificate())
        given = rows_in(places[problem.name])
        for peer in peers:
            row[peer] = judged(problem, *PEERS[peer](problem.data, given))
        yield row


def judged(problem: Problem, status: str, iterations: int, point: Any) -> dict[str, Any]:
    """What is written down of one answer; residuals are None where it has no point."""
    record: dict[str, Any] = {"status": status, "iterations": iterations}
    if not np.all(np.isfinite(point.x)):
        return record | {"absolute": None, "relative": None}
    found = quality(problem, point)
    record |= {name: getattr(found, name) for name in ("primal", "dual", "gap")}
    error = found.objective_error if np.isfinite(found.objective_error) else None
    return record | {
        "absolute": found.absolute,
        "relative": found.relative,
        "objective_error": error,
    }


def count(data: Data) -> int:
    """Number of constraints other than bounds."""
    return sum(0 if d is None else len(d) for d in (data.h, data.b))


def installed(peer: str) -> str | None:
    """A peer's version, None where it is not installed."""
    try:
        return metadata.version(peer)
    except metadata.PackageNotFoundError:
        return None


def main() -> None:
    """Solve, and write what was found."""
    parser = argparse.ArgumentParser(description="How robust, on the public problem sets.")
    place = os.environ.get("KKTDIFF_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(place), help="folder of the sets")
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--most", type=int, help="leave out problems with more unknowns and rows")
    parser.add_argument("--sparse", action="store_true", help="all problems, on sparse matrices")
    parser.add_argument("--without", nargs="+", default=(), help="names of problems to leave out")
    parser.add_argument("--json", type=Path, help="write all records to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    options = parser.parse_args()
    if not (options.data / "index.csv").exists():
        parser.error(f"no problem sets in {options.data}: name their folder with --data")
    peers = [v for v in PEERS if installed(v) and not (options.sparse and v == "clarabel")]
    packages = {name: installed(name) for name in ("numpy", "scipy", *peers)}
    machine = {"python": platform.python_version(), "processor": platform.machine()}
    found: dict[str, Any] = {"versions": {"kktdiff": kktdiff.__version__} | packages | machine}
    warnings.simplefilter("ignore")
    found["sets"] = {name: list(rows(options, name, peers)) for name in options.sets}
    found["sparse"] = options.sparse
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    text = report.markdown(found)
    if options.markdown:
        options.markdown.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
