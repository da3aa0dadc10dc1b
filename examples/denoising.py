"""Denoising in torch: total variation, and what an OptNet layer that starts from it learns.

    python -m examples.denoising [--data signals.npz] [--output results] [--qpth] [--quick]

The experiment of section 4.2 of the OptNet paper (arXiv 1703.00443): signals of 100 samples,
constant on 1 to 9 segments of heights 10 to 100, with noise of standard deviation 10. Total
variation denoises y by

    minimise over x   1/2 |x - y|^2 + sum_i strength_i |(D x)_i|,    D: first differences

and each `Denoiser` solves its dual, a QP with bounds alone, from which x = y - D'u:

    minimise over u   1/2 u' D D' u - (D y)' u,     -strength <= u <= strength
"""

import argparse
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from examples import common
from examples.beside_qpth import seconds_per_epoch
from kktdiff.adapters.torch import solve_qp
from kktdiff.bench import signals

LENGTH, NOISE, LOWEST, HIGHEST = 100, 10.0, 10, 99
TOL = 1e-6  # of signals of size 100 with noise of 10
PAPER = {"dense": "18.5 / 29.8", "tv": "16.3 / 16.5", "matrix": "13.8 / 14.4", "strengths": ""}
NAMES = {
    "dense": "fully connected",
    "tv": "total variation, one strength learnt",
    "matrix": "OptNet from total variation, matrices learnt",
    "strengths": "OptNet from total variation, strengths from a small network",
}


