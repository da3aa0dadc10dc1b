"""Tables from the records alone."""

from statistics import median
from typing import Any

from benchmarks.cvxpy_layers.layers import DEFAULT, OURS
from benchmarks.cvxpy_layers.measure import both
from benchmarks.cvxpy_layers.models import KINDS
from kktdiff.bench import WRONG, number, table

Record = dict[str, Any]


def page(found: Record) -> str:
    """Where it was made, the summary, and a table for each kind of model."""
    parts = [machine(found["machine"]), summary(found)]
    for name in dict.fromkeys(record["model"] for record in found["records"]):
        records = [r for r in found["records"] if r["model"] == name]
        parts.append(
            f"**{KINDS[name].about}**\n\n{note(records)}{table([row(r) for r in records])}"
        )
    return "\n".join(parts)


def machine(facts: Record) -> str:
    """Processor, versions, date, and what the environment says of threads."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    commit = f", commit {facts['commit']}" if facts["commit"] else ""
    set_to = "".join(f", {key}={value}" for key, value in facts["environment"].items())
    head = f"{facts['processor']}, {facts['cores']} cores, {facts['date']}{commit}{set_to}"
    return f"{head}; float64; medians.\n{versions}.\n"


def note(records: list[Record]) -> str:
    """How good the reference is."""
    known = next((r for r in records if "left_out" in r), None)
    if known is None:
        return ""
    (out, of), gap = known["left_out"], known["reference_disagreement"]
    without = f"{out} of {of} differences left out, for a kink nearby; " if out else ""
    return f"{without}solutions and Clarabel's differ by {gap:.0e} at most.\n\n"


def gradient_error(record: Record) -> tuple[str, float]:
    """The parameter with the worst gradient, and its error."""
    errors = record["errors"]["gradients"]
    worst = max(errors, key=lambda name: errors[name])
    return worst, errors[worst]


def worst(record: Record) -> float:
    """The larger one of the errors of x and of the gradients."""
    return max(record["errors"]["x"], gradient_error(record)[1])


def ratio(record: Record) -> float | None:
    """Time of forward and backward, relative to ours in turns with it."""
    return both(record) / both(record["beside"]) if "beside" in record else None


def row(record: Record) -> dict[str, str]:
    """One layer at one batch size."""
    cells = {"layer": record["layer"], "batch": str(record["batch"])}
    names = ("build", "forward", "backward", "both", "times kktdiff", "x", "objective", "gradient")
    titles = {"build": "build, ms", "forward": "forward, ms", "backward": "backward, ms"}
    titles |= {"both": "both, ms", "x": "error of x", "objective": "of the objective"}
    titles["gradient"] = "of the worst gradient"
    values = dict.fromkeys(names, "")
    if "failed" in record:
        values["build"] = record["failed"].replace("|", "/")
    else:
        for name in names[:3]:
            values[name] = number(1e3 * median(record[f"{name}_seconds"]))
        values["both"] = number(both(record))
        share, (parameter, error) = ratio(record), gradient_error(record)
        values["times kktdiff"] = "" if share is None else f"{share:.2g}"
        values["x"] = f"{record['errors']['x']:.0e}"
        values["objective"] = f"{record['errors']['objective']:.0e}"
        values["gradient"] = f"{error:.0e} ({parameter})"
    return cells | {titles.get(name, name): value for name, value in values.items()}


def summary(found: Record) -> str:
    """For each kind and batch size: ours, theirs at the defaults, and the fastest not wrong."""
    rows = []
    records = [r for r in found["records"] if "failed" not in r]
    for pair in dict.fromkeys((r["model"], r["batch"]) for r in records):
        mine = [r for r in records if (r["model"], r["batch"]) == pair]
        own = next((r for r in mine if r["layer"] == OURS), None)
        others = [r for r in mine if r["layer"] != OURS]
        default = next((r for r in others if r["layer"] == DEFAULT), None)
        best = min((r for r in others if worst(r) <= WRONG), key=both, default=None)
        rows.append(
            {
                "ms per call, forward + backward": f"{KINDS[pair[0]].about}; batch {pair[1]}",
                "kktdiff": _told(own),
                "cvxpylayers, default": _told(default),
                "cvxpylayers, fastest that is not wrong": _told(best),
            }
        )
    return table(rows) if rows else ""


def _told(record: Record | None) -> str:
    if record is None:
        return "none"
    name = "" if record["layer"] in (OURS, DEFAULT) else f"{record['layer']}: "
    share = ratio(record)
    times = "" if share is None else f" ({share:.2g} times kktdiff)"
    return f"{name}{number(both(record))}{times}, error {worst(record):.0e}"
