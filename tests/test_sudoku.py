"""Mini-Sudoku: boards, the layer's gradient, and training."""

import itertools

import numpy as np
import pytest

from kktdiff import sudoku
from kktdiff.sudoku import _boards as boards_
from kktdiff.sudoku import _generator as generator
from kktdiff.sudoku import _layer as layer
from kktdiff.sudoku import _report as report
from kktdiff.sudoku import _train as training
from tests.checks import assert_near
from tests.tolerances import DIFFERENCE, PUBLIC_RESIDUAL, SUM

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


# ------------------------------------------------------------------------------------- layer


def parameters(seed=303):
    rng = np.random.default_rng(seed)
    return layer.initial(rng)._replace(log_z0=rng.normal(scale=0.3, size=layer.SIZE))


def test_predictions_meet_the_constraints(boards):
    where = parameters()
    x = layer.predict(where, boards.puzzles[:10])
    right = np.broadcast_to(where.A @ np.exp(where.log_z0), (10, layer.ROWS))
    assert_near(x @ where.A.T, right, PUBLIC_RESIDUAL, "A x")
    assert x.min() >= -PUBLIC_RESIDUAL


@pytest.mark.parametrize("name", layer.Parameters._fields)
def test_the_gradient_is_that_of_central_differences(boards, name):
    where, few = parameters(), boards.take(slice(8))
    loss, gradient = layer.loss_and_gradient(where, *few, smoothing=None)
    x = layer.predict(where, few.puzzles)
    assert_near(loss, np.mean((x - boards_.one_hot(few.solutions)) ** 2), SUM, "loss")
    rng = np.random.default_rng(304)
    for _ in range(3):
        direction = rng.normal(size=getattr(where, name).shape)

        def moved(t, direction=direction):
            there = where._replace(**{name: getattr(where, name) + t * direction})
            return layer.loss_and_gradient(there, *few, smoothing=None)[0]

        t = 1e-5
        near, far = moved(t) - moved(-t), moved(2 * t) - moved(-2 * t)
        slope = (8 * near - far) / (12 * t)
        assert abs(slope) > 1e-3  # or the comparison would say nothing
        assert_near(np.sum(getattr(gradient, name) * direction), slope, DIFFERENCE, name)


def test_the_smoothed_gradient_tends_to_the_exact_one(boards):
    where, few = parameters(), boards.take(slice(8))
    exact = layer.loss_and_gradient(where, *few, smoothing=None)[1].A
    gaps = [
        np.linalg.norm(layer.loss_and_gradient(where, *few, smoothing=smoothing)[1].A - exact)
        for smoothing in (layer.SMOOTHING, layer.SMOOTHING / 1e2, layer.SMOOTHING / 1e6)
    ]
    assert gaps[0] > 2 * gaps[1] > 200 * gaps[2] > 0
    np.testing.assert_array_equal(
        layer.loss_and_gradient(where, *few)[1].A,
        layer.loss_and_gradient(where, *few, smoothing=layer.SMOOTHING)[1].A,
    )


def test_adams_first_step_has_the_length_of_the_rate_and_leaves_the_state():
    begin = layer.start(parameters())
    gradient = layer.Parameters(*(np.full(v.shape, -3.0) for v in begin.parameters))
    after = layer.step(begin, gradient, rate=0.25)
    assert_near(after.parameters.A, begin.parameters.A + 0.25, DIFFERENCE, "A")
    assert (begin.steps, after.steps) == (0, 1)
    assert not begin.mean.A.any()


def test_adam_remembers_past_gradients():
    state, x, m, v = layer.start(parameters()), parameters().log_z0[0], 0.0, 0.0
    for t, g in enumerate((1.0, -2.0, 0.5), start=1):
        state = layer.step(state, layer.Parameters(*(np.full(u.shape, g) for u in parameters())))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x -= 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert_near(state.parameters.log_z0[0], x, SUM, "log_z0")


# ---------------------------------------------------------------------------------- training


def trained(boards, seed=305, epochs=2, batch=24):
    rng = np.random.default_rng(seed)
    parts = boards_.split(boards, rng)
    begin = layer.initial(rng)
    return training.train(begin, parts, epochs=epochs, batch=batch, rng=rng)


