"""Reports: numbers as JSON, and tables of them; failures first."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.runner import ROOT, Record, passed

REPORTS = ROOT / "benchmarks" / "reports"
NOTHING = "No GPU was at hand yet: nothing is measured.\n"
SHOWN = 12  # failing tests


def write(found: Record, folder: Path) -> Path:
    """Write numbers and tables under the name of the day and the GPU; return the numbers' path."""
    folder.mkdir(parents=True, exist_ok=True)
    gpu = re.sub(r"[^A-Za-z0-9]+", "-", fact(found, "gpu") or "unknown").strip("-").lower()
    path = folder / f"gpu-{found['begun'][:10]}-{gpu}.json"
    texts = {path: json.dumps(found, indent=1) + "\n", path.with_suffix(".md"): page(found)}
    for file, text in texts.items():
        part = file.with_name(f"{file.name}.part")  # whoever ends us here leaves the last one whole
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    return path


def read(path: Path) -> Record:
    """Return a report from its file."""
    return json.loads(path.read_text(encoding="utf-8"))


def newest(folder: Path) -> Record | None:
    """Return the report of a GPU that was begun last; None where there is none."""
    found = [one for one in map(read, folder.glob("gpu-*.json")) if one["where"] == "gpu"]
    return max(found, key=lambda one: one["begun"], default=None)


def document(found: Record | None, folder: Path) -> Path:
    """Write the table that the documentation includes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "gpu.md"
    path.write_text(NOTHING if found is None else body(found), encoding="utf-8")
    return path


def page(found: Record | None) -> str:
    """Return the whole report as Markdown."""
    if found is None:
        return NOTHING
    return f"# kktdiff on {fact(found, 'gpu') or 'an unknown GPU'}\n\n{body(found)}"


def body(found: Record) -> str:
    """Return the report without its title."""
    parts = [where(found), verdict(found)]
    parts += [f"### {name} failed\n\n{text}" for name, text in failures(found)]
    tables = {"Questions": questions(found), "Times": times(found)}
    parts += [f"### {title}\n\n{text}" for title, text in tables.items() if text]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def where(found: Record) -> str:
    """Return device, driver, versions and date."""
    machine = fact(found, "machine") or {"versions": {}}
    smi, runtime = fact(found, "smi"), fact(found, "runtime")
    driver = smi.get("driver_version", "unknown") if isinstance(smi, dict) else "unknown"
    cuda = f"{runtime // 1000}.{runtime % 1000 // 10}" if runtime else "unknown"
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{fact(found, 'gpu') or 'an unknown GPU'}, driver {driver}, CUDA {cuda}; "
        f"{machine.get('processor', 'unknown processor')}, {machine.get('cores', '?')} cores; "
        f"{found['begun'][:10]}, commit {found['commit'] or machine.get('commit') or 'unknown'}.\n"
        f"{versions}."
    )


def verdict(found: Record) -> str:
    """Return passed or not, and a line for each stage."""
    word = "Passed" if passed(found) else "**Not passed**"
    rows = [
        {
            "stage": name,
            "": "**failed**" if stage["outcome"] == "failed" else stage["outcome"],
            "s": f"{stage['seconds']:.0f}",
            "why": cell(stage.get("reason", counts(stage["records"]))),
        }
        for name, stage in found["stages"].items()
    ]
    return f"{word}, as decided by: {', '.join(found['deciding']) or 'nothing'}.\n\n{table(rows)}"


def counts(records: Iterable[Record]) -> str:
    """Return how many tests passed, where there were tests."""
    return ", ".join(f"{r['counts']['passed']} tests passed" for r in records if "counts" in r)


def failures(found: Record) -> Iterator[tuple[str, str]]:
    """Yield each stage that failed, with the last lines of all that went wrong in it."""
    for name, stage in found["stages"].items():
        if stage["outcome"] != "failed":
            continue
        failed = [record for record in stage["records"] if "failed" in record]
        blocks = [block(_about(record), record.get("lines", ())) for record in failed]
        tests = [test for record in failed for test in record.get("failures", ())]
        blocks += [block(test["name"], test["lines"]) for test in tests[:SHOWN]]
        blocks += [f"and {len(tests) - SHOWN} more, in the numbers"] if tests[SHOWN:] else []
        yield name, "\n\n".join(blocks or [block(stage["reason"], stage.get("log", ()))])


def questions(found: Record) -> str:
    """Return the answers."""
    asked = [r for r in every(found, "questions") if "question" in r]
    return table([{"": r["question"], "answer": cell(r.get("answer", "failed"))} for r in asked])


def times(found: Record) -> str:
    """Return our times beside the model's, the processor's, and those of other libraries."""
    rows = []
    for stage in found["stages"]:
        for r in every(found, stage):
            if "forward_seconds" not in r:
                continue
            forward, backward = r["forward_seconds"], r["backward_seconds"]
            worst = max(r["errors"], key=lambda key: r["errors"][key])
            rows.append(
                {
                    "": r.get("library", "kktdiff"),
                    "workload": r["workload"],
                    "batch": str(r["batch"]),
                    "forward, ms": number(forward),
                    "backward, ms": number(backward),
                    "both, ms": number(None if backward is None else forward + backward),
                    "by the model": number(r.get("model_seconds")),
                    "by the processor": number(r.get("host_seconds")),
                    "first call, s": f"{r['first_call_seconds']:.2f}",
                    "worst error": f"{r['errors'][worst]:.0e} ({worst})",
                }
            )
    return table(rows)


def every(found: Record, stage: str) -> Iterator[Record]:
    """Yield the records of a stage; none where it did not run."""
    yield from found["stages"].get(stage, {}).get("records", ())


def fact(found: Record, key: str) -> Any:
    """Return the first record's value under a key, over all stages; None where there is none."""
    records = (record for stage in found["stages"] for record in every(found, stage))
    return next((record[key] for record in records if record.get(key) is not None), None)


def number(seconds: float | None) -> str:
    """Return milliseconds with three digits."""
    return "" if seconds is None else f"{1e3 * seconds:.3g}"


def table(rows: list[dict[str, str]]) -> str:
    """Return a Markdown table, or nothing without rows."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str, most: int = 160) -> str:
    """Return a text on one line of a table, cut where it is long: all of it is below."""
    text = " ".join(text.replace("|", "/").split())
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def block(title: str, lines: Iterable[Any]) -> str:
    """Return a sentence and lines as they are."""
    text = "\n".join(map(str, lines))
    return f"{cell(title, 1000)}\n\n```text\n{text}\n```" if text else cell(title, 1000)


def _about(record: Record) -> str:
    keys = ("library", "workload", "question", "batch")
    about = " ".join(str(record[key]) for key in keys if key in record)
    return f"{about}: {record['failed']}" if about else record["failed"]
