"""Who is right, who is fastest: tables from the records of `benchmarks.run` alone."""

from collections.abc import Iterable
from typing import Any

from kktdiff.bench import RIGHT, WORKLOADS, WRONG, accuracy_of, ms, number, table

TITLES = {
    "qpth": "qpth",
    "qplayer": "QPLayer",
    "qpax": "qpax",
    "jaxopt": "jaxopt",
    "moreau": "moreau",
    "cvxpylayers": "cvxpylayers",
    "dqp": "dQP",
    "piqp": "PIQP",
    "clarabel": "Clarabel",
    "daqp": "DAQP",
    "osqp": "OSQP",
}
OURS, NO_KERNELS = "NumPy arrays", "without kernels"  # what the summary shows of kktdiff
RATIO = "time side by side, kktdiff = 1"
Record = dict[str, Any]


def worst(record: Record) -> float | None:
    """The largest error of x and all gradients; None where nothing has a reference."""
    x, _, gradient = accuracy_of(record)
    return max((e for e in (x, gradient) if e is not None), default=None)


def right(record: Record) -> bool:
    """Whether x and all gradients are."""
    if "failed" in record:
        return False
    error = worst(record)
    return error is not None and error <= RIGHT


def verdict(record: Record) -> str:
    """In words: right, not right, wrong; of how many elements, where not of all."""
    if "failed" in record:
        return record["failed"].replace("|", "/")
    error = worst(record)
    if error is None:
        return "no reference"
    if error <= RIGHT:
        return "right"
    mark, word = (WRONG, "wrong") if error > WRONG else (RIGHT, "not right")
    counts = [e for e in record["errors"].values() if e and e["of"] > 1]
    bad = max((e.get(f"above_{mark:.0e}", 0) for e in counts), default=0)
    of = max((e["of"] for e in counts), default=0)
    whole = any(e and e["of"] == 1 and e["worst"] > mark for e in record["errors"].values())
    return f"**{word}**" + ("" if whole or bad in (0, of) else f" ({bad} of {of})")


def differentiates(record: Record) -> bool:
    """Whether it has gradients at all."""
    return bool(record.get("backward_seconds"))


def time_of(record: Record) -> float:
    """Milliseconds per problem of all that it does."""
    if "failed" in record:
        return float("inf")
    found = ms(record, "both" if differentiates(record) else "forward")
    return float("inf") if found is None else found


def fastest_right(records: Iterable[Record]) -> list[Record]:
    """The fastest right record of each peer that differentiates, the fastest peer first."""
    best: dict[str, Record] = {}
    for record in sorted(records, key=time_of):
        if record["library"] != "kktdiff" and right(record) and differentiates(record):
            best.setdefault(record["library"], record)
    return list(best.values())


def ratio(record: Record) -> float | None:
    """Time relative to kktdiff in the same process, forward only if there is no backward."""
    if "beside" not in record:
        return None
    key = "both" if differentiates(record) else "forward"
    theirs, own = ms(record, key), ms(record["beside"], key)
    return theirs / own if theirs and own else None


def name_of(record: Record) -> str:
    """Library and configuration."""
    library = TITLES.get(record["library"], record["library"])
    extra = record["configuration"]
    return library if extra == "default" else f"{library}, {extra}"


def line(record: Record) -> str:
    """One record while it all runs."""
    shown = "" if "failed" in record else f"{number(time_of(record))} ms per problem, "
    where = f"{record['workload']:8s} {record.get('batch', '')}"
    return f"{where} {name_of(record)}: {shown}{verdict(record)}"


def row(record: Record) -> dict[str, str]:
    """One line of a workload's table."""
    cells = {"": name_of(record)}
    failed = "failed" in record
    for key in ("forward", "backward", "both"):
        cells[key] = "" if failed else number(ms(record, key))
    share = ratio(record)
    cells[RATIO] = "" if share is None else f"{share:.2g}"
    cells["first call, s"] = "" if failed else f"{record['first_call_seconds']:.1f}"
    x, name, gradient = (None, "", None) if failed else accuracy_of(record)
    cells["error of x"] = "" if x is None else f"{x:.0e}"
    cells["of the worst gradient"] = "" if gradient is None else f"{gradient:.0e} (d{name})"
    cells["verdict"] = verdict(record)
    return cells


def page(found: Record) -> str:
    """Where it was made, and a table for each workload."""
    parts = [machine(found)]
    main = [r for r in found["records"] if "series" not in r]
    for name in dict.fromkeys(r["workload"] for r in main):
        records = [r for r in main if r["workload"] == name]
        own = [r for r in records if r["library"] == "kktdiff"]
        others = [r for r in records if r["library"] != "kktdiff"]
        both = sorted((r for r in others if differentiates(r)), key=time_of)
        forward = sorted((r for r in others if not differentiates(r)), key=time_of)
        batch = max(r.get("batch") or 0 for r in records)
        known = next((r for r in own if "failed" not in r), None)
        unknown = known["without_reference"] if known else 0
        note = f" {unknown} elements are degenerate and left out.\n" if unknown else ""
        title = f"### {name}: {WORKLOADS[name].about}; batch {batch}"
        parts.append(f"{title}\n{note}\n{table([row(r) for r in (*own, *both, *forward)])}")
    return "\n".join(parts)


def machine(found: Record) -> str:
    """Processor, versions and date."""
    facts = found["machine"]
    if not facts:
        return ""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    commit = f", commit {facts['commit']}" if facts["commit"] else ""
    known = facts.get("load") is not None
    load = f", load average {facts['load']:.1f} at the start" if known else ""
    kernels = facts.get("kernels") or "none"
    environment = facts.get("environment", {}).items()
    threads = "".join(f"; {k}={v}" for k, v in environment if k.endswith("_NUM_THREADS"))
    return (
        f"{facts['processor']}, {facts['cores']} cores{load}, {facts['date']}{commit}; kernels: "
        f"{kernels}{threads}; float64; medians of {found['repeats']} repeats at most.\n"
        f"{versions}.\n"
    )


def summary(found: Record) -> str:
    """For each workload: ours, and the fastest peer that is right."""
    rows = []
    main = [r for r in found["records"] if "series" not in r]
    for name in dict.fromkeys(r["workload"] for r in main):
        records = [r for r in main if r["workload"] == name]
        own = {r["configuration"]: r for r in records if r["library"] == "kktdiff"}
        best = next(iter(fastest_right(records)), None)
        share = best and ratio(best)
        cells = {"ms per problem, forward + backward": f"{name}, {WORKLOADS[name].about}"}
        for title, configuration in (("kktdiff", OURS), ("without kernels", NO_KERNELS)):
            cells[title] = number(time_of(own[configuration])) if configuration in own else ""
        cells["fastest other that is right"] = (
            f"{name_of(best)}: {number(time_of(best))}" if best else "none"
        )
        cells[RATIO] = f"{share:.2g}" if share else ""
        rows.append(cells)
    return table(rows) if rows else ""


def memory(found: Record) -> str:
    """What a call adds to the memory of the process, where the batch grows."""
    rows = []
    for r in found["records"]:
        if r.get("series") != "batch" or not r.get("memory_bytes") or "failed" in r:
            continue
        mib = r["memory_bytes"] / 2**20
        rows.append(
            {
                "W1, batch": str(r["batch"]),
                "kktdiff": r["configuration"],
                "ms per problem": number(time_of(r)),
                "MiB at most, forward and backward": f"{mib:.0f}",
                "KiB per problem": f"{1024 * mib / r['batch']:.0f}",
            }
        )
    return table(rows) if rows else "Not measured.\n"
