"""The stages of the GPU check: each finds what is right and what is wrong, here on NumPy."""

import sys
import time

import numpy as np
import pytest

from benchmarks.gpu_check import (
    accuracy,
    device,
    peers,
    problems,
    processor,
    sanitizer,
    small,
    suite,
    timings,
)
from kktdiff import Status, bench

HOST = device.host()


# ----------------------------------------------------------------------------------------- accuracy


def test_accuracy_finds_nothing_wrong_with_numpy():
    found = list(accuracy.records(60, device=HOST))
    assert [r["workload"] for r in found] == [*accuracy.CASES, "W2, two bad elements"]
    assert not [r for r in found if "failed" in r]
    assert found[0]["solved"] == found[0]["batch"]
    assert found[-1]["solved"] == 6


@pytest.mark.parametrize("name", ["x", "lam", "Q", "status"])
def test_accuracy_finds_what_is_wrong(monkeypatch, name):
    honest = accuracy.solved

    class Wrong:
        def __init__(self, record):
            self.record = record

        def __getattr__(self, key):
            value = getattr(self.record, key)
            return value * 1 + (value == value.max()) if key == name else value

    def wrong(problem, where):
        return tuple(Wrong(record) for record in honest(problem, where))

    monkeypatch.setattr(accuracy, "solved", wrong)
    record = accuracy.compare(bench.make("W2", 3), HOST)
    assert {"status": "statuses differ", "Q": "gradient Q", "x": "answer x", "lam": "answer lam"}[
        name
    ] in record["failed"]


def test_isolation_finds_an_element_that_others_notice(monkeypatch):
    assert "failed" not in accuracy.isolation(HOST)
    honest = bench.make
    monkeypatch.setattr(bench, "make", lambda name, batch: honest(name, batch, seed=1))
    bad = problems.spoiled()
    monkeypatch.setattr(problems, "spoiled", lambda: bad)
    monkeypatch.setattr(bench, "make", honest)
    assert "error of answer x" in accuracy.isolation(HOST)["failed"]


def test_the_bad_elements_are_bad():
    solution = small.solved(problems.spoiled(), HOST)[0]
    status = [Status(int(s)).name for s in solution.status]
    assert status[problems.INFEASIBLE] == "PRIMAL_INFEASIBLE"
    assert status[problems.INVALID] == "INVALID_DATA"
    assert status.count("SOLVED") == len(status) - 2


# ------------------------------------------------------------------------------------------ timings


CASES = (
    timings.Case("W1", 2, "float64"),
    timings.Case("W2", 2048, "float32"),
    timings.Case("W3", 9, "float64"),
)


def test_timings_on_numpy(monkeypatch):
    monkeypatch.setattr(timings, "MOST", 2)
    found = list(timings.records(60, device=HOST, cases=CASES))
    assert [found.pop(0)["warm_up"] for _ in range(2)] == ["float64", "float32"]
    assert not [r for r in found if "failed" in r]
    for case, record in zip(CASES, found, strict=True):
        assert record["solved"] == case.batch
        assert 1 <= len(record["forward_seconds"]) == len(record["backward_seconds"]) <= 2
        assert max(record["errors"].values()) <= timings.RIGHT[case.dtype]
    assert set(found[1]["errors"]) == {"x", *"QpGhAb"}
    assert set(found[2]["errors"]) == {"x", "p"}  # the others are sums over the batch
    assert max(found[1]["errors"].values()) > 1e-12  # of numbers that were rounded


def test_a_failing_case_takes_no_other_with_it():
    cases = (timings.Case("W0", 2, "float64"), CASES[0])
    *_, first, second = timings.records(60, device=HOST, cases=cases)
    assert first["failed"].startswith("KeyError")
    assert "failed" not in second


def test_a_case_without_time_says_so():
    *_, record = timings.records(0, device=HOST, cases=CASES[:1])
    assert record["failed"] == "no time was left"


def test_what_would_not_come_to_its_end_is_not_repeated():
    slow = HOST._replace(timed=lambda call: (1e3, call()))
    record = timings.measure(CASES[0], slow, 5, time.perf_counter() + 5)
    assert record["first_call_seconds"] == 1e3
    assert record["forward_seconds"] == []
    assert timings.milliseconds(record, "both") is None


def test_a_wrong_answer_is_a_failure(monkeypatch):
    monkeypatch.setattr(timings, "RIGHT", {"float64": -1.0})
    *_, record = timings.records(9, device=HOST, cases=CASES[:1])
    assert "solved 2, error" in record["failed"]


def test_large_batches_are_copies_with_a_p_of_their_own():
    few = problems.workload("W2", 2048)
    many = problems.grown(few, 2048, np)
    assert (few.batch, many.batch) == (problems.DIFFERENT, 2048)
    np.testing.assert_array_equal(many.data["G"][problems.DIFFERENT :][:9], few.data["G"][:9])
    assert len(np.unique(many.data["p"][:, 0])) == 2048
    assert problems.workload("W3", 2048).batch == 2048  # it shares its matrices
    assert problems.workload("W2", 100).batch == 100


def test_the_processor_is_timed():
    (record,) = processor.records(2, cases=(("small", 3),))
    assert record["forward_seconds"]
    assert record["backward_seconds"]


def test_a_peer_is_timed_and_a_missing_one_is_not_installed(monkeypatch):
    cases = (("small", 9),)
    (right,) = peers.records(5, "tests.repository.faulty_peer", {"fault": "none"}, cases)
    (wrong,) = peers.records(5, "tests.repository.faulty_peer", {"fault": "gradient"}, cases)
    assert max(right["errors"].values()) <= bench.RIGHT < wrong["errors"]["h"]
    assert right["forward_seconds"]
    (broken,) = peers.records(5, "tests.repository.faulty_peer", {"fault": "raises"}, cases)
    assert broken["failed"] == "RuntimeError: it broke"
    monkeypatch.setitem(sys.modules, "cupiqp", None)
    (missing,) = peers.records(5, "cupiqp", cases=cases)
    assert missing == {"skipped": "cupiqp is not installed here"}


