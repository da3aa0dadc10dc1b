"""The comparison with other libraries: verdicts, failures, processes, and what is published."""

import json

import pytest

from benchmarks import figures, pair, peers, processes, verdicts
from benchmarks import run as against
from kktdiff import bench
from tests.commands import command

FAULTY = "tests.repository.faulty_peer"


# ------------------------------------------------------------------------------- faulty peers


def job(fault, **more):
    options = {"peer": FAULTY, "configuration": fault, "workload": "small"}
    return options | {"batch": 3, "repeats": 1, "seconds": 1} | more


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("none", "right"),
        ("gradient", "**wrong**"),
        ("one of many", "**wrong** (1 of 3)"),
        ("less", "**not right**"),
        ("raises", "RuntimeError: it broke"),
    ],
)
def test_a_peer_gets_the_verdict_that_it_deserves(fault, word):
    record = pair.pair(job(fault))
    assert verdicts.verdict(record) == word
    assert verdicts.right(record) == (word == "right")
    if "wrong" in word:
        assert verdicts.row(record | job(fault) | {"library": "x"})["of the worst gradient"] == (
            "5e-01 (dh)"
        )


@pytest.mark.usefixtures("blas_in_threads")
def test_one_thread_is_for_the_peer_alone():
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def threads():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]

    before = threads()
    assert max(before) > 1
    assert set(peers.on_one_thread(threads)()) == {1}
    assert threads() == before


def test_patience_ends():
    record = processes.run(job("sleeps"), patience=1)
    assert record == {"failed": "takes longer than 1 s"}


def test_a_job_has_its_environment():
    own = job(None, peer=None, way="arrays", environment={"KKTDIFF_KERNELS": "off"})
    assert processes.run(own, patience=None)["machine"]["kernels"] is None


def test_curves_are_drawn_from_the_smallest_size_on():
    times = {"forward_seconds": [1.0], "backward_seconds": [1.0], "batch": 1}
    records = [times | {"n": n} for n in (500, 10, 1000)]
    assert figures.curve(records, "n") == ([10, 500, 1000], [2000.0] * 3)


def test_tables_need_medians_and_errors_alone():
    good = {"worst": 1e-7, "above_1e-06": 0, "above_1e-02": 0, "of": 2}
    errors = {"x": good, "p": good | {"worst": 1e-4, "above_1e-06": 1}, "Q": None}
    record = {"forward_seconds": [1.0, 5.0, 2.0], "backward_seconds": [], "batch": 2}
    record |= {"errors": errors, "machine": {}, "beside": {"forward_seconds": [4.0, 6.0]}}
    short = against.slim(record)
    assert short == {
        "forward_seconds": [2.0],
        "backward_seconds": [],
        "batch": 2,
        "errors": {"x": {"worst": 1e-7, "of": 2}, "p": {"worst": 1e-4, "above_1e-06": 1, "of": 2}},
        "beside": {"forward_seconds": [5.0]},
    }
    assert verdicts.verdict(short) == verdicts.verdict(record) == "**not right** (1 of 2)"


def test_a_process_that_dies_is_a_sentence():
    record = processes.run(job("dies"), patience=None)
    assert record["failed"].startswith("the process ends with status 3")


def canned(job):
    """A record as a process would return it, right, and of one second forward and backward."""
    problem = bench.make(job["workload"], job["batch"])
    error = {"worst": 0.0, "above_1e-06": 0, "above_1e-02": 0, "of": 1}
    times = {f"{name}_seconds": [0.5] for name in ("first_call", "forward", "backward")}
    found = bench.about(problem) | times | {"first_call_seconds": 1.0, "memory_bytes": 2**20}
    machine = bench.machine()
    return found | {"errors": {"x": error}, "without_reference": 0, "machine": machine}


def test_failures_stop_no_others_and_the_right_one_wins(monkeypatch, tmp_path):
    """In this process, which is faster, but for the peers that would end or hold it up."""
    honest = processes.run

    def here(job, *, patience):
        if job.get("configuration") in ("sleeps", "dies"):
            return honest(job, patience=1)
        return pair.pair(job) if job["peer"] else canned(job)

    monkeypatch.setattr(processes, "run", here)
    options = ("--workloads", "small", "--batch", "3", "--repeats", "1", "--peers", FAULTY)
    found = against.main([*options, "--out", str(tmp_path)])
    theirs = {r["configuration"]: r for r in found["records"] if r["library"] == FAULTY}
    assert list(theirs) == ["none", "gradient", "one of many", "less", "raises", "sleeps", "dies"]
    assert [name for name, record in theirs.items() if verdicts.right(record)] == ["none"]
    assert [r["configuration"] for r in verdicts.fastest_right(found["records"])] == ["none"]
    assert "none: " in (tmp_path / "performance-summary.md").read_text()
    assert "RuntimeError: it broke" in (tmp_path / "performance.md").read_text()


