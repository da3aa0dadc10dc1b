"""The tables of `benchmarks.robustness`, made from its records."""

from collections.abc import Callable
from typing import Any

TITLES = {
    "maros_meszaros": "Maros-Meszaros, dense subset",
    "mpc": "Model predictive control",
    "netlib_lp": "NETLIB linear programs",
    "netlib_infeas": "NETLIB infeasible linear programs",
}
NAMES = {"kktdiff": "kktdiff", "piqp": "PIQP", "clarabel": "Clarabel"}
MARK, OBJECTIVE = 1e-9, 1e-6
WHOLE = {"maros_meszaros": "Maros-Meszaros"}  # on sparse matrices
FORMS = (
    "PIQP got both limits of each row and variable as the sets have them, kktdiff each limit of a "
    "row as a row of G, and Clarabel bounds as rows too."
)
Record = dict[str, Any]


def at_mark(r: Record, kind: str) -> bool:
    """Whether a record's worst residual, "absolute" or "relative", is at most the mark."""
    return r[kind] is not None and r[kind] <= MARK


def right(r: Record) -> bool:
    """At the mark relative to the terms, with the reference objective."""
    error = r.get("objective_error")
    return at_mark(r, "relative") and (error is None or error <= OBJECTIVE)


def infeasible(r: Record) -> bool:
    """Whether the solver said so."""
    return "primal" in r["status"].lower() and "infeasible" in r["status"].lower()


def refused(r: Record) -> bool:
    """A wrong certificate, where the problem is feasible."""
    return "infeasible" in r["status"].lower()


def markdown(found: Record) -> str:
    """The summary, and a table for each set."""
    sets = {name: rows for name, rows in found["sets"].items() if rows}
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    titles = TITLES | WHOLE if found.get("sparse") else TITLES
    parts = [f"Measured with {versions}. {FORMS}", summary(sets, titles)]
    for name, rows in sets.items():
        table = proofs if name == "netlib_infeas" else answers
        parts.append(f"### {titles[name]}\n\n{table(rows)}")
    return "\n\n".join(parts) + "\n"


def summary(sets: dict[str, list[Record]], titles: dict[str, str]) -> str:
    """How many of each set each solver has solved."""
    solvers = [s for s in NAMES if any(s in row for rows in sets.values() for row in rows)]
    lines = [["share", *(NAMES[s] for s in solvers)]]
    kinds: tuple[tuple[str, Callable[[Record], bool]], ...] = (
        ("at 1e-9 relative, right objective", right),
        ("at 1e-9 absolute", lambda r: at_mark(r, "absolute")),
        ("called infeasible or unbounded", refused),
    )
    for name, rows in sets.items():
        own = (("recognised", infeasible),) if name == "netlib_infeas" else kinds
        for title, test in own:
            shares = [f"{sum(test(row[s]) for row in rows)} of {len(rows)}" for s in solvers]
            lines.append([f"{titles[name]}: {title}", *shares])
    return table(lines)


def answers(rows: list[Record]) -> str:
    """One line per problem that has a solution."""
    peers = [s for s in NAMES if s != "kktdiff" and s in rows[0]]
    head = ["problem", "n", "rows", "status", "iterations", "primal", "dual", "gap"]
    lines = [[*head, "relative", "objective", *(NAMES[s] for s in peers)]]
    for row in rows:
        r = row["kktdiff"]
        numbers = [r.get(v) for v in ("primal", "dual", "gap", "relative", "objective_error")]
        own = [row["name"], row["n"], row["rows"], r["status"], r["iterations"]]
        lines.append([*own, *map(short, numbers), *(short(row[s]["absolute"]) for s in peers)])
    return table(lines)


def proofs(rows: list[Record]) -> str:
    """One line per infeasible problem."""
    peers = [s for s in NAMES if s != "kktdiff" and s in rows[0]]
    lines = [["problem", "n", "rows", "status", "proof's error", *(NAMES[s] for s in peers)]]
    for row in rows:
        r = row["kktdiff"]
        own = [row["name"], row["n"], row["rows"], r["status"], short(r.get("proof"))]
        lines.append([*own, *(row[s]["status"] for s in peers)])
    return table(lines)


def short(value: float | None) -> str:
    """Two digits."""
    return "-" if value is None else f"{value:.1e}" if value else "0"


def table(lines: list[list[Any]]) -> str:
    """A Markdown table; the first line is its head."""
    head, *body = [f"| {' | '.join(map(str, line))} |" for line in lines]
    return "\n".join([head, "|" + " --- |" * len(lines[0]), *body])
