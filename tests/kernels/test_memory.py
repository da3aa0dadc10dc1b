"""Scratch memory and the caller's arrays: nothing is read that was not written, nor beyond ends."""

import subprocess
import sys

import numpy as np
import pytest

from kktdiff._records import Rhs
from tests.backends.cuda import emulator
from tests.checks import assert_near, assert_same_bits
from tests.kernels import sanitized
from tests.kernels.calls import Library, compile_kernels, flat, replaced
from tests.tolerances import TIGHT_ANSWER

SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
FILLS = 0x21, 0xFF  # a bool that is neither true nor false; NaN

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for what is compiled, where there is a compiler."""
    if emulator.compiler() is None:
        pytest.skip(emulator.NO_COMPILER)
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(scope="module")
def library(folder, native, repository):
    """The kernels for the best instruction set."""
    return compile_kernels(repository, folder, native.variants()[-1], "-O1")


@pytest.mark.parametrize("packed", [True, False], ids=["lanes", "one"])
def test_what_scratch_memory_holds_changes_no_bit(library, packed):
    for qp in sanitized.problems():
        found = []
        for fill in (0, *FILLS):
            with replaced(Library(library, packed=packed, fill=fill)), np.errstate(all="ignore"):
                found.append(sanitized.run(qp))
        (status, expected, proofs, derived, pulled), *others = found
        for own_status, own, own_proofs, (own_rhs, *rest), own_pulled in others:
            assert np.array_equal(own_status, status)
            assert_same_bits(own, expected, own._fields)
            assert_same_bits(own_rhs, derived[0], Rhs._fields)
            own_all, all_of_first = (
                (*own_proofs, *rest, *own_pulled),
                (*proofs, *derived[1:], *pulled),
            )
            for left, right in zip(own_all, all_of_first, strict=True):
                np.testing.assert_array_equal(left, right)


def test_both_number_types_give_the_same_answers(library):
    """Lanes, and one problem with its vectors along rows: all sizes through both."""
    for data in sanitized.sized():
        found = []
        for packed in (True, False):
            with replaced(Library(library, packed=packed)):
                found.append(sanitized.run(flat(data)))
        (_, one, _, derived, pulled), (status, other, _, other_derived, other_pulled) = found
        assert not status.any()
        assert len(one.x) == len(other.x) == len(status)
        assert np.abs(one.iterations - other.iterations).max() <= 1
        assert np.array_equal(one.active, other.active)
        scaling = sum(flat(data).sizes) + 1
        assert np.array_equal(one.kept[:, :scaling], other.kept[:, :scaling])
        for name in ("x", "s", "lam", "nu", "lam_lb", "lam_ub", "numbers"):
            assert_near(getattr(other, name), getattr(one, name), TIGHT_ANSWER, name)
        for name in Rhs._fields:
            assert_near(getattr(other_derived[0], name), getattr(derived[0], name), TIGHT_ANSWER)
        for own, expected in zip(other_pulled, pulled, strict=True):
            assert_near(own, expected, TIGHT_ANSWER)


@pytest.mark.skipif(emulator.sanitizer() is None, reason=emulator.NO_SANITIZER)
@pytest.mark.parametrize("variant", ["baseline", "best"])
def test_sanitizers_find_nothing(folder, native, repository, variant):
    variant = native.variants()[-1] if variant == "best" else variant
    path = compile_kernels(repository, folder, variant, *SANITIZE)
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernels.sanitized", str(path)],
        cwd=repository, env=emulator.sanitizer(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-5000:]
    assert int(done.stdout.split()[0]) > 1000


THREADS = ("-fsanitize=thread", "-g", "-O1")


@pytest.mark.skipif(emulator.sanitizer("thread") is None, reason=emulator.NO_SANITIZER)
def test_threads_that_share_a_problem_do_not_race(folder, native, repository):
    path = compile_kernels(repository, folder, native.variants()[-1], *THREADS)
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernels.sanitized", str(path), "shared"],
        cwd=repository, env=emulator.sanitizer("thread"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "4 problems\n"), done.stderr[-5000:]
