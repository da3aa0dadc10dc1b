"""The command that checks a GPU, without one: faulty stages, processes, exit status."""

import importlib
import json
import sys
import time

import numpy as np
import pytest

from benchmarks.gpu_check import device, environment, processes, publish, report, runner
from benchmarks.gpu_check.__main__ import main
from benchmarks.gpu_check.record import failure, tail
from benchmarks.gpu_check.stages import STAGES, Stage
from kktdiff import backends
from tests.commands import command

HOST = device.host()
FAULTY = "tests.repository.faulty_stage"


def stage(name, *, share=1, decides=False):
    return Stage(name, FAULTY, share, decides, name)


# ---------------------------------------------------------------------------------------- no device


def test_without_a_gpu_it_says_so_and_writes_nothing(repository, tmp_path):
    reason = backends.available()["cupy"]
    if reason is None:
        pytest.skip("there is a GPU")
    done = command(repository, "-m", "benchmarks.gpu_check", "--out", tmp_path)
    assert (done.returncode, done.stdout) == (2, f"{reason}\n"), done.stderr
    assert not list(tmp_path.iterdir())


def test_the_environment_says_what_it_can_without_tools(monkeypatch):
    monkeypatch.setattr(backends, "available", lambda: {"cupy": None})
    monkeypatch.setenv("PATH", "")
    found = {key: value for r in environment.records(1) for key, value in r.items()}
    assert found["smi"] == "nvidia-smi is not there"
    assert "numpy" in found["machine"]["versions"]
    assert ("gpu" in found) != ("failed" in found)  # the latter where there is none, or no CuPy


# ------------------------------------------------------------------------------------ faulty stages


FAULTS = {
    "raises": "RuntimeError: it broke",
    "aborts": "ended by SIGABRT",
    "hangs": "takes longer than 3 s",
    "is wrong": "statuses differ",
    "passes": None,
}


@pytest.fixture(scope="module")
def outcome():
    """A run with each fault, and the reports as they were written after each stage."""
    written = []
    stages = [stage(name, decides=name in ("is wrong", "passes")) for name in FAULTS]
    monkey = pytest.MonkeyPatch()
    monkey.setattr(runner, "one", lambda stage, limit: _one(stage, 3))
    found = runner.run(stages, 60, lambda now: written.append(json.loads(json.dumps(now))), "abc")
    monkey.undo()
    return found, written


_one = runner.one


def test_every_fault_is_told_and_costs_its_stage_alone(outcome):
    found, _ = outcome
    for name, reason in FAULTS.items():
        result = found["stages"][name]
        assert result["records"][0]["said"] == name  # what it had yielded before
        assert result["outcome"] == ("passed" if reason is None else "failed")
        assert reason is None or reason in result["reason"]
    assert not runner.passed(found)


def test_the_report_grows_stage_by_stage(outcome):
    _, written = outcome
    assert [list(now["stages"]) for now in written] == [
        list(FAULTS)[: i + 1] for i in range(len(FAULTS))
    ]
    assert not any(runner.passed(now) for now in written)  # one that decides is missing yet


def test_the_report_shows_failures_first_with_their_last_lines(outcome):
    text = report.page(outcome[0])
    assert text.startswith("# kktdiff on Some GPU 1\n")
    assert "**Not passed**" in text
    for name, reason in FAULTS.items():
        assert (f"### {name} failed" in text) == (reason is not None)
    assert "RuntimeError: it broke\nin the second line, too\n```" in text
    assert "W1 4: statuses differ\n\n```text\n0 and 1\n```" in text
    assert "Fatal Python error: Aborted" in text


def test_of_a_crash_the_lines_are_kept_with_which_it_begins():
    lines = [f"line {i}" for i in range(90)]
    assert tail("\n".join(lines), 3) == lines[-3:]
    lines[20] = "Fatal Python error: Aborted"
    assert tail("\n".join(lines), 3) == lines[20:23]


def test_a_report_names_no_folder_of_the_machine(repository):
    failed = failure(ValueError(f"in {repository}/a.py and {sys.prefix}/lib/b.py"))
    assert failed["failed"] == "ValueError: in a.py and lib/b.py"


def test_only_what_decides_decides():
    def found(decides):
        return runner.run([stage("raises"), stage("passes", decides=True), decides], 60, str, None)

    assert runner.passed(found(stage("is skipped", decides=True)))
    assert not runner.passed(found(stage("raises", decides=True)))


def test_a_stage_without_time_is_not_begun_and_did_not_pass():
    found = runner.run([stage("passes", decides=True)], 1, str, None)
    assert found["stages"]["passes"]["outcome"] == "not run"
    assert not runner.passed(found)


def test_what_a_stage_does_not_need_is_for_the_next(monkeypatch):
    limits = []
    result = {"outcome": "passed", "records": []}
    monkeypatch.setattr(runner, "one", lambda stage, limit: limits.append(limit) or dict(result))
    runner.run([stage("a", share=1), stage("b", share=1), stage("c", share=2)], 100, str, None)
    np.testing.assert_allclose(limits, [25, 100 / 3, 100], rtol=1e-2)


@pytest.mark.parametrize("name", ["raises", "passes", "has no device"])
def test_the_exit_status(name, tmp_path, capsys):
    options = ["--out", str(tmp_path), "--minutes", "0.5", "--commit", "abc"]
    status = main(options, [stage(name, decides=True)])
    assert status == {"raises": 1, "passes": 0, "has no device": 2}[name]
    written = sorted(path.name for path in tmp_path.iterdir())
    if status == 2:
        assert (written, capsys.readouterr().out) == ([], "no driver, no GPU\n")
        return
    assert [name.partition("-some-gpu-1")[2] for name in written] == [".json", ".md"]
    assert all(name.startswith("gpu-20") for name in written)
    found = publish.read(tmp_path / written[0])
    assert (tmp_path / written[1]).read_text() == report.page(found)
    assert "commit abc" in report.page(found)


def test_a_process_that_has_to_be_ended_leaves_what_it_printed():
    code = "import time; print('so far', flush=True); time.sleep(60)"
    ended = processes.run([sys.executable, "-c", code], 1.5)
    assert ended.status is None
    assert ended.text.startswith("so far")
    assert ended.why(1.5) == "takes longer than 2 s"


def test_what_a_stage_leaves_behind_is_ended(tmp_path):
    note = tmp_path / "note"
    code = f"import time; time.sleep(2); open({str(note)!r}, 'w')"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}])"
    assert processes.run([sys.executable, "-c", parent], 20, own_group=True).status == 0
    time.sleep(3)
    assert not note.exists()


def test_the_stages_are_all_there():
    names = [stage.name for stage in STAGES]
    wanted = ["environment", "tests", "sanitizer", "accuracy", "timings", "primitives"]
    assert names[:6] == wanted
    assert [stage.name for stage in STAGES if stage.decides] == ["tests", "sanitizer", "accuracy"]
    for stage in STAGES:
        assert callable(importlib.import_module(stage.module).records)
