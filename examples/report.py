"""From the numbers of an experiment to its table, its figure and their files."""

import argparse
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Of Okabe & Ito 2008: told apart with any colour vision.
BLUE, RED, GREY = "#0072b2", "#d55e00", "#777777"
SVG = {"svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans", "Arial"]}  # text stays text

Record = dict[str, Any]  # what is known of an epoch, a run, or a row of a table, by name


def table(rows: list[Record]) -> str:
    """A Markdown table whose columns are the keys of the first row."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([str(v) for v in r.values()] for r in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def beside(found: dict[str, float] | str | None) -> str:
    """A sentence for what `beside_qpth` found, or why it found nothing."""
    if not found:
        return ""
    if isinstance(found, str):
        return f"\n{found}\n"
    times = ", ".join(
        f"{name} {seconds:.{0 if seconds > 10 else 2}f}" for name, seconds in found.items()
    )
    return f"\nSeconds per epoch, from single steps that were taken in turns: {times}.\n"


def rounded(value: Any, digits: int = 5) -> Any:
    """Numbers, in lists and dictionaries too, to as many digits as tables and figures need."""
    if isinstance(value, dict):
        return {str(key): rounded(each, digits) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each, digits) for each in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def columns(log: list[Record]) -> Record:
    """The records of a log as a list for each name."""
    return {name: [record[name] for record in log] for name in log[0]}


def publish(
    args: argparse.Namespace,
    name: str,
    numbers: Record,
    rows: Callable[[Record], list[Record]],
    draw: Callable[[Any, Record], None],
    height: float = 3.4,
) -> None:
    """Print the table; write it, the numbers and the figure into the output folder, if any."""
    settings = {key: getattr(args, key) for key in ("seed", "batch", "epochs")}
    numbers = settings | rounded(numbers)
    text = table(rows(numbers)) + beside(numbers.get("seconds_per_epoch"))
    print(text)
    if not args.output:
        return
    save(args.output / f"{name}.svg", lambda figure: draw(figure, numbers), height)
    (args.output / f"{name}.md").write_text(text, encoding="utf-8")
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in numbers.items())
    (args.output / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"written to {args.output}: {name}.md, {name}.json, {name}.svg")


def save(path: Path, draw: Callable[[Any], None], height: float) -> None:
    """Draw and write an SVG whose text stays text; the same figure gives the same bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SVG):
        figure = Figure(figsize=(9, height), layout="constrained")
        draw(figure)
        write(figure, path)


def write(figure: Any, path: Path) -> None:
    """Write an SVG, with coordinates to a tenth of a point, for fewer bytes."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    path.write_text(re.sub(r"<[^>]+>", shortened, text.getvalue()), encoding="utf-8")


def shortened(tag: re.Match[str]) -> str:
    """A tag with one digit behind the point of numbers that have three or more; fewer spaces."""
    short = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.1f}", tag[0])
    return re.sub(r" \n([LCQ]) ", r"\n\1", short)


def finish(axes: Any, **labels: str) -> None:
    """Labels, a light grid, whole epochs, and no frame on two sides."""
    axes.set(**labels)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    if axes.get_xlabel() == "epoch":
        axes.xaxis.get_major_locator().set_params(integer=True)


def legend_below(figure: Any, *panels: Any, columns: int = 4) -> None:
    """One legend for all panels, below them; each name once."""
    pairs = [
        each for axes in panels for each in zip(*axes.get_legend_handles_labels(), strict=True)
    ]
    once = {label: handle for handle, label in pairs}
    place = {"loc": "outside lower center", "frameon": False, "fontsize": 9}
    figure.legend(once.values(), once.keys(), ncols=columns, **place)
