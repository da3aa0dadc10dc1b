"""Inverse control in cvxpy and torch: the weights of an MPC are learnt from an expert's actions.

    python -m examples.mpc [--epochs 30] [--seed 0] [--output results] [--quick]

A cart on a line is to be brought to position 0. At each step an MPC plans 10 steps ahead, with
limits on velocity and force, and applies the first force of its plan. The expert is such an MPC
whose weights on position and velocity aren't known. The learner has the same problem, written in
cvxpy, as a layer, and fits the weights by gradient descent so that it applies the expert's forces.
"""

from typing import Any

import cvxpy as cp
import numpy as np
import torch
from torch import Tensor, nn

from examples import common, report
from kktdiff.adapters.cvxpy import CvxpyLayer

HORIZON, STEPS, STEP = 10, 16, 0.3  # planned, in closed loop; seconds
FORCE, VELOCITY = 1.0, 0.8  # at most, in absolute value
EXPERT, BEFORE = (6.0, 3.0), (1.0, 1.0)  # on position, velocity; 1 on force
DYNAMICS = np.array([[1.0, STEP], [0.0, 1.0]])
PUSH = np.array([STEP**2 / 2, STEP])
RATE = 0.3


def new_layer() -> CvxpyLayer:
    """From a state and the square roots of the two weights to the planned forces."""
    states, forces = cp.Variable((HORIZON + 1, 2)), cp.Variable(HORIZON)
    state, position, velocity = cp.Parameter(2), *(cp.Parameter(nonneg=True) for _ in range(2))
    cost = (
        cp.sum_squares(position * states[1:, 0])  # the root inside of the square: DPP
        + cp.sum_squares(velocity * states[1:, 1])
        + cp.sum_squares(forces)
    )
    moves = states[:-1] @ DYNAMICS.T + cp.reshape(forces, (HORIZON, 1), order="C") @ PUSH[None]
    limits = [cp.abs(forces) <= FORCE, cp.abs(states[1:, 1]) <= VELOCITY]
    problem = cp.Problem(cp.Minimize(cost), [states[0] == state, states[1:] == moves, *limits])
    return CvxpyLayer(problem, [state, position, velocity], [forces])


class Controller(nn.Module):
    """States (B, 2) to the forces that are applied, (B,)."""

    def __init__(self, layer: CvxpyLayer, weights: tuple[float, float]) -> None:
        super().__init__()
        self.layer = layer
        self.log_weights = nn.Parameter(torch.tensor(weights).log())  # so they stay positive

    def forward(self, states: Tensor) -> Tensor:
        """The first force of each plan."""
        (forces,) = self.layer(states, *(self.log_weights / 2).exp())
        return forces[:, 0]

    def weights(self) -> list[float]:
        """On position and velocity."""
        return self.log_weights.detach().exp().tolist()


def drive(controller: Controller, starts: Tensor) -> tuple[Tensor, Tensor]:
    """In closed loop: states (STEPS, B, 2) and the forces applied in them (STEPS, B)."""
    state, states, forces = starts, [], []
    with torch.no_grad():
        for _ in range(STEPS):
            force = controller(state)
            states.append(state)
            forces.append(force)
            state = state @ torch.from_numpy(DYNAMICS.T) + force[:, None] * torch.from_numpy(PUSH)
    return torch.stack(states), torch.stack(forces)


def draw_starts(count: int) -> Tensor:
    """Positions up to 3 from 0, velocities within their limit."""
    return (2 * torch.rand(count, 2) - 1) * torch.tensor([3.0, VELOCITY])


def train(learner: Controller, seen: tuple[Tensor, Tensor], args: Any) -> list[report.Record]:
    """By Adam on the squared difference of the forces; what each epoch reached."""
    states, forces = seen[0].flatten(0, 1), seen[1].flatten()

    def measure() -> report.Record:
        with torch.no_grad():
            error = (learner(states) - forces).square().mean().item()
        return {"error": error, "weights": learner.weights()}

    return common.fit(
        learner,
        lambda index: (learner(states[index]) - forces[index]).square().mean(),
        len(states),
        measure,
        batch=args.batch,
        epochs=args.epochs,
        rate=RATE,
    )


def rows(found: report.Record) -> list[report.Record]:
    """The table: the learner before and after, and the expert."""
    errors, weights = found["error"], found["weights"]
    ends = {"before": (errors[0], weights[0]), "after": (errors[-1], weights[-1])}
    return [
        {
            "": name,
            "loss": f"{error:.2e}",
            "weight on position": f"{position:.3f}",
            "weight on velocity": f"{velocity:.3f}",
            "ratio": f"{position / velocity:.3f}",
        }
        for name, (error, (position, velocity)) in (ends | {"expert": (0.0, EXPERT)}).items()
    ]


def draw(figure: Any, found: report.Record) -> None:
    """Position, velocity and force from the first start, by time; limits dotted."""
    panels = figure.subplots(1, 3)
    styles = ((report.GREY, "-", 4), (report.RED, "-", 1.5), (report.BLUE, "--", 1.5))
    time = STEP * np.arange(STEPS)
    for (name, path), (colour, line, width) in zip(found["paths"].items(), styles, strict=True):
        for axes, values in zip(panels, path, strict=True):
            axes.plot(time, values, line, color=colour, lw=width, label=name)
    for axes, limit in zip(panels[1:], (VELOCITY, FORCE), strict=True):
        for side in (-limit, limit):
            axes.axhline(side, color="black", lw=1, ls=":", label="limit")
    for axes, name in zip(panels, ("position", "velocity", "force"), strict=True):
        report.finish(axes, xlabel="time, s", ylabel=name)
    panels[1].set_title("The cart, driven by the expert and by the learner")
    report.legend_below(figure, *panels)


def path_of(states: Tensor, forces: Tensor) -> list[list[float]]:
    """Position, velocity and force by step, from the first start."""
    return [*states[:, 0].T.tolist(), forces[:, 0].tolist()]


def run(args: Any) -> report.Record:
    """Watch the expert, and learn."""
    layer, starts = new_layer(), draw_starts(args.data_size)
    starts[0] = torch.tensor([-3.0, 0.0])  # the one that is drawn
    expert, learner = Controller(layer, EXPERT), Controller(layer, BEFORE)
    seen = drive(expert, starts)
    paths = {"expert": path_of(*seen), "learner before": path_of(*drive(learner, starts[:1]))}
    log = report.columns(train(learner, seen, args))
    paths["learner after"] = path_of(*drive(learner, starts[:1]))
    return {"paths": paths, "error": log["error"], "weights": log["weights"]}


def main(argv: list[str] | None = None) -> None:
    """Parse the options, watch the expert, learn, report."""
    whole, quick = common.Size(16, 30), common.Size(4, 8)
    parser = common.options(__doc__, whole, quick, batch=64, qpth=False)
    args = common.read(parser, argv)
    report.publish(args, "mpc", args.found or run(args), rows, draw)


if __name__ == "__main__":
    main()
