"""Classification in torch: an OptNet layer behind two dense layers, on scikit-learn's digits.

    python -m examples.digits [--repeats 5] [--output results] [--qpth] [--quick]

The experiment of section 4.3 of the OptNet paper (arXiv 1703.00443): dense 600, dense 10, OptNet
10, softmax. The paper finds "very marginal improvement if any" on MNIST. What this shows is that
the network with the layer trains as the one without it does, and that no NaN appears.
"""

import argparse
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from examples import common, report
from examples.beside_qpth import seconds_per_epoch
from kktdiff.adapters.torch import OptNetLayer

CLASSES, RATE = 10, 1e-3
NAMES = {
    "dense": "dense 600, dense 10, softmax",
    "optnet": "dense 600, dense 10, OptNet 10, softmax",
}
Part = tuple[Tensor, Tensor]  # images (N, 64), labels (N,)


class Network(nn.Module):
    """Images (B, 64) to logits (B, 10)."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.dense = nn.Sequential(nn.Linear(64, 600), nn.ReLU(), nn.Linear(600, CLASSES))
        self.layer = OptNetLayer(CLASSES, CLASSES) if kind == "optnet" else None
        self.unsolved = 0  # problems so far

    def forward(self, images: Tensor) -> Tensor:
        """The layer's x is the logits; it minimises 1/2 x'Qx - (dense output)'x."""
        logits = self.dense(images)
        if self.layer is None:
            return logits
        solution = self.layer.solve(-logits)
        self.unsolved += int((~solution.solved).sum())
        return solution.x


def load(count: int, rng: np.random.Generator) -> list[Part]:
    """So many of the 1797 images in random order: to learn from, and a fifth, held out."""
    images, labels = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
    order = torch.from_numpy(rng.permutation(len(images))[:count])
    images, labels = images[order] / 16, labels[order]
    fifth = len(order) // 5
    return [(images[fifth:], labels[fifth:]), (images[:fifth], labels[:fifth])]


def errors(network: nn.Module, part: Part) -> float:
    """Share of the images that are not recognised."""
    with torch.no_grad():
        return (network(part[0]).argmax(1) != part[1]).double().mean().item()


def train(kind: str, parts: list[Part], args: argparse.Namespace) -> dict[str, Any]:
    """What a network of this kind reached, and how often something was not finite."""
    (images, labels), held_out = parts
    network, bad = Network(kind), 0

    def loss_of(index: Tensor) -> Tensor:
        nonlocal bad
        loss = nn.functional.cross_entropy(network(images[index]), labels[index])
        bad += not bool(loss.isfinite())
        return loss

    def measure() -> report.Record:
        return {"test": errors(network, held_out)}

    how = {"batch": args.batch, "epochs": args.epochs, "rate": RATE}
    log = common.fit(network, loss_of, len(images), measure, **how)
    bad += sum(int((~p.isfinite()).any()) for p in network.parameters())
    found = report.columns(log) | {"seconds": log[-1]["seconds"]}
    return found | {"not_finite": bad, "unsolved": network.unsolved}


def beside_qpth(part: Part, args: argparse.Namespace) -> Any:
    """Seconds per epoch of the network with the layer, ours and qpth's."""
    network = Network("optnet")
    images, labels = (array[: args.batch] for array in part)

    def step(solver: Any) -> None:
        logits = solver(p=-network.dense(images), **network.layer.problem())
        nn.functional.cross_entropy(logits, labels).backward()

    return seconds_per_epoch(step, len(part[0]), args)


def draw(figure: Any, found: report.Record) -> None:
    """Loss and held-out errors by epoch, every seed."""
    left, right = figure.subplots(1, 2)
    for (kind, results), colour in zip(
        found["runs"].items(), (report.GREY, report.BLUE), strict=True
    ):
        for number, result in enumerate(results):
            label = NAMES[kind] if number == 0 else None
            left.plot(result["epoch"][1:], result["loss"][1:], color=colour, lw=1, label=label)
            shares = [100 * share for share in result["test"]]
            right.plot(result["epoch"], shares, color=colour, lw=1, label=label)
    left.set_yscale("log")
    right.set_ylim(0, 20)
    about = "Loss in training: lower is better"
    report.finish(left, title=about, xlabel="epoch", ylabel="cross entropy")
    about = "Errors on new images: lower is better"
    report.finish(right, title=about, xlabel="epoch", ylabel="held-out errors, %")
    report.legend_below(figure, left)


def row_of(kind: str, results: list[report.Record]) -> report.Record:
    """One kind of network in the table."""
    share = [100 * result["test"][-1] for result in results]
    return {
        "": NAMES[kind],
        "held-out errors": f"{np.mean(share):.1f} % ({min(share):.1f} to {max(share):.1f})",
        "last training loss": f"{np.mean([r['loss'][-1] for r in results]):.4f}",
        "unsolved problems": sum(r["unsolved"] for r in results),
        "not finite": sum(r["not_finite"] for r in results),
        "seconds": f"{np.mean([r['seconds'] for r in results]):.0f}",
    }


def rows(found: report.Record) -> list[report.Record]:
    """The table: a row for each kind of network."""
    return [row_of(kind, results) for kind, results in found["runs"].items()]


def run(args: argparse.Namespace) -> report.Record:
    """Train both networks from each seed, and time qpth if that is wanted."""
    runs: dict[str, list[report.Record]] = {kind: [] for kind in NAMES}
    for repeat in range(1 if args.quick else args.repeats):
        parts = load(args.data_size, np.random.default_rng([args.seed, repeat]))
        for kind in NAMES:
            torch.manual_seed(args.seed + repeat)
            runs[kind].append(train(kind, parts, args))
            errors_now = runs[kind][-1]["test"][-1]
            print(f"{NAMES[kind]}, run {repeat}: {errors_now:.1%} errors", flush=True)
    numbers: report.Record = {"runs": runs}
    if args.qpth:
        numbers["seconds_per_epoch"] = beside_qpth(parts[0], args)
    return numbers


def main(argv: list[str] | None = None) -> None:
    """Parse the options, train both networks, report."""
    parser = common.options(__doc__, common.Size(1797, 30), common.Size(300, 2), batch=64)
    parser.add_argument("--repeats", type=common.positive, default=5, help="seeds (default: 5)")
    args = common.read(parser, argv)
    report.publish(args, "digits", args.found or run(args), rows, draw)


if __name__ == "__main__":
    main()
