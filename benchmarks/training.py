"""What helps a QP layer to learn: mini-Sudoku, with one thing changed at a time.

    python -m benchmarks.training [--boards boards.npz] [--seeds 3] [--epochs 6] [--output DIR]

Each case learns from the same boards with the same seeds until 99.8 % of the validation boards are
solved. Needs the extra `examples`.
"""

import math
from collections.abc import Callable
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from examples import common, report
from examples.sudoku import (
    LEARNT,
    MEASURED,
    RATE,
    as_input,
    load,
    new_layer,
    share_solved,
)
from kktdiff import sudoku
from kktdiff.adapters.torch import OptNetLayer, Solution, solve_qp

SMOOTHED = {"gradient": "smoothed", "smoothing": 1e-3}
EXACT = {"gradient": "exact", "smoothing": None}


class FreeSides(nn.Module):
    """Sudoku's layer with b as a parameter of its own: no longer feasible by construction."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        begin = new_layer()
        self.A, self.b = begin.A, nn.Parameter(begin.problem()["b"].detach().clone())
        self.options = {"on_failure": "ignore"} | options

    def solve(self, p: Tensor) -> Solution:
        """Everything that `solve_qp` gives, for linear terms p, (B, 64)."""
        data = {"A": self.A, "b": self.b, "lb": torch.zeros(64)}
        return solve_qp(0.1 * torch.eye(64), p, **data, **self.options)

    def forward(self, p: Tensor) -> Tensor:
        """The minimiser x."""
        return self.solve(p).x


def with_rows(draw: Callable[[Tensor], Any]) -> Callable[[], OptNetLayer]:
    """The layer whose A begins as `draw` fills it."""

    def make() -> OptNetLayer:
        layer = new_layer()
        draw(layer.A.data)
        return layer

    return make


class Case(NamedTuple):
    """One way to train."""

    name: str
    layer: Callable[[], nn.Module] = new_layer
    smoothed_for: float = 0  # epochs, before the gradient is the exact one
    skip: bool = True  # leave unsolved boards out of the loss
    rate: float = RATE


CASES = {
    "recipe": Case("the example as it is"),
    "smoothed": Case("smoothed gradients", smoothed_for=math.inf),
    "early": Case("smoothed in the first epoch, exact from then on", smoothed_for=1),
    "free": Case("b a parameter: not feasible by construction", FreeSides),
    "closest": Case('the same, infeasible="closest"', lambda: FreeSides(infeasible="closest")),
    "nan": Case("the same, unsolved boards left in the loss", FreeSides, skip=False),
    "uniform": Case("A begins uniform in [0, 1], as in the paper", with_rows(nn.init.uniform_)),
    "large": Case("A begins with entries of deviation 1, not 1/8", with_rows(nn.init.normal_)),
    "slow": Case("a tenth of the rate", rate=RATE / 10),
}


class Run:
    """Training by one case from one seed."""

    def __init__(self, case: Case, parts: sudoku.Split, seed: int, args: Any) -> None:
        torch.manual_seed(seed)
        self.case, self.parts, self.layer = case, parts, case.layer()
        self.inputs, self.targets = -as_input(parts.train.puzzles), as_input(parts.train.solutions)
        self.unsolved, self.steps = 0, 0
        self.steps_per_epoch = math.ceil(len(self.inputs) / args.batch)
        self.nan_after: int | None = None  # steps
        self.log = common.fit(
            self.layer,
            self.loss_of,
            len(self.inputs),
            self.measure,
            batch=args.batch,
            epochs=args.epochs,
            rate=case.rate,
            decay=False,
            done=lambda record: record["validation"] >= LEARNT or self.nan_after is not None,
        )

    def loss_of(self, index: Tensor) -> Tensor:
        """Mean squared error of x on these boards."""
        self.steps += 1
        solution = self.layer.solve(self.inputs[index])
        self.unsolved += int((~solution.solved).sum())
        error = solution.x - self.targets[index]
        kept = error[solution.solved] if self.case.skip else error
        loss = kept.square().sum() / error.numel()
        if self.nan_after is None and not loss.isfinite():
            self.nan_after = self.steps
        return loss

    def measure(self) -> report.Record:
        """Shares of boards solved, and of gradients that are trustworthy; sets the next epoch's."""
        found = {n: share_solved(self.layer, getattr(self.parts, n)) for n in MEASURED}
        with torch.no_grad():
            report = self.layer.solve(self.inputs[:200]).diagnostics()
        found["trustworthy"] = float(report.trustworthy.double().mean())
        epoch = self.steps // self.steps_per_epoch  # that are over
        self.layer.options |= SMOOTHED if epoch < self.case.smoothed_for else EXACT
        return found

    def summary(self) -> report.Record:
        """As plain data: what each epoch solved, and what the table shows of the last."""
        last = {name: self.log[-1][name] for name in ("seconds", "validation", "trustworthy")}
        counts = {"unsolved": self.unsolved, "nan_after": self.nan_after}
        return {"held_out": [record["held_out"] for record in self.log]} | last | counts


