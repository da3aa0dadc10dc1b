"""Where reports are written and found, and the documentation's table."""

import json
import re
from pathlib import Path

from benchmarks.gpu_check import report
from benchmarks.gpu_check.record import ROOT, Record, fact

REPORTS = ROOT / "benchmarks" / "reports"
NOTHING = "No GPU was at hand yet: nothing is measured.\n"


def write(found: Record, folder: Path) -> Path:
    """Numbers and tables, under the name of the day and the GPU; the path of the numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name(found)}.json"
    for file, text in (
        (path, json.dumps(found, indent=1) + "\n"),
        (path.with_suffix(".md"), report.page(found)),
    ):
        part = file.with_name(f"{file.name}.part")  # whoever ends us here leaves the last one whole
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    return path


def name(found: Record) -> str:
    """Without an ending."""
    gpu = fact(found, "gpu") or "unknown"
    return f"gpu-{found['begun'][:10]}-{re.sub(r'[^A-Za-z0-9]+', '-', gpu).strip('-').lower()}"


def read(path: Path) -> Record:
    """A report."""
    return json.loads(path.read_text(encoding="utf-8"))


def newest(folder: Path) -> Record | None:
    """The report that was begun last; None where there is none."""
    found = [read(path) for path in folder.glob("gpu-*.json")]
    return max(found, key=lambda one: one["begun"], default=None)


def document(found: Record | None, folder: Path) -> Path:
    """The table that the documentation includes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "gpu.md"
    path.write_text(NOTHING if found is None else report.body(found), encoding="utf-8")
    return path
