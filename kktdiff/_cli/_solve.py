"""``kktdiff solve``: the quadratic programs of a file."""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import kktdiff
from kktdiff import Solution, SolveError, Status, _interrupt
from kktdiff._cli._terminal import OutputLostError, complain, say
from kktdiff._files import (
    DATA,
    PRICES,
    UsageError,
    check_output,
    example,
    read_problem,
    shown,
    write,
)

WRITTEN = (
    *("x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective", "status", "iterations"),
    *("primal_residual", "dual_residual", "duality_gap"),
)
_VIOLATIONS = tuple(f"violation_{name.removeprefix('soft_')}" for name in PRICES)
_SHIFTS = tuple(f"shift_{name.removeprefix('soft_')}" for name in PRICES)
_SHOWN_ENTRIES, _SHOWN_PROBLEMS, _SHOWN_NOTES = 10, 5, 5


def add_options(commands: Any, at_least: Callable[[int], Callable[[str], int]]) -> Any:
    """Add the subcommand's parser."""
    about = "solve the quadratic programs of a file"
    parser = commands.add_parser(
        "solve",
        help=about,
        description="Solve the quadratic programs of a file: minimise 1/2 x'Qx + p'x subject to "
        "Gx <= h, Ax = b, lb <= x <= ub, where rows with a price may be violated. The exit status "
        "is 1 if a problem is not solved.",
    )
    add = parser.add_argument
    add(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help=f"an .npz file of arrays {', '.join(DATA)}, of which Q or p must be there, or of "
        "qpsolvers' names; or a .qps or .mps file (with the extra qps)",
    )
    text = "write a small problem to FILE.npz, to try and to look at, and solve nothing"
    add("--example", type=Path, metavar="FILE.npz", help=text)
    add(
        "-o",
        "--output",
        type=Path,
        metavar="OUT.npz",
        help="for x, the multipliers and the residuals (default: FILE-solution.npz)",
    )
    add("--force", action="store_true", help="replace the output if it is there")
    add("--backend", metavar="NAME", help="where the work is done; see `kktdiff info`")
    add("--tol", type=float, help="bound on the residuals (default: 1e-8, 1e-5 for float32)")
    add("--max-iter", type=at_least(0), default=100, metavar="N", help="(default: 100)")
    text = "an infeasible problem: report it, or solve the closest feasible one (default: report)"
    add("--infeasible", choices=("report", "closest"), default="report", help=text)
    add("--verbose", action="store_true", help="show the iterations")
    return parser


def command(options: argparse.Namespace) -> bool:
    """Solve, write and show the solutions; return True if all problems are solved.

    Raises
    ------
    UsageError
        Of the file, the options or the output.
    """
    if (options.file is None) == (options.example is None):
        raise UsageError("expected a FILE to solve, or --example FILE.npz to write one")
    if options.example is not None:
        return _write_example(options.example, options.force)
    source = options.file
    found = read_problem(source)  # a path without a name is no file
    output = options.output or source.with_name(f"{source.stem}-solution.npz")
    if output.suffix not in ("", ".npz"):
        raise UsageError(f"--output {shown(output)}: expected a name that ends in .npz")
    check_output(output, source, force=options.force)
    for note in found.notes[:_SHOWN_NOTES]:
        complain(f"kktdiff solve: {shown(source)}: {shown(note)}")
    solution = _solve(found.arrays, options)
    objective = found.sign * solution.objective + found.offset
    lines = _single(solution, objective) if solution.status.ndim == 0 else _batch(solution)
    names = [*WRITTEN, *_there(solution, _VIOLATIONS), *_there(solution, _SHIFTS)]
    arrays = {name: getattr(solution, name) for name in names} | {"objective": objective}
    try:
        write(output, arrays, source, force=options.force)
    except UsageError:
        say("\n".join(lines))  # of what may have taken hours
        raise
    lines.append(f"{'written to':17s} {shown(output)}: {', '.join(names)}")
    say("\n".join(lines))
    return bool(np.all(solution.solved))


