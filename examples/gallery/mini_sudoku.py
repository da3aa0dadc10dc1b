# %% [markdown]
"""
# Learn the rules of mini-Sudoku

A layer that solves a QP learns from solved boards what no one tells it: the constraints. For
anyone new to optimisation layers: you learn to train one in torch, as in the OptNet paper (Amos
and Kolter 2017), and that it stays feasible while its constraints are learnt.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

from kktdiff import sudoku
from kktdiff.adapters.torch import OptNetLayer

torch.manual_seed(0)

# %% [markdown]
# Boards of 4 x 4 cells with one of four digits each: 64 zeros and ones, blanks all zeros. The
# layer is `minimise 1/2 0.1 x'x - puzzle'x` with `A x = b`, `x >= 0`. Its 40 rows `A` start at
# random, and `b = A z` with a positive `z`, so that the problem has a solution whatever is
# learnt.

# %%
boards = sudoku.generate(3500, np.random.default_rng(0))
puzzles = torch.from_numpy(sudoku.one_hot(boards.puzzles))  # (3500, 64)
solutions = torch.from_numpy(sudoku.one_hot(boards.solutions))
layer = OptNetLayer(64, k=40, nonnegative=True, curvature=0.1, dtype=torch.float64)
torch.nn.init.uniform_(layer.A)
new = slice(3000, None)  # the others are to learn from


def fill_in():
    """The layer's answers to the new puzzles, (500, 4, 4) digits."""
    with torch.no_grad():
        return sudoku.digits(layer(-puzzles[new]).numpy())


def share_solved():
    """Of the new puzzles, those that are filled in by the rules."""
    return sudoku.is_solved(fill_in(), boards.puzzles[new]).mean()


# %%
optimiser = torch.optim.Adam(layer.parameters(), lr=0.1)
before, log = fill_in()[0], [share_solved()]
for _ in range(5):
    for rows in torch.randperm(3000).split(50):
        loss = (layer(-puzzles[rows]) - solutions[rows]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    log.append(share_solved())
print(f"{log[0]:.0%} of new boards solved before, {log[-1]:.0%} after 5 epochs")

# %%
figure, (curve, *shown) = plt.subplots(1, 4, figsize=(10, 3), width_ratios=(1.8, 1, 1, 1))
curve.plot([100 * share for share in log], "o-")
curve.set(title="It learns the rules from 3000 boards", xlabel="epoch")
curve.set(ylabel="new boards solved, %", ylim=(-3, 103), xticks=range(6))
puzzle = boards.puzzles[new][0]
named = {"a new puzzle": puzzle, "filled in before": before, "and after": fill_in()[0]}
for axes, (name, board) in zip(shown, named.items(), strict=True):
    for (row, column), digit in np.ndenumerate(board):
        colour = "black" if puzzle[row, column] else "C1"
        axes.text(column + 0.5, 3.5 - row, digit or "", color=colour, ha="center", va="center")
    axes.set(title=name, xticks=range(5), yticks=range(5), xticklabels=[], yticklabels=[])
    axes.set(xlim=(0, 4), ylim=(0, 4), aspect="equal")
    axes.axhline(2, color="black", lw=1)
    axes.axvline(2, color="black", lw=1)
plt.show()