# ------------------------------------------------------------------------ from the command line


def test_the_comparison_runs_and_is_drawn_again(repository, tmp_path):
    options = ("--quick", "--workloads", "single", "--peers", FAULTY, "--out", tmp_path / "a")
    done = command(repository, "-m", "benchmarks.run", *options)
    assert done.returncode == 0, done.stderr
    numbers = tmp_path / "a" / "performance.json"
    found = json.loads(numbers.read_text())
    assert {"processor", "cores", "versions", "date", "commit"} <= set(found["machine"])
    assert [len(r["forward_seconds"]) for r in found["records"]] == [1] * len(found["records"])
    twice = [str(numbers)] * 2  # equal records count once
    against.main(["--from", *twice, "--out", str(tmp_path / "b")])
    for ending in (".json", ".md", "-summary.md", "-memory.md", ".svg"):
        first, again = (tmp_path / folder / f"performance{ending}" for folder in "ab")
        assert first.read_text() == again.read_text()
    table = (tmp_path / "a" / "performance.md").read_text()
    assert table in done.stdout
    assert "nan" not in table


def test_growth_is_measured_and_drawn(monkeypatch, tmp_path):
    points = {"batch": [("W1", 1), ("W1", 2), ("W1", 9)], "n": [("n=10", 1), ("n=20", 1)]}
    monkeypatch.setattr(bench, "GROWTH", points)
    monkeypatch.setattr(processes, "run", lambda job, **_: canned(job))
    options = ("--workloads", "W1", "--quick", "--peers", FAULTY, "--growth")
    found = against.main([*options, "--largest-batch", "2", "--out", str(tmp_path)])
    series = [r for r in found["records"] if "series" in r]
    peer = [(r["series"], r[r["series"]]) for r in series if r["library"] == FAULTY]
    assert peer == [("batch", 1), ("batch", 2)]  # W5 was not measured: nobody is right there
    own = [r[r["series"]] for r in series if r["configuration"] == verdicts.OURS]
    assert own == [1, 2, 10, 20]
    memory = (tmp_path / "performance-memory.md").read_text()
    assert "| 2 | NumPy arrays | 500 | 1 | 512 |" in memory
    assert ">problems in the batch</text>" in (tmp_path / "performance.svg").read_text()


def test_what_was_measured_is_measured_again_and_nothing_else(monkeypatch, tmp_path):
    asked, numbers = [], tmp_path / "before.json"
    monkeypatch.setattr(processes, "run", lambda job, **_: asked.append(job) or canned(job))
    records = [{"library": FAULTY, "configuration": "less", "workload": "W2"}]
    numbers.write_text(json.dumps({"records": records}))
    against.main(["--workloads", "W1,W2", "--peers", FAULTY, "--again", str(numbers)])
    pairs = [(job["workload"], job["configuration"]) for job in asked if job["peer"]]
    assert pairs == [("W2", "less")]


@pytest.mark.parametrize(
    "arguments", [("--workloads", "W9"), ("--from", "no-such.json"), ("--again", "no-such.json")]
)
def test_a_wrong_option_of_the_comparison_is_wrong_use(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        against.main(list(arguments))
    assert ended.value.code == 2
    assert arguments[1] in capsys.readouterr().err


# ----------------------------------------------------------------------------- what is published


@pytest.fixture
def published(repository):
    """The folder, and the numbers; skips as long as there are none."""
    results = repository / "docs" / "results"
    if not (results / "performance.json").exists():
        pytest.skip("nothing is published")
    return results, json.loads((results / "performance.json").read_text())


def test_published_tables_are_made_from_the_published_numbers(repository, published):
    results, found = published
    for ending, make in (
        (".md", verdicts.page),
        ("-summary.md", verdicts.summary),
        ("-memory.md", verdicts.memory),
    ):
        assert (results / f"performance{ending}").read_text() == make(found)
    assert verdicts.summary(found) in (repository / "README.md").read_text()


def test_published_numbers_say_where_they_were_made(repository, published):
    _, found = published
    assert {"processor", "cores", "date", "commit"} <= set(found["machine"])
    measured = {r["library"] for r in found["records"] if "failed" not in r}
    assert {"kktdiff", "qpth", "moreau"} <= measured
    assert str(repository) not in json.dumps(found)
