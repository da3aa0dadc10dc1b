"""``kktdiff sudoku``: its options, and what it does with them."""

import argparse
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

from kktdiff import sudoku
from kktdiff._cli._terminal import say
from kktdiff._files import UsageError, cannot, listed, read, shown


def add_options(commands: Any, at_least: Callable[[int], Callable[[str], int]]) -> Any:
    """Add the subcommand's parser."""
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
        add(f"--{name}", type=at_least(least), default=value, metavar="N", help=text)
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
    return parser


def command(options: argparse.Namespace) -> None:
    """Learn, and report.

    Raises
    ------
    UsageError
        Of the boards, the options or the folder.
    """
    missing = [name for name in ("tqdm", "matplotlib") if util.find_spec(name) is None]
    if missing:
        raise UsageError(f"{' and '.join(missing)} not found: pip install 'kktdiff[demo]'")
    try:
        boards = None if options.data is None else _boards(options.data)
    except ValueError as error:
        raise UsageError(f"{shown(options.data)}: {error}") from error
    try:
        sudoku.run(
            boards,
            epochs=options.epochs,
            batch=options.batch,
            seed=options.seed,
            backend=options.backend,
            output=options.output,
            say=say,
            progress=True,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise cannot("write to", options.output, error) from error


def _boards(path: Path) -> sudoku.Boards:
    def choose(names: list[str]) -> tuple[str, ...]:
        for name in sudoku.Boards._fields:
            if name not in names:
                expected = f"expected {' and '.join(sudoku.Boards._fields)}"
                raise UsageError(
                    f"{shown(path)}: there is no array {name!r}: {expected}, found {listed(names)}"
                )
        return sudoku.Boards._fields

    return sudoku.check_boards(read(path, choose))
