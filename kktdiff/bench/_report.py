"""Tables from records."""

from collections.abc import Sequence
from statistics import median
from typing import Any

Record = dict[str, Any]
Rows = list[dict[str, str]]
COLUMNS = (
    *("workload", "batch", "way", "forward", "backward", "both", "backward / forward"),
    *("first call, s", "error of x", "worst gradient"),
)


def ms(record: Record, key: str) -> float | None:
    """Median milliseconds per problem; `key`: "forward", "backward" or "both"."""
    if key == "both":
        parts = [ms(record, name) for name in ("forward", "backward")]
        return None if None in parts else sum(part for part in parts if part is not None)
    seconds = record[f"{key}_seconds"]
    return 1e3 * median(seconds) / record["batch"] if seconds else None


def accuracy_of(record: Record) -> tuple[float | None, str, float | None]:
    """Worst error of x; the gradient with the worst error, and that error."""
    worst = {name: each["worst"] for name, each in record["errors"].items() if each}
    x = worst.pop("x", None)
    name = max(worst, key=lambda key: worst[key], default="")
    return x, name, worst.get(name)


def tables(found: Record) -> str:
    """Format the results of `run` as Markdown."""
    return intro(found["machine"]) + table([row(record) for record in found["records"]])


def intro(facts: Record) -> str:
    """Return the lines before the table: the machine, and the unit."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    head = f"{facts['processor']}, {facts['cores']} cores, {facts['date']}; {versions}"
    return f"{head}\nms per problem, medians\n\n"


def row(record: Record) -> dict[str, str]:
    """Return one line of the table."""
    forward, backward, both = (ms(record, key) for key in ("forward", "backward", "both"))
    x, name, worst = accuracy_of(record)
    way = record["way"] + ("" if record["dtype"] == "float64" else f", {record['dtype']}")
    share = "" if backward is None or not forward else f"{backward / forward:.0%}"
    cells = (
        *(record["workload"], str(record["batch"]), way),
        *(number(value) for value in (forward, backward, both)),
        *(share, f"{record['first_call_seconds']:.2f}"),
        *("no reference" if x is None else f"{x:.0e}",),
        *("no reference" if worst is None else f"{worst:.0e} (d{name})",),
    )
    return dict(zip(COLUMNS, cells, strict=True))


def number(value: float | None) -> str:
    """Format a number with three digits."""
    return "" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def table(rows: Rows) -> str:
    """Format rows as a Markdown table; its columns are the keys of the first row."""
    return heading(list(rows[0])) + "".join(map(line, rows))


def heading(columns: Sequence[str]) -> str:
    """Return the first two lines of a Markdown table."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (columns, ["---"] * len(columns)))


def line(row: dict[str, str]) -> str:
    """Return a line of a Markdown table."""
    return f"| {' | '.join(row.values())} |\n"
