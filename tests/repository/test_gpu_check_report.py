"""The reports of the GPU check, and what the documentation shows of them."""

import pytest

from benchmarks.gpu_check import publish, report, sections
from benchmarks.gpu_check.__main__ import main


def made_up():
    """A report with every section."""
    times = {"forward_seconds": [0.004, 0.006, 0.005], "backward_seconds": [0.001]}
    case = {"workload": "W1", "batch": 128, "dtype": "float64", "first_call_seconds": 2.0}
    error = {"errors": {"x": 1e-9, "p": 2e-8, "Q": 1e-8}}
    more = {"solved": 128, "iterations_mean": 9.5, "inputs_bytes": 2**21, "peak_bytes": None}
    same = {"statuses_equal": True, "solved": 24, "iterations_apart": 1}
    smi = {"name": "Some GPU 1", "driver_version": "580.1", "clocks.sm": "345 MHz"}
    records = {
        "environment": [
            {"available": {"cupy": None}},
            {"gpu": "Some GPU 1", "memory_bytes": 80 * 2**30, "runtime": 13020},
            {"smi": smi},
            {"machine": {"processor": "Some CPU", "cores": 2, "versions": {"numpy": "2.5"}}},
        ],
        "tests": [{"counts": {"passed": 120, "failed": 0}, "failures": []}],
        "sanitizer": [{"tool": "memcheck", "summary": "ERROR SUMMARY: 0 errors"}],
        "accuracy": [
            {"workload": "W1", "batch": 24, "answers": {"x": 1e-9}, "gradients": {"Q": 3e-9}} | same
        ],
        "timings": [case | times | error | more, {"smi_under_load": smi}],
        "primitives": [{"what": "dgemm", "n": 4096, "ms": 2.0, "gflop_per_s": 60000.0}],
        "peer qpth": [case | times | error | {"library": "qpth", "forward_seconds": [0.03]}],
        "peer qpax": [{"skipped": "qpax is not installed here"}],
        "processor": [case | times | {"cores": 2}],
    }
    stages = {
        name: {"outcome": "passed", "seconds": 1.0, "records": found}
        for name, found in records.items()
    }
    begun = "2026-11-26T10:00:00+00:00"
    head = {"begun": begun, "seconds": 480.0, "commit": "abc", "deciding": ["tests"]}
    return head | {"stages": stages}


def test_a_good_report_has_every_section():
    text = report.page(made_up())
    for title in sections.ALL:
        assert f"### {title}\n" in text
    assert "Some GPU 1, 80 GiB, driver 580.1, CUDA 13.2; Some CPU, 2 cores; 2026-11-26" in text
    assert "Passed, as decided by: tests." in text
    assert "120 tests passed" in text
    ours = "| 128 | 5 | 6 | 0.06 | 0.005 | 4 - 6 | 25 - 40 | 31 | 5.17 |"
    assert ours in text
    assert "| kktdiff on 2 cores, NumPy | W1 | 128 | float64 | 2.00 | 5 | 1 | 6 |" in text
    assert "2e-08 (dp)" in text
    assert "failed" not in text


def test_a_report_of_nothing_but_failures_is_readable():
    found = made_up()
    for name, stage in found["stages"].items():
        lines = [f"a line of {name}"]
        stage |= {"outcome": "failed", "reason": "it broke", "log": lines, "records": []}
    text = report.page(found)
    assert text.startswith("# kktdiff on an unknown GPU\n")
    assert "**Not passed**" in text
    for name in found["stages"]:
        assert f"### {name} failed\n\nit broke\n\nthe end of its output\n\n```text\n" in text
        assert f"a line of {name}\n```" in text
    assert not any(f"### {title}\n" in text for title in sections.ALL)


def test_failing_tests_are_shown_up_to_a_number():
    found, many = made_up(), report.SHOWN + 3
    tests = [{"kind": "failed", "name": f"test_{i}", "lines": [f"E {i}"]} for i in range(many)]
    record = {"counts": {"passed": 1}, "failures": tests, "failed": "15 failed", "lines": ["end"]}
    found["stages"]["tests"] |= {"outcome": "failed", "reason": "15 failed", "records": [record]}
    text = report.page(found)
    assert text.count("15 failed") == 2  # in the table, and above the tests
    assert f"failed test_{report.SHOWN - 1}\n\n```text\nE {report.SHOWN - 1}\n```" in text
    assert f"test_{report.SHOWN}" not in text
    assert "and 3 more" in text


def test_the_documents_have_the_newest_report(tmp_path):
    reports, docs = tmp_path / "reports", tmp_path / "docs"
    options = ["--out", str(reports), "--docs", str(docs)]
    assert main(options) == 0
    assert (docs / "gpu.md").read_text() == publish.NOTHING
    old, new = made_up(), made_up()
    new |= {"begun": "2026-12-01T10:00:00+00:00", "commit": "def"}
    for found in (new, old):
        publish.write(found, reports)
    names = ["gpu-2026-11-26-some-gpu-1", "gpu-2026-12-01-some-gpu-1"]
    assert sorted(path.stem for path in reports.glob("*.json")) == names
    main(options)
    assert (docs / "gpu.md").read_text() == report.body(new)
    main([*options, "--from", str(reports / f"{names[0]}.json")])
    assert (docs / "gpu.md").read_text() == report.body(old)


def test_a_report_is_printed_again_from_its_numbers(tmp_path, capsys):
    path = publish.write(made_up(), tmp_path)
    assert main(["--from", str(path)]) == 0
    assert capsys.readouterr().out == report.page(made_up()) + "\n"
    with pytest.raises(SystemExit) as ended:
        main(["--from", str(tmp_path / "no-such.json")])
    assert ended.value.code == 2


def test_published_reports_are_made_from_their_numbers(repository, tmp_path):
    found = publish.newest(publish.REPORTS)
    made = publish.document(found, tmp_path).read_text()
    assert (repository / "docs" / "results" / "gpu.md").read_text() == made
    for path in publish.REPORTS.glob("gpu-*.json"):
        found = publish.read(path)
        assert path.stem == publish.name(found)
        assert path.with_suffix(".md").read_text() == report.page(found)
        assert str(repository) not in path.read_text()
