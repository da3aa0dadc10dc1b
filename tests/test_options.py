"""Options that change how a solve goes, and never its answer."""

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_answer, assert_same_bits
from tests.problems import FULL, Answer, known
from tests.tolerances import ANSWER


@pytest.fixture(scope="module")
def problem():
    return known(np.random.default_rng(170), FULL, batch=(3,))


@pytest.fixture(scope="module")
def cold(problem):
    return kktdiff.solve_qp(*problem.data)


def test_a_warm_start_at_the_optimum_gives_the_answer_no_slower(problem, cold):
    warm = kktdiff.solve_qp(*problem.data, warm_start=cold)
    assert_answer(warm, problem.answer, ANSWER)
    assert np.all(warm.iterations <= cold.iterations)


def test_a_warm_start_from_a_nearby_problem_gives_the_answer_no_slower(problem, cold):
    near = problem.data._replace(p=problem.data.p + 1e-3)
    warm = kktdiff.solve_qp(*near, warm_start=cold)
    assert_answer(warm, kktdiff.solve_qp(*near), ANSWER)
    assert np.all(warm.iterations <= cold.iterations)


def test_a_warm_start_from_another_problem_gives_the_answer(problem):
    other = kktdiff.solve_qp(*known(np.random.default_rng(171), FULL, batch=(3,)).data)
    warm = kktdiff.solve_qp(*problem.data, warm_start=other)
    assert np.all(warm.solved)
    assert_answer(warm, problem.answer, ANSWER)


def test_a_warm_start_from_a_failure_gives_the_answer(problem):
    broken = problem.data._replace(p=np.full((3, 6), np.nan))
    failed = kktdiff.solve_qp(*broken, on_failure="ignore")
    warm = kktdiff.solve_qp(*problem.data, warm_start=failed)
    assert np.all(warm.solved)
    assert_answer(warm, problem.answer, ANSWER)


def test_a_warm_start_of_another_size_is_refused(problem, cold):
    with pytest.raises(ValueError, match="warm_start"):
        kktdiff.solve_qp(np.eye(2), np.zeros(2), warm_start=cold)


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
