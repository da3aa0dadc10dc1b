"""The whole job: boards, training, report and files."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kktdiff import backends
from kktdiff._files import replacing
from kktdiff.sudoku import _layer as layer
from kktdiff.sudoku import _report as report
from kktdiff.sudoku._boards import Boards, Split, split
from kktdiff.sudoku._example import Example, as_text, make_example
from kktdiff.sudoku._figures import save_figure
from kktdiff.sudoku._generator import generate
from kktdiff.sudoku._layer import Parameters
from kktdiff.sudoku._progress import Progress
from kktdiff.sudoku._train import Epoch, Trained, train

BOARDS = 10_000  # from the generator, as many as the paper's


class Options(NamedTuple):
    """Training options."""

    epochs: int = 10
    batch: int = 150
    seed: int = 0
    backend: str | None = None


class Result(NamedTuple):
    """Result of a training run.

    Attributes
    ----------
    solved, held_out
        Number of held-out boards that the kept parameters solve, and their total number.
    parameters
        ``A`` and ``log_z0``; ``b = A exp(log_z0)``.
    epochs
        A record each, number 0 being before training.
    interrupted
        True if Ctrl-C ended the training.
    """

    solved: int
    held_out: int
    parameters: Parameters
    epochs: list[Epoch]
    interrupted: bool


def run(
    boards: Boards | None = None,
    *,
    epochs: int = Options().epochs,
    batch: int = Options().batch,
    seed: int = Options().seed,
    backend: str | None = None,
    output: str | Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress: bool = False,
) -> Result:
    """Train the layer, and count how many of the held-out boards it solves.

    The last tenth of the boards is held out. Another 500 (a tenth, where there are few) are
    for validation: training stops when 99.8 % of these are solved. A board is solved if the
    largest of each cell's four entries gives a valid Sudoku that agrees with the given cells.

    Parameters
    ----------
    boards : Boards, optional
        None: 10000 from `generate`.
    epochs : int
        At most.
    batch : int
        Boards per step.
    seed : int
        For the generator, the choice of validation boards, the start and the batches.
    backend : str, optional
        As in `kktdiff.solve_qp`.
    output : path, optional
        Folder for ``learning.png``, ``epochs.csv`` and ``layer.npz``; None: write nothing.
    say
        Gets each line of the report.
    progress
        Show a progress bar on standard error.

    Raises
    ------
    ValueError
        An option out of range, or a backend that is unknown or can't be used.
    OSError
        The folder can't be made or written to.
    ImportError
        matplotlib (for `output`) or tqdm (for `progress`) is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from kktdiff import sudoku
    >>> result = sudoku.run(sudoku.generate(100, np.random.default_rng(0)), epochs=1, batch=40)
    >>> result.held_out, len(result.epochs)
    (10, 2)
    """
    options = _checked(Options(epochs, batch, seed, backend))
    if output is not None:
        Path(output).mkdir(parents=True, exist_ok=True)  # complain now, not after the training
    # Separate streams: the start stays the same whatever the boards are.
    for_boards, for_split, for_start, for_batches = np.random.default_rng(seed).spawn(4)
    source = "generated" if boards is None else "given"
    parts = split(generate(BOARDS, for_boards) if boards is None else boards, for_split)
    say(report.setup(source, parts, **options._asdict()))
    begin = layer.initial(for_start)
    trained = _train(begin, parts, options, for_batches, say, progress)
    example = make_example(parts.held_out, begin, trained.parameters, backend)
    say(f"\n{as_text(example)}\n")
    say(report.ending(trained, -(-parts.train.size // batch)))
    if output is not None:
        _write(Path(output), trained, parts, example, batch)
        say(f"written to {output}: learning.png, epochs.csv, layer.npz")
    count = parts.held_out.size
    solved = round(trained.best.held_out * count)
    say(report.solved(solved, count))
    return Result(solved, count, trained.parameters, trained.epochs, trained.interrupted)


def _checked(options: Options) -> Options:
    for name, least in (("epochs", 1), ("batch", 1), ("seed", 0)):
        if getattr(options, name) < least:
            raise ValueError(f"{name}={getattr(options, name)}: expected {least} or more")
    if options.backend is not None:
        backends.get(options.backend)
    return options


def _train(
    begin: Parameters,
    parts: Split,
    options: Options,
    rng: np.random.Generator,
    say: Callable[[str], None],
    progress: bool,
) -> Trained:
    bar = Progress()

    def close_epoch(epoch: Epoch) -> None:
        bar.close()
        say(report.line(epoch))

    say(report.HEADING)
    return train(
        begin,
        parts,
        epochs=options.epochs,
        batch=options.batch,
        rng=rng,
        backend=options.backend,
        on_step=bar.step if progress else (lambda *_: None),
        on_epoch=close_epoch,
    )


def _write(folder: Path, trained: Trained, parts: Split, example: Example, batch: int) -> None:
    with replacing(folder / "layer.npz") as new:
        np.savez(new, **trained.parameters._asdict())
    with (
        replacing(folder / "epochs.csv") as new,
        new.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(Epoch._fields)
        writer.writerows(trained.epochs)
    with replacing(folder / "learning.png") as new:
        save_figure(new, trained, parts, example, batch)
