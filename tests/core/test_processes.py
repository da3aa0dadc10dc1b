"""Threads, processes and pickles: the same bits everywhere."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import kktdiff
from tests.checks import answer_of, assert_same_bits, grads_of
from tests.problems import FULL, Answer, Data, Sizes, known

LARGE = Sizes(n=60, m=60, k=20)
WEIGHT = np.random.default_rng(180).normal(size=(5, 6))


def use(data):
    solution = kktdiff.solve_qp(*data)
    return answer_of(solution), grads_of(solution.vjp(WEIGHT))


@pytest.mark.usefixtures("blas_in_threads")
def test_eight_threads_at_once_get_the_bits_of_one():
    data = [known(np.random.default_rng(i), FULL, batch=(5,)).data for i in range(8)]
    alone = [use(d) for d in data]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(use, data))
    for (answer, grads), (answer2, grads2) in zip(alone, together, strict=True):
        assert_same_bits(answer, answer2, Answer._fields)
        assert_same_bits(grads, grads2, Data._fields)


@pytest.mark.usefixtures("blas_in_threads")
def test_eight_threads_may_differentiate_one_solution():
    """With threads that change places as often as they can, and calls that leave time for it."""
    solution = kktdiff.solve_qp(*known(np.random.default_rng(181), LARGE, batch=(2,)).data)
    weight = np.random.default_rng(182).normal(size=solution.x.shape)
    alone = grads_of(solution.vjp(weight))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: grads_of(solution.vjp(weight)), range(400)))
    finally:
        sys.setswitchinterval(before)
    for grads in found:
        assert_same_bits(grads, alone, Data._fields)


def test_a_solution_survives_pickling_with_its_gradients():
    solution = kktdiff.solve_qp(*known(np.random.default_rng(182), FULL, batch=(5,)).data)
    copy = pickle.loads(pickle.dumps(solution))
    assert_same_bits(copy, solution, (*Answer._fields, "status"))
    assert_same_bits(copy.vjp(WEIGHT), solution.vjp(WEIGHT), Data._fields)


def test_another_process_gets_the_same_bits(repository):
    code = """
import numpy as np, kktdiff
from tests.problems import FULL, known
x = kktdiff.solve_qp(*known(np.random.default_rng(183), FULL, batch=(5,)).data).x
print(x.tobytes().hex())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    here = kktdiff.solve_qp(*known(np.random.default_rng(183), FULL, batch=(5,)).data).x
    assert done.stdout.strip() == here.tobytes().hex()
