"""Learn 4x4 Sudoku from boards alone, with a QP layer and NumPy: ``python -m kktdiff sudoku``.

The experiment of the OptNet paper (Amos & Kolter 2017, arXiv 1703.00443). The layer is not
told the rules: it learns the equality constraints of a quadratic program from puzzles and
their solutions, by the gradients of `kktdiff.adapters.plain`.

>>> import numpy as np
>>> from kktdiff import sudoku
>>> boards = sudoku.generate(2, np.random.default_rng(0))
>>> bool(sudoku.is_solved(boards.solutions, boards.puzzles).all())
True
"""

from kktdiff.sudoku._boards import (
    Boards,
    Split,
    check_boards,
    digits,
    is_solved,
    is_valid,
    one_hot,
    split,
)
from kktdiff.sudoku._generator import count_solutions, generate
from kktdiff.sudoku._layer import Parameters, predict
from kktdiff.sudoku._run import Options, Result, run
from kktdiff.sudoku._train import Epoch

__all__ = [
    "Boards",
    "Epoch",
    "Options",
    "Parameters",
    "Result",
    "Split",
    "check_boards",
    "count_solutions",
    "digits",
    "generate",
    "is_solved",
    "is_valid",
    "one_hot",
    "predict",
    "run",
    "split",
]
