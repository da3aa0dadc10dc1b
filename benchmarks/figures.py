"""Time per problem by batch size and by n, drawn from the records of `benchmarks.run` alone."""

from pathlib import Path
from typing import Any

from benchmarks import verdicts

Record = dict[str, Any]
LABELS = {
    "batch": ("100 variables, 100 inequalities", "problems in the batch"),
    "n": ("One dense QP: n inequalities, n/5 equalities", "n"),
}


def save(found: Record, path: Path) -> None:
    """Write the figure as a PNG."""
    from matplotlib.figure import Figure  # here, because it is an extra; no window is opened

    figure: Any = Figure(figsize=(9.5, 4), layout="constrained")
    for axes, (series, (title, xlabel)) in zip(figure.subplots(1, 2), LABELS.items(), strict=True):
        records = [r for r in found["records"] if r.get("series") == series and "failed" not in r]
        for name in dict.fromkeys(verdicts.name_of(r) for r in records):
            own = name.startswith("kktdiff")
            mine = [r for r in records if verdicts.name_of(r) == name]
            axes.plot(*curve(mine, series), "o-", ms=3, lw=2.2 if own else 1.1, label=name)
        axes.set(title=title, xlabel=xlabel, xscale="log", yscale="log")
        axes.set_ylabel("ms per problem, forward + backward")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        if records:
            axes.legend(frameon=False, fontsize="small")
        else:
            axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center")
    figure.savefig(path, dpi=130)


def curve(records: list[Record], series: str) -> tuple[list[float], list[float]]:
    """Return the sizes, increasing, and the time at each."""
    records = sorted(records, key=lambda r: r[series])
    return [r[series] for r in records], [verdicts.time_of(r) for r in records]
