"""The layer: a QP with learnable equality rows, its gradient by hand, and Adam.

::

    x(puzzle) = argmin  1/2 0.1 x'x - puzzle'x
                s.t.    A x = b,  x >= 0,        b = A exp(log_z0)

Amos & Kolter 2017, arXiv 1703.00443, section 4.4. A and log_z0 are learnt; ``exp(log_z0)`` is
positive and meets ``A x = b``, so the problem is feasible whatever they are.

The nearer the layer is to its goal, the more of its solutions are vertices: 40 rows and 48 zeros
in 64 unknowns. There the derivative of x says little, and training by it is erratic. The
gradient of the central path, where all entries are positive, leads on steadily: the boards are
learnt in 2 or 3 epochs, by the exact gradient in 2 to 6.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kktdiff._typing import Array
from kktdiff.adapters import plain
from kktdiff.sudoku._boards import one_hot

SIZE, ROWS = 64, 40
SMOOTHING = 1e-3  # barrier parameter; 1e-2 and 1e-4 learn too, an epoch later
_Q = 0.1 * np.eye(SIZE)
_LOWER = np.zeros(SIZE)


class Parameters(NamedTuple):
    """Learnt parameters of the layer."""

    A: Array  # (40, 64)
    log_z0: Array  # (64,)


class Adam(NamedTuple):
    """Parameters with the running moments of their gradients."""

    parameters: Parameters
    mean: Parameters
    square: Parameters
    steps: int = 0


def initial(rng: np.random.Generator) -> Parameters:
    """The paper's start: A uniform in [0, 1], log_z0 zero."""
    return Parameters(rng.uniform(size=(ROWS, SIZE)), np.zeros(SIZE))


def predict(parameters: Parameters, puzzles: Array, backend: str | None = None) -> Array:
    """Return the layer's x for each puzzle, (B, 64)."""
    return _solve(parameters, puzzles, backend)[0]


def loss_and_gradient(
    parameters: Parameters,
    puzzles: Array,  # (B, 4, 4)
    solutions: Array,  # (B, 4, 4)
    backend: str | None = None,
    smoothing: float | None = SMOOTHING,
) -> tuple[float, Parameters]:
    """Return the mean squared error of x against the solved boards, and its gradient.

    A, and b with it, serve the whole batch, so `plain.vjp` returns their gradients summed.
    With `smoothing` None the gradient is exact.
    """
    x, pullback = _solve(parameters, puzzles, backend)
    error = error_of(x, solutions)
    mode = "exact" if smoothing is None else "smoothed"
    grads = pullback(2 * error / error.size, gradient=mode, smoothing=smoothing)
    z0 = np.exp(parameters.log_z0)
    # b = A z0 depends on both parameters: the chain rule.
    gradient = Parameters(grads.A + np.outer(grads.b, z0), z0 * (parameters.A.T @ grads.b))
    return float(np.mean(error**2)), gradient


def error_of(x: Array, solutions: Array) -> Array:  # (B, 64), (B, 4, 4) -> (B, 64)
    """Difference to the solved boards; a board whose QP was not solved has x = 0."""
    return np.nan_to_num(x) - one_hot(solutions)


def start(parameters: Parameters) -> Adam:
    """Adam before its first step."""
    zero = Parameters(*(np.zeros_like(v) for v in parameters))
    return Adam(parameters, zero, zero)


def step(state: Adam, gradient: Parameters, rate: float = 0.1) -> Adam:
    """One step of Adam (Kingma & Ba 2015, arXiv 1412.6980); `state` is unchanged."""
    steps = state.steps + 1
    mean = Parameters(*(0.9 * m + 0.1 * g for m, g in zip(state.mean, gradient, strict=True)))
    square = Parameters(
        *(0.999 * s + 0.001 * g**2 for s, g in zip(state.square, gradient, strict=True))
    )
    moved = (
        v - rate * (m / (1 - 0.9**steps)) / (np.sqrt(s / (1 - 0.999**steps)) + 1e-8)
        for v, m, s in zip(state.parameters, mean, square, strict=True)
    )
    return Adam(Parameters(*moved), mean, square, steps)


def _solve(
    parameters: Parameters, puzzles: Array, backend: str | None
) -> tuple[Array, Callable[..., Any]]:
    b = parameters.A @ np.exp(parameters.log_z0)
    return plain.vjp(_Q, -one_hot(puzzles), A=parameters.A, b=b, lb=_LOWER, backend=backend)