def draw_signals(count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """(noisy, clean), each (count, 100)."""
    noisy, clean = signals(count, rng)
    return torch.from_numpy(noisy), torch.from_numpy(clean)


def mirrored(*signals: Tensor) -> list[Tensor]:
    """The signals, or backwards, or upside down, or both, at random: all are as likely."""
    if torch.rand(()) < 0.5:
        signals = tuple(signal.flip(-1) for signal in signals)
    if torch.rand(()) < 0.5:
        signals = tuple(LOWEST + HIGHEST - signal for signal in signals)
    return list(signals)


class Denoiser(nn.Module):
    """A box-constrained QP that begins as total variation.

    ``kind``: "tv" learns one strength. "matrix" learns D, a strength for each row of it, and the
    matrices V and M of   1/2 x' (M M')^-1 x - (V y)' (M M')^-1 x,   the paper's p and Q.
    "strengths" leaves D as it is, and has a strength for each jump from a network that sees y.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        one = torch.eye(LENGTH)
        learn = kind == "matrix"
        self.D = nn.Parameter(one.diff(dim=0), requires_grad=learn)
        self.V = nn.Parameter(one.clone(), requires_grad=learn)
        self.M = nn.Parameter(one.clone(), requires_grad=learn)
        shape = (LENGTH - 1,) if learn else (1,)
        self.log_strength = nn.Parameter(torch.full(shape, 2 * NOISE).log())
        self.network = strength_network() if kind == "strengths" else None

    def problem(self, y: Tensor) -> dict[str, Tensor]:
        """The dual QP for signals (B, 100)."""
        DM, strength = self.D @ self.M, self.log_strength
        if self.network is not None:
            strength = strength + self.network((y @ self.D.T)[:, None] / NOISE)[:, 0]
        strength = strength.exp() * torch.ones(LENGTH - 1)
        return {"Q": DM @ DM.T, "p": -y @ (self.D @ self.V).T, "lb": -strength, "ub": strength}

    def forward(self, y: Tensor) -> Tensor:
        """The denoised signals, (B, 100)."""
        return self.primal(y, solve_qp(**self.problem(y), tol=TOL).x)

    def primal(self, y: Tensor, u: Tensor) -> Tensor:
        """x, (B, 100), from the solution u of the dual, (B, 99)."""
        return y @ self.V.T - u @ self.D @ self.M @ self.M.T


def strength_network() -> nn.Module:
    """From scaled differences, (B, 1, 99), to what is added to the logarithms of their strengths.

    A convolution, so that a jump means the same wherever it is; zero at first.
    """
    wide = {"kernel_size": 9, "padding": 4}
    network = nn.Sequential(
        nn.Conv1d(1, 16, **wide), nn.ReLU(),
        nn.Conv1d(16, 16, **wide), nn.ReLU(),
        nn.Conv1d(16, 1, **wide),
    )  # fmt: skip
    nn.init.zeros_(network[-1].weight)
    nn.init.zeros_(network[-1].bias)
    return network


class DenseNetwork(nn.Module):
    """Two dense layers, as in the paper, between signals of size one."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(LENGTH, 500), nn.ReLU(), nn.Linear(500, LENGTH))

    def forward(self, y: Tensor) -> Tensor:
        """The denoised signals, (B, 100)."""
        middle, half = (HIGHEST + LOWEST) / 2, (HIGHEST - LOWEST) / 2
        return middle + half * self.net((y - middle) / half)


def new_model(kind: str) -> tuple[nn.Module, float, int]:
    """The model, its learning rate, and how many epochs it gets for one of the others."""
    if kind == "dense":
        return DenseNetwork(), 3e-3, 10
    rate = {"tv": 1e-2, "matrix": 1e-3, "strengths": 3e-3}[kind]
    return Denoiser(kind), rate, 1


def error_of(model: nn.Module, noisy: Tensor, clean: Tensor) -> float:
    """Mean squared error."""
    with torch.no_grad():
        parts = zip(noisy.split(500), clean.split(500), strict=True)
        return sum((model(y) - x).square().sum().item() for y, x in parts) / clean.numel()


def load(args: argparse.Namespace) -> list[tuple[Tensor, Tensor]]:
    """Signals to learn from, and the last tenth, held out: each (noisy, clean)."""
    if args.data:
        with np.load(args.data) as file:
            arrays = [torch.from_numpy(file[name].astype(float)) for name in ("noisy", "clean")]
        signals = [array[-args.data_size :] for array in arrays]
    else:
        signals = list(draw_signals(args.data_size, np.random.default_rng(args.seed)))
    held_out = len(signals[0]) // 10
    return [tuple(a[:-held_out] for a in signals), tuple(a[-held_out:] for a in signals)]


def train(kind: str, parts: list[tuple[Tensor, Tensor]], args: argparse.Namespace) -> Any:
    """A trained model of this kind, and what each epoch reached."""
    (noisy, clean), held_out = parts
    model, rate, more = new_model(kind)

    def loss_of(index: Tensor) -> Tensor:
        y, x = noisy[index], clean[index]
        if not args.unmirrored:
            y, x = mirrored(y, x)
        return (model(y) - x).square().mean()

    log = common.fit(
        model,
        loss_of,
        len(noisy),
        lambda: {"test": error_of(model, *held_out)},
        batch=args.batch,
        epochs=args.epochs * more,
        rate=rate,
    )
    log[-1]["train"] = error_of(model, noisy, clean)
    print(f"{NAMES[kind]}: {log[0]['test']:.2f} -> {log[-1]['test']:.2f}", flush=True)
    return model, log


def beside_qpth(parts: list[tuple[Tensor, Tensor]], args: argparse.Namespace) -> Any:
    """Seconds per epoch of the layer with learnt matrices, ours and qpth's."""
    noisy, clean = (array[: args.batch] for array in parts[0])
    model = Denoiser("matrix")

    def step(solver: Any) -> None:
        x = model.primal(noisy, solver(**model.problem(noisy)))
        (x - clean).square().mean().backward()

    return seconds_per_epoch(step, len(parts[0][0]), args, tol=TOL)


def draw(figure: Any, models: dict[str, nn.Module], logs: Any, held_out: Any) -> None:
    """Test error by epoch, and one held-out signal."""
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    colours = {"tv": common.GREY, "matrix": common.RED, "strengths": common.BLUE}
    noisy, clean = (array[:1] for array in held_out)
    right.plot(noisy[0], ".", color=common.GREY, ms=3, label="noisy")
    right.plot(clean[0], color="black", lw=1, label="clean")
    for kind, colour in colours.items():
        if kind not in models:
            continue
        left.plot([row["test"] for row in logs[kind]], "o-", ms=3, color=colour, label=kind)
        with torch.no_grad():
            right.plot(models[kind](noisy)[0], color=colour, lw=1.2, label=kind)
    common.finish(left, title="Held-out signals", xlabel="epoch", ylabel="mean squared error")
    common.finish(right, title="A held-out signal", xlabel="sample")


def main(argv: list[str] | None = None) -> dict[str, list[common.Record]]:
    """Parse the options, train each model, report."""
    parser = common.options(__doc__, common.Size(10_000, 20), common.Size(200, 1), batch=150)
    parser.add_argument("--data", type=common.file, help="signals as .npz (default: drawn)")
    parser.add_argument("--models", nargs="+", choices=NAMES, default=list(NAMES), metavar="MODEL")
    parser.add_argument("--unmirrored", action="store_true", help="learn from signals as they are")
    args = common.read(parser, argv)
    parts = load(args)
    trained = {kind: train(kind, parts, args) for kind in args.models}
    models, logs = ({kind: both[i] for kind, both in trained.items()} for i in (0, 1))
    numbers: dict[str, Any] = {"models": logs}
    if args.qpth:
        numbers["seconds_per_epoch"] = beside_qpth(parts, args)
    rows = [
        {
            "": NAMES[kind],
            "train": f"{log[-1]['train']:.1f}",
            "test": f"{log[-1]['test']:.1f}",
            "paper, train / test": PAPER[kind],
            "epochs": len(log) - 1,
            "seconds": f"{log[-1]['seconds']:.0f}",
        }
        for kind, log in logs.items()
    ]
    common.publish(args, "denoising", rows, numbers, lambda f: draw(f, models, logs, parts[1]))
    return logs


if __name__ == "__main__":
    main()
