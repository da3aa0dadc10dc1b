"""Decision-focused learning in JAX: a model is trained for the decisions it leads to.

    python -m examples.jax_layer [--epochs 15] [--seed 0] [--output results] [--quick]

A budget is to be spread over 8 assets, none with more than 0.4 of it. Their returns are foreseen
from 5 features, and the allocation is the QP   minimise 1/2 x'Qx - returns'x,   sum x = 1,
0 <= x <= 0.4.   The true returns aren't linear in the features, the model is: so it can't be right
everywhere. One model is fitted to the returns, by mean squared error. The other one has the QP as
its last layer, and is trained on the regret: what its allocations lose to the best ones. The regret
is measured on samples that neither has seen.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from examples import common, report
from kktdiff.adapters.jax import solve_qp

ASSETS, FEATURES = 8, 5
MOST = 0.4  # of the budget in one asset
RATE, HELD_OUT = 0.03, 400
Q = 0.2 * jnp.eye(ASSETS)  # risk
NAMES = {"fit": "fitted to the returns", "regret": "trained on the regret"}

Part = tuple[jax.Array, jax.Array]  # features (N, FEATURES), returns (N, ASSETS)
Model = dict[str, jax.Array]


def draw_samples(count: int, rng: np.random.Generator) -> list[Part]:
    """So many to learn from, and HELD_OUT more; returns are cubic in sums of the features."""
    mix = rng.normal(size=(FEATURES, ASSETS)) / FEATURES**0.5
    features = rng.normal(size=(count + HELD_OUT, FEATURES))
    sums = features @ mix
    returns = sums**3 / 2 - sums / 2 + 0.1 * rng.normal(size=sums.shape)
    parts = (slice(count), slice(count, None))
    return [(jnp.asarray(features[part]), jnp.asarray(returns[part])) for part in parts]


def new_model() -> Model:
    """A linear one, that foresees nothing yet."""
    return {"weights": jnp.zeros((FEATURES, ASSETS)), "bias": jnp.zeros(ASSETS)}


def foresee(model: Model, features: jax.Array) -> jax.Array:
    """(N, FEATURES) to (N, ASSETS)."""
    return features @ model["weights"] + model["bias"]


def allocate(returns: jax.Array) -> jax.Array:
    """The best allocations, (N, ASSETS), if these are the returns."""
    one, none, most = jnp.ones(1), jnp.zeros(ASSETS), jnp.full(ASSETS, MOST)
    return solve_qp(Q, -returns, A=jnp.ones((1, ASSETS)), b=one, lb=none, ub=most).x


def worth(x: jax.Array, returns: jax.Array) -> jax.Array:
    """Of each allocation: what it returns, less its risk."""
    return jnp.sum(returns * x, -1) - jnp.sum((x @ Q) * x, -1) / 2


def fit_loss(model: Model, features: jax.Array, returns: jax.Array) -> jax.Array:
    """Mean squared error of the returns."""
    return jnp.mean((foresee(model, features) - returns) ** 2)


def regret(model: Model, features: jax.Array, returns: jax.Array) -> jax.Array:
    """What the allocations lose to the best ones, on average."""
    best = worth(allocate(returns), returns)
    return jnp.mean(best - worth(allocate(foresee(model, features)), returns))


@partial(jax.jit, static_argnums=0)
def adam(
    loss: Callable[..., jax.Array], model: Model, state: Any, step: jax.Array, part: Part
) -> tuple[Model, Any]:
    """One step of Adam; the QP is solved and differentiated within the compiled code."""
    grads = jax.grad(loss)(model, *part)
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state[0], grads)
    square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, state[1], grads)

    def moved(value: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        m, v = m / (1 - 0.9**step), v / (1 - 0.999**step)
        return value - RATE * m / (jnp.sqrt(v) + 1e-8)

    return jax.tree.map(moved, model, mean, square), (mean, square)


def train(kind: str, parts: list[Part], args: Any) -> list[report.Record]:
    """From a new model, by this loss; the held-out regret and error of each epoch."""
    loss = {"fit": fit_loss, "regret": regret}[kind]
    (features, returns), held_out = parts
    model, rng, step = new_model(), np.random.default_rng(args.seed), 0
    state = (new_model(), new_model())  # zeros
    measures = {"regret": jax.jit(regret), "error": jax.jit(fit_loss)}
    log = []
    for epoch in tqdm(range(args.epochs + 1), desc=NAMES[kind], unit="epoch", leave=False):
        log.append({name: float(of(model, *held_out)) for name, of in measures.items()})
        if epoch == args.epochs:
            break
        order = rng.permutation(len(features))
        for begin in range(0, len(order) - args.batch + 1, args.batch):  # whole batches
            index, step = order[begin : begin + args.batch], step + 1
            part = (features[index], returns[index])
            model, state = adam(loss, model, state, jnp.asarray(step, float), part)
    return log


def draw(figure: Any, found: report.Record) -> None:
    """Regret and error of the returns on held-out samples, by epoch."""
    left, right = figure.subplots(1, 2)
    for (kind, log), colour in zip(
        found["models"].items(), (report.GREY, report.BLUE), strict=True
    ):
        left.plot(log["regret"], color=colour, label=NAMES[kind])
        right.plot(log["error"], color=colour, label=NAMES[kind])
    for axes in (left, right):
        axes.set_ylim(0)
    about = "Decisions on held-out samples: lower is better"
    report.finish(left, title=about, xlabel="epoch", ylabel="regret, utility lost")
    about = "Forecasts on held-out samples: lower is better"
    report.finish(right, title=about, xlabel="epoch", ylabel="mean squared error of the returns")
    report.legend_below(figure, left)


def rows(found: report.Record) -> list[report.Record]:
    """The table: before, and what each model reached."""
    ends = {"before": (0, found["models"]["fit"])}
    ends |= {NAMES[kind]: (-1, log) for kind, log in found["models"].items()}
    return [
        {
            "": name,
            "held-out regret": f"{log['regret'][at]:.3f}",
            "held-out error of the returns": f"{log['error'][at]:.3f}",
        }
        for name, (at, log) in ends.items()
    ]


def main(argv: list[str] | None = None) -> None:
    """Parse the options, train both models, report."""
    whole, quick = common.Size(800, 15), common.Size(200, 5)
    parser = common.options(__doc__, whole, quick, batch=50, qpth=False)
    args = common.read(parser, argv)
    if args.batch > args.data_size:
        parser.error(f"--batch {args.batch}: there are {args.data_size} samples")
    report.publish(args, "jax_layer", args.found or run(args), rows, draw)


def run(args: Any) -> report.Record:
    """Train both models on the same samples."""
    parts = draw_samples(args.data_size, np.random.default_rng(args.seed))
    return {"models": {kind: report.columns(train(kind, parts, args)) for kind in NAMES}}


if __name__ == "__main__":
    main()
