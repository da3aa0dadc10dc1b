"""Each script of the gallery prints and draws what its page shows."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from examples.gallery.__main__ import NAMES
from tests.commands import command

SHOWN = Path(__file__).resolve().parents[2] / "docs" / "gallery"
NEEDED = {
    "huge_batch": ("dask",),
    "lasso_path": ("sklearn",),
    "mini_sudoku": ("torch",),
    "network_flow": ("torch",),
    "portfolio": ("cvxpy", "torch"),
    "predict_then_optimise": ("torch",),
    "simplex_projection": ("jax",),
    "svm": ("sklearn", "torch"),
}
NUMBER = r"[-+]?\d+(?:\.\d*)?"
# Relative. Training meets kinks, where rounding chooses the derivative: it differs by machine.
CLOSE, TRAINED = 0.05, {"mini_sudoku": 0.3, "network_flow": 0.3, "predict_then_optimise": 0.3}
MOST_BYTES = 40_000  # of a figure


def words_and_numbers(text, close=CLOSE):
    """The text with a # for each number, without spaces; the numbers, and what each may be off."""
    found = re.findall(NUMBER, text)
    numbers = np.array([float(number) for number in found])
    last_digits = 10.0 ** -np.array([len(number.partition(".")[2]) for number in found])
    words = re.sub(r"\s", "", re.sub(NUMBER, "#", text))
    return words, numbers, last_digits + close * abs(numbers)


def words_of(svg):
    """Its titles, labels and legends, without numbers."""
    texts = re.findall(r"<text[^>]*>([^<]*)<", svg)
    return sorted(text for text in texts if re.search("[a-z]", text))


@pytest.mark.parametrize("name", NAMES)
def test_a_script_prints_and_draws_what_its_page_shows(repository, tmp_path, name):
    for module in NEEDED.get(name, ()):
        pytest.importorskip(module)
    done = command(repository, "-m", "examples.gallery", name, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    words, numbers, _ = words_and_numbers((tmp_path / f"{name}.txt").read_text())
    page = (SHOWN / f"{name}.txt").read_text()
    shown, expected, off = words_and_numbers(page, TRAINED.get(name, CLOSE))
    assert words == shown
    assert (abs(numbers - expected) <= off).all(), f"{numbers} for {expected}"
    figure = (tmp_path / f"{name}.svg").read_text()
    assert words_of(figure) == words_of((SHOWN / f"{name}.svg").read_text())
    assert len(figure) < MOST_BYTES


def test_pages_have_figures_of_their_own():
    assert {path.stem for path in SHOWN.glob("*.svg")} == set(NAMES)
    assert {path.stem for path in SHOWN.glob("*.txt")} == set(NAMES)


def test_a_script_that_is_not_there_is_wrong_use(wrong_use):
    code, out, err = wrong_use("examples.gallery.__main__", "no-such")
    assert (code, out) == (2, "")
    assert "no-such: expected of huge_batch" in err
