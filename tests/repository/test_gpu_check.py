"""The command that checks a GPU, without one: faulty stages, a rehearsal on NumPy, reports."""

import json
import sys
from functools import partial

import numpy as np
import pytest

from benchmarks import gpu_model as model
from benchmarks.gpu_check import (
    device,
    machine,
    peers,
    problems,
    questions,
    report,
    runner,
    suite,
    times,
)
from benchmarks.gpu_check.__main__ import main
from benchmarks.gpu_check.runner import Stage
from kktdiff import backends, bench
from tests.commands import command

HOST = device.host()
FAULTY = "tests.repository.faulty_stage"
FAULTS = {
    "raises": "RuntimeError: it broke",
    "aborts": "ended by SIGABRT",
    "hangs": "takes longer than 3 s",
    "is wrong": "statuses differ",
    "passes": None,
}


def stage(name, *, share=1, decides=False):
    return Stage(name, FAULTY, share, decides, name)


def run(stages, seconds=60, publish=str):
    return runner.run(stages, seconds, publish, "abc", "host")


def test_without_a_gpu_it_says_so_and_writes_nothing(repository, tmp_path):
    reason = backends.available()["cupy"]
    if reason is None:
        pytest.skip("there is a GPU")
    done = command(repository, "-m", "benchmarks.gpu_check", "--out", tmp_path)
    assert (done.returncode, done.stdout) == (2, f"{reason}\n"), done.stderr
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------ faulty stages


@pytest.fixture(scope="module")
def outcome():
    """A run with each fault, and the reports as they were written after each stage."""
    written, stages = [], [stage(name, decides=name in ("is wrong", "passes")) for name in FAULTS]
    monkey, own = pytest.MonkeyPatch(), runner.one
    monkey.setattr(runner, "one", lambda stage, limit, where: own(stage, 3, where))
    found = run(stages, publish=lambda now: written.append(json.loads(json.dumps(now))))
    monkey.undo()
    return found, written


def test_every_fault_is_told_and_costs_its_stage_alone(outcome):
    found, written = outcome
    for name, reason in FAULTS.items():
        result = found["stages"][name]
        assert result["records"][0]["said"] == name  # what it had yielded before
        assert result["outcome"] == ("passed" if reason is None else "failed")
        assert reason is None or reason in result["reason"]
    assert not runner.passed(found)
    assert [list(now["stages"]) for now in written] == [
        list(FAULTS)[: i + 1] for i in range(len(FAULTS))
    ]


def test_the_report_shows_failures_first_with_their_last_lines(outcome):
    text = report.page(outcome[0])
    assert text.startswith("# kktdiff on Some GPU 1\n")
    assert "**Not passed**" in text
    for name, reason in FAULTS.items():
        assert (f"### {name} failed" in text) == (reason is not None)
    assert "RuntimeError: it broke\nin the second line, too\n```" in text
    assert "W1 4: statuses differ\n\n```text\n0 and 1\n```" in text
    assert "Fatal Python error: Aborted" in text


def test_a_report_names_no_folder_of_the_machine(repository):
    failed = runner.failure(ValueError(f"in {repository}/a.py and {sys.prefix}/lib/b.py"))
    assert failed["failed"] == "ValueError: in a.py and lib/b.py"


def test_only_what_decides_decides_and_what_had_no_time_did_not_pass():
    assert runner.passed(run([stage("raises"), stage("is skipped", decides=True)]))
    assert not runner.passed(run([stage("passes", decides=True)], 1))


def test_what_a_stage_does_not_need_is_for_the_next(monkeypatch):
    limits, result = [], {"outcome": "passed", "records": []}
    monkeypatch.setattr(runner, "one", lambda _, limit, __: limits.append(limit) or dict(result))
    run([stage("a", share=1), stage("b", share=1), stage("c", share=2)], 100)
    np.testing.assert_allclose(limits, [25, 100 / 3, 100], rtol=1e-2)


# ----------------------------------------------------------------------------- a rehearsal on NumPy


