"""What hypothesis draws: sizes, batch shapes, memory layouts, and a seed for the numbers."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from tests.problems import Data, Sizes, feasible, known

MANY = settings(max_examples=40)  # small problems: some milliseconds each
SEEDS = st.integers(0, 2**16)
BATCHES = st.sampled_from([(), (1,), (3,), (2, 3)])
MIXED = st.sampled_from([(), (3,), (1,), (2, 1), (1, 3), (2, 3)])  # they broadcast to each other


@st.composite
def sizes(draw, singular=True, most=8):
    """Sizes for `known`: blocks present or absent, and with `singular` any rank of Q that goes."""
    n = draw(st.integers(1, most))
    m, k = draw(st.integers(0, most)), draw(st.integers(0, n))
    lower, upper = draw(st.booleans()), draw(st.booleans())
    least = max(0, n - k - m - n * (lower or upper))  # so many constraints can hold at once
    if not singular or least >= n or draw(st.booleans()):
        return Sizes(n, m, k, lower, upper)
    return Sizes(n, m, k, lower, upper, draw(st.integers(least, n - 1)))


@st.composite
def problems(draw, batches=BATCHES, singular=True, most=8):
    """A batch of problems with their answers."""
    rng = np.random.default_rng(draw(SEEDS))
    return known(rng, draw(sizes(singular=singular, most=most)), draw(batches))


@st.composite
def broadcast_problems(draw):
    """Strictly feasible problems in which every array has a batch shape of its own."""
    rng = np.random.default_rng(draw(SEEDS))
    batches = {name: draw(MIXED) for name in Data._fields}
    return feasible(rng, draw(sizes(singular=False)), batches)


def _fortran(array):
    return np.asfortranarray(array)


def _backwards(array):
    flip = (slice(None, None, -1),) * array.ndim
    return array[flip].copy()[flip]


def _every_other(array):
    return np.repeat(array, 2, axis=-1)[..., ::2]


def _inner_slice(array):
    wide = np.pad(array, 1, constant_values=np.nan)
    return wide[(slice(1, -1),) * array.ndim]


def _swapped(array):
    """The last two axes' memory exchanged."""
    return array if array.ndim < 2 else np.swapaxes(np.swapaxes(array, -1, -2).copy(), -1, -2)


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = st.sampled_from([_fortran, _backwards, _every_other, _inner_slice, _swapped, _read_only])
