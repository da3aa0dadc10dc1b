"""Tables from a report alone: failures first, then what was measured, beside what was expected."""

from collections.abc import Iterable
from typing import Any

from benchmarks.gpu_check import sections
from benchmarks.gpu_check.record import Record, fact
from benchmarks.gpu_check.runner import passed

SHOWN = 12  # failing tests


def page(found: Record) -> str:
    """The whole report."""
    title = f"# kktdiff on {fact(found, 'gpu') or 'an unknown GPU'}"
    return f"{title}\n\n{body(found)}"


def body(found: Record) -> str:
    """Without its title."""
    parts = [where(found), verdict(found)]
    parts += [f"### {stage}\n\n{text}" for stage, text in failures(found)]
    for title, make in sections.ALL.items():
        text = make(found)
        if text:
            parts.append(f"### {title}\n\n{text}")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def where(found: Record) -> str:
    """Device, driver, versions, date."""
    machine = fact(found, "machine") or {"versions": {}}
    commit = found["commit"] or machine.get("commit") or "unknown"
    gpu = fact(found, "gpu") or "an unknown GPU"
    memory = (fact(found, "memory_bytes") or 0) / 2**30
    smi = fact(found, "smi")
    driver = smi.get("driver_version", "unknown") if isinstance(smi, dict) else "unknown"
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{gpu}, {memory:.0f} GiB, driver {driver}, CUDA {cuda(fact(found, 'runtime'))}; "
        f"{machine.get('processor', 'unknown processor')}, {machine.get('cores', '?')} cores; "
        f"{found['begun'][:10]}, commit {commit}.\n{versions}."
    )


def cuda(version: int | None) -> str:
    """13020 as 13.2."""
    return "unknown" if version is None else f"{version // 1000}.{version % 1000 // 10}"


def verdict(found: Record) -> str:
    """Passed or not, and a line for each stage."""
    named = ", ".join(found["deciding"]) or "nothing"
    word = "Passed" if passed(found) else "**Not passed**"
    rows = [
        {
            "stage": name,
            "": stage["outcome"] if stage["outcome"] != "failed" else "**failed**",
            "s": f"{stage['seconds']:.0f}",
            "why": cell(stage.get("reason", counts(stage["records"]))),
        }
        for name, stage in found["stages"].items()
    ]
    return f"{word}, as decided by: {named}.\n\n{sections.table(rows)}"


def counts(records: Iterable[Record]) -> str:
    """How many tests, where there were tests; files that could not be imported here."""
    parts = []
    for r in (r for r in records if "counts" in r):
        parts.append(f"{r['counts']['passed']} tests passed")
        parts += [f"without {name}" for name in r.get("left_out", ())]
    return ", ".join(parts)


def cell(text: str, most: int = 160) -> str:
    """On one line of a table, cut where it is long: all of it is below."""
    text = " ".join(text.replace("|", "/").split())
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def failures(found: Record) -> list[tuple[str, str]]:
    """Each stage that failed, with the last lines of all that went wrong in it."""
    return [
        (f"{name} failed", "\n\n".join(complaints(stage)))
        for name, stage in found["stages"].items()
        if stage["outcome"] == "failed"
    ]


def complaints(stage: Record) -> Iterable[str]:
    """Of a stage: its reason, its records' and its tests' last lines; its log, if they are none."""
    failed = [record for record in stage["records"] if "failed" in record]
    if [stage["reason"]] != [record["failed"] for record in failed]:
        yield cell(stage["reason"], 1000)
    for record in failed:
        yield block(name_of(record), record.get("lines", ()))
        tests = record.get("failures", [])
        for test in tests[:SHOWN]:
            yield block(f"{test['kind']} {test['name']}", test["lines"])
        if tests[SHOWN:]:
            yield f"and {len(tests) - SHOWN} more, in the numbers"
    if not failed and stage.get("log"):
        yield block("the end of its output", stage["log"])


def name_of(record: Record) -> str:
    """What a record is about."""
    keys = ("library", "workload", "what", "tool", "batch", "dtype")
    about = " ".join(str(record[key]) for key in keys if key in record)
    return f"{about}: {record['failed']}" if about else record["failed"]


def block(title: str, lines: Iterable[Any]) -> str:
    """A sentence and lines as they are."""
    text = "\n".join(map(str, lines))
    return f"{cell(title, 1000)}\n\n```text\n{text}\n```" if text else cell(title, 1000)
