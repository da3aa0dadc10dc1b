"""4x4 Sudoku boards: the rules, one-hot vectors, checks of given boards, and the split.

A board is a (4, 4) array of digits 1 to 4, 0 where it is blank. The rules serve to make boards
and to judge answers. The layer never sees them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from kktdiff._typing import Array

LEAST = 20  # boards: below, the held-out tenth is too small to say anything
_VALIDATION = 500  # boards, or a tenth of all where that is fewer
_ALL_DIGITS = 0b11110  # bits 1 to 4


class Boards(NamedTuple):
    """Puzzles and their solutions."""

    puzzles: Array  # (B, 4, 4): digits, 0 for a blank
    solutions: Array  # (B, 4, 4)

    @property
    def size(self) -> int:
        """Number of boards."""
        return len(self.puzzles)

    def take(self, index: Any) -> "Boards":
        """Return the boards `index`."""
        return Boards(self.puzzles[index], self.solutions[index])


class Split(NamedTuple):
    """Boards to learn from, to decide when to stop, and to report on; no board in two."""

    train: Boards
    validation: Boards
    held_out: Boards


def is_valid(boards: Array) -> Array:  # (..., 4, 4) -> (...)
    """Return True where every row, column and 2x2 box has each of the digits 1 to 4.

    Examples
    --------
    >>> import numpy as np
    >>> from kktdiff.sudoku import is_valid
    >>> board = np.array([[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]])
    >>> bool(is_valid(board)), bool(is_valid(board[::-1])), bool(is_valid(board[[0, 2, 1, 3]]))
    (True, True, False)
    """
    boards = np.asarray(boards)
    bits = np.left_shift(1, boards.astype(np.int64))
    boxes = bits.reshape(*bits.shape[:-2], 2, 2, 2, 2).swapaxes(-3, -2).reshape(bits.shape)
    units = np.concatenate([bits, bits.swapaxes(-1, -2), boxes], axis=-2)  # (..., 12, 4)
    return np.all(np.bitwise_or.reduce(units, axis=-1) == _ALL_DIGITS, axis=-1)


def agrees(boards: Array, puzzles: Array) -> Array:  # (..., 4, 4), (..., 4, 4) -> (...)
    """Return True where a board has the digits that its puzzle gives."""
    return np.all((puzzles == 0) | (boards == puzzles), axis=(-1, -2))


def is_solved(boards: Array, puzzles: Array) -> Array:  # (..., 4, 4), (..., 4, 4) -> (...)
    """Return True where a board is valid and agrees with the given cells."""
    return is_valid(boards) & agrees(boards, puzzles)


def one_hot(boards: Array) -> Array:  # (B, 4, 4) -> (B, 64)
    """Four entries for each cell, 1 at its digit; a blank has four zeros."""
    return (boards.reshape(-1, 16, 1) == np.arange(1, 5)).reshape(-1, 64).astype(np.float64)


def digits(x: Array) -> Array:  # (B, 64) -> (B, 4, 4)
    """The board that `x` stands for: the largest of each cell's four entries."""
    return x.reshape(-1, 4, 4, 4).argmax(axis=-1) + 1


def check_boards(arrays: Mapping[str, Any]) -> Boards:
    """Boards from the arrays of a file, if that is what they hold.

    Parameters
    ----------
    arrays
        ``puzzles`` and ``solutions``, each (B, 4, 4), 0 for a blank; others are ignored.

    Raises
    ------
    ValueError
        What is wrong, and with which board.
    """
    for name in Boards._fields:
        if name not in arrays:
            found = ", ".join(sorted(arrays)) or "nothing"
            raise ValueError(
                f"there is no array {name!r}: expected puzzles and solutions, found {found}"
            )
        _check_array(name, np.asarray(arrays[name]))
    boards = Boards(*(np.asarray(arrays[name]).astype(np.int8) for name in Boards._fields))
    if boards.puzzles.shape != boards.solutions.shape:
        raise ValueError(
            f"puzzles has shape {boards.puzzles.shape}, but solutions {boards.solutions.shape}: "
            "expected one solution for each puzzle"
        )
    if boards.size < LEAST:
        raise ValueError(f"there are {boards.size} boards: expected at least {LEAST}")
    _refuse(~is_valid(boards.solutions), "solutions", "is not a valid Sudoku")
    _refuse(~agrees(boards.solutions, boards.puzzles), "solutions", "contradicts its puzzle")
    return boards


def _check_array(name: str, array: Array) -> None:
    if array.ndim != 3 or array.shape[1:] != (4, 4):
        raise ValueError(f"{name} has shape {array.shape}: expected (B, 4, 4)")
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} has dtype {array.dtype}: expected integers")
    least = 0 if name == "puzzles" else 1
    wrong = ~np.isin(array, np.arange(least, 5)).all(axis=(1, 2))
    _refuse(wrong, name, f"has entries that are not integers from {least} to 4")


def _refuse(wrong: Array, name: str, what: str) -> None:
    if wrong.any():
        raise ValueError(f"{name}[{int(wrong.argmax())}] {what} ({int(wrong.sum())} such boards)")


def split(boards: Boards, rng: np.random.Generator) -> Split:
    """The last tenth is held out; validation boards are drawn from the rest."""
    held_out = max(1, boards.size // 10)
    rest = rng.permutation(boards.size - held_out)
    validation = min(_VALIDATION, held_out)
    return Split(
        boards.take(np.sort(rest[validation:])),
        boards.take(np.sort(rest[:validation])),
        boards.take(slice(boards.size - held_out, None)),
    )


def repeated(part: Boards, others: Boards) -> int:
    """Count the puzzles of `part` that are also in `others`."""
    known = {bytes(puzzle) for puzzle in others.puzzles}
    return sum(bytes(puzzle) in known for puzzle in part.puzzles)
