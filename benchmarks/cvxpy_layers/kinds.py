"""What a model is, and a kind of models.

`values(rng, batch)` gives an array for each parameter, in their order: what a network would put out
has the dimension of the batch, what would be learnt or known beside it has none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Values = Callable[[np.random.Generator, int], list[Any]]


class Model(NamedTuple):
    """A new problem of cvxpy, whose parameters have no values yet."""

    problem: Any
    parameters: list[Any]
    variables: list[Any]
    values: Values


class Kind(NamedTuple):
    """Models of one kind and size."""

    about: str
    make: Callable[[], Model]
    batches: tuple[int, ...]
