"""Options that change how a solve goes, and never its answer."""

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_same_bits
from tests.problems import FULL, Answer, known


@pytest.fixture(scope="module")
def problem():
    return known(np.random.default_rng(170), FULL, batch=(3,))


@pytest.fixture(scope="module")
def cold(problem):
    return kktdiff.solve_qp(*problem.data)


def test_a_callable_gets_a_record_of_each_iteration_and_nothing_is_printed(problem, cold, capfd):
    records = []
    watched = kktdiff.solve_qp(*problem.data, verbose=records.append)
    assert len(records) >= np.max(cold.iterations)
    assert capfd.readouterr() == ("", "")
    assert_same_bits(watched, cold, (*Answer._fields, "iterations"))


def test_verbose_prints_a_table_and_changes_no_bit(problem, cold, capsys):
    watched = kktdiff.solve_qp(*problem.data, verbose=True)
    table = capsys.readouterr().out
    assert len(table.splitlines()) > np.max(cold.iterations)
    for word in ("primal", "dual", "gap"):
        assert word in table
    assert_same_bits(watched, cold, (*Answer._fields, "iterations"))


def test_naming_the_backend_changes_no_bit(problem, cold):
    named = kktdiff.solve_qp(*problem.data, backend="numpy")
    assert_same_bits(named, cold, (*Answer._fields, "iterations"))


def test_available_backends_say_why_one_is_missing():
    reasons = kktdiff.backends.available()
    assert reasons["numpy"] is None
    assert all(reason is None or reason for reason in reasons.values())


def test_numbers_of_numpy_are_numbers(problem, cold):
    found = kktdiff.solve_qp(*problem.data, tol=np.float32(1e-6), max_iter=np.int64(50))
    assert_same_bits(found, cold, Answer._fields)