def test_times_beside_the_model_and_the_processor(monkeypatch):
    monkeypatch.setattr(times, "MOST", 2)
    cases = ("W1", 2), ("W2", 600), ("W3", 9), ("W0", 2)
    *found, unknown = times.records(60, "", HOST, cases)
    for (name, batch), record in zip(cases, found, strict=False):
        assert (record["workload"], record["solved"]) == (name, batch)
        assert "failed" not in record
        seconds = "forward_seconds", "backward_seconds", "host_seconds", "model_seconds"
        assert all(record[key] > 0 for key in seconds)
    assert set(found[1]["errors"]) == {"x", *"QpGhAb"}
    assert set(found[2]["errors"]) == {"x", "p"}  # the others are sums over the batch
    assert unknown["failed"].startswith("KeyError")


@pytest.mark.parametrize("name", ["x", "G", "status"])
def test_times_find_what_is_wrong(monkeypatch, name):
    honest, calls = problems.both, []

    class Wrong:
        def __init__(self, record):
            self.record = record

        def __getattr__(self, key):
            value = getattr(self.record, key)
            return value + (value == value.max()) if key == name else value

    def wrong(problem):
        calls.append(problem)
        found = honest(problem)
        return found if len(calls) > 1 else tuple(map(Wrong, found))

    monkeypatch.setattr(problems, "both", wrong)
    record = times.measure("W2", 3, HOST, 0.0)
    said = {"x": "error of x 1e+0", "G": "error of G 1e+0", "status": "solved 0"}[name]
    assert said.replace("1e+0", "") in record["failed"]


def test_the_questions_that_need_no_gpu_are_answered(monkeypatch):
    few = {
        "a batch of 70,000": (partial(questions.many, batch=2000), False),
        "one of 8192 infeasible": (partial(questions.one_infeasible, batch=300), False),
        "4096 sparse problems of control": (partial(questions.sparse_batch, batch=300), False),
    }
    monkeypatch.setattr(questions, "QUESTIONS", questions.QUESTIONS | few)
    found = {r["question"]: r for r in questions.records(60, "", HOST)}
    assert not [r for r in found.values() if "failed" in r]
    assert found["a batch of 70,000"]["answer"].startswith("2000 of 2000 solved")
    assert found["a CUDA graph"]["answer"] == "needs a GPU"
    assert found["4096 sparse problems of control"]["answer"].startswith("300 of 300 solved")
    assert "ms with it" in found["one of 8192 infeasible"]["answer"]


def test_a_wrong_answer_is_told(monkeypatch):
    honest = problems.both
    monkeypatch.setattr(problems, "both", lambda p: honest(p._replace(data=p.data | {"h": -1e3})))
    assert "failed" in questions.many(HOST, 20)


def test_peers_that_are_there_and_that_are_not():
    pytest.importorskip("torch")
    assert list(peers.records(5, "no_such", HOST)) == [{"skipped": "no_such is not installed here"}]


