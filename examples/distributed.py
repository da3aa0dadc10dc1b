"""Many processes: DistributedDataParallel, with a share of the batch for each process.

    torchrun --nproc-per-node 2 -m examples.distributed [--output layer.pt]
    python -m examples.distributed [--output layer.pt]      # one process, the whole batch

Both give the same parameters up to rounding: the loss is a mean, the shares are of equal size, and
a shared array's gradient is the sum over the batch, so that the mean of the processes' gradients
is the gradient of the whole batch.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from examples.common import positive
from examples.sudoku import RATE, as_input, new_layer
from kktdiff import sudoku

BATCH = 40


def train(steps: int, rank: int, world: int) -> tuple[torch.nn.Module, float]:
    """The layer, and the last loss of this process, after so many steps."""
    torch.manual_seed(0)  # every process begins with the same layer and sees the same boards
    boards = sudoku.generate(steps * BATCH, np.random.default_rng(0))
    inputs, targets = -as_input(boards.puzzles), as_input(boards.solutions)
    layer = new_layer()
    model = DistributedDataParallel(layer) if world > 1 else layer
    optimiser = torch.optim.Adam(layer.parameters(), lr=RATE)
    for index in torch.arange(len(inputs)).split(BATCH):
        share = index[rank::world]
        loss = (model(inputs[share]) - targets[share]).square().mean()
        optimiser.zero_grad()
        loss.backward()  # DistributedDataParallel averages the gradients meanwhile
        optimiser.step()
    return layer, loss.item()


def main(argv: list[str] | None = None) -> None:
    """Join the other processes, if there are any; train; the first one saves the layer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=positive, default=20, help="(default: %(default)s)")
    parser.add_argument("--output", type=Path, help="file for the layer's parameters")
    args = parser.parse_args(argv)
    world = int(os.environ.get("WORLD_SIZE", "1"))  # torchrun sets it
    if BATCH % world:
        parser.error(f"{world} processes: expected a number that divides the batch of {BATCH}")
    if world > 1:
        dist.init_process_group("gloo")
    rank = dist.get_rank() if world > 1 else 0
    layer, loss = train(args.steps, rank, world)
    print(f"process {rank} of {world}: loss {loss:.6f} on its share", flush=True)
    if args.output and rank == 0:
        torch.save(layer.state_dict(), args.output)
    if world > 1:
        dist.barrier()  # nobody leaves while another one still has work to do
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
