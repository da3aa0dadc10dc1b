"""The figure: learning curves, and a puzzle with its prediction before and after training."""

from pathlib import Path
from typing import Any

import numpy as np

from kktdiff._typing import Array
from kktdiff.sudoku._boards import Split
from kktdiff.sudoku._example import Example
from kktdiff.sudoku._train import Trained

# Blue and vermilion of Okabe & Ito 2008: told apart with any colour vision.
_BLUE, _RED, _GREY, _PALE = "#0072b2", "#d55e00", "#555555", "#fbe3d6"


def save_figure(path: Path, trained: Trained, split: Split, example: Example, batch: int) -> None:
    """Write the figure as a PNG."""
    from matplotlib.figure import Figure  # here, because it is an extra; no window is opened

    figure: Any = Figure(figsize=(9, 6.9), layout="constrained")
    rows = figure.subfigures(2, 1, height_ratios=(1.1, 1))
    left, right = rows[0].subplots(1, 2)
    steps = -(-split.train.size // batch)
    _draw_losses(left, trained, steps)
    _draw_shares(right, trained, split, steps)
    titles = ("A held-out puzzle", "Answer before training", "Answer after training")
    boards = (example.puzzle, example.before, example.after)
    for axes, title, board in zip(rows[1].subplots(1, 3), titles, boards, strict=True):
        _draw_board(axes, title, board, example)
    rows[1].supxlabel("bold: given    blue: right    shaded: wrong", fontsize=10, color=_GREY)
    figure.savefig(path, dpi=150)


def _draw_losses(axes: Any, trained: Trained, steps: int) -> None:
    at = [epoch.steps / steps for epoch in trained.epochs]
    held_out = [epoch.held_out_loss for epoch in trained.epochs]
    by_step = (np.arange(len(trained.losses)) + 0.5) / steps
    axes.plot(by_step, trained.losses, color=_GREY, alpha=0.7, lw=1, label="training, by step")
    axes.plot(at, held_out, "o-", color=_BLUE, label="held-out boards")
    axes.set(title="Loss", xlabel="epoch", ylabel="mean squared error", yscale="log")
    _finish(axes, at)
    axes.legend(frameon=False)


def _draw_shares(axes: Any, trained: Trained, split: Split, steps: int) -> None:
    at = [epoch.steps / steps for epoch in trained.epochs]
    for part, count, style in (
        ("validation", split.validation.size, {"marker": "s", "ls": "--", "color": _GREY}),
        ("held_out", split.held_out.size, {"marker": "o", "color": _BLUE}),
    ):
        shares = [100 * getattr(epoch, part) for epoch in trained.epochs]
        axes.plot(at, shares, label=f"{part.replace('_', '-')} boards ({count})", **style)
    axes.set(title="Boards solved", xlabel="epoch", ylabel="per cent", ylim=(-4, 104))
    _finish(axes, at)
    axes.legend(frameon=False, loc="lower right")


def _finish(axes: Any, at: list[float]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(0 - 0.03 * at[-1], max(at[-1], 1e-9) * 1.03)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def _draw_board(axes: Any, title: str, board: Array, example: Example) -> None:
    wrong = example.wrong(board)
    for (row, column), digit in np.ndenumerate(board):
        if not digit:
            continue
        if wrong[row, column]:
            axes.fill_between([column, column + 1], row, row + 1, color=_PALE, lw=0)
        given = digit == example.puzzle[row, column]
        colour = "black" if given else (_RED if wrong[row, column] else _BLUE)
        axes.text(
            column + 0.5,
            row + 0.52,
            str(digit),
            ha="center",
            va="center",
            fontsize=17,
            color=colour,
            weight="bold" if given else "normal",
        )
    for line in range(5):
        width = 2.2 if line % 2 == 0 else 0.7
        axes.plot([line, line], [0, 4], color="black", lw=width, solid_capstyle="projecting")
        axes.plot([0, 4], [line, line], color="black", lw=width, solid_capstyle="projecting")
    axes.set(title=title, xlim=(-0.1, 4.1), ylim=(4.1, -0.1), aspect="equal")
    axes.axis("off")