def test_the_machine_is_told_without_tools(monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = {key: value for r in machine.records(1, "", HOST) for key, value in r.items()}
    assert found["smi"] == "nvidia-smi: FileNotFoundError"
    assert "numpy" in found["machine"]["versions"]


PYTEST = """
import os, pytest

def test_good(): pass
def test_bad(): assert 1 == 2
def test_skips(): pytest.skip("not here")
"""


def suite_on(tmp_path, text, seconds=60):
    (tmp_path / "test_it.py").write_text(text)
    (record,) = suite.records(seconds, str(tmp_path / "test_it.py"), HOST)
    return record


def test_tests_are_counted_and_their_failures_named(tmp_path):
    record = suite_on(tmp_path, PYTEST)
    assert record["counts"] == {"passed": 1, "failure": 1, "error": 0, "skipped": 1}
    assert record["failures"][0].endswith("::test_bad")
    assert "assert 1 == 2" in "\n".join(record["lines"])
    assert record["failed"] == "1 failed"
    assert "failed" not in suite_on(tmp_path, PYTEST.replace("1 == 2", "1 == 1"))
    hangs = suite_on(tmp_path, "import time\n\ndef test_hangs():\n    time.sleep(60)\n", 6)
    assert hangs["failed"].startswith("pytest takes longer than 6 s")


# ------------------------------------------------------------------------------- model and reports


def test_the_model_grows_with_the_work():
    sizes = {"n": 100, "m": 100, "k": 0}
    few, many = (model.estimate(sizes, batch) for batch in (128, 8192))
    assert 64 * few > many > 5 * few
    assert model.estimate(sizes | {"m": 200}, 8192) > many
    found = model.terms(sizes, 8192, "solve")
    assert found["waves"] == np.ceil(8192 / 264)


def test_the_documentation_has_the_models_table(repository):
    text = (repository / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert "\n".join(model.table()) in text


def made_up():
    """A report with every section."""
    case = {"workload": "W1", "batch": 128, "first_call_seconds": 2.0, "errors": {"x": 1e-9}}
    case |= {"forward_seconds": 0.005, "backward_seconds": 0.001}
    records = {
        "machine": [
            {"gpu": "Some GPU 1", "runtime": 13020},
            {"smi": {"driver_version": "580.1"}},
            {"machine": {"processor": "Some CPU", "cores": 2, "versions": {"numpy": "2.5"}}},
        ],
        "tests": [{"counts": {"passed": 120, "failed": 0}, "failures": []}],
        "questions": [{"question": "a CUDA graph", "answer": "captured"}],
        "times": [case | {"model_seconds": 0.004, "host_seconds": 0.06}],
        "peer qpth": [case | {"library": "qpth", "forward_seconds": 0.03}],
        "peer qpax": [{"skipped": "qpax is not installed here"}],
    }
    stages = {
        name: {"outcome": "passed", "seconds": 1.0, "records": found}
        for name, found in records.items()
    }
    head = {"begun": "2026-11-26T10:00:00+00:00", "where": "gpu", "commit": "abc"}
    return head | {"deciding": ["tests"], "stages": stages}


def test_a_good_report_has_every_section():
    text = report.page(made_up())
    assert "Some GPU 1, driver 580.1, CUDA 13.2; Some CPU, 2 cores; 2026-11-26" in text
    assert "Passed, as decided by: tests." in text
    assert "120 tests passed" in text
    assert "| a CUDA graph | captured |" in text
    assert "| kktdiff | W1 | 128 | 5 | 1 | 6 | 4 | 60 | 2.00 | 1e-09 (x) |" in text
    assert "| qpth | W1 | 128 | 30 | 1 | 31 |  |  | 2.00 |" in text
    assert "failed" not in text


def test_the_documents_have_the_newest_report_of_a_gpu(tmp_path, capsys):
    reports, docs = tmp_path / "reports", tmp_path / "docs"
    options = ["--out", str(reports), "--docs", str(docs)]
    rehearsal = made_up() | {"where": "host", "begun": "2026-12-24T10:00:00+00:00"}
    report.write(rehearsal, reports)
    assert main(options) == 0
    assert (docs / "gpu.md").read_text() == report.NOTHING
    new = made_up() | {"begun": "2026-12-01T10:00:00+00:00"}
    paths = [report.write(found, reports) for found in (new, made_up())]
    assert [path.name for path in paths] == [
        f"gpu-2026-{day}-some-gpu-1.json" for day in ("12-01", "11-26")
    ]
    main(options)
    assert (docs / "gpu.md").read_text() == report.body(new)
    capsys.readouterr()
    assert main(["--from", str(paths[1])]) == 0
    assert capsys.readouterr().out == report.page(made_up()) + "\n"


def test_the_whole_check_can_be_rehearsed(tmp_path, capsys, monkeypatch):
    chosen = [s for s in runner.STAGES if s.name in ("machine", "peer cupiqp")]
    monkeypatch.setattr(runner, "STAGES", chosen)
    assert main(["--host", "--out", str(tmp_path), "--minutes", "1"]) == 0
    assert "no GPU, a rehearsal" in capsys.readouterr().out
    assert len(list(tmp_path.glob("gpu-*.json"))) == 1


def test_the_workloads_are_right_on_the_host():
    record = problems.errors(bench.make("W2", 4), problems.both(bench.make("W2", 4)), 4, HOST)
    assert max(record.values()) == 0.0
