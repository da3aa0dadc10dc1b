"""Stage: the tests that need a GPU."""

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.gpu_check import processes
from benchmarks.gpu_check.record import Record, plain, tail

REQUIRE = {
    "KKTDIFF_REQUIRE_GPU": "1",  # a skip is a failure then
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # whatever else is installed has no say here
}
TO_END = 2 * processes.GRACE + 2  # seconds before the limit to begin to end pytest
OUTCOMES = ("passed", "failed", "error", "skipped")
DONE = r" (PASSED|FAILED|ERROR|SKIPPED)\b"
LINE = re.compile(rf"^(\S*::.*?){DONE}", re.MULTILINE)
BEGUN = re.compile(rf"^(\S*::(?!.*{DONE}).+)$", re.MULTILINE)


def records(
    seconds: float, argument: str = "tests", environment: Mapping[str, str] = REQUIRE
) -> Iterator[Record]:
    """One, with counts, the failures, and the slowest tests."""
    limit = max(seconds - TO_END, seconds / 2)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "junit.xml")
        command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-m", "gpu", "-v"]
        command += ["--tb=short", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
        command += ["-o", f"faulthandler_timeout={max(limit - 5, 1):.0f}", f"--junitxml={file}"]
        ended = processes.run([*command, argument or "tests"], limit, environment)
        found = from_xml(file) if file.is_file() else {}
    if ended.status is None or not found:  # the file counts the test that was ended as passed
        found = from_text(ended.text) | {key: found[key] for key in ("failures",) if key in found}
    yield found | judged(found, ended, limit)


def from_xml(file: Path) -> Record:
    """Counts and failures from pytest's own report."""
    counts, failures, took, left_out = dict.fromkeys(OUTCOMES, 0), [], [], []
    for case in ElementTree.parse(file).iter("testcase"):
        skip = case.find("skipped")
        if skip is not None and skip.get("message") == "collection skipped":
            left_out.append(case.get("name"))  # a file that needs what is not installed here
            continue
        name = f"{case.get('classname')}::{case.get('name')}"
        took.append([name, float(case.get("time") or 0)])
        bad = {tag: case.find(tag) for tag in ("failure", "error", "skipped")}
        kind = next((tag for tag, element in bad.items() if element is not None), "passed")
        counts[{"failure": "failed"}.get(kind, kind)] += 1
        element = bad.get(kind)
        if element is not None:
            text = element.text or element.get("message") or ""
            failures.append({"name": name, "kind": kind, "lines": tail(text)})
    slowest = sorted(took, key=lambda pair: -pair[1])[:5]
    return {"counts": counts, "failures": failures, "slowest": slowest, "left_out": left_out}


def from_text(text: str) -> Record:
    """The same, as far as it came, from what a pytest that was killed had printed."""
    counts, failures = dict.fromkeys(OUTCOMES, 0), []
    for name, outcome in LINE.findall(text):
        counts[outcome.lower()] += 1
        if outcome != "PASSED":
            failures.append({"name": name, "kind": outcome.lower(), "lines": []})
    begun = [match[1].strip() for match in BEGUN.finditer(text)]
    return {"counts": counts, "failures": failures, "running": begun[-1] if begun else None}


def judged(found: Record, ended: processes.Ended, limit: float) -> Record:
    """What is wrong, in a sentence; the end of the output is kept then."""
    wrong = [] if ended.status == 0 else [f"pytest {ended.why(limit)}"]
    if found.get("running"):
        wrong.append(f"while running {found['running']}")
    if ended.status == 5:
        wrong = ["no test ran"]
    bad = {kind: n for kind, n in found["counts"].items() if n and kind != "passed"}
    wrong += [f"{count} {kind}" for kind, count in bad.items()]
    if not wrong:
        return {}
    return {"failed": plain(", ".join(wrong)), "lines": tail(ended.text, 40)}