# ------------------------------------------------------------------------------ tests and sanitizer


PYTEST = """
import os, time
import pytest

pytestmark = pytest.mark.gpu

def test_good():
    assert os.environ["KKTDIFF_REQUIRE_GPU"] == "1"
"""
BAD = "\ndef test_bad():\n    assert 1 == 2\n\ndef test_skips():\n    pytest.skip('no GPU')\n"
SLOW = "\ndef test_hangs():\n    time.sleep(60)\n"
DIES = "\ndef test_dies():\n    os.abort()\n"


def suite_on(tmp_path, text, seconds=60):
    file = tmp_path / "test_it.py"
    file.write_text(text)
    (record,) = suite.records(seconds, str(file))
    return record


def test_tests_that_pass(tmp_path):
    record = suite_on(tmp_path, PYTEST)
    assert record["counts"] == {"passed": 1, "failed": 0, "error": 0, "skipped": 0}
    assert "failed" not in record


def test_tests_that_fail_or_skip_are_told(tmp_path):
    record = suite_on(tmp_path, PYTEST + BAD)
    assert record["counts"] == {"passed": 1, "failed": 1, "error": 0, "skipped": 1}
    assert {r["name"].rpartition("::")[2] for r in record["failures"]} == {"test_bad", "test_skips"}
    assert record["failed"] == "pytest ends with status 1, 1 failed, 1 skipped"


def test_tests_that_hang_are_told_with_what_came_before(tmp_path):
    record = suite_on(tmp_path, PYTEST + SLOW, 16)
    assert record["counts"]["passed"] == 1
    assert record["failed"].startswith("pytest takes longer than 8 s, while running")
    assert "::test_hangs" in record["failed"]


def test_a_test_that_ends_pytest_is_named(tmp_path):
    record = suite_on(tmp_path, PYTEST + DIES)
    assert record["counts"]["passed"] == 1
    assert record["failed"].startswith("pytest ended by SIGABRT, while running")
    assert "::test_dies" in record["failed"]
    assert "in test_dies" in "\n".join(record["lines"])


def test_a_file_that_needs_what_is_not_here_is_left_out(tmp_path):
    (tmp_path / "test_other.py").write_text("import pytest\n\npytest.importorskip('no_such')\n")
    (tmp_path / "test_it.py").write_text(PYTEST)
    (record,) = suite.records(60, str(tmp_path))
    assert "failed" not in record
    assert len(record["left_out"]) == 1
    assert "test_other" in record["left_out"][0]


def test_no_tests_are_no_success(tmp_path):
    assert suite_on(tmp_path, "def test_without_the_mark():\n    pass\n")["failed"] == "no test ran"


FAKE = """#!{python}
import sys, time
tool = sys.argv[sys.argv.index("--tool") + 1]
assert "--error-exitcode=86" in sys.argv
print("========= COMPUTE-SANITIZER")
ends = {ends}
if tool in ends:
    print("========= ERROR SUMMARY: of", tool)
    sys.exit(ends[tool])
print("said by", tool, flush=True)
time.sleep(60)
"""
TOOLS_END = {"memcheck": 0, "racecheck": 86, "synccheck": 7, "initcheck": 86}


def sanitizer_on(tmp_path, seconds, ends, said=""):
    fake = tmp_path / "compute-sanitizer"
    fake.write_text(FAKE.format(python=sys.executable, ends=ends).replace("said by", said))
    fake.chmod(0o755)
    work = (sys.executable, "-c", "pass")
    alone, *found = sanitizer.records(seconds, work=work, places=str(tmp_path))
    assert "failed" not in alone
    return found


def test_the_sanitizer_is_asked_by_tool(tmp_path):
    found = sanitizer_on(tmp_path, 60, TOOLS_END)
    assert [r["tool"] for r in found] == list(sanitizer.TOOLS)
    assert [r.get("failed") for r in found] == [
        None,
        "racecheck finds something",
        "synccheck ends with status 7",
        None,
    ]
    assert found[3]["note"] == "finds something"
    assert found[0]["summary"].endswith("of memcheck")


def test_a_tool_that_takes_long_is_wrong_only_if_it_says_something(tmp_path):
    ends = dict.fromkeys(sanitizer.TOOLS[1:], 0)
    quiet = sanitizer_on(tmp_path, 4, ends)
    assert quiet[0]["note"].startswith("takes longer")
    assert not [r for r in quiet if "failed" in r]
    loud = sanitizer_on(tmp_path, 4, ends, said="========= Invalid read by")
    assert loud[0]["failed"].startswith("memcheck takes longer")
    monkey = pytest.MonkeyPatch()
    monkey.setattr(sanitizer, "TOOLS", ("memcheck",))
    monkey.setattr(sanitizer, "SHARES", (1.0,))
    assert sanitizer_on(tmp_path, 4, ends)[-1] == {"failed": "no tool came to its end"}
    monkey.undo()


def test_without_a_sanitizer_there_is_a_sentence(tmp_path):
    found = list(sanitizer.records(60, places=str(tmp_path)))
    assert found == [{"skipped": "compute-sanitizer is not there"}]


def test_the_small_work_is_solved(monkeypatch):
    assert small.main(HOST) == 0
    honest = small.solved

    def less(problem, where):
        solution, grads = honest(problem, where)
        return (
            solution if problem.name != "small" else honest(problems.spoiled(), where)[0]
        ), grads

    monkeypatch.setattr(small, "solved", less)
    assert small.main(HOST) == 1
