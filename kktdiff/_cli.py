"""The command line: ``python -m kktdiff sudoku | solve | bench | info``, installed as ``kktdiff``.

Exit status: 0 fine, 1 not solved or failed, 2 wrong use, 130 interrupted.
"""

import argparse
import platform
import sys
from collections.abc import Callable, Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np

import kktdiff
from kktdiff import Solution, Status, backends, bench, kernels, sudoku
from kktdiff._files import UsageError, cannot, read, write

FINE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
DATA = ("Q", "p", "G", "h", "A", "b", "lb", "ub")
WRITTEN = (
    *("x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective", "status", "iterations"),
    *("primal_residual", "dual_residual", "duality_gap"),
)
_REQUIRED = ("numpy", "scipy", "array-api-compat")
_OPTIONAL = ("tqdm", "matplotlib", "cupy", "torch", "jax")  # names to import
_EXAMPLES = """\
examples:
  kktdiff sudoku                    learn 4x4 Sudoku from generated boards
  kktdiff sudoku --data FILE.npz    from the boards of a file
  kktdiff solve FILE.npz            solve the quadratic programs of a file
  kktdiff bench                     measure speed and accuracy
  kktdiff info                      versions and backends
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Parameters
    ----------
    arguments
        Those of the command line if None.

    Examples
    --------
    >>> from kktdiff._cli import main
    >>> main(["solve", "no-such-file.npz"])
    2
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except UsageError as error:
        print(f"kktdiff {options.name}: {error}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt:
        print(f"kktdiff {options.name}: interrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kktdiff",
        description="Differentiable batched quadratic programs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kktdiff {kktdiff.__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="name", metavar="COMMAND", required=True
    )
    _add_sudoku(commands)
    _add_solve(commands)
    bench.add_options(commands, _at_least).set_defaults(command=_bench)
    about = "show versions, backends, and why a backend can't be used"
    commands.add_parser("info", help=about, description=about).set_defaults(command=_info)
    return parser


def _add_sudoku(commands: Any) -> None:
    about = "learn 4x4 Sudoku from boards alone, with a QP layer"
    parser = commands.add_parser(
        "sudoku",
        help=about,
        description=f"{about[0].upper()}{about[1:]}. Training stops when the validation "
        "boards are solved. Ctrl-C stops it earlier and keeps what was learnt.",
    )
    usual = sudoku.Options()
    add = parser.add_argument
    for name, least, about in (
        ("epochs", 1, "at most this many"),
        ("batch", 1, "boards per step of training"),
        ("seed", 0, "of all that is random"),
    ):
        value = getattr(usual, name)
        text = f"{about} (default: {value})"
        add(f"--{name}", type=_at_least(least), default=value, metavar="N", help=text)
    add("--backend", metavar="NAME", help="where the work is done; see `kktdiff info`")
    add(
        "--data",
        type=Path,
        metavar="FILE.npz",
        help="boards to learn and to hold out: arrays puzzles and solutions, (B, 4, 4), 0 for a "
        "blank (default: 10000 generated boards)",
    )
    add(
        "--output",
        type=Path,
        metavar="FOLDER",
        default=Path("out", "sudoku"),
        help="for learning.png, epochs.csv and layer.npz (default: out/sudoku)",
    )
    parser.set_defaults(command=_sudoku)


def _add_solve(commands: Any) -> None:
    about = "solve the quadratic programs of a file"
    parser = commands.add_parser(
        "solve",
        help=about,
        description="Solve the quadratic programs of a file: minimise 1/2 x'Qx + p'x subject to "
        "Gx <= h, Ax = b, lb <= x <= ub. The exit status is 1 if a problem is not solved.",
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE.npz", help=f"arrays {', '.join(DATA)}; Q and p at least")
    add(
        "--output",
        type=Path,
        metavar="OUT.npz",
        help="for x, the multipliers and the residuals (default: FILE-solution.npz)",
    )
    add("--backend", metavar="NAME", help="where the work is done; see `kktdiff info`")
    add("--tol", type=float, help="bound on the residuals (default: 1e-8, 1e-5 for float32)")
    add("--max-iter", type=_at_least(0), default=100, metavar="N", help="(default: 100)")
    add("--verbose", action="store_true", help="show the iterations")
    parser.set_defaults(command=_solve)


def _at_least(least: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        if not text.strip().lstrip("+-").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected an integer, {least} or more, not {text!r}")
        return int(text)

    return integer


# ------------------------------------------------------------------------------------ sudoku


def _sudoku(options: argparse.Namespace) -> int:
    missing = [name for name in ("tqdm", "matplotlib") if util.find_spec(name) is None]
    if missing:
        raise UsageError(f"{' and '.join(missing)} not found: pip install 'kktdiff[demo]'")
    try:
        boards = None if options.data is None else sudoku.check_boards(read(options.data))
    except ValueError as error:
        raise UsageError(f"{options.data}: {error}") from error
    try:
        sudoku.run(
            boards,
            epochs=options.epochs,
            batch=options.batch,
            seed=options.seed,
            backend=options.backend,
            output=options.output,
            say=_say,
            progress=True,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise cannot("write to", options.output, error) from error
    return FINE


def _say(text: str) -> None:
    print(text, flush=True)  # a log shows it at once, in order with the progress bar


# ------------------------------------------------------------------------------------- solve


def _solve(options: argparse.Namespace) -> int:
    data = read(options.file)
    unknown = sorted(set(data) - set(DATA))
    if unknown:
        raise UsageError(
            f"{options.file}: unknown array {', '.join(unknown)}; known are {', '.join(DATA)}"
        )
    missing = [name for name in ("Q", "p") if name not in data]
    if missing:
        raise UsageError(f"{options.file}: there is no array {' and '.join(missing)}")
    try:
        solution = kktdiff.solve_qp(
            **data,
            backend=options.backend,
            tol=options.tol,
            max_iter=options.max_iter,
            verbose=options.verbose,
            on_failure="ignore",  # the statuses are printed
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"{options.file}: {error}") from error
    print(_single(solution) if solution.status.ndim == 0 else _batch(solution))
    output = options.output or options.file.with_name(f"{options.file.stem}-solution.npz")
    write(output, {name: getattr(solution, name) for name in WRITTEN})
    print(f"{'written to':17s} {output}: {', '.join(WRITTEN)}")
    return FINE if np.all(solution.solved) else FAILED


def _single(solution: Solution) -> str:
    return "\n".join(
        [
            f"{'status':17s} {Status(int(solution.status)).name}",
            f"{'iterations':17s} {int(solution.iterations)}",
            f"{'objective':17s} {float(solution.objective):.10g}",
            *_residuals(solution, np.ones((), dtype=bool)),
        ]
    )


def _batch(solution: Solution) -> str:
    lines = [f"{'problems':17s} {solution.status.size}"]
    for status in np.unique(solution.status):
        places = [tuple(map(int, place)) for place in np.argwhere(solution.status == status)]
        shown = ", ".join(str(p[0] if len(p) == 1 else p) for p in places[:5])
        at = f" (at {shown}{', ...' if len(places) > 5 else ''})" if status else ""
        lines.append(f"{Status(int(status)).name:17s} {len(places)}{at}")
    if np.any(solution.solved):
        most = int(np.max(solution.iterations[solution.solved]))
        lines += ["largest among the solved", f"{'iterations':17s} {most}"]
        lines += _residuals(solution, solution.solved)
    return "\n".join(lines)


def _residuals(solution: Solution, where: Any) -> list[str]:
    return [
        f"{name.replace('_', ' '):17s} {float(np.max(getattr(solution, name)[where])):.2e}"
        for name in ("primal_residual", "dual_residual", "duality_gap")
    ]


# ------------------------------------------------------------------------------------- bench


def _bench(options: argparse.Namespace) -> int:
    try:
        bench.command(options, _say)
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise cannot("write to", options.json, error) from error
    return FINE


# -------------------------------------------------------------------------------------- info


def _info(_: argparse.Namespace) -> int:
    print(f"{'kktdiff':17s} {kktdiff.__version__}")
    print(f"{'python':17s} {platform.python_version()} on {platform.platform()}")
    for name in _REQUIRED:
        print(f"{name:17s} {metadata.version(name)}")
    print("\noptional packages")
    distributions = metadata.packages_distributions()  # cupy, say, comes as cupy-cuda12x
    for name in _OPTIONAL:
        found = ", ".join(
            f"{metadata.version(d)}{'' if d == name else f' ({d})'}"
            for d in sorted(set(distributions.get(name, [])))
        )
        print(f"  {name:15s} {found or 'not installed'}")
    print(f"\n{'kernels':17s} {_kernels()}")
    print("\nbackends")
    for name, reason in backends.available().items():
        print(f"  {name:15s} {reason or 'available'}")
    return FINE


def _kernels() -> str:
    try:
        reason, most = kernels.available(), kernels.limit()
    except ValueError as error:  # the environment's setting
        return f"not usable: {error}"
    return reason or f"{kernels.variant()}, at most {most} thread{'s' if most > 1 else ''}"
