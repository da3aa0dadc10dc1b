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

from examples import common, report
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

COLOURS = {"tv": report.GREY, "matrix": report.RED, "strengths": report.BLUE}


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


def draw(figure: Any, found: report.Record) -> None:
    """Held-out error by epoch, and one signal."""
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    for kind, errors in found["test"].items():
        if kind == "dense":  # it has had more epochs
            label = f"{NAMES[kind]}, after {len(errors) - 1} epochs"
            left.axhline(errors[-1], color="black", ls="--", lw=1, label=label)
        else:
            left.plot(errors, color=COLOURS[kind], label=NAMES[kind])
    signal = found["signal"]
    right.plot(signal["noisy"], ".", color=report.GREY, ms=3, label="noisy signal")
    right.plot(signal["clean"], color="black", lw=1, label="signal without noise")
    for kind in (kind for kind in COLOURS if kind in signal):
        right.plot(signal[kind], color=COLOURS[kind], lw=1.2, label=NAMES[kind])
    left.set_ylim(0)
    about = "Error on held-out signals: lower is better"
    report.finish(left, title=about, xlabel="epoch", ylabel="mean squared error")
    report.finish(right, title="One held-out signal", xlabel="sample", ylabel="height")
    report.legend_below(figure, left, right, columns=2)


def example(models: dict[str, nn.Module], noisy: Tensor, clean: Tensor) -> report.Record:
    """One signal, and what the models make of it."""
    with torch.no_grad():
        made = {kind: model(noisy[None])[0] for kind, model in models.items()}
    found = {"noisy": noisy, "clean": clean} | made
    return {name: values.tolist() for name, values in found.items()}


def rows(found: report.Record) -> list[report.Record]:
    """The table: a row for each model."""
    return [
        {
            "": NAMES[kind],
            "train": f"{found['train'][kind]:.1f}",
            "test": f"{errors[-1]:.1f}",
            "paper, train / test": PAPER[kind],
            "epochs": len(errors) - 1,
            "seconds": f"{found['seconds'][kind]:.0f}",
        }
        for kind, errors in found["test"].items()
    ]


def run(args: argparse.Namespace) -> report.Record:
    """Train each model, and time qpth if that is wanted."""
    parts = load(args)
    trained = {kind: train(kind, parts, args) for kind in args.models}
    models, logs = ({kind: both[i] for kind, both in trained.items()} for i in (0, 1))
    numbers: report.Record = {
        "train": {kind: error_of(model, *parts[0]) for kind, model in models.items()},
        "seconds": {kind: log[-1]["seconds"] for kind, log in logs.items()},
        "test": {kind: [record["test"] for record in log] for kind, log in logs.items()},
        "signal": example(models, *(array[0] for array in parts[1])),
    }
    if args.qpth:
        numbers["seconds_per_epoch"] = beside_qpth(parts, args)
    return numbers


def main(argv: list[str] | None = None) -> None:
    """Parse the options, train each model, report."""
    parser = common.options(__doc__, common.Size(10_000, 20), common.Size(200, 1), batch=150)
    parser.add_argument("--data", type=common.file, help="signals as .npz (default: drawn)")
    parser.add_argument("--models", nargs="+", choices=NAMES, default=list(NAMES), metavar="MODEL")
    parser.add_argument("--unmirrored", action="store_true", help="learn from signals as they are")
    args = common.read(parser, argv)
    report.publish(args, "denoising", args.found or run(args), rows, draw, height=4.2)


if __name__ == "__main__":
    main()
