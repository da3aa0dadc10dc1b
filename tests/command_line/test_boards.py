"""Boards of mini-Sudoku: the rules, the generator, what a file may hold, and the split."""

import itertools

import numpy as np
import pytest

from kktdiff import sudoku
from kktdiff.sudoku import _boards as boards_
from kktdiff.sudoku import _generator as generator

BOARD = np.array([[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]])


@pytest.fixture(scope="module")
def boards():
    return sudoku.generate(120, np.random.default_rng(300))


def solutions_of(puzzle):
    """All solutions, by filling the first blank in turn: nothing of the package is used."""
    blanks = np.argwhere(puzzle == 0)
    if not len(blanks):
        return [puzzle]
    row, column = blanks[0]
    box = puzzle[row // 2 * 2 :, column // 2 * 2 :][:2, :2]
    taken = {*puzzle[row], *puzzle[:, column], *box.ravel()}
    found = []
    for digit in {1, 2, 3, 4} - taken:
        filled = puzzle.copy()
        filled[row, column] = digit
        found += solutions_of(filled)
    return found


# ------------------------------------------------------------------------------------- rules


def test_a_valid_board_has_every_digit_in_rows_columns_and_boxes():
    assert sudoku.is_valid(BOARD)
    assert not sudoku.is_valid(BOARD[[0, 2, 1, 3]])  # the boxes alone are wrong
    assert not sudoku.is_valid(np.tile(BOARD[:1], (4, 1)))  # the columns and boxes are


@pytest.mark.parametrize("place", list(itertools.product(range(4), range(4))))
def test_one_wrong_cell_makes_a_board_invalid(place):
    wrong = BOARD.copy()
    wrong[place] = wrong[place] % 4 + 1
    assert not sudoku.is_valid(wrong)
    wrong[place] = 0
    assert not sudoku.is_valid(wrong)


def test_a_valid_board_that_changes_a_given_cell_solves_nothing():
    puzzle = np.zeros((4, 4), dtype=int)
    puzzle[0, 0] = 2
    assert not sudoku.is_solved(BOARD, puzzle)
    puzzle[0, 0] = 1
    assert sudoku.is_solved(BOARD, puzzle)


def test_one_hot_vectors_stand_for_their_boards(boards):
    vectors = boards_.one_hot(boards.solutions)
    np.testing.assert_array_equal(boards_.digits(vectors), boards.solutions)
    assert boards_.one_hot(boards.puzzles).sum() == np.count_nonzero(boards.puzzles)


# --------------------------------------------------------------------------------- generator


def test_there_are_288_grids():
    grids = generator.grids()
    assert grids.shape == (288, 4, 4)
    assert len(solutions_of(np.zeros((4, 4), dtype=int))) == 288
    assert len({bytes(grid) for grid in grids}) == 288


def test_generated_boards_are_what_a_file_may_hold(boards):
    checked = sudoku.check_boards(boards._asdict())
    np.testing.assert_array_equal(checked.puzzles, boards.puzzles)


def test_generated_puzzles_have_exactly_one_solution(boards):
    for puzzle, solution in zip(boards.puzzles[:40], boards.solutions, strict=False):
        (found,) = solutions_of(puzzle)
        np.testing.assert_array_equal(found, solution)


def test_solutions_are_counted(boards):
    assert np.all(sudoku.count_solutions(boards.puzzles) == 1)
    open_puzzles = np.where(np.arange(4) < 2, BOARD, 0)[None]  # the left half is given
    assert sudoku.count_solutions(open_puzzles) == len(solutions_of(open_puzzles[0])) > 1


def test_generated_puzzles_differ_and_are_as_hard_as_the_papers():
    boards = sudoku.generate(3000, np.random.default_rng(301))
    assert len({bytes(puzzle) for puzzle in boards.puzzles}) == boards.size == 3000
    blanks = (boards.puzzles == 0).sum(axis=(1, 2))
    assert blanks.max() == 12  # four given cells are the least that any 4x4 puzzle needs
    assert 10.7 < blanks.mean() < 10.9
    assert abs(blanks[:1500].mean() - blanks[1500:].mean()) < 0.1  # the order is no sorting


def test_the_generator_is_reproducible_by_seed(boards):
    again = sudoku.generate(120, np.random.default_rng(300))
    other = sudoku.generate(120, np.random.default_rng(301))
    np.testing.assert_array_equal(again.puzzles, boards.puzzles)
    assert not np.array_equal(other.puzzles, boards.puzzles)


@pytest.mark.parametrize("count", [0, -1, 50_001])
def test_the_generator_refuses_other_counts(count):
    with pytest.raises(ValueError, match=str(count)):
        sudoku.generate(count, np.random.default_rng(0))


# ---------------------------------------------------------------------- given boards, and split


def changed(boards, **changes):
    arrays = {name: array.copy() for name, array in boards._asdict().items()}
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    return arrays


def with_entry(array, place, value):
    array[place] = value
    return array


WRONG = {
    "misses": ({"solutions": lambda a: a[:-1]}, "one solution for each"),
    "shape": ({"puzzles": lambda a: a.reshape(-1, 16)}, r"puzzles has shape .*\(B, 4, 4\)"),
    "text": ({"puzzles": lambda a: a.astype(str)}, "puzzles has dtype"),
    "digit": ({"puzzles": lambda a: with_entry(a, (7, 0, 0), 5)}, r"puzzles\[7\] .* 0 to 4"),
    "blank": ({"solutions": lambda a: with_entry(a, (3, 1, 1), 0)}, r"solutions\[3\] .* 1 to 4"),
    "nan": (
        {"puzzles": lambda a: with_entry(a.astype(float), (2, 0, 0), np.nan)},
        r"puzzles\[2\] .* 0 to 4",
    ),
    "invalid": (
        {"solutions": lambda a: with_entry(a, (5, 0), a[5, 1])},
        r"solutions\[5\] is not a valid",
    ),
    "contradiction": ({"solutions": lambda a: a % 4 + 1}, r"solutions\[0\] contradicts"),
    "few": ({"puzzles": lambda a: a[:9], "solutions": lambda a: a[:9]}, "9 boards"),
}


@pytest.mark.parametrize(("changes", "sentence"), WRONG.values(), ids=WRONG)
def test_wrong_boards_are_refused_with_a_reason(boards, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        sudoku.check_boards(changed(boards, **changes))


def test_a_missing_array_is_named(boards):
    with pytest.raises(ValueError, match=r"'solutions'.*found boards, puzzles"):
        sudoku.check_boards({"puzzles": boards.puzzles, "boards": boards.solutions})


def test_no_board_is_in_two_parts_of_the_split(boards):
    parts = boards_.split(boards, np.random.default_rng(302))
    assert [part.size for part in parts] == [96, 12, 12]
    np.testing.assert_array_equal(parts.held_out.puzzles, boards.puzzles[-12:])
    assert len({bytes(puzzle) for part in parts for puzzle in part.puzzles}) == 120
    assert boards_.repeated(parts.held_out, parts.train) == 0
    assert boards_.repeated(parts.held_out, boards) == 12


@pytest.mark.data
def test_the_papers_boards_are_taken(data_folder):
    with np.load(data_folder / "learning" / "sudoku4_optnet.npz") as file:
        boards = sudoku.check_boards(file)
    assert np.all(sudoku.count_solutions(boards.puzzles) == 1)
    parts = boards_.split(boards, np.random.default_rng(0))
    assert [part.size for part in parts] == [8500, 500, 1000]
