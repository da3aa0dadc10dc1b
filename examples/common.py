"""What the experiments share: options, and training with progress."""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from examples.report import Record


class Size(NamedTuple):
    """How much is computed: everything, or just enough to see that it runs."""

    data: int
    epochs: int


def options(
    doc: str, whole: Size, quick: Size, batch: int, *, qpth: bool = True
) -> argparse.ArgumentParser:
    """A parser with the options that experiments share; `read` completes what it reads."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(whole=whole, quick_size=quick)
    parser.add_argument("--epochs", type=positive, help=f"at most (default: {whole.epochs})")
    parser.add_argument("--batch", type=positive, default=batch, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--output", type=Path, help="folder for the table, the numbers, the figure")
    about = "draw again from these numbers, without a run"
    parser.add_argument("--from", dest="found", type=numbers, metavar="FILE.json", help=about)
    parser.add_argument("--quick", action="store_true", help="a minute's work, to see that it runs")
    if qpth:
        about = "time steps of qpth's layer beside ours"
        parser.add_argument("--qpth", action="store_true", help=about)
    return parser


def positive(text: str) -> int:
    """An integer of one or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 or more")
    return value


def file(text: str) -> Path:
    """A file that is there."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text}: there is no such file")
    return Path(text)


def numbers(text: str) -> Record:
    """The numbers that `publish` has written."""
    return json.loads(file(text).read_text(encoding="utf-8"))


def read(parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    """The options; from here on the output folder exists, torch is seeded and works in float64."""
    args = parser.parse_args(argv)
    size = args.quick_size if args.quick else args.whole
    args.data_size, args.epochs = size.data, args.epochs or size.epochs
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)  # complain now, not after the training
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(args.seed)
    return args


def batches(count: int, size: int, label: str) -> Iterator[Tensor]:
    """Every index once, in random order, behind a progress bar."""
    shares = torch.randperm(count).split(size)
    yield from tqdm(shares, desc=label, unit="batch", leave=False)


def fit(
    model: torch.nn.Module,
    loss_of: Callable[[Tensor], Tensor],  # of the samples with these indices
    count: int,  # of samples
    measure: Callable[[], Record],  # before training, and after each epoch
    *,
    batch: int,
    epochs: int,
    rate: float,
    decay: bool = True,  # let the rate fall to zero along a cosine
    done: Callable[[Record], bool] = lambda record: False,
) -> list[Record]:
    """Train by Adam; a record for each epoch: its number, seconds so far, mean loss, measures."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    steps = epochs * math.ceil(count / batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps) if decay else None
    log: list[Record] = [{"epoch": 0, "seconds": 0.0, "loss": None} | measure()]
    while len(log) <= epochs and not done(log[-1]):
        losses, began = [], time.perf_counter()
        for index in batches(count, batch, f"epoch {len(log)}"):
            loss = loss_of(index)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if schedule:
                schedule.step()
            losses.append(loss.item())
        seconds = log[-1]["seconds"] + time.perf_counter() - began  # without what is measured
        mean = sum(losses) / len(losses)
        log.append({"epoch": len(log), "seconds": seconds, "loss": mean} | measure())
    return log