def span(values: list[float], form: str) -> str:
    """Least and greatest, or one of them where they read the same."""
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


def row_of(case: Case, runs: list[report.Record]) -> report.Record:
    """One case in the table: least and greatest over the seeds."""
    learnt = [run for run in runs if run["validation"] >= LEARNT]
    lost = [run["nan_after"] for run in runs if run["nan_after"] is not None]
    return {
        "": case.name + (f"; NaN after {span(lost, 'd')} steps" if lost else ""),
        "learnt": f"{len(learnt)} of {len(runs)}",
        "epochs": span([len(run["held_out"]) - 1 for run in runs], "d"),
        "seconds": span([run["seconds"] for run in learnt], ".0f") if learnt else "",
        "held-out boards solved": span([run["held_out"][-1] for run in runs], ".1%"),
        "unsolved QPs": span([run["unsolved"] for run in runs], "d"),
        "trustworthy, at the end": span([run["trustworthy"] for run in runs], ".0%"),
    }


def rows(found: report.Record) -> list[report.Record]:
    """The table: a row for each case."""
    return [row_of(CASES[name], results) for name, results in found["runs"].items()]


def draw(figure: Any, found: report.Record) -> None:
    """Share of held-out boards solved by epoch, every seed, a panel for each case."""
    runs = found["runs"]
    panels = figure.subplots(2, math.ceil(len(runs) / 2), sharex=True, sharey=True, squeeze=False)
    for axes, (name, results) in zip(panels.ravel(), runs.items(), strict=False):
        for result in results:
            axes.plot([100 * share for share in result["held_out"]], color=report.BLUE)
        axes.set_title(fill(CASES[name].name, 22), fontsize=9)
        axes.set(xticks=range(0, 7, 2), ylim=(-5, 105))
        axes.grid(alpha=0.25)
    for axes in panels.ravel()[len(runs) :]:
        axes.set_axis_off()
    figure.suptitle("How soon boards are solved, a line for each seed", fontsize="medium")
    figure.supylabel("held-out boards solved, %", fontsize="medium")
    figure.supxlabel("epoch", fontsize="medium")


def run(args: Any) -> report.Record:
    """Every case from every seed."""
    boards = load(args.boards, args.data_size, args.seed)
    runs: dict[str, list[report.Record]] = {}
    for name in args.cases:
        runs[name] = []
        for seed in range(args.seeds):
            parts = sudoku.split(boards, np.random.default_rng(seed))
            runs[name].append(Run(CASES[name], parts, seed, args).summary())
            print(name, seed, runs[name][-1], flush=True)
    return {"runs": runs}


def main(argv: list[str] | None = None) -> None:
    """Run the cases, report."""
    parser = common.options(
        __doc__, common.Size(10_000, 6), common.Size(300, 1), batch=150, qpth=False
    )
    parser.add_argument("--boards", type=common.file, help="as .npz (default: from our generator)")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--seeds", type=common.positive, default=3)
    args = common.read(parser, argv)
    report.publish(args, "training", args.found or run(args), rows, draw, height=4.2)


if __name__ == "__main__":
    main()
