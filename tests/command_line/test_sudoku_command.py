"""``kktdiff sudoku``: what it prints, what it writes, and its exit status."""

import itertools
import re
import sys

import numpy as np
import pytest

from kktdiff import sudoku
from kktdiff.sudoku import _layer as layer
from kktdiff.sudoku import _train as training
from tests.checks import assert_one_sentence

LAST_LINE = r"held-out boards solved: (\d+) of (\d+) \((\d+\.\d) %\)"


@pytest.fixture
def learn(run, boards_file, tmp_path):
    def call(*more):
        return run(*("sudoku", "--data", boards_file, "--output", tmp_path / "out", *more))

    return call


def test_sudoku_prints_a_line_per_epoch_and_the_result_last(learn, tmp_path):
    code, out, error = learn("--epochs", 2, "--batch", 40)
    lines = out.splitlines()
    assert code == 0
    solved, of, share = re.fullmatch(LAST_LINE, lines[-1]).groups()
    assert int(of) == 10
    assert float(share) == 100 * int(solved) / 10
    rows = lines[next(i for i, line in enumerate(lines) if line.startswith("epoch")) + 1 :]
    assert [row.split()[0] for row in rows[:3]] == ["0", "1", "2"]
    assert all(row.count("%") == 2 for row in rows[:3])
    assert any("answer before" in line and "answer after" in line for line in lines)
    assert "2/2" in error  # the progress bar, at its end
    assert "loss=" in error
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "epochs.csv",
        "layer.npz",
        "learning.png",
    ]


def test_sudoku_writes_what_was_learnt(learn, tmp_path):
    _, out, _ = learn("--epochs", 1, "--batch", 40, "--seed", 5)
    with np.load(tmp_path / "out" / "layer.npz") as file:
        assert (file["A"].shape, file["log_z0"].shape) == ((40, 64), (64,))
    assert (tmp_path / "out" / "learning.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    heading, *rows = (tmp_path / "out" / "epochs.csv").read_text().splitlines()
    assert heading.split(",") == list(sudoku.Epoch._fields)
    assert len(rows) == 2
    assert "seed 5" in out


def test_sudoku_is_reproducible_by_seed(learn):
    def table(seed):  # without the seconds
        _, out, _ = learn("--epochs", 1, "--batch", 40, "--seed", seed)
        rows = [line.split() for line in out.splitlines() if re.match(r" +\d ", line)]
        return [row[:1] + row[2:] for row in rows]

    assert table(1) == table(1) != table(2)


def test_ctrl_c_ends_the_training_and_keeps_what_was_learnt(learn, tmp_path, monkeypatch):
    calls, honest = itertools.count(1), layer.step

    def interrupted(state, gradient):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return honest(state, gradient)

    monkeypatch.setattr(layer, "step", interrupted)
    code, out, error = learn("--epochs", 9, "--batch", 20)
    assert code == 0
    assert re.fullmatch(LAST_LINE, out.splitlines()[-1])
    assert "interrupted after 0 epochs and 2 of 4 steps" in out
    assert "Traceback" not in error
    with np.load(tmp_path / "out" / "layer.npz") as file:
        assert np.any(file["log_z0"] != 0)  # where it starts


def test_ctrl_c_while_that_is_measured_ends_it_all(learn, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "measure", interrupted)
    code, _, error = learn()
    assert code == 130
    assert error.splitlines()[-1] == "kktdiff sudoku: interrupted"


@pytest.mark.parametrize("name", ["tqdm", "matplotlib"])
def test_a_missing_extra_is_named(run, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    assert_one_sentence(run("sudoku"), name, "pip install 'kktdiff[demo]'")


@pytest.mark.parametrize(
    "arguments",
    [("--epochs", "0"), ("--epochs", "two"), ("--batch", "0"), ("--seed", "-1"), ("--no-such",)],
    ids=" ".join,
)
def test_a_wrong_option_is_wrong_use(learn, arguments):
    code, out, error = learn(*arguments)
    assert (code, out) == (2, "")
    assert arguments[0] in error


def test_boards_that_break_the_rules_are_a_sentence(run, boards_file, tmp_path):
    with np.load(boards_file) as file:
        np.savez(tmp_path / "wrong.npz", puzzles=file["puzzles"], solutions=file["puzzles"])
    assert_one_sentence(
        run("sudoku", "--data", tmp_path / "wrong.npz"), "wrong.npz", "solutions[0]"
    )


def test_an_unknown_backend_is_a_sentence(learn):
    assert_one_sentence(learn("--backend", "abacus"), "abacus", "numpy")


def test_an_output_that_is_a_file_is_a_sentence(run, boards_file):
    found = run("sudoku", "--data", boards_file, "--output", boards_file)
    assert_one_sentence(found, boards_file)
