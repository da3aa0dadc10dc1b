"""The training loop: learn from the training boards until the validation boards are solved.

Validation boards are neither trained on nor reported on, so that stopping by them leaves the
held-out share an honest measure. One board of 500 may stay unsolved: at the paper's constant
rate, Adam goes on stirring the last few boards.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kktdiff._typing import Array
from kktdiff.sudoku import _layer as layer
from kktdiff.sudoku._boards import Boards, Split, digits, is_solved
from kktdiff.sudoku._layer import Parameters

LEARNT = 0.998  # share of validation boards solved at which training stops

OnStep = Callable[[int, int, int, float], None]  # epoch, step of it, steps per epoch, loss
OnEpoch = Callable[["Epoch"], None]


class Epoch(NamedTuple):
    """Losses and solved shares after an epoch, or after the completed part of one."""

    number: int  # 0 is before training
    steps: int  # since the start of training
    seconds: float  # since the start of training, measurements included
    loss: float  # mean over this epoch's steps; NaN for epoch 0
    held_out_loss: float
    validation: float  # share of boards solved
    held_out: float  # share of boards solved


class Trained(NamedTuple):
    """Result of training."""

    parameters: Parameters  # those that solved the most validation boards, the latest of equals
    epochs: list[Epoch]
    losses: list[float]  # by step
    interrupted: bool

    @property
    def best(self) -> Epoch:
        """The epoch whose parameters are kept."""
        return max(self.epochs, key=lambda epoch: (epoch.validation, epoch.number))

    @property
    def learnt(self) -> bool:
        """True if enough validation boards were solved to stop."""
        return self.best.validation >= LEARNT


def train(
    begin: Parameters,
    split: Split,
    *,
    epochs: int,
    batch: int,
    rng: np.random.Generator,
    backend: str | None = None,
    on_step: OnStep = lambda *_: None,
    on_epoch: OnEpoch = lambda _: None,
) -> Trained:
    """Learn until the validation boards are solved, for `epochs` epochs at most.

    The held-out boards are measured after each epoch and decide nothing. Ctrl-C ends the
    training as if the epoch were over.
    """
    state, log = layer.start(begin), _Log(split, backend, on_epoch)
    interrupted = False
    try:
        log.close(begin)
        while len(log.epochs) <= epochs and log.epochs[-1].validation < LEARNT:
            shares = _batches(split.train.size, batch, rng)
            for number, index in enumerate(shares, start=1):
                puzzles, solutions = split.train.take(index)
                loss, gradient = layer.loss_and_gradient(
                    state.parameters, puzzles, solutions, backend
                )
                state = layer.step(state, gradient)
                log.losses.append(loss)
                on_step(len(log.epochs), number, len(shares), loss)
            log.close(state.parameters)
    except KeyboardInterrupt:
        interrupted = True
        if not log.epochs or log.epochs[-1].steps < state.steps:
            log.close(state.parameters)
    return Trained(log.kept, log.epochs, log.losses, interrupted)


def measure(parameters: Parameters, boards: Boards, backend: str | None) -> tuple[float, float]:
    """Share of the boards that the layer solves, and its mean squared error on them."""
    x = layer.predict(parameters, boards.puzzles, backend)
    solved = is_solved(digits(np.nan_to_num(x)), boards.puzzles)
    return float(np.mean(solved)), float(np.mean(layer.error_of(x, boards.solutions) ** 2))


def _batches(count: int, size: int, rng: np.random.Generator) -> list[Array]:
    """Yield every board once, in random order."""
    order = rng.permutation(count)
    return [order[first : first + size] for first in range(0, count, size)]


class _Log:
    """Record of training so far; it survives an interruption."""

    def __init__(self, split: Split, backend: str | None, on_epoch: OnEpoch) -> None:
        self.split, self.backend, self.on_epoch = split, backend, on_epoch
        self.began = time.perf_counter()
        self.epochs: list[Epoch] = []
        self.losses: list[float] = []
        self.kept: Parameters

    def close(self, parameters: Parameters) -> None:
        """Measure where an epoch has led to, and keep it if none before solved more."""
        validation, _ = measure(parameters, self.split.validation, self.backend)
        held_out, held_out_loss = measure(parameters, self.split.held_out, self.backend)
        losses = self.losses[self.epochs[-1].steps :] if self.epochs else []
        epoch = Epoch(
            number=len(self.epochs),
            steps=len(self.losses),
            seconds=time.perf_counter() - self.began,
            loss=float(np.mean(losses)) if losses else float("nan"),
            held_out_loss=held_out_loss,
            validation=validation,
            held_out=held_out,
        )
        if validation >= max((e.validation for e in self.epochs), default=0.0):
            self.kept = parameters
        self.epochs.append(epoch)
        self.on_epoch(epoch)
