"""Gradients asked for in any way, in any order, and in other processes."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.checks import assert_finite, assert_same_bits, element, grads_of
from tests.problems import Data
from tests.robustness.one_bad import BAD, batch_of_five, solve, weights_for

MODES = ("exact", "smoothed", "least_squares")


@pytest.fixture(scope="module")
def five():
    return solve(batch_of_five(35))


@pytest.mark.parametrize("mode", MODES)
def test_asking_twice_gives_the_same_bits(five, mode):
    weights = weights_for(five)
    first, between, again = (
        grads_of(five.vjp(**w, gradient=mode))
        for w in (weights, weights_for(five, seed=1), weights)
    )
    assert_same_bits(first, again, Data._fields)
    assert np.any(first.p != between.p)


@pytest.mark.parametrize("mode", MODES)
def test_cotangents_of_zero_or_none_give_gradients_of_exactly_zero(five, mode):
    zeros = {name: np.zeros_like(weight) for name, weight in weights_for(five).items()}
    for weights in (zeros, {}):
        for name, gradient in grads_of(five.vjp(**weights, gradient=mode))._asdict().items():
            np.testing.assert_array_equal(gradient, 0.0, err_msg=name)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("mode", MODES)
def test_a_cotangent_that_is_no_number_spoils_its_own_element_alone(five, mode, value):
    others = np.delete(np.arange(5), BAD)
    for name, weight in weights_for(five).items():
        spoiled = weight.copy()
        spoiled[BAD] = value
        found, expected = (
            grads_of(five.vjp(**{name: w}, gradient=mode)) for w in (spoiled, weight)
        )
        assert_same_bits(element(found, others), element(expected, others), Data._fields)
        if name in ("x", "objective"):  # multipliers that are 0 stay so: no one asks for theirs
            assert not np.all(np.isfinite(found.Q[BAD]))


def test_a_nan_for_an_element_that_was_not_solved_is_still_zero():
    data = batch_of_five(36)
    data.p[BAD] = np.nan
    solution = solve(data)
    grads = solution.vjp(np.where(np.isnan(solution.x), np.nan, 1.0))
    np.testing.assert_array_equal(grads.p[BAD], 0.0)
    assert_finite(grads)


def every_other(array):
    return np.repeat(array, 2, axis=-1)[..., ::2]


def backwards(array):
    return array[::-1].copy()[::-1]


@pytest.mark.parametrize("mode", MODES)
def test_cotangents_of_any_layout_give_the_same_bits(five, mode):
    weights = weights_for(five)
    expected = grads_of(five.vjp(**weights, gradient=mode))
    for layout in (np.asfortranarray, every_other, backwards):
        others = {name: layout(weight) for name, weight in weights.items()}
        assert_same_bits(grads_of(five.vjp(**others, gradient=mode)), expected, Data._fields)
    ones = np.broadcast_to(np.ones(6), (5, 6))
    copied = grads_of(five.vjp(ones.copy(), gradient=mode))
    assert_same_bits(grads_of(five.vjp(ones, gradient=mode)), copied, Data._fields)


FORKED = """
import os, sys
import numpy as np, kktdiff
from tests.problems import FULL, known

def bits():
    solution = kktdiff.solve_qp(*known(np.random.default_rng(36), FULL, batch=(5,)).data)
    return solution.x.tobytes() + solution.vjp(np.ones((5, 6))).G.tobytes()

before = bits()
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, bits())
    os._exit(0)
os.close(write)
with open(read, "rb") as pipe:
    assert pipe.read() == before, "the child's bits differ"
assert os.wait()[1] == 0
assert bits() == before, "the parent's bits differ after the fork"
"""


# Pickles, eight threads at once, and another process: tests/test_processes.py.
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_after_the_import_and_a_solve_has_the_same_bits(repository):
    """In a process of its own: a fork of the test process would take its threads' locks along."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED]
    threads = os.environ | {"OPENBLAS_NUM_THREADS": "2"}  # `make test` gives it one: none to lose
    done = subprocess.run(
        command, cwd=repository, env=threads, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
