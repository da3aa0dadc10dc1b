"""Stage: the tests that need a GPU; in a rehearsal, those of the stand-in."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.gpu_check.device import Device
from benchmarks.gpu_check.runner import Record, ended, tail

CHOSEN = {"gpu": ("-m", "gpu", "tests"), "host": ("tests/backends/cuda/test_counts.py",)}
OUTCOMES = {"failure": "failed", "error": "error", "skipped": "skipped"}


def records(seconds: float, argument: str, device: Device) -> Iterator[Record]:
    """Yield one, with counts and failures; on a GPU a skip is a failure."""
    with tempfile.TemporaryDirectory() as folder:
        file, log = Path(folder, "junit.xml"), Path(folder, "log")
        chosen = (argument,) if argument else CHOSEN[device.name]
        command = ["env", "KKTDIFF_REQUIRE_GPU=1"] if device.name == "gpu" else []
        command += [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"]
        command += ["-o", f"faulthandler_timeout={0.8 * seconds:.0f}", f"--junitxml={file}"]
        reason = ended([*command, *chosen], 0.95 * seconds, log)
        found = counted(file) if file.is_file() else {"counts": {}, "failures": []}
        said = tail(log.read_text(encoding="utf-8", errors="replace"))
    bad = {kind: n for kind, n in found["counts"].items() if n and kind in ("failed", "error")}
    wrong = [f"{count} {kind}" for kind, count in bad.items()]
    wrong = wrong or ([] if reason is None else [f"pytest {reason}"])
    yield found | ({"failed": ", ".join(wrong), "lines": said} if wrong else {})


def counted(file: Path) -> Record:
    """Return counts and failures from pytest's own report."""
    counts, failures = dict.fromkeys(("passed", *OUTCOMES.values()), 0), []
    for case in ElementTree.parse(file).iter("testcase"):
        kind = next((v for tag, v in OUTCOMES.items() if case.find(tag) is not None), "passed")
        counts[kind] += 1
        if kind in ("failed", "error"):
            element = case.find("failure" if kind == "failed" else "error")
            lines = tail((element.text if element is not None else None) or "")
            failures.append(
                {"name": f"{case.get('classname')}::{case.get('name')}", "lines": lines}
            )
    return {"counts": counts, "failures": failures}
