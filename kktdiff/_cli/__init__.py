"""The command line: ``python -m kktdiff sudoku | solve | bench | info``, installed as ``kktdiff``.

Exit status: 0 success, 1 not solved or failed, 2 wrong use, 130 interrupted, 141 if the reader of
standard output has ended.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from signal import default_int_handler

import kktdiff
from kktdiff import _interrupt, bench
from kktdiff._cli import _info, _solve, _sudoku
from kktdiff._cli._terminal import OutputLostError, Parser, complain, flush, give_up, prepare, say
from kktdiff._files import UsageError, cannot

FINE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, _interrupt.STATUS
READER_GONE = 141  # by the shells' convention
_EXAMPLES = """\
examples:
  kktdiff sudoku                    learn 4x4 Sudoku from generated boards
  kktdiff sudoku --data FILE.npz    from the boards of a file
  kktdiff solve --example qp.npz    write a small problem to a file
  kktdiff solve qp.npz              solve the quadratic programs of a file
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
    try:
        with _interrupt.handled_by(default_int_handler):
            return _run(arguments)
    except KeyboardInterrupt:
        complain("kktdiff: interrupted")
        return INTERRUPTED
    except (OutputLostError, BrokenPipeError) as error:
        give_up(sys.stdout)
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, BrokenPipeError):
            return READER_GONE
        complain(f"kktdiff: can't write to standard output: {cause}")
        return FAILED


def _run(arguments: Sequence[str] | None) -> int:
    prepare()
    options = argparse.Namespace(name="")
    try:
        _parser().parse_args(arguments, options)
        solved = options.command(options)
    except UsageError as error:
        complain(f"kktdiff {options.name}: {error}")
        return WRONG_USE
    except KeyboardInterrupt:
        complain(f"kktdiff {options.name}: interrupted")
        return INTERRUPTED
    finally:
        flush()
    return FAILED if solved is False else FINE


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="kktdiff",
        description="Differentiable batched quadratic programs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kktdiff {kktdiff.__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="name", metavar="COMMAND", required=True
    )
    _sudoku.add_options(commands, _at_least).set_defaults(command=_sudoku.command)
    _solve.add_options(commands, _at_least).set_defaults(command=_solve.command)
    bench.add_options(commands, _at_least).set_defaults(command=_bench)
    _info.add_options(commands).set_defaults(command=_info.command)
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        if not text.strip().lstrip("+-").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected an integer, {least} or more, not {text!r}")
        return int(text)

    return integer


def _bench(options: argparse.Namespace) -> None:
    try:
        bench.command(options, say)
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise cannot("write to", options.json, error) from error
