"""Time per problem by batch size and by n, drawn from the records of `benchmarks.run` alone."""

from pathlib import Path
from typing import Any

from benchmarks import verdicts
from examples import report

Record = dict[str, Any]
LABELS = {
    "batch": ("100 variables, 100 inequalities", "problems in the batch"),
    "n": ("One dense QP: n inequalities, n/5 equalities", "variables, n"),
}
COLOURS = {"kktdiff": report.BLUE, "kktdiff, without kernels": report.GREY}
OTHERS = (report.RED, "#009e73", "#cc79a7", "#e69f00")


def save(found: Record, path: Path) -> None:
    """Write the figure as an SVG."""
    report.save(path, lambda figure: draw(figure, found["records"]), height=4.2)


def draw(figure: Any, records: list[Record]) -> None:
    """A panel for each series, a colour for each library; the names of the tables."""
    records = [r for r in records if "series" in r and "failed" not in r]
    names = list(dict.fromkeys(name_of(r) for r in records))
    colours = COLOURS | dict(zip((n for n in names if n not in COLOURS), OTHERS, strict=False))
    panels = figure.subplots(1, 2)
    for axes, (series, (title, xlabel)) in zip(panels, LABELS.items(), strict=True):
        chosen = [r for r in records if r["series"] == series]
        for name in dict.fromkeys(name_of(r) for r in chosen):
            width, colour = (2.2 if name in COLOURS else 1.1), colours.get(name)
            mine = [r for r in chosen if name_of(r) == name]
            axes.plot(*curve(mine, series), "o-", ms=3, lw=width, color=colour, label=name)
        axes.set(xscale="log", yscale="log")
        report.finish(axes, title=title, xlabel=xlabel)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
        if not chosen:
            axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center")
    figure.suptitle("Time per problem, forward + backward: lower is better")
    panels[0].set_ylabel("ms per problem")
    if names:
        report.legend_below(figure, *panels)


def name_of(record: Record) -> str:
    """Return the name that the summary has for it."""
    return verdicts.name_of(record).removesuffix(f", {verdicts.OURS}")


def curve(records: list[Record], series: str) -> tuple[list[float], list[float]]:
    """Return the sizes, increasing, and the time at each."""
    records = sorted(records, key=lambda r: r[series])
    return [r[series] for r in records], [verdicts.time_of(r) for r in records]