def _write_example(path: Path, force: bool) -> bool:
    check_output(path, force=force)
    write(path, example(), force=force)
    say(f"written to {shown(path)}: {', '.join(example())}\nkktdiff solve {shown(path)} solves it")
    return True


def _solve(arrays: dict[str, Any], options: argparse.Namespace) -> Solution:
    """Solve in a thread, so that Ctrl-C ends this process even while compiled code is at work."""
    names = ("backend", "tol", "max_iter", "infeasible", "verbose")
    settings = {name: getattr(options, name) for name in names}
    try:
        with _interrupt.handled_by(_interrupt.leave), ThreadPoolExecutor(1) as pool:
            call = pool.submit(kktdiff.solve_qp, **arrays, **settings, on_failure="raise")
            return call.result()
    except SolveError as error:
        complain(f"kktdiff solve: {shown(options.file)}: {error}")
        return error.solution
    except (TypeError, ValueError) as error:
        raise UsageError(f"{shown(options.file)}: {error}") from error
    except MemoryError as error:
        raise UsageError(f"{shown(options.file)} needs more memory than there is") from error
    except OSError as error:  # of --verbose
        raise OutputLostError from error


def _single(solution: Solution, objective: Any) -> list[str]:
    return [
        f"{'status':17s} {Status(int(solution.status)).name}",
        f"{'iterations':17s} {int(solution.iterations)}",
        f"{'objective':17s} {float(objective):.10g}",
        *_residuals(solution, np.ones((), dtype=bool)),
        *(f"{name.replace('_', ' of '):17s} {_entries(v)}" for name, v in _repairs(solution)),
        f"{'x':17s} {_entries(solution.x)}",
    ]


def _batch(solution: Solution) -> list[str]:
    lines = [f"{'problems':17s} {solution.status.size}"]
    for status in np.unique(solution.status):
        places = [tuple(map(int, place)) for place in np.argwhere(solution.status == status)]
        shown_ = ", ".join(map(_place, places[:5]))
        at = f" (at {shown_}{', ...' if len(places) > 5 else ''})" if status else ""
        lines.append(f"{Status(int(status)).name:17s} {len(places)}{at}")
    if np.any(solution.solved):
        most = int(np.max(solution.iterations[solution.solved]))
        lines += ["largest among the solved", f"{'iterations':17s} {most}"]
        lines += _residuals(solution, solution.solved)
        for name, array in _repairs(solution):
            most_ = np.max(np.abs(array[solution.solved]), initial=0)
            lines.append(f"{name.replace('_', ' of '):17s} {float(most_):.6g}")
    for flat in range(min(solution.status.size, _SHOWN_PROBLEMS)):
        place = tuple(map(int, np.unravel_index(flat, solution.status.shape)))
        lines.append(f"{f'x at {_place(place)}':17s} {_entries(solution.x[place])}")
    if solution.status.size > _SHOWN_PROBLEMS:
        lines.append(f"{'x at ...':17s} the others are in the output")
    return lines


def _place(place: tuple[int, ...]) -> str:
    return str(place[0] if len(place) == 1 else place)


def _entries(x: Any) -> str:
    head = "  ".join(f"{value:.6g}" for value in x[:_SHOWN_ENTRIES])
    return head + (f"  ...  ({len(x)} entries)" if len(x) > _SHOWN_ENTRIES else "")


def _there(solution: Solution, names: Sequence[str]) -> list[str]:
    return [name for name in names if getattr(solution, name) is not None]


def _repairs(solution: Solution) -> list[tuple[str, Any]]:
    """Return the violations of soft rows, and the shifts that made infeasible problems feasible."""
    names = _there(solution, (*_VIOLATIONS, *_SHIFTS))
    return [(name, getattr(solution, name)) for name in names]


def _residuals(solution: Solution, where: Any) -> list[str]:
    return [
        f"{name.replace('_', ' '):17s} {float(np.max(getattr(solution, name)[where])):.2e}"
        for name in ("primal_residual", "dual_residual", "duality_gap")
    ]
