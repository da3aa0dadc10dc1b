"""Mini-Sudoku in torch: an OptNetLayer learns the rules from solved boards.

    python -m examples.sudoku [--data boards.npz] [--output results] [--qpth] [--quick]

The experiment of section 4.4 of the OptNet paper (arXiv 1703.00443). The layer sees a puzzle as p,
and learns A and b of   minimise 1/2 0.1 x'x + p'x,   A x = b,   x >= 0.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from examples import common, report
from examples.beside_qpth import seconds_per_epoch
from kktdiff import sudoku
from kktdiff.adapters.torch import OptNetLayer

RATE = 0.1
MEASURED = {"held_out": "held-out boards", "validation": "validation boards"}
LEARNT = 0.998  # share of validation boards solved at which training ends


def new_layer() -> OptNetLayer:
    """64 variables, 40 equalities."""
    return OptNetLayer(64, k=40, nonnegative=True, curvature=0.1, dtype=torch.float64)


def as_input(boards: np.ndarray) -> Tensor:
    """(B, 4, 4) digits -> (B, 64): four entries per cell, 1 at its digit, zeros for a blank."""
    return torch.from_numpy(sudoku.one_hot(boards))


def load(path: Path | None, count: int, seed: int) -> sudoku.Boards:
    """So many boards of a file, the last ones; or as many of our own generator."""
    if path is None:
        return sudoku.generate(count, np.random.default_rng(seed))
    with np.load(path) as file:
        return sudoku.check_boards(file).take(slice(-count, None))


def share_solved(layer: OptNetLayer, boards: sudoku.Boards) -> float:
    """Share of the boards whose largest entries give a valid board that agrees with the puzzle."""
    with torch.no_grad():
        x = layer(-as_input(boards.puzzles)).nan_to_num()
    return float(np.mean(sudoku.is_solved(sudoku.digits(x.numpy()), boards.puzzles)))


def loss_of(layer: OptNetLayer, inputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error; a board whose QP is not solved has no x, and adds nothing."""
    solution = layer.solve(inputs)
    error = solution.x - targets
    return error[solution.solved].square().sum() / error.numel()


def train(layer: OptNetLayer, parts: sudoku.Split, args: argparse.Namespace) -> list[report.Record]:
    """Until the validation boards are solved; what each epoch reached."""
    inputs, targets = -as_input(parts.train.puzzles), as_input(parts.train.solutions)

    def measure() -> report.Record:
        found = {name: share_solved(layer, getattr(parts, name)) for name in MEASURED}
        print(f"{found['held_out']:.1%} of the held-out boards", flush=True)
        return found

    return common.fit(
        layer,
        lambda index: loss_of(layer, inputs[index], targets[index]),
        len(inputs),
        measure,
        batch=args.batch,
        epochs=args.epochs,
        rate=RATE,
        decay=False,
        done=lambda record: record["validation"] >= LEARNT,
    )


def beside_qpth(parts: Any, args: argparse.Namespace) -> Any:
    """Seconds per epoch of ours and of qpth, at the start of training."""
    layer, boards = new_layer(), parts.train.take(slice(args.batch))
    inputs, targets = -as_input(boards.puzzles), as_input(boards.solutions)

    def step(solver: Any) -> None:
        (solver(p=inputs, **layer.problem()) - targets).square().mean().backward()

    return seconds_per_epoch(step, parts.train.size, args)


def draw(figure: Any, found: report.Record) -> None:
    """Share of boards solved, and loss, by epoch."""
    left, right = figure.subplots(1, 2)
    log, last = found["log"], len(found["log"]["epoch"]) - 1
    for (name, label), line in zip(MEASURED.items(), ("o-", "s--"), strict=True):
        shares = [100 * share for share in log[name]]
        left.plot(log["epoch"], shares, line, ms=4, label=label)
    right.plot(log["epoch"][1:], log["loss"][1:], "o-", ms=4)
    right.set_yscale("log")
    left.legend(frameon=False)
    solved = f"{100 * log['held_out'][-1]:.4g} % of new boards are solved after {last} epochs"
    report.finish(left, title=solved, xlabel="epoch", ylabel="boards solved, %")
    about = "Loss in training: lower is better"
    report.finish(right, title=about, xlabel="epoch", ylabel="mean squared error of x")


def rows(found: report.Record) -> list[report.Record]:
    """The table: a row for each epoch."""
    return [
        {
            "epoch": epoch,
            "seconds": f"{seconds:.0f}",
            "training loss": "" if loss is None else f"{loss:.5f}",
            "held-out boards solved": f"{held_out:.1%}",
        }
        for epoch, seconds, loss, held_out, _ in zip(*found["log"].values(), strict=True)
    ]


def run(args: argparse.Namespace) -> report.Record:
    """Train, and time qpth if that is wanted."""
    boards = load(args.data, args.data_size, args.seed)
    parts, layer = sudoku.split(boards, np.random.default_rng(args.seed)), new_layer()
    numbers: report.Record = {"log": report.columns(train(layer, parts, args))}
    if args.qpth:
        numbers["seconds_per_epoch"] = beside_qpth(parts, args)
    return numbers


def main(argv: list[str] | None = None) -> None:
    """Parse the options, train, report."""
    parser = common.options(__doc__, common.Size(10_000, 10), common.Size(300, 2), batch=150)
    parser.add_argument(
        "--data", type=common.file, help="boards as .npz (default: from our generator)"
    )
    args = common.read(parser, argv)
    report.publish(args, "sudoku", args.found or run(args), rows, draw)


if __name__ == "__main__":
    main()
