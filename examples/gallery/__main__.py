"""Run scripts of the gallery; write what each prints, and its figure.

python -m examples.gallery [svm mpc ...] [--output docs/gallery]
"""

import argparse
import contextlib
import io
import runpy
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt

from examples import report

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#777777", "#e69f00", "#56b4e9"]
STYLE = {
    "axes.grid": True,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "path.simplify_threshold": 0.5,  # points
}


def run(name: str, folder: Path) -> None:
    """Write NAME.txt and NAME.svg into the folder."""
    printed = io.StringIO()
    with matplotlib.rc_context(STYLE | report.SVG), contextlib.redirect_stdout(printed):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive", UserWarning)
            runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        report.write(plt.gcf(), folder / f"{name}.svg")
        plt.close("all")
    (folder / f"{name}.txt").write_text(printed.getvalue(), encoding="utf-8")


def main(argv: list[str] | None = None) -> None:
    """Parse the options, run the scripts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="(default: all)")
    parser.add_argument("--output", type=Path, default=Path("docs/gallery"), help="(%(default)s)")
    args = parser.parse_args(argv)
    unknown = sorted(set(args.names) - set(NAMES))
    if unknown:
        parser.error(f"{', '.join(unknown)}: expected of {', '.join(NAMES)}")
    args.output.mkdir(parents=True, exist_ok=True)
    matplotlib.use("agg")
    for name in args.names or NAMES:
        run(name, args.output)
        print((args.output / f"{name}.txt").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