def test_two_small_epochs_lower_the_loss_and_are_reproducible(boards):
    first = trained(boards)
    assert [epoch.steps for epoch in first.epochs] == [0, 4, 8]
    assert np.mean(first.losses[-2:]) < 0.5 * first.losses[0]
    assert first.epochs[2].held_out_loss < 0.5 * first.epochs[0].held_out_loss
    again, other = trained(boards), trained(boards, seed=306)
    assert again.losses == first.losses
    np.testing.assert_array_equal(again.parameters.A, first.parameters.A)
    assert other.losses != first.losses


def test_ctrl_c_keeps_what_was_learnt(boards, monkeypatch):
    whole = trained(boards, epochs=1, batch=32)
    calls = itertools.count(1)
    honest = layer.step

    def interrupted(state, gradient):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return honest(state, gradient)

    monkeypatch.setattr(layer, "step", interrupted)
    found = trained(boards, epochs=9, batch=32)
    assert found.interrupted
    assert found.losses == whole.losses[:2]
    assert [epoch.steps for epoch in found.epochs] == [0, 2]
    assert found.epochs[1].held_out_loss < found.epochs[0].held_out_loss
    assert not np.array_equal(found.parameters.A, layer.initial(np.random.default_rng(305)).A)


def test_the_parameters_that_solve_most_validation_boards_are_kept(boards, monkeypatch):
    seen, shares = [], iter([0.1, 0.0, 0.7, 0.0, 0.7, 0.0, 0.4, 0.0])

    def scripted(where, *_):
        seen.append(where)
        return next(shares), 1.0

    monkeypatch.setattr(training, "measure", scripted)
    found = trained(boards, epochs=3, batch=96)
    assert found.best.number == 2
    assert found.parameters is seen[4]
    assert not found.learnt


@pytest.mark.parametrize(("share", "epochs"), [(1.0, 1), (0.998, 1), (0.996, 4)])
def test_training_stops_when_the_validation_boards_are_solved(boards, monkeypatch, share, epochs):
    def scripted(where, part, _):  # the held-out boards are never solved, and decide nothing
        return (share if part.size == 12 and scripted.calls > 1 else 0.0), 1.0

    scripted.calls = 0
    honest = layer.step

    def counted(*args):
        scripted.calls += 2
        return honest(*args)

    monkeypatch.setattr(layer, "step", counted)
    monkeypatch.setattr(training, "measure", scripted)
    found = trained(boards, epochs=4, batch=96)
    assert len(found.epochs) == 1 + epochs
    assert found.learnt == (epochs == 1)


def test_a_board_without_a_prediction_is_not_solved(boards, monkeypatch):
    x = boards_.one_hot(boards.solutions)
    x[:30] = np.nan
    monkeypatch.setattr(layer, "predict", lambda *_: x)
    solved, loss = training.measure(parameters(), boards, None)
    assert solved == 0.75
    assert_near(loss, 0.25 * 0.25, SUM, "loss")  # as if x were 0: a quarter of 1 each


# --------------------------------------------------------------------------------------- run


def test_a_run_returns_its_result_and_says_nothing_unasked(boards, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = sudoku.run(boards, epochs=1, batch=48)
    assert (result.held_out, len(result.epochs), result.interrupted) == (12, 2, False)
    assert 0 <= result.solved <= 12
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [{"epochs": 0}, {"batch": 0}, {"seed": -1}, {"backend": "no"}])
def test_a_wrong_option_is_refused(boards, option):
    ((name, value),) = option.items()
    with pytest.raises(ValueError, match=f"{name}='?{value}'?"):
        sudoku.run(boards, **option)


def test_shares_are_rounded_down():
    assert report.solved(987, 1000) == "held-out boards solved: 987 of 1000 (98.7 %)"
    assert report.solved(9999, 10_000).endswith("(99.9 %)")
    assert report.solved(1000, 1000).endswith("(100.0 %)")
    assert all(report.percent(i / 1000) == f"{i // 10}.{i % 10} %" for i in range(1001))
