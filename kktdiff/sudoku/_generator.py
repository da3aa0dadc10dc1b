"""Random 4x4 puzzles with one solution each."""

import itertools

import numpy as np

from kktdiff._typing import Array
from kktdiff.sudoku._boards import Boards, is_valid, one_hot

# Most blanks of a puzzle, and how often: the shares among the boards of the OptNet paper.
_BLANKS, _SHARES = (8, 9, 10, 11, 12), (0.001, 0.022, 0.286, 0.555, 0.136)


def grids() -> Array:  # (288, 4, 4)
    """Return all valid boards."""
    rows = np.array(list(itertools.permutations(range(1, 5))), dtype=np.int8)
    boards = rows[np.indices((24, 24, 24, 24)).reshape(4, -1).T]
    return boards[is_valid(boards)]


def count_solutions(puzzles: Array) -> Array:  # (B, 4, 4) -> (B,)
    """Count the valid boards that agree with each puzzle, by enumeration of all boards."""
    return _count(puzzles, _table(grids()))


def generate(count: int, rng: np.random.Generator) -> Boards:
    """Draw random distinct puzzles, each with exactly one solution.

    Parameters
    ----------
    count
        Number of boards, at most 50000.

    Examples
    --------
    >>> import numpy as np
    >>> from kktdiff.sudoku import generate, is_valid
    >>> boards = generate(100, np.random.default_rng(0))
    >>> boards.puzzles.shape, bool(is_valid(boards.solutions).all())
    ((100, 4, 4), True)
    """
    if not 0 < count <= 50_000:
        raise ValueError(f"count={count}: expected 1 to 50000 boards")
    solutions = grids()
    found = Boards(*(np.zeros((0, 4, 4), dtype=np.int8) for _ in Boards._fields))
    while found.size < count:
        more = _draw(solutions, count - found.size + 100, rng)
        joined = Boards(*(np.concatenate(pair) for pair in zip(found, more, strict=True)))
        _, first = np.unique(joined.puzzles.reshape(-1, 16), axis=0, return_index=True)
        found = joined.take(np.sort(first))  # in the order drawn, so that the tail is as random
    return found.take(slice(count))


def _draw(solutions: Array, count: int, rng: np.random.Generator) -> Boards:
    """Blank out cells in random order wherever the solution stays the only one."""
    table = _table(solutions)
    chosen = solutions[rng.integers(len(solutions), size=count)]
    order = rng.permuted(np.tile(np.arange(16), (count, 1)), axis=1)
    most = rng.choice(_BLANKS, size=count, p=_SHARES)
    puzzles, every = chosen.reshape(count, 16).copy(), np.arange(count)
    for cell in order.T:
        trial = puzzles.copy()
        trial[every, cell] = 0
        keep = (_count(trial, table) == 1) & ((trial == 0).sum(axis=1) <= most)
        puzzles[keep] = trial[keep]
    return Boards(puzzles.reshape(-1, 4, 4), chosen)


def _table(solutions: Array) -> Array:  # (S, 4, 4) -> (64, S)
    return one_hot(solutions).astype(np.float32).T  # float32 counts to 16 exactly, and is fast


def _count(puzzles: Array, table: Array) -> Array:  # (B, 4, 4) or (B, 16), (64, S) -> (B,)
    given = one_hot(puzzles).astype(np.float32)
    return (given @ table == given.sum(axis=1, keepdims=True)).sum(axis=1)
