"""Where the time of a compiled solve goes: by stage of a call, and within an iteration.

    python -m benchmarks.stages [--workloads W1,W3] [--calls-only]

Microseconds for each problem, the least of several repeats, on one thread. Stages are the calls
that `solve_qp` makes; what is within an iteration is timed at the first point, by compiled loops
around the functions themselves, which takes a minute to compile.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ |= {"KKTDIFF_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before NumPy reads it

import numpy as np
from numba import njit

import kktdiff
from kktdiff import bench
from kktdiff._inputs import check
from kktdiff._problem import NAMES, build
from kktdiff._scaling import equilibrate
from kktdiff._settings import HANDOVER, Settings
from kktdiff.backends.compiled import (
    _dual,
    _newton,
    _recalled,
    _residuals,
    _run,
    _steps,
    _whole,
)
from kktdiff.backends.compiled._data import DUAL, RECALLS, SERVES, element, point_of, work_for
from kktdiff.backends.compiled._jit import exact

REPEATS, MANY = 7, 300
SETTINGS = Settings(HANDOVER, 100, None)  # as `solve_qp` has them
_compiled = njit(nogil=True, error_model="numpy", _nrt=False)


def stages(name: str) -> dict[str, float]:
    """Of one call, forward and backward."""
    problem = bench.make(name)
    count = len(problem.cotangent)
    times: dict[str, list[float]] = {}

    def timed(stage: str, work: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        found = work(*arguments)
        times.setdefault(stage, []).append((time.perf_counter() - start) / count * 1e6)
        return found

    for _ in range(REPEATS):
        given = timed("check", check, {key: problem.data.get(key) for key in NAMES}, None)
        qp = timed("flat batch", build, given).qp
        scaling = timed("scaling", equilibrate, qp, given.backend)
        timed("compiled solve", _run.solve, qp, scaling, SETTINGS)
        solution = timed("solve_qp, all of it", partial(kktdiff.solve_qp, **problem.data))
        timed("vjp", solution.vjp, problem.cotangent)
    return {"iterations": float(solution.iterations.mean())} | {k: min(v) for k, v in times.items()}


@exact
def _evaluate(e: Any, o: Any, f: Any, at: Any) -> None:
    _residuals.evaluate(e, o, f, at)


@exact
def _factor(e: Any, o: Any, f: Any, at: Any) -> None:
    _newton.factor(e, o, f)


@exact
def _solve_for_a_step(e: Any, o: Any, f: Any, at: Any) -> None:
    _steps._newton_to(e, o, f, at)


@exact
def _whole_direction(e: Any, o: Any, f: Any, at: Any) -> None:
    _steps.direction(e, o, f, at, _steps.mean_product(e, at.s, at.lam), False)


def _repeated(work: Any) -> Any:
    """`work` many times over at the first point of a problem, in the form that it gets."""

    @_compiled
    def go(batch: Any, o: Any, f: Any, points: Any, count: int) -> None:
        e, at = element(batch, 0, 0, f), point_of(points, 0)
        _whole.prepare(e, o, f)
        f.flags[DUAL] = f.flags[SERVES] and _dual.is_cheap(e, f)
        if f.flags[DUAL]:
            _dual.prepare(e, f)
        f.flags[RECALLS] = False  # as it was when the loop began
        _steps.start(e, o, f, at)
        _residuals.evaluate(e, o, f, at)
        if f.flags[DUAL]:
            _recalled.begin(e, f)
        _steps.weigh(e, f, at)
        _newton.factor(e, o, f)
        _steps.direction(e, o, f, at, _steps.mean_product(e, at.s, at.lam), False)
        for _ in range(count):
            work(e, o, f, at)

    return go


def within(name: str) -> dict[str, float]:
    """Of one iteration."""
    arrays = {key: bench.make(name, 2).data.get(key) for key in NAMES}
    given = check(arrays, None)
    qp = build(given).qp
    batch = _run._batch(qp, equilibrate(qp, given.backend))
    options, points = _run._options(qp, SETTINGS), _run._points(qp)
    memory = work_for(batch, _run._CALL)
    works = {
        "factoring": _factor,
        "each of two solves": _solve_for_a_step,
        "both, and the step": _whole_direction,
        "residuals": _evaluate,
    }
    found = {}
    for title, work in works.items():
        if work is _evaluate and memory.flags[DUAL]:
            continue  # which recalls them
        go, best = _repeated(work), np.inf
        go(batch, options, memory, points, 1)
        for _ in range(REPEATS):
            start = time.perf_counter()
            go(batch, options, memory, points, MANY)
            best = min(best, (time.perf_counter() - start) / MANY * 1e6)
        found[title] = best
    return found


def main(argv: list[str] | None = None) -> None:
    """Print both for each workload."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workloads", default="W1,W2,W3,W4,small", help="(default: %(default)s)")
    parser.add_argument("--calls-only", action="store_true", help="nothing that has to be compiled")
    args = parser.parse_args(argv)
    for name in args.workloads.split(","):
        print(f"\n{name}, {bench.WORKLOADS[name].about}")
        for title, value in stages(name).items():
            print(f"  {title:28} {value:9.1f}")
        if args.calls_only:
            continue
        print("  within an iteration:")
        for title, value in within(name).items():
            print(f"    {title:26} {value:9.2f}", flush=True)


if __name__ == "__main__":
    main()
