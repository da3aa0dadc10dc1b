"""One held-out puzzle with what the layer answers before and after training."""

from typing import NamedTuple

import numpy as np

from kktdiff._typing import Array
from kktdiff.sudoku._boards import Boards, digits, is_solved
from kktdiff.sudoku._layer import Parameters, predict


class Example(NamedTuple):
    """A puzzle, its solution and two answers; each (4, 4)."""

    puzzle: Array
    solution: Array
    before: Array
    after: Array

    def wrong(self, board: Array) -> Array:
        """The cells in which an answer differs from the solution; none if it solves the puzzle."""
        return (board > 0) & (board != self.solution) & ~is_solved(board, self.puzzle)


def make_example(
    boards: Boards, before: Parameters, after: Parameters, backend: str | None
) -> Example:
    """Return the first of `boards`, with the answers of both."""
    one = boards.take(slice(1))
    answers = (digits(np.nan_to_num(predict(p, one.puzzles, backend)))[0] for p in (before, after))
    return Example(one.puzzles[0], one.solutions[0], *answers)


def as_text(example: Example) -> str:
    """The three boards side by side; a cell that is wrong has a mark."""
    titles = f"{'puzzle':18s}{'answer before':18s}{'answer after':18s}".rstrip()
    rows = [titles]
    for row in range(4):
        line = ""
        for board in (example.puzzle, example.before, example.after):
            cells = zip(board[row], example.wrong(board)[row], strict=True)
            text = "".join((str(d) if d else ".") + ("*" if bad else " ") for d, bad in cells)
            line += f"{text[:4]} {text[4:]}".ljust(18)
        rows.append(line.rstrip())
        if row == 1:
            rows.append("")
    return "\n".join(rows)
