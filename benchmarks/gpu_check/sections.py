"""The sections of a report, each a table from its records; an empty text where there are none."""

from collections.abc import Callable

from benchmarks.gpu_check.expected import W1
from benchmarks.gpu_check.record import Record, every
from benchmarks.gpu_check.timings import milliseconds
from kktdiff.bench import number
from kktdiff.bench import table as _table

Rows = list[dict[str, str]]


def table(rows: Rows) -> str:
    """In Markdown; nothing of no rows."""
    return _table(rows) if rows else ""


def against_expectation(found: Record) -> str:
    """W1 in float64: measured, and what was expected before."""
    rows = []
    for batch, expected in W1.items():
        ours = timing(found, "timings", batch)
        theirs = timing(found, "peer qpth", batch)
        if ours is None:
            continue
        forward, both = (milliseconds(ours, key) for key in ("forward", "both"))
        qpth = milliseconds(theirs, "both") if theirs else None
        rows.append(
            {
                "W1, batch": str(batch),
                "forward": number(forward),
                "forward + backward": number(both),
                "arithmetic floor": number(expected.arithmetic),
                "memory once": number(expected.memory),
                "library path": span(expected.library),
                "qpth": span(expected.qpth),
                "qpth measured, both": number(qpth),
                "times kktdiff": number(qpth / both) if qpth and both else "",
            }
        )
    about = (
        "Milliseconds per batch, float64. The floors, the library path and qpth's range are "
        "estimates of a forward pass that were made beforehand; what is called measured is.\n\n"
    )
    return about + table(rows) if rows else ""


def timing(found: Record, stage: str, batch: int) -> Record | None:
    """The record of W1 in float64 that has times."""
    for record in every(found, stage):
        wanted = (record.get("workload"), record.get("batch")) == ("W1", batch)
        if wanted and record.get("dtype", "float64") == "float64" and "forward_seconds" in record:
            return record
    return None


def span(ends: tuple[float, float]) -> str:
    """A range."""
    return f"{ends[0]:g} - {ends[1]:g}"


def timings(found: Record) -> str:
    """All cases; milliseconds per batch."""
    rows = []
    for r in (r for r in every(found, "timings") if "forward_seconds" in r):
        both = milliseconds(r, "both")
        rows.append(
            {
                **_case(r),
                "us per problem": number(both and 1e3 * both / r["batch"]),
                "iterations": f"{r['iterations_mean']:.1f}",
                "solved": str(r["solved"]),
                **_errors(r),
                "MiB of inputs": _mib(r["inputs_bytes"]),
                "MiB at most": _mib(r["peak_bytes"]),
                "repeats": str(len(r["forward_seconds"])),
            }
        )
    about = "Milliseconds per batch, medians, by CUDA events; the inputs are on the device.\n\n"
    return about + table(rows) if rows else ""


def others(found: Record) -> str:
    """The other libraries, and NumPy on the processor."""
    rows = []
    stages = [name for name in found["stages"] if name.startswith("peer ")]
    for stage in (*stages, "processor"):
        for r in (r for r in every(found, stage) if "forward_seconds" in r):
            name = r.get("library", f"kktdiff on {r.get('cores')} cores, NumPy")
            rows.append({"": name, **_case(r), **(_errors(r) if "errors" in r else _NO_ERRORS)})
    return table(rows)


def accuracy(found: Record) -> str:
    """Worst errors against NumPy, and of which array."""
    rows = []
    for r in (r for r in every(found, "accuracy") if "answers" in r):
        rows.append(
            {
                "workload": r["workload"],
                "batch": str(r["batch"]),
                "statuses equal": "yes" if r["statuses_equal"] else "**no**",
                "solved": str(r["solved"]),
                "iterations apart": str(r["iterations_apart"]),
                "worst answer": _worst(r["answers"]),
                "worst gradient": _worst(r["gradients"], "d"),
            }
        )
    return table(rows)


def primitives(found: Record) -> str:
    """Routines and ceilings."""
    rows = []
    for r in (r for r in every(found, "primitives") if "ms" in r):
        rate = f"{r['gb_per_s']:.0f} GB/s" if "gb_per_s" in r else ""
        rate = f"{r['gflop_per_s']:.0f} GFLOP/s" if "gflop_per_s" in r else rate
        sizes = {key: str(r.get(key, "")) for key in ("n", "batch")}
        rows.append({"": r["what"], **sizes, "us": number(1e3 * r["ms"]), "rate": rate})
    return table(rows)


def sanitizer(found: Record) -> str:
    """What each tool said."""
    rows = []
    for r in (r for r in every(found, "sanitizer") if "tool" in r):
        said = r.get("failed") or r.get("skipped") or r.get("note") or "nothing found"
        rows.append({"tool": r["tool"], "": said, "summary": r.get("summary", "")})
    return table(rows)


def clocks(found: Record) -> str:
    """As nvidia-smi gives them, before and under load."""
    rows = []
    for stage, key in (("environment", "smi"), ("timings", "smi_under_load")):
        for r in every(found, stage):
            if isinstance(r.get(key), dict):
                rows.append({"": {"smi": "before"}.get(key, "after the timings"), **r[key]})
    return table(rows)


def _case(r: Record) -> dict[str, str]:
    cells = {"workload": r["workload"], "batch": str(r["batch"])}
    cells["dtype"] = r.get("dtype", "float64")
    cells["first call, s"] = f"{r['first_call_seconds']:.2f}"
    times = {key: number(milliseconds(r, key)) for key in ("forward", "backward", "both")}
    return cells | times


_NO_ERRORS = {"error of x": "", "worst gradient": ""}


def _errors(r: Record) -> dict[str, str]:
    gradients = {name: e for name, e in r["errors"].items() if name != "x"}
    worst = _worst(gradients, "d")
    return {"error of x": f"{r['errors']['x']:.0e}", "worst gradient": worst}


def _worst(errors: dict[str, float], prefix: str = "") -> str:
    if not errors:
        return ""
    name = max(errors, key=lambda key: errors[key])
    return f"{errors[name]:.0e} ({prefix}{name})"


def _mib(size: int | None) -> str:
    return "" if size is None else f"{size / 2**20:.0f}"


ALL: dict[str, Callable[[Record], str]] = {
    "Against what was expected": against_expectation,
    "Times": timings,
    "Other libraries, and the processor": others,
    "Accuracy": accuracy,
    "The libraries and the device alone": primitives,
    "Sanitizer": sanitizer,
    "Clocks": clocks,
}
